//! Hooks: commands that exec can take, requests that can be sent, sleeps that fit their timeout.

use super::process::check_argv;
use super::walk;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{HttpGetAction, ProcessSetSpec};

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    for hook in walk::hooks(spec) {
        if let Some(exec) = hook.exec {
            let path = hook.path.key("exec").key("command");
            check_argv(&exec.command, &path, problems);
        }
        if let Some(get) = hook.http_get {
            check_request(get, hook.has_port, &hook.path.key("httpGet"), problems);
        }
        if let (Some(sleep), Some(timeout)) = (hook.sleep, hook.timeout_seconds)
            && sleep.seconds > timeout
        {
            let message = format!(
                "{} is over timeoutSeconds, which is {timeout}",
                sleep.seconds
            );
            let path = hook.path.key("sleep").key("seconds");
            problems.push(Problem::error(path, message));
        }
    }
}

/// A request is written as it stands, so nothing in it may look like the next line or the next word.
fn check_request(
    get: &HttpGetAction,
    has_port: Option<bool>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    if get.port.is_none() && has_port != Some(true) {
        let help = has_port.map(|_| "write `port`, or give the process a portBase".to_owned());
        problems.push(Problem::error(path.clone(), "expected a port").maybe_help(help));
    }
    let mut error = |path: FieldPath, message: &str| {
        problems.push(Problem::error(path, message));
    };
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    if !get.path.bytes().all(is_visible) || get.path.contains('#') {
        error(
            path.key("path"),
            "expected a path without spaces, control characters, `#` and letters outside ASCII: write them as %20 and so on",
        );
    }
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    if !get.host.as_deref().unwrap_or_default().bytes().all(in_host) {
        error(path.key("host"), "expected a host name or an IP address");
    }
    for (at, header) in get.http_headers.iter().enumerate() {
        let path = path.key("httpHeaders").index(at);
        let in_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !header.name.bytes().all(in_token) {
            error(
                path.key("name"),
                "expected the name of a header, such as X-Probe",
            );
        }
        if header.value.contains(['\r', '\n', '\0']) {
            error(path.key("value"), "expected one line");
        }
    }
}
