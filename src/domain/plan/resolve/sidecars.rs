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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::plan::resolve::resolve;
    use crate::domain::plan::tests::{root, set};
    use crate::domain::plan::{Check, Plan};

    fn plan(sidecars: &str) -> Plan {
        let body = format!(
            "env: [{{name: DIR, value: /srv}}]\nprocesses: [{{name: app, command: [app]}}]\nsidecars: [{sidecars}]"
        );
        resolve(&set(&body), &root()).unwrap().0
    }

    fn http(method: HttpMethod, port: u16, path: &str) -> Arc<Request> {
        Arc::new(Request::Http(HttpRequest {
            method,
            https: false,
            host: "127.0.0.1".to_owned(),
            port,
            path: path.to_owned(),
            headers: Vec::new(),
        }))
    }

    #[test]
    fn presets_know_where_to_ask_and_to_tell() {
        for (preset, ready, quit) in [
            ("Istio", (15021, "/healthz/ready"), (15020, "/quitquitquit")),
            ("Linkerd", (4191, "/ready"), (4191, "/shutdown")),
            ("CloudSqlProxy", (9090, "/startup"), (9091, "/quitquitquit")),
        ] {
            let plan = plan(&format!(
                "{{name: s, preset: {preset}, quit: OnCompletion}}"
            ));
            let sidecar = &plan.sidecars[0];
            let probe = sidecar.probe.as_ref().unwrap();
            let asked = Check::Request(http(HttpMethod::Get, ready.0, ready.1));
            assert_eq!(probe.check, asked, "{preset}");
            assert_eq!(probe.limit(), Duration::from_secs(60));
            assert_eq!(probe.period, Duration::from_secs(1));
            assert_eq!(sidecar.on_timeout, OnTimeout::Fail);
            let told = http(HttpMethod::Post, quit.0, quit.1);
            assert_eq!(sidecar.quit, Some(told), "{preset}");
            assert_eq!(plan.shutdown.tail, Duration::from_secs(5));
        }
    }

    #[test]
    fn what_is_written_stands_in_for_one_half_of_a_preset_each() {
        let plan = plan(
            "{name: a, preset: Istio, onTimeout: Start, startupProbe: {tcpSocket: {port: 1}, initialDelaySeconds: 2}},
             {name: b, preset: Istio, quit: OnCompletion, quitHttpPost: {port: 7, path: bye}},
             {name: c, quit: OnCompletion, quitHttpPost: {port: 8, path: /bye}}",
        );
        let [a, b, c] = &plan.sidecars[..] else {
            panic!("{:?}", plan.sidecars)
        };
        let probe = a.probe.as_ref().unwrap();
        assert!(
            matches!(&probe.check, Check::Request(request) if matches!(**request, Request::Tcp { port: 1, .. }))
        );
        // 3 checks, 10 s apart.
        assert_eq!(probe.limit(), Duration::from_secs(32));
        assert_eq!((a.on_timeout, &a.quit), (OnTimeout::Start, &None));
        assert!(b.probe.is_some());
        assert_eq!(b.quit, Some(http(HttpMethod::Post, 7, "/bye")));
        assert_eq!(c.probe, None);
        assert_eq!(c.quit, Some(http(HttpMethod::Post, 8, "/bye")));
    }

    #[test]
    fn a_command_is_run_with_the_sets_environment() {
        let plan = plan("{name: s, startupProbe: {exec: {command: [test, -e, $(DIR)/x]}}}");
        let probe = plan.sidecars[0].probe.as_ref().unwrap();
        let Check::Exec { launch, label } = &probe.check else {
            panic!("{probe:?}")
        };
        assert_eq!(&*label.instance, "s/startupProbe");
        assert_eq!(launch.argv[2].to_str(), Ok("/srv/x"));
        assert!(launch.env.iter().any(|var| var.to_bytes() == b"DIR=/srv"));
        assert_eq!(launch.identity, None);
    }
}
