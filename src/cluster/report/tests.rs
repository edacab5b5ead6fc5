use std::pin::pin;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::cluster::fake::{Answer, Asked, Fake, refused, run};
use crate::domain::plan::{Kind, OnStop, Traffic};
use crate::domain::snapshot::ProcessView;
use crate::domain::time::Wall;
use crate::spec::v1alpha1::ConditionStatus;

const EXTRA: Extra<'_> = Extra {
    pod: "web-1",
    container: "main",
    process_set: "web",
    late: None,
    now: Wall(0),
};

fn report(_: &Asked) -> Answer {
    let report = json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessReport",
        "metadata": {"name": "web-1.main"}});
    Answer::Json(200, report)
}

/// What each write of the status said of its readiness.
fn told(fake: &Fake) -> Vec<Value> {
    let asked = fake.asked();
    let written = asked.iter().filter(|one| one.verb() == "STATUS");
    let ready = |one: &Asked| {
        let conditions = one.body["status"]["conditions"].as_array().unwrap();
        let mut ready = conditions.iter().filter(|one| one["type"] == "Ready");
        ready.next().unwrap()["status"].clone()
    };
    written.map(ready).collect()
}

/// It may have been one: that things are as they were before it is no reason to leave it at that.
#[test]
fn after_a_write_without_an_answer_the_report_is_written_again() {
    run(async {
        let fake = Fake::new(|asked| match (asked.verb(), asked.before) {
            ("STATUS", 1) => refused(504, "the answer took too long"),
            _ => report(asked),
        });
        let (_sender, seen) = watch::channel(Seen::default());
        let reported = AtomicBool::new(false);
        fake.snapshot(|snapshot| (snapshot.loaded, snapshot.ready) = (true, true));
        let mut work = pin!(keep(&fake.access, &fake.me, seen, &fake.wiring, &reported));
        fake.until(&mut work, "ready", |fake| fake.count("STATUS") == 1)
            .await;
        fake.snapshot(|snapshot| snapshot.ready = false);
        fake.until(&mut work, "unready", |fake| fake.count("STATUS") == 2)
            .await;
        assert!(reported.load(Relaxed));
        fake.snapshot(|snapshot| snapshot.ready = true);
        fake.until(&mut work, "ready again", |fake| fake.count("STATUS") == 3)
            .await;
        assert_eq!(told(&fake), ["True", "False", "True"]);
    });
}

/// The API server refuses a report with a name in it twice, and every later one with it.
#[test]
fn a_name_that_an_init_process_had_before_is_there_once() {
    let process = |kind| {
        Arc::new(ProcessView {
            name: "warm".into(),
            kind,
            traffic: Traffic::Serving,
            marks_unready: None,
            instances: Vec::new(),
        })
    };
    let on_stop = OnStop::Signal;
    let snapshot = Snapshot {
        processes: vec![process(Kind::Init { on_stop }), process(Kind::Service)],
        ..Snapshot::default()
    };
    assert_eq!(status(&snapshot, None, &EXTRA).processes.len(), 1);
}

/// It serves by the file that it began with, and there is nothing of it that could be taken back.
#[test]
fn who_began_with_a_file_is_in_the_middle_of_nothing() {
    let snapshot = Snapshot {
        ready: true,
        ..Snapshot::default()
    };
    let told = status(&snapshot, None, &EXTRA).conditions;
    let moving = told.iter().find(|one| one.kind == "Progressing").unwrap();
    assert_eq!(
        (moving.status, &*moving.reason),
        (ConditionStatus::False, SETTLED)
    );
}
