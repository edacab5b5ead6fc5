//! Probes of an instance: with its port, and its process's user, environment and directory.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Check, FastCgiAddress, Launch, Probe, Probes, Request};
use super::env::Vars;
use super::hooks::{Owner, expanded, http_get};
use crate::domain::id::Label;
use crate::domain::plan::ProbeKind;
use crate::spec::v1alpha1 as spec;

/// The probes of one instance.
pub(super) fn of_instance(
    process: &spec::Process,
    label: &Arc<Label>,
    owner: &Owner<'_>,
) -> Probes {
    let probe = |probe: &Option<spec::Probe>, kind: ProbeKind| {
        let probe = probe.as_ref()?;
        Some(Arc::new(build(probe, kind, label, owner)))
    };
    Probes {
        startup: probe(&process.startup_probe, ProbeKind::Startup),
        liveness: probe(&process.liveness_probe, ProbeKind::Liveness),
        readiness: probe(&process.readiness_probe, ProbeKind::Readiness),
    }
}

/// Tells a process where to report, and how often.
pub(super) fn tell(process: &spec::Process, socket: &str, vars: &mut Vars) {
    let [startup, liveness, readiness] = [
        &process.startup_probe,
        &process.liveness_probe,
        &process.readiness_probe,
    ];
    let notifies =
        |probe: &&Option<spec::Probe>| (probe.as_ref()).is_some_and(|probe| probe.notify.is_some());
    if [startup, liveness, readiness].iter().any(notifies) {
        vars.fix("NOTIFY_SOCKET", format!("@{socket}"));
    }
    if let Some(probe) = liveness.as_ref().filter(|probe| probe.notify.is_some()) {
        let seconds = u64::from(probe.period_seconds) * u64::from(probe.failure_threshold);
        vars.fix("WATCHDOG_USEC", (seconds * 1_000_000).to_string());
    }
}

pub(super) fn build(
    probe: &spec::Probe,
    kind: ProbeKind,
    label: &Arc<Label>,
    owner: &Owner<'_>,
) -> Probe {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Probe {
        check: check(probe, kind, label, owner),
        initial_delay: seconds(probe.initial_delay_seconds),
        timeout: seconds(probe.timeout_seconds),
        period: seconds(probe.period_seconds),
        success_threshold: probe.success_threshold,
        failure_threshold: probe.failure_threshold,
        grace: probe.termination_grace_period_seconds.map(seconds),
    }
}

fn check(probe: &spec::Probe, kind: ProbeKind, label: &Arc<Label>, owner: &Owner<'_>) -> Check {
    if let Some(exec) = &probe.exec {
        return Check::Exec {
            launch: Arc::new(Launch {
                argv: expanded(&exec.command, owner.vars),
                ..owner.launch.clone()
            }),
            label: Arc::new(Label {
                process: Arc::clone(&label.process),
                instance: format!("{label}/{}", kind.field()).into(),
            }),
        };
    }
    // `validate` refuses a probe without a port, and one with none or several handlers.
    let port = |port: Option<u16>| port.or(owner.port).unwrap_or_default();
    let request = if let Some(get) = &probe.http_get {
        Request::Http(http_get(get, owner.port))
    } else if let Some(tcp) = &probe.tcp_socket {
        Request::Tcp {
            host: unbracketed(tcp.host.as_deref().unwrap_or("127.0.0.1")),
            port: port(tcp.port),
        }
    } else if let Some(grpc) = &probe.grpc {
        Request::Grpc {
            port: port(grpc.port),
            service: grpc.service.clone().unwrap_or_default(),
        }
    } else if let Some(fast_cgi) = &probe.fast_cgi {
        Request::FastCgi {
            address: fast_cgi_address(&fast_cgi.address),
            path: fast_cgi.path.clone(),
            query: fast_cgi.query.clone().unwrap_or_default(),
        }
    } else {
        return Check::Notify;
    };
    Check::Request(Arc::new(request))
}

/// HOST:PORT, or the path of a socket. `validate` refuses everything else.
fn fast_cgi_address(address: &str) -> FastCgiAddress {
    let tcp = || {
        let (host, port) = address.rsplit_once(':')?;
        Some(FastCgiAddress::Tcp {
            host: unbracketed(host),
            port: port.parse().ok()?,
        })
    };
    match address.strip_prefix('/') {
        Some(_) => FastCgiAddress::Unix(address.to_owned()),
        None => tcp().unwrap_or_else(|| FastCgiAddress::Unix(address.to_owned())),
    }
}

/// `[::1]` as `::1`.
pub(super) fn unbracketed(host: &str) -> String {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).to_owned()
}
