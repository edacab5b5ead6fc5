//! Hooks: defaults by pair, what they inherit, what they are called.

use super::*;
use crate::domain::plan::Request;

fn hook_of(fields: &str) -> Arc<Hook> {
    let body = process(&format!("portBase: 8080, replicas: 2, {fields}"));
    let plan = plan(&body, &root());
    let hooks = &plan.processes[0].instances[1].hooks;
    let all = [
        &hooks.pre_start,
        &hooks.post_start,
        &hooks.pre_stop,
        &hooks.post_stop,
    ];
    all.into_iter().flatten().next().unwrap().clone()
}

#[test]
fn each_pair_has_its_defaults() {
    for (name, timeout, failure) in [
        ("preStart", 30, FailurePolicy::Fail),
        ("postStart", 30, FailurePolicy::Fail),
        ("preStop", 5, FailurePolicy::Continue),
        ("postStop", 5, FailurePolicy::Continue),
    ] {
        let hook = hook_of(&format!(
            "lifecycle: {{{name}: {{exec: {{command: [a]}}}}}}"
        ));
        assert_eq!(
            (&*hook.name, hook.timeout, hook.failure),
            (name, secs(timeout), failure)
        );
        assert_eq!(hook.retries, 0);
        let hook = hook_of(&format!(
            "lifecycle: {{{name}: {{exec: {{command: [a]}}, timeoutSeconds: 7, failurePolicy: Continue}}}}"
        ));
        assert_eq!(
            (hook.timeout, hook.failure),
            (secs(7), FailurePolicy::Continue)
        );
        let body = format!(
            "hooks: {{{name}: [{{name: h, exec: {{command: [a]}}, retries: 3, retryDelay: 2s, failurePolicy: Fail}}]}}\n{}",
            process("nice: 1")
        );
        let hooks = plan(&body, &root()).hooks;
        let all = [
            hooks.pre_start,
            hooks.post_start,
            hooks.pre_stop,
            hooks.post_stop,
        ]
        .concat();
        assert_eq!((&*all[0].name, all[0].timeout), ("h", secs(timeout)));
        assert_eq!((all[0].retries, all[0].retry_delay), (3, secs(2)));
        assert_eq!(all[0].failure, FailurePolicy::Fail);
    }
}

#[test]
fn a_sleep_lasts_as_long_as_it_says() {
    let hook = hook_of("lifecycle: {preStop: {sleep: {seconds: 10}}}");
    assert!(matches!(hook.action, HookAction::Sleep(time) if time == secs(10)));
    assert_eq!(hook.timeout, secs(10));
    let hook = hook_of("lifecycle: {preStop: {sleep: {seconds: 2}, timeoutSeconds: 5}}");
    assert_eq!(hook.timeout, secs(5));
}

#[test]
fn a_hook_of_a_process_runs_as_the_process() {
    let hook = hook_of(
        "securityContext: {runAsUser: 33}, workingDir: /w, env: [{name: A, value: a}], lifecycle: {preStop: {exec: {command: [drain, '$(PORT)-$(A)']}}}",
    );
    let HookAction::Exec { launch, label, .. } = &hook.action else {
        panic!("{hook:?}")
    };
    assert_eq!(argv_of(launch), ["drain", "8081-a"]);
    assert_eq!((&*label.process, &*label.instance), ("p", "p-1"));
    assert_eq!(launch.dir.as_deref(), Some(c"/w"));
    assert_eq!(
        launch.identity.as_ref().map(|identity| identity.uid),
        Some(33)
    );
    assert!(env_of(launch).contains(&"PODINIT_INSTANCE_INDEX=1"));
}

#[test]
fn a_hook_of_the_set_runs_as_podinit() {
    let body = format!(
        "env: [{{name: A, value: $(APP)}}]\nsecurityContext: {{runAsUser: 33}}\nhooks: {{preStart: [{{name: h, exec: {{command: [x, $(A)]}}}}]}}\n{}",
        process("nice: 1")
    );
    let plan = plan(&body, &root());
    let HookAction::Exec { launch, label, .. } = &plan.hooks.pre_start[0].action else {
        panic!()
    };
    assert_eq!(argv_of(launch), ["x", "shop"]);
    assert_eq!((&*label.process, &*label.instance), ("shop", "h"));
    assert_eq!(launch.identity, None);
    assert_eq!(
        env_of(launch),
        ["A=shop", "APP=shop", "HOME=/root", "PATH=/bin"]
    );
}

#[test]
fn requests() {
    for (get, host, port, path) in [
        ("", "127.0.0.1", 8081, "/"),
        ("port: 80, path: a?b", "127.0.0.1", 80, "/a?b"),
        ("host: '[::1]', path: ''", "::1", 8081, "/"),
    ] {
        let hook = hook_of(&format!("lifecycle: {{preStop: {{httpGet: {{{get}}}}}}}"));
        let HookAction::Request(request) = &hook.action else {
            panic!("{hook:?}")
        };
        let wanted = HttpRequest {
            method: HttpMethod::Get,
            https: false,
            host: host.into(),
            port,
            path: path.into(),
            headers: vec![],
        };
        assert_eq!(**request, Request::Http(wanted));
    }
}
