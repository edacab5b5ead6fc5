//! What hooks and probes ask of a server: hosts, ports, requests that say one thing only.

use core::net::Ipv6Addr;

use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::HttpGetAction;

/// A request is written as it stands, so nothing in it may look like the next line or the next word.
pub(super) fn check_http_get(
    get: &HttpGetAction,
    has_port: Option<bool>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    check_port(get.port, has_port, path, problems);
    check_path(&get.path, path, problems);
    check_host(get.host.as_deref(), path, problems);
    for (at, header) in get.http_headers.iter().enumerate() {
        let path = path.key("httpHeaders").index(at);
        let in_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if header.name.is_empty() || !header.name.bytes().all(in_token) {
            let message = "expected the name of a header, such as X-Probe";
            problems.push(Problem::error(path.key("name"), message));
        }
        if header.value.contains(['\r', '\n', '\0']) {
            problems.push(Problem::error(path.key("value"), "expected one line"));
        }
    }
}

/// The `path` of a request.
pub(super) fn check_path(text: &str, path: &FieldPath, problems: &mut Vec<Problem>) {
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    if !text.bytes().all(is_visible) || text.contains('#') {
        problems.push(Problem::error(
            path.key("path"),
            "expected a path without spaces, control characters, `#` and letters outside ASCII: write them as %20 and so on",
        ));
    }
}

/// A port is written or comes from portBase. `has_port`: there is one; `None`: there cannot be one.
pub(super) fn check_port(
    port: Option<u16>,
    has_port: Option<bool>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    if port == Some(0) {
        let message = "expected an integer from 1 to 65535, found 0";
        problems.push(Problem::error(path.key("port"), message));
    }
    if port.is_none() && has_port != Some(true) {
        let help = has_port.map(|_| "write `port`, or give the process a portBase".to_owned());
        problems.push(Problem::error(path.clone(), "expected a port").maybe_help(help));
    }
}

/// The `host` of a request.
pub(super) fn check_host(host: Option<&str>, path: &FieldPath, problems: &mut Vec<Problem>) {
    if host.is_some_and(|host| !is_host(host)) {
        let message = "expected a host name or an IP address";
        let with_port = host.and_then(|host| host.split_once(':'));
        let is_port =
            |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let with_port = with_port.is_some_and(|(_, port)| is_port(port));
        let help = with_port.then(|| "write the port into `port`".to_owned());
        problems.push(Problem::error(path.key("host"), message).maybe_help(help));
    }
}

/// A name or an address, IPv6 with or without brackets. Only that has colons: `localhost:8080` is a host with a port.
pub(super) fn is_host(host: &str) -> bool {
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(in_host);
    if !host.contains([':', '[', ']', '%']) {
        return is_name(host);
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address = bare.unwrap_or(host);
    // fe80::1%eth0: an address of a link, and which one.
    let (address, is_zone) = match address.split_once('%') {
        Some((address, zone)) => (address, is_name(zone)),
        None => (address, true),
    };
    is_zone && address.parse::<Ipv6Addr>().is_ok()
}
