//! Sidecars: what a preset knows, and what the spec says instead.

use std::sync::Arc;

use super::super::{HttpMethod, HttpRequest, OnTimeout, ProbeKind, Request, Sidecar};
use super::hooks::Owner;
use super::probes;
use crate::domain::id::Label;
use crate::spec::v1alpha1::{self as spec, QuitPolicy, SidecarPreset};

/// So often a preset asks, a second apart.
const CHECKS: u32 = 60;

/// What a preset knows: where it says that it is ready, and where it is told to quit.
struct Preset {
    ready: (u16, &'static str),
    quit: (u16, &'static str),
}

const fn preset(preset: SidecarPreset) -> Preset {
    match preset {
        // The listener of Envoy, which hands the question on to the agent.
        SidecarPreset::Istio => Preset {
            ready: (15021, "/healthz/ready"),
            quit: (15020, "/quitquitquit"),
        },
        SidecarPreset::Linkerd => Preset {
            ready: (4191, "/ready"),
            quit: (4191, "/shutdown"),
        },
        SidecarPreset::CloudSqlProxy => Preset {
            ready: (9090, "/startup"),
            quit: (9091, "/quitquitquit"),
        },
    }
}

/// Says when a sidecar is ready: its own probe, else the preset's; `None`: nobody waits for it.
pub fn sidecar_probe(sidecar: &spec::Sidecar) -> Option<spec::Probe> {
    if sidecar.startup_probe.is_some() {
        return sidecar.startup_probe.clone();
    }
    let (port, path) = preset(sidecar.preset?).ready;
    Some(spec::Probe {
        exec: None,
        http_get: Some(spec::HttpGetAction {
            host: None,
            path: path.to_owned(),
            port: Some(port),
            scheme: spec::HttpScheme::Http,
            http_headers: Vec::new(),
        }),
        tcp_socket: None,
        grpc: None,
        fast_cgi: None,
        notify: None,
        initial_delay_seconds: 0,
        timeout_seconds: 1,
        period_seconds: 1,
        success_threshold: 1,
        failure_threshold: CHECKS,
        termination_grace_period_seconds: None,
    })
}

/// The sidecars of a set, asked with podinit's own user and the set's environment.
pub(super) fn of_set(sidecars: &[spec::Sidecar], owner: &Owner<'_>) -> Vec<Arc<Sidecar>> {
    let one = |sidecar: &spec::Sidecar| {
        let name: Arc<str> = sidecar.name.as_str().into();
        let label = Arc::new(Label {
            process: Arc::clone(&name),
            instance: name,
        });
        let probe = sidecar_probe(sidecar);
        let probe = probe.map(|probe| {
            let built = probes::build(&probe, ProbeKind::Startup, &label, owner);
            Arc::new(built)
        });
        Arc::new(Sidecar {
            probe,
            on_timeout: match sidecar.on_timeout {
                spec::OnTimeout::Fail => OnTimeout::Fail,
                spec::OnTimeout::Start => OnTimeout::Start,
            },
            quit: quit(sidecar).map(Arc::new),
            label,
        })
    };
    sidecars.iter().map(one).collect()
}

fn quit(sidecar: &spec::Sidecar) -> Option<Request> {
    let (port, path) = match (sidecar.quit, &sidecar.quit_http_post) {
        (QuitPolicy::Never, _) => return None,
        (QuitPolicy::OnCompletion, Some(post)) => (post.port, post.path.as_str()),
        (QuitPolicy::OnCompletion, None) => preset(sidecar.preset?).quit,
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(Request::Http(HttpRequest {
        method: HttpMethod::Post,
        https: false,
        host: "127.0.0.1".to_owned(),
        port,
        path: format!("{slash}{path}"),
        headers: Vec::new(),
    }))
}
