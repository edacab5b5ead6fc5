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

#[cfg(test)]
mod tests {
    use crate::domain::plan::tests::set;
    use crate::domain::plan::validate::validate;

    /// What is wrong with a set of these sidecars.
    fn problems(sidecars: &str) -> Vec<String> {
        let body = format!("processes: [{{name: app, command: [app]}}]\nsidecars: [{sidecars}]");
        let problems = validate(&set(&body).spec);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_ones_have_no_problems() {
        for sidecar in [
            "{name: s, preset: Istio}",
            "{name: s, preset: Linkerd, quit: OnCompletion}",
            "{name: s, preset: CloudSqlProxy, onTimeout: Start, startupProbe: {exec: {command: [test, -e, x]}}}",
            "{name: s, startupProbe: {tcpSocket: {port: 1}, successThreshold: 1}}",
            "{name: s, startupProbe: {grpc: {port: 1}}, quit: OnCompletion, quitHttpPost: {port: 1, path: /q}}",
            "{name: s, startupProbe: {fastCgi: {address: '127.0.0.1:9000'}}}",
            "{name: s, quit: OnCompletion, quitHttpPost: {port: 1, path: quit?now=1}}",
        ] {
            assert_eq!(problems(sidecar), Vec::<String>::new(), "{sidecar}");
        }
    }

    #[test]
    fn each_rule_has_its_words() {
        let probe = "spec.sidecars[0].startupProbe";
        for (sidecar, wanted) in [
            (
                "{name: s, startupProbe: {tcpSocket: {port: 1}}, quit: OnCompletion}",
                "spec.sidecars[0].quit: OnCompletion, but nothing says how it is told to quit\n  help: write quitHttpPost, or a preset that knows".to_owned(),
            ),
            (
                "{name: s, preset: Istio, quitHttpPost: {port: 1, path: /q}}",
                "warning: spec.sidecars[0].quitHttpPost: is never sent: quit is Never\n  help: write `quit: OnCompletion`, or remove this".to_owned(),
            ),
            (
                "{name: s, startupProbe: {notify: {}}}",
                format!("{probe}.notify: a sidecar is no process of podinit, so nobody hears what it says of itself\n  help: ask it: httpGet, tcpSocket, grpc, fastCgi or exec"),
            ),
            (
                "{name: s, startupProbe: {httpGet: {path: /}}}",
                format!("{probe}.httpGet: expected a port"),
            ),
            (
                "{name: s, startupProbe: {tcpSocket: {port: 1}, successThreshold: 2}}",
                format!("{probe}.successThreshold: expected 1, found 2: only a readinessProbe can ask for more"),
            ),
            (
                "{name: s, startupProbe: {tcpSocket: {port: 1}, terminationGracePeriodSeconds: 2}}",
                format!("{probe}.terminationGracePeriodSeconds: podinit does not stop a sidecar, so it has no grace period\n  help: remove it"),
            ),
            (
                "{name: s, preset: Istio, quit: OnCompletion, quitHttpPost: {port: 1, path: '/a b'}}",
                "spec.sidecars[0].quitHttpPost.path: expected a path without spaces, control characters, `#` and letters outside ASCII: write them as %20 and so on".to_owned(),
            ),
        ] {
            assert_eq!(problems(sidecar), [wanted], "{sidecar}");
        }
    }

    #[test]
    fn what_the_loader_looks_at_is_looked_at_here_too() {
        let mut set =
            set("processes: [{name: app, command: [app]}]\nsidecars: [{name: s, preset: Istio}]");
        set.spec.sidecars[0].preset = None;
        let problems = validate(&set.spec);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let wanted =
            "spec.sidecars[0]: has nothing to be waited for: write a preset or a startupProbe";
        assert_eq!(problems, [wanted]);
    }
}
