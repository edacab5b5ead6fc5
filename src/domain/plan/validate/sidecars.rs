//! Sidecars: something to wait for or somebody to tell, by means that work from beside them.

use super::probes::{check_handler, check_handlers, check_numbers};
use super::request::{check_path, check_port};
use crate::domain::plan::ProbeKind;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{Probe, ProcessSetSpec, QuitPolicy, Sidecar};

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    let list = FieldPath::spec().key("sidecars");
    for (at, sidecar) in spec.sidecars.iter().enumerate() {
        let path = list.index(at);
        check_means(sidecar, &path, problems);
        if let Some(probe) = &sidecar.startup_probe {
            check_probe(probe, &path.key(ProbeKind::Startup.field()), problems);
        }
        if let Some(post) = &sidecar.quit_http_post {
            let path = path.key("quitHttpPost");
            check_port(Some(post.port), None, &path, problems);
            check_path(&post.path, &path, problems);
        }
    }
}

/// The loader and the API server have looked at the first already; a plan must not rely on it.
fn check_means(sidecar: &Sidecar, path: &FieldPath, problems: &mut Vec<Problem>) {
    let has_preset = sidecar.preset.is_some();
    let can_quit = has_preset || sidecar.quit_http_post.is_some();
    if !can_quit && sidecar.startup_probe.is_none() {
        let message = "has nothing to be waited for: write a preset or a startupProbe";
        problems.push(Problem::error(path.clone(), message));
    }
    match sidecar.quit {
        QuitPolicy::OnCompletion if !can_quit => {
            let message = "OnCompletion, but nothing says how it is told to quit";
            let problem = Problem::error(path.key("quit"), message);
            problems.push(problem.help("write quitHttpPost, or a preset that knows"));
        }
        QuitPolicy::Never if sidecar.quit_http_post.is_some() => {
            let message = "is never sent: quit is Never";
            let problem = Problem::warning(path.key("quitHttpPost"), message);
            problems.push(problem.help("write `quit: OnCompletion`, or remove this"));
        }
        QuitPolicy::OnCompletion | QuitPolicy::Never => {}
    }
}

fn check_probe(probe: &Probe, path: &FieldPath, problems: &mut Vec<Problem>) {
    check_handlers(probe, path, problems);
    check_numbers(probe, ProbeKind::Startup, path, problems);
    check_handler(probe, None, path, problems);
    if probe.notify.is_some() {
        let message = "a sidecar is no process of podinit, so nobody hears what it says of itself";
        let problem = Problem::error(path.key("notify"), message);
        problems.push(problem.help("ask it: httpGet, tcpSocket, grpc, fastCgi or exec"));
    }
    if probe.termination_grace_period_seconds.is_some() {
        let message = "podinit does not stop a sidecar, so it has no grace period";
        let path = path.key("terminationGracePeriodSeconds");
        problems.push(Problem::error(path, message).help("remove it"));
    }
}
