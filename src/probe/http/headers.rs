//! The head of a request. Pure.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, REFERER,
    USER_AGENT,
};
use hyper::{Method, Request};

use super::Error;
use super::location::Target;
use crate::domain::plan::{HttpMethod, HttpRequest};

/// Headers that are not sent as they are given: the request has one of its own, or no body to tell of.
const OURS: &[&str] = &[
    "host",
    "user-agent",
    "accept",
    "content-length",
    "transfer-encoding",
    "trailer",
];

/// The first value given for a header.
fn given<'a>(get: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let mut named = get.headers.iter();
    named
        .find(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The Host header that the spec wants; empty counts as none.
pub(super) fn given_host(get: &HttpRequest) -> Option<&str> {
    given(get, "host").filter(|host| !host.is_empty())
}

/// The request for a target. An empty User-Agent or Accept in the spec means that none is sent, as in the kubelet.
pub(super) fn request(
    target: &Target,
    host: Option<&str>,
    get: &HttpRequest,
    referer: Option<&str>,
) -> Result<Request<Empty<Bytes>>, Error> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, value("Host", host.unwrap_or(target.authority()))?);
    let agent = given(get, "user-agent").unwrap_or(crate::probe::USER_AGENT);
    if !agent.is_empty() {
        headers.insert(USER_AGENT, value("User-Agent", agent)?);
    }
    match given(get, "accept") {
        None => drop(headers.insert(ACCEPT, HeaderValue::from_static("*/*"))),
        Some("") => {}
        Some(_) => append(&mut headers, get, |name| {
            name.eq_ignore_ascii_case("accept")
        })?,
    }
    append(&mut headers, get, |name| {
        !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    })?;
    if !closes(&headers) {
        headers.append(CONNECTION, HeaderValue::from_static("close"));
    }
    if get.method == HttpMethod::Post {
        // Some servers refuse a POST that does not say how long it is.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if let Some(referer) = referer.filter(|_| !headers.contains_key(REFERER)) {
        headers.insert(REFERER, value("Referer", referer)?);
    }
    let path = || Error::Path(target.path.clone());
    let uri = hyper::Uri::try_from(target.path.as_str()).map_err(|_| path())?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = match get.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
    };
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Adds the given headers whose name is wanted.
fn append(
    headers: &mut HeaderMap,
    get: &HttpRequest,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    for (name, text) in &get.headers {
        if wanted(name) {
            let key = HeaderName::try_from(name.as_str());
            let key = key.map_err(|_| Error::Header(name.clone()))?;
            headers.append(key, value(name, text.trim())?);
        }
    }
    Ok(())
}

fn value(name: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Error::Header(name.to_owned()))
}

/// Whether the spec's own Connection header ends the connection, or gives it another protocol.
fn closes(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        let words = value.to_str().unwrap_or_default().split(',');
        words
            .map(str::trim)
            .any(|word| word.eq_ignore_ascii_case("close") || word.eq_ignore_ascii_case("upgrade"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Given = &'static [(&'static str, &'static str)];

    /// The lines of a request, sorted, for these given headers.
    fn lines(given: &[(&str, &str)], referer: Option<&str>) -> Result<Vec<String>, Error> {
        let get = HttpRequest {
            method: HttpMethod::Get,
            https: false,
            host: "::1".to_owned(),
            port: 80,
            path: "/up?x=1".to_owned(),
            headers: given
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let request = request(&Target::first(&get), given_host(&get), &get, referer)?;
        let mut lines: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        Ok(lines)
    }

    #[test]
    fn headers_are_those_of_the_kubelet() {
        let ours = concat!("user-agent: podinit/", env!("CARGO_PKG_VERSION"));
        let (accept, close, host) = ("accept: */*", "connection: close", "host: [::1]:80");
        let cases: &[(Given, &[&str])] = &[
            (&[], &[accept, close, host, ours]),
            (&[("HOST", "shop")], &[accept, close, "host: shop", ours]),
            (&[("Host", "")], &[accept, close, host, ours]),
            (
                &[("Host", "a"), ("Host", "b")],
                &[accept, close, "host: a", ours],
            ),
            (
                &[("user-agent", "x")],
                &[accept, close, host, "user-agent: x"],
            ),
            (&[("User-Agent", "")], &[accept, close, host]),
            (&[("Accept", "")], &[close, host, ours]),
            (&[("Accept", ""), ("accept", "b")], &[close, host, ours]),
            (
                &[("Accept", "a"), ("accept", "b")],
                &["accept: a", "accept: b", close, host, ours],
            ),
            (
                &[("X-Empty", ""), ("x-two", " 1 "), ("X-Two", "2")],
                &[
                    accept,
                    close,
                    host,
                    ours,
                    "x-empty: ",
                    "x-two: 1",
                    "x-two: 2",
                ],
            ),
            (
                &[
                    ("Content-Length", "5"),
                    ("Transfer-Encoding", "chunked"),
                    ("Trailer", "x"),
                ],
                &[accept, close, host, ours],
            ),
            (
                &[("Connection", "keep-alive")],
                &[accept, close, "connection: keep-alive", host, ours],
            ),
            (
                &[("Connection", "Upgrade")],
                &[accept, "connection: Upgrade", host, ours],
            ),
        ];
        for (given, expected) in cases {
            assert_eq!(lines(given, None).unwrap(), *expected, "{given:?}");
        }
    }

    #[test]
    fn a_referer_is_added_unless_one_is_given() {
        let lines_with = |given| lines(given, Some("http://h/")).unwrap();
        assert!(lines_with(&[]).contains(&"referer: http://h/".to_owned()));
        assert!(lines_with(&[("Referer", "me")]).contains(&"referer: me".to_owned()));
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        for (name, value) in [("X Y", "1"), ("X", "a\nb"), ("Host", "a\r\nb"), ("", "")] {
            let error = lines(&[(name, value)], None).unwrap_err().to_string();
            assert_eq!(error, format!("header `{name}` cannot be sent"));
        }
    }
}
