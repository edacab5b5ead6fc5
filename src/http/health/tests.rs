use std::sync::Arc;

use super::*;
use crate::domain::id::Label;
use crate::domain::plan::OnStop;
use crate::domain::snapshot::SpecView;

fn instance(name: &str, phase: PhaseKind, started: bool, ready: bool) -> InstanceView {
    InstanceView {
        label: Arc::new(Label {
            process: name.trim_end_matches("-0").into(),
            instance: name.into(),
        }),
        phase,
        started,
        ready,
        restarts: 0,
        last: None,
        message: None,
    }
}

fn process(traffic: Traffic, instances: Vec<InstanceView>) -> Arc<ProcessView> {
    Arc::new(ProcessView {
        name: instances[0].label.process.clone(),
        kind: Kind::Service,
        traffic,
        marks_unready: None,
        instances,
    })
}

fn init(phase: PhaseKind) -> Arc<ProcessView> {
    let mut view = ProcessView::clone(&process(
        Traffic::Serving,
        vec![instance("migrate", phase, true, true)],
    ));
    view.kind = Kind::Init {
        on_stop: OnStop::Signal,
    };
    Arc::new(view)
}

/// A pod with everything in order.
fn healthy() -> Snapshot {
    let fine = |name| instance(name, PhaseKind::Running, true, true);
    Snapshot {
        loaded: true,
        started: true,
        ready: true,
        stopping: None,
        gone: false,
        spec: SpecView::default(),
        sidecars: Vec::new(),
        quits: false,
        processes: vec![
            init(PhaseKind::Completed),
            process(Traffic::Serving, vec![fine("web-0")]),
            process(Traffic::Background, vec![fine("queue-0")]),
        ],
    }
}

#[test]
fn what_is_in_order_is_ok() {
    let snapshot = healthy();
    for verdict in [
        startup(&snapshot, false),
        ready(&snapshot, false),
        live(None, &snapshot, false),
    ] {
        assert_eq!((verdict.passed, verdict.body.as_str()), (true, "ok\n"));
    }
    assert_eq!(
        ready(&snapshot, true).body,
        "[+]plan ok\n[+]shutdown ok\n[+]migrate ok (init process)\n[+]web-0 ok\n[ ]queue-0 ok (Background)\nreadyz check passed\n"
    );
    assert_eq!(
        startup(&snapshot, true).body,
        "[+]plan ok\n[+]migrate ok (init process)\n[+]web-0 ok\n[ ]queue-0 ok (Background)\nstartupz check passed\n"
    );
    assert_eq!(
        live(None, &snapshot, true).body,
        "[+]engine ok\n[ ]migrate ok\n[ ]web-0 ok\n[ ]queue-0 ok\nlivez check passed\n"
    );
}

#[test]
fn before_there_is_a_plan_it_says_so() {
    let snapshot = Snapshot::default();
    let loading = "the ProcessSet is being loaded";
    for (verdict, body) in [
        (
            startup(&snapshot, false),
            format!("plan not started: {loading}\n"),
        ),
        (
            ready(&snapshot, false),
            format!("plan not ready: {loading}\n"),
        ),
        (
            ready(&snapshot, true),
            format!("[-]plan not ready: {loading}\n[+]shutdown ok\nreadyz check failed\n"),
        ),
    ] {
        assert_eq!((verdict.passed, verdict.body), (false, body));
    }
}

#[test]
fn what_holds_the_pod_back_is_named_and_background_is_not() {
    let mut waiting = instance("web-0", PhaseKind::Waiting, false, false);
    let told = instance("app-0", PhaseKind::Running, true, false);
    let told = InstanceView {
        message: Some("readiness probe failed: status 500\nand more".into()),
        ..told
    };
    let queue = instance("queue-0", PhaseKind::Backoff, true, false);
    let mut snapshot = Snapshot {
        ready: false,
        started: false,
        processes: vec![
            init(PhaseKind::Running),
            process(Traffic::Serving, vec![told, waiting.clone()]),
            process(Traffic::Background, vec![queue]),
        ],
        ..healthy()
    };
    assert_eq!(
        ready(&snapshot, false).body,
        "migrate not ready: runs, and is not as far yet (init process)\n\
         app-0 not ready: readiness probe failed: status 500 and more\n\
         web-0 not ready: waits for its dependencies\n"
    );
    assert_eq!(
        ready(&snapshot, true).body,
        "[+]plan ok\n[+]shutdown ok\n\
         [-]migrate not ready: runs, and is not as far yet (init process)\n\
         [-]app-0 not ready: readiness probe failed: status 500 and more\n\
         [-]web-0 not ready: waits for its dependencies\n\
         [ ]queue-0 not ready: waits to be restarted (Background)\n\
         readyz check failed\n"
    );
    assert_eq!(
        startup(&snapshot, false).body,
        "migrate not started: runs, and is not as far yet (init process)\nweb-0 not started: waits for its dependencies\n"
    );

    // Once started is always started, whatever happens to an instance later.
    snapshot.started = true;
    waiting.phase = PhaseKind::Backoff;
    snapshot.processes = vec![process(Traffic::Serving, vec![waiting])];
    assert_eq!(startup(&snapshot, false).body, "ok\n");
    assert_eq!(
        startup(&snapshot, true).body,
        "[+]plan ok\n[ ]web-0 not started: waits to be restarted\nstartupz check passed\n"
    );
}

#[test]
fn a_stop_and_a_mark_are_reasons_whatever_the_instances_are() {
    let mut snapshot = healthy();
    snapshot.ready = false;
    snapshot.stopping = Some("SIGTERM".into());
    let mut queue = ProcessView::clone(&snapshot.processes[2]);
    queue.marks_unready = Some("failed for good: exit code 3".into());
    snapshot.processes[2] = Arc::new(queue);
    assert_eq!(
        ready(&snapshot, false).body,
        "shutdown not ready: stopping on SIGTERM\nqueue not ready: failed for good: exit code 3\n"
    );
    // A stop does not undo the start.
    assert!(startup(&snapshot, false).passed);
}

#[test]
fn a_verdict_without_a_reason_says_at_least_something() {
    let snapshot = Snapshot {
        ready: false,
        ..healthy()
    };
    assert_eq!(ready(&snapshot, false).body, "set not ready: not yet\n");
}

#[test]
fn an_init_process_that_failed_and_holds_nobody_up_is_no_reason() {
    let mut snapshot = healthy();
    snapshot.processes[0] = init(PhaseKind::Failed);
    assert_eq!(ready(&snapshot, false).body, "ok\n");
    snapshot.ready = false;
    snapshot.stopping = Some("podinit prestop".into());
    assert_eq!(
        ready(&snapshot, false).body,
        "shutdown not ready: stopping on podinit prestop\n"
    );
}

#[test]
fn an_engine_that_does_not_answer_is_not_alive() {
    let verdict = live(Some("no answer within 1 s"), &healthy(), false);
    assert_eq!(
        (verdict.passed, verdict.body.as_str()),
        (false, "engine not alive: no answer within 1 s\n")
    );
}

fn sidecar(name: &str, state: State, message: Option<&str>) -> SidecarView {
    SidecarView {
        name: name.into(),
        state,
        message: message.map(Into::into),
    }
}

#[test]
fn sidecars_come_first_and_those_that_wait_for_them_say_so() {
    let waits = || instance("web-0", PhaseKind::Waiting, false, false);
    let snapshot = Snapshot {
        started: false,
        ready: false,
        sidecars: vec![
            sidecar("istio-proxy", State::Waiting, Some("status 503\nUC")),
            sidecar("sql", State::Ready, None),
        ],
        processes: vec![process(Traffic::Serving, vec![waits()])],
        ..healthy()
    };
    assert_eq!(
        startup(&snapshot, true).body,
        "[+]plan ok\n\
         [-]istio-proxy not started: startupProbe: status 503 UC (sidecar)\n\
         [+]sql ok (sidecar)\n\
         [-]web-0 not started: waits for sidecar istio-proxy\n\
         startupz check failed\n"
    );
    assert_eq!(
        ready(&snapshot, false).body,
        "istio-proxy not ready: startupProbe: status 503 UC (sidecar)\n\
         web-0 not ready: waits for sidecar istio-proxy\n"
    );

    // Only sidecars are there to be waited for.
    let two = Snapshot {
        sidecars: vec![
            sidecar("a", State::Waiting, None),
            sidecar("b", State::Waiting, None),
        ],
        processes: vec![process(Traffic::Background, vec![waits()])],
        ..snapshot
    };
    assert_eq!(
        ready(&two, true).body,
        "[+]plan ok\n[+]shutdown ok\n\
         [-]a not ready: startupProbe: no answer yet (sidecar)\n\
         [-]b not ready: startupProbe: no answer yet (sidecar)\n\
         [ ]web-0 not ready: waits for sidecars a, b (Background)\n\
         readyz check failed\n"
    );
}

#[test]
fn a_sidecar_that_the_set_started_without_holds_nobody_back() {
    let snapshot = Snapshot {
        sidecars: vec![sidecar("sql", State::TimedOut, Some("connection refused"))],
        ..healthy()
    };
    assert_eq!(ready(&snapshot, false).body, "ok\n");
    assert!(
        ready(&snapshot, true)
            .body
            .contains("[ ]sql not ready: was not in time: connection refused (sidecar)\n")
    );
}
