//! Where a request goes, and where a redirect sends it. Pure.

use super::Error;
use crate::domain::plan::HttpRequest;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) https: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as a URL has them.
    authority: String,
    /// Path with query, ready to be sent.
    pub(super) path: String,
}

/// What a redirect asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another host.
    Elsewhere,
    /// The same host.
    Here {
        target: Target,
        /// The server named the scheme and the host.
        absolute: bool,
    },
}

impl Target {
    pub(super) fn first(get: &HttpRequest) -> Target {
        let HttpRequest { host, port, .. } = get;
        let path = get.path.split('#').next().unwrap_or_default();
        Target {
            https: get.https,
            host: host.clone(),
            port: *port,
            authority: if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            },
            path: escaped(path.as_bytes()),
        }
    }

    /// What the Host header says by default.
    pub(super) fn authority(&self) -> &str {
        self.authority.trim_end_matches(':')
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

/// What a Location header, seen from `base`, asks for; `first_host` is the one that the spec names.
pub(super) fn resolve(base: &Target, first_host: &str, location: &[u8]) -> Result<Next, Error> {
    let unreadable = || Error::Location(String::from_utf8_lossy(location).into_owned());
    if location.iter().any(u8::is_ascii_control) {
        return Err(unreadable());
    }
    let text = String::from_utf8_lossy(location);
    let text = text.split('#').next().unwrap_or_default();
    let (scheme, rest) = scheme(text);
    let (host, port, authority, rest, named) = match (&scheme, rest.strip_prefix("//")) {
        (Some(_), None) => return Ok(Next::Elsewhere),
        (_, Some(rest)) if scheme.is_some() || !rest.starts_with('/') => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            let authority = authority.rsplit('@').next().unwrap_or_default();
            let (host, port) = host_and_port(authority).ok_or_else(unreadable)?;
            (host, port, authority, rest, true)
        }
        _ => (&*base.host, Some(base.port), &*base.authority, rest, false),
    };
    if host != first_host {
        return Ok(Next::Elsewhere);
    }
    let https = match scheme.as_deref() {
        Some("https") => true,
        Some("http") => false,
        Some(other) => return Err(Error::Scheme(other.to_owned())),
        None => base.https,
    };
    let target = Target {
        https,
        host: host.to_owned(),
        port: port.unwrap_or(if https { 443 } else { 80 }),
        authority: authority.to_owned(),
        path: joined(&base.path, rest, named),
    };
    let absolute = scheme.is_some();
    Ok(Next::Here { target, absolute })
}

/// The scheme, in lower case, and what follows its colon.
fn scheme(text: &str) -> (Option<String>, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    match end.map(|end| text.split_at(end)) {
        Some((scheme, rest))
            if rest.starts_with(':') && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            (Some(scheme.to_ascii_lowercase()), &rest[1..])
        }
        _ => (None, text),
    }
}

/// `[::1]:80` as `::1` and 80. An empty port is none.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        _ => return None,
    };
    Some((host, port))
}

/// A reference of path and query, seen from a path with query.
fn joined(base: &str, reference: &str, alone: bool) -> String {
    let split = |text: &str| {
        let at = text.find('?').unwrap_or(text.len());
        let (path, query) = text.split_at(at);
        (path.to_owned(), query.to_owned())
    };
    let (base_path, base_query) = split(base);
    let (path, query) = split(reference);
    let (path, query) = if alone || path.starts_with('/') {
        (path, query)
    } else if path.is_empty() {
        let kept = if query.is_empty() { base_query } else { query };
        (base_path, kept)
    } else {
        let parent = base_path.rfind('/').map_or(0, |slash| slash + 1);
        (format!("{}{path}", &base_path[..parent]), query)
    };
    escaped(format!("{}{query}", without_dots(&path)).as_bytes())
}

/// A path without `.` and `..`; begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let path = path.strip_prefix('/').unwrap_or(path);
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    // `/a/.` is a directory, as `/a/` is.
    if path.ends_with("/.") || path.ends_with("/..") || path == ".." {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

/// A path with query in which everything that a URL may not hold is percent-encoded.
fn escaped(path: &[u8]) -> String {
    let mut escaped = String::with_capacity(path.len());
    for (at, &byte) in path.iter().enumerate() {
        let two = path.get(at + 1..at + 3);
        let fits = match byte {
            b'%' => two.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?[]".contains(&byte),
        };
        if fits {
            escaped.push(byte.into());
        } else {
            escaped.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(half.into(), 16).unwrap_or('0');
                escaped.push(digit.to_ascii_uppercase());
            }
        }
    }
    if !escaped.starts_with('/') {
        escaped.insert(0, '/');
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base(https: bool, host: &str, path: &str) -> Target {
        Target::first(&HttpRequest {
            method: crate::domain::plan::HttpMethod::Get,
            https,
            host: host.to_owned(),
            port: 8080,
            path: path.to_owned(),
            headers: Vec::new(),
        })
    }

    /// The URL that is asked next, `elsewhere`, or the error.
    fn next(base: &Target, location: &str) -> String {
        match resolve(base, &base.host, location.as_bytes()) {
            Ok(Next::Elsewhere) => "elsewhere".to_owned(),
            Ok(Next::Here { target, .. }) => format!("{} {}", target.port, target.url()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_location_is_read_as_a_browser_reads_it() {
        let cases = [
            ("/login", "8080 http://h:8080/login"),
            ("login", "8080 http://h:8080/a/login"),
            ("./login?x=1#top", "8080 http://h:8080/a/login?x=1"),
            ("../login", "8080 http://h:8080/login"),
            ("../../../login", "8080 http://h:8080/login"),
            ("/x/./y/../z/..", "8080 http://h:8080/x/"),
            ("..", "8080 http://h:8080/"),
            (".", "8080 http://h:8080/a/"),
            ("?y=2", "8080 http://h:8080/a/b?y=2"),
            ("#top", "8080 http://h:8080/a/b?q=/1"),
            ("///x", "8080 http://h:8080///x"),
            ("http://h:8080/up", "8080 http://h:8080/up"),
            ("HTTP://h:9000", "9000 http://h:9000/"),
            ("http://h?x", "80 http://h/?x"),
            ("https://h/up", "443 https://h/up"),
            ("https://h:/up", "443 https://h/up"),
            ("http://user:p@ss@h/up", "80 http://h/up"),
            ("//h/up", "80 http://h/up"),
            ("//h:8080", "8080 http://h:8080/"),
            (
                "/caf\u{e9} x%zz%20",
                "8080 http://h:8080/caf%C3%A9%20x%25zz%20",
            ),
            ("http://other/up", "elsewhere"),
            ("//other/up", "elsewhere"),
            ("http://h.other/", "elsewhere"),
            ("ftp://other/", "elsewhere"),
            ("mailto:x@h", "elsewhere"),
            ("http:up", "elsewhere"),
            ("http:///up", "elsewhere"),
            ("ftp://h/", "a redirect to `ftp`, which is not HTTP"),
            (
                "http://h:99999/",
                "a redirect to a place that cannot be read: http://h:99999/",
            ),
            (
                "http://h:x/",
                "a redirect to a place that cannot be read: http://h:x/",
            ),
            (
                "http://[::1/",
                "a redirect to a place that cannot be read: http://[::1/",
            ),
            ("/a\tb", "a redirect to a place that cannot be read: /a\tb"),
        ];
        let base = base(false, "h", "/a/b?q=/1");
        for (location, expected) in cases {
            assert_eq!(next(&base, location), expected, "{location}");
        }
    }

    #[test]
    fn an_address_of_ipv6_is_a_host_like_others() {
        let base = base(true, "::1", "/");
        assert_eq!(next(&base, "x"), "8080 https://[::1]:8080/x");
        assert_eq!(next(&base, "https://[::1]/x"), "443 https://[::1]/x");
        assert_eq!(next(&base, "https://[::2]/x"), "elsewhere");
    }

    #[test]
    fn only_a_scheme_makes_it_absolute() {
        for (location, expected) in [("/x", false), ("//h/x", false), ("http://h/x", true)] {
            match resolve(&base(false, "h", "/"), "h", location.as_bytes()) {
                Ok(Next::Here { absolute, .. }) => assert_eq!(absolute, expected, "{location}"),
                other => panic!("{other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_location_gives_a_request_that_can_be_sent(location: Vec<u8>, path: String) {
            let base = base(false, "h", &path);
            if let Ok(Next::Here { target, .. }) = resolve(&base, "h", &location) {
                prop_assert!(hyper::Uri::try_from(target.path.as_str()).is_ok());
                prop_assert!(target.path.starts_with('/'));
            }
            prop_assert!(hyper::Uri::try_from(base.path.as_str()).is_ok());
        }
    }
}
