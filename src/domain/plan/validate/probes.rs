//! Probes: one handler each, thresholds that mean something, servers that can be asked.

use super::process::check_argv;
use super::request::{check_host, check_http_get, check_port, is_host};
use crate::domain::plan::ProbeKind;
use crate::spec::problem::{FieldPath, Problem, shown};
use crate::spec::v1alpha1::{FastCgiAction, Probe, Process, ProcessSetSpec};

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    let list = FieldPath::spec().key("processes");
    for (at, process) in spec.processes.iter().enumerate() {
        for (kind, probe) in [
            (ProbeKind::Startup, &process.startup_probe),
            (ProbeKind::Liveness, &process.liveness_probe),
            (ProbeKind::Readiness, &process.readiness_probe),
        ] {
            if let Some(probe) = probe {
                let path = list.index(at).key(kind.field());
                check_handlers(probe, &path, problems);
                check_numbers(probe, kind, &path, problems);
                check_handler(probe, Some(process), &path, problems);
            }
        }
    }
}

/// The loader and the API server have looked already; a plan must not rely on it.
pub(super) fn check_handlers(probe: &Probe, path: &FieldPath, problems: &mut Vec<Problem>) {
    let all = [
        ("exec", probe.exec.is_some()),
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("grpc", probe.grpc.is_some()),
        ("fastCgi", probe.fast_cgi.is_some()),
        ("notify", probe.notify.is_some()),
    ];
    let given: Vec<&str> = (all.iter())
        .filter_map(|(name, given)| given.then_some(*name))
        .collect();
    let message = match &given[..] {
        [_] => return,
        [] => {
            let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            format!("has no handler: write one of {}", names.join(", "))
        }
        [first, last] => format!("has two handlers: {first} and {last}: keep one"),
        [first @ .., last] => format!(
            "has {} handlers: {} and {last}: keep one",
            given.len(),
            first.join(", ")
        ),
    };
    problems.push(Problem::error(path.clone(), message));
}

pub(super) fn check_numbers(
    probe: &Probe,
    kind: ProbeKind,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    let readiness = kind == ProbeKind::Readiness;
    if !readiness && probe.success_threshold != 1 {
        let message = format!(
            "expected 1, found {}: only a readinessProbe can ask for more",
            probe.success_threshold
        );
        problems.push(Problem::error(path.key("successThreshold"), message));
    }
    if readiness && probe.termination_grace_period_seconds.is_some() {
        let message = "a readinessProbe stops nothing, so it has no grace period";
        let path = path.key("terminationGracePeriodSeconds");
        problems.push(Problem::error(path, message).help("remove it"));
    }
}

/// `process`: whose probe it is; `None`: a sidecar's.
pub(super) fn check_handler(
    probe: &Probe,
    process: Option<&Process>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    let has_port = process.map(|process| process.port_base.is_some());
    if let Some(exec) = &probe.exec {
        let path = path.key("exec").key("command");
        check_argv(&exec.command, &path, problems);
    }
    if let Some(get) = &probe.http_get {
        let path = path.key("httpGet");
        check_http_get(get, has_port, &path, problems);
        check_shared_port(get.port, process, &path, problems);
    }
    if let Some(tcp) = &probe.tcp_socket {
        let path = path.key("tcpSocket");
        check_port(tcp.port, has_port, &path, problems);
        check_host(tcp.host.as_deref(), &path, problems);
        check_shared_port(tcp.port, process, &path, problems);
    }
    if let Some(grpc) = &probe.grpc {
        let path = path.key("grpc");
        check_port(grpc.port, has_port, &path, problems);
        check_shared_port(grpc.port, process, &path, problems);
    }
    if let Some(fast_cgi) = &probe.fast_cgi {
        check_fast_cgi(fast_cgi, &path.key("fastCgi"), problems);
    }
}

/// Instances have ports of their own, and the probe asks one of them only.
fn check_shared_port(
    port: Option<u16>,
    process: Option<&Process>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    let Some(process) = process else { return };
    let most = process.replicas.max(process.max_replicas.unwrap_or(0));
    if let (Some(port), Some(_), 2..) = (port, process.port_base, most) {
        let message =
            format!("all instances are asked at port {port}, but portBase gives each its own");
        let problem = Problem::warning(path.key("port"), message);
        problems.push(problem.help("leave out `port`"));
    }
}

fn check_fast_cgi(fast_cgi: &FastCgiAction, path: &FieldPath, problems: &mut Vec<Problem>) {
    let address = &fast_cgi.address;
    let socket = address
        .strip_prefix("unix:")
        .filter(|path| path.starts_with('/'));
    if !is_fast_cgi_address(address) {
        let message = format!(
            "expected HOST:PORT, such as 127.0.0.1:9000, or the absolute path of a socket, found \"{}\"",
            shown(address)
        );
        let help = socket.map(|path| format!("write {}", shown(path)));
        problems.push(Problem::error(path.key("address"), message).maybe_help(help));
    }
    if !fast_cgi.path.starts_with('/') || fast_cgi.path.contains(char::is_control) {
        let message = "expected a path that begins with `/`, in one line";
        problems.push(Problem::error(path.key("path"), message));
    }
    let query = fast_cgi.query.as_deref().unwrap_or_default();
    if query.starts_with('?') || query.contains(char::is_control) {
        let message = "expected a query without `?`, in one line";
        problems.push(Problem::error(path.key("query"), message));
    }
}

fn is_fast_cgi_address(address: &str) -> bool {
    if address.starts_with('/') {
        return !address.contains('\0');
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    // Without its brackets the last part of an IPv6 address would be the port.
    let whole = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    whole && is_host(host) && digits && port.parse::<u16>().is_ok_and(|port| port > 0)
}
