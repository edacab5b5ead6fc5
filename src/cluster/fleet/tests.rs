use std::pin::pin;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::cluster::fake::{Answer, Asked, Fake, refused, run};
use crate::domain::plan::ObjectVersion;
use crate::domain::rollout::PARTS;
use crate::domain::time::Mono;

/// A set whose version and status go with its writes, and its pods' reports.
#[derive(Default)]
struct State {
    version: u64,
    status: Value,
    reports: Vec<(String, bool, bool)>,
    /// The uid of the set that they are about.
    observed: &'static str,
    /// Which set it is, and of which generation.
    of: (&'static str, i64),
    /// Somebody else writes before the next write comes.
    meddle: Option<Value>,
}

impl State {
    fn serve(&mut self, asked: &Asked) -> Answer {
        match (asked.verb(), asked.target.contains("processreports")) {
            ("GET", true) => self.list(),
            ("GET", false) => self.set(),
            ("STATUS", false) => {
                if let Some(status) = self.meddle.take() {
                    (self.version, self.status) = (self.version + 1, status);
                }
                let sent = asked.body["metadata"]["resourceVersion"].as_str();
                if sent.is_some_and(|sent| sent != self.version.to_string()) {
                    return refused(409, "the object has been modified");
                }
                self.version += 1;
                self.status = asked.body["status"].clone();
                // Somebody else's.
                let other = json!({"type": "Other", "status": "True", "reason": "X", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"});
                self.status["conditions"]
                    .as_array_mut()
                    .unwrap()
                    .push(other);
                self.set()
            }
            other => panic!("{other:?} {asked:?}"),
        }
    }

    fn set(&self) -> Answer {
        let metadata = json!({"name": "web", "namespace": "shop", "uid": self.of.0, "generation": self.of.1,
            "resourceVersion": self.version.to_string()});
        // Of a spec that only tomorrow's podinit knows.
        let set = json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "metadata": metadata,
            "spec": {"processes": 7}, "status": self.status});
        Answer::Json(200, set)
    }

    fn list(&self) -> Answer {
        let report = |(uid, acted, ready): &(String, bool, bool)| {
            let ready = if *ready { "True" } else { "False" };
            json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessReport",
                "metadata": {"name": uid, "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": uid, "uid": uid}]},
                "status": {"pod": uid, "container": "main", "processSet": "web", "phase": "Running", "ready": "1/1",
                    "restarts": 0, "processes": [], "observedGeneration": if *acted { 2 } else { 1 }, "observedUid": self.observed,
                    "conditions": [{"type": "Ready", "status": ready, "reason": "X", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
        };
        let items: Vec<Value> = self.reports.iter().map(report).collect();
        let list = json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessReportList", "metadata": {},
            "items": items});
        Answer::Json(200, list)
    }

    fn admitted(&self) -> u64 {
        let rollout = &self.status["rollout"];
        assert_eq!(rollout["generation"], 2, "{rollout}");
        rollout["admittedPartsPerBillion"].as_u64().unwrap()
    }
}

/// What the status said of generation 1.
fn said(reason: &str) -> Value {
    let moving = json!({"type": "Progressing", "status": "True", "reason": reason, "message": "",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({"conditions": [moving], "rollout": {"generation": 1, "admittedPartsPerBillion": 500_000_000}})
}

/// A set of a hundred pods, and the pod that holds its Lease and has acted on the change that is on its way.
fn fleet() -> (Arc<Mutex<State>>, Fake) {
    let reports = (0..100).map(|at| (format!("uid-{at}"), false, true));
    let state = Arc::new(Mutex::new(State {
        version: 10,
        status: said("Complete"),
        of: ("u", 2),
        observed: "u",
        reports: reports.collect(),
        ..State::default()
    }));
    let served = state.clone();
    let fake = Fake::new(move |asked| served.lock().unwrap().serve(asked));
    (state, fake)
}

async fn leading(fake: &Fake) {
    let (_sender, seen) = seeing("u");
    lead_on(fake, seen).await;
}

fn seeing(uid: &str) -> (watch::Sender<Seen>, watch::Receiver<Seen>) {
    let version = Some(ObjectVersion {
        uid: uid.into(),
        generation: 2,
    });
    let (sender, seen) = watch::channel(Seen::default());
    sender.send_modify(|seen| seen.version = version);
    (sender, seen)
}

async fn lead_on(fake: &Fake, seen: watch::Receiver<Seen>) {
    let (_held, holds) = watch::channel(Held {
        until: Some(Mono::NEVER),
    });
    let (commands, mut taken) = mpsc::channel(16);
    let leader = Leader {
        client: fake.access.client.clone(),
        wiring: &fake.wiring,
        seen,
        holds,
        commands,
        known: None,
        is_new: true,
        settled_at: Mono::ZERO,
    };
    let commands = async { while taken.recv().await.is_some() {} };
    tokio::join!(leader.work(), commands);
}

#[test]
fn what_was_admitted_stays_admitted_though_the_holder_reads_the_set_no_more() {
    run(async {
        let (state, fake) = fleet();
        let mut work = pin!(leading(&fake));
        fake.until(&mut work, "the first", |fake| fake.count("STATUS") == 1)
            .await;
        let first = state.lock().unwrap().admitted();
        assert!(first > 0);
        // Nobody has acted yet, and new pods came that are not ready: the limit is less by them, and what was said stays.
        for at in 0..20 {
            let report = (format!("new-{at}"), true, false);
            state.lock().unwrap().reports.push(report);
        }
        fake.until(&mut work, "the second", |fake| fake.count("STATUS") == 2)
            .await;
        assert_eq!(state.lock().unwrap().admitted(), first);
    });
}

#[test]
fn a_condition_of_somebody_else_is_no_reason_to_write() {
    run(async {
        let (_, fake) = fleet();
        let mut work = pin!(leading(&fake));
        let lists = |fake: &Fake| {
            let asked = fake.asked();
            let lists = asked
                .iter()
                .filter(|one| one.target.contains("processreports"));
            lists.count()
        };
        fake.until(&mut work, "some looks", |fake| lists(fake) == 4)
            .await;
        assert_eq!(fake.count("STATUS"), 1);
    });
}

#[test]
fn a_status_that_somebody_else_wrote_is_read_before_it_is_written() {
    run(async {
        let (state, fake) = fleet();
        // As a holder before, whose Lease ended while it stood still.
        let other = json!({"rollout": {"generation": 2, "admittedPartsPerBillion": 900_000_000}});
        state.lock().unwrap().meddle = Some(other);
        let mut work = pin!(leading(&fake));
        fake.until(&mut work, "it is written", |fake| fake.count("STATUS") == 2)
            .await;
        assert!(
            state.lock().unwrap().admitted() >= 900_000_000,
            "it goes on from there"
        );
        assert_eq!(fake.notes(), Vec::<String>::new(), "no trouble");
    });
}

#[test]
fn a_set_that_is_made_anew_begins_anew() {
    run(async {
        let (state, fake) = fleet();
        let (sender, seen) = seeing("u");
        let acted = |state: &mut State| {
            for report in &mut state.reports {
                report.1 = true;
            }
        };
        acted(&mut state.lock().unwrap());
        let mut work = pin!(lead_on(&fake, seen));
        fake.until(&mut work, "all have acted", |fake| {
            fake.count("STATUS") == 1
        })
        .await;
        assert_eq!(state.lock().unwrap().admitted(), u64::from(PARTS));
        {
            let mut state = state.lock().unwrap();
            (state.of, state.status) = (("v", 2), Value::Null);
            state.version += 1;
        }
        sender.send_modify(|seen| {
            let version = seen.version.as_mut().unwrap();
            version.uid = "v".into();
        });
        fake.until(&mut work, "the new one's", |fake| fake.count("STATUS") == 2)
            .await;
        let state = state.lock().unwrap();
        assert!(
            state.admitted() < u64::from(PARTS),
            "nobody has acted on this one"
        );
        assert_eq!(state.status["pods"]["updated"], 0);
    });
}

#[test]
fn a_holder_that_is_behind_writes_over_nothing() {
    run(async {
        let (state, fake) = fleet();
        state.lock().unwrap().of = ("u", 3);
        let mut work = pin!(leading(&fake));
        let looks = |fake: &Fake| {
            let asked = fake.asked();
            asked
                .iter()
                .filter(|one| one.target.contains("processreports"))
                .count()
        };
        fake.until(&mut work, "two looks", |fake| looks(fake) == 2)
            .await;
        assert_eq!(fake.count("STATUS"), 0);
    });
}

/// The holder admits nobody at first, for as long as reports may be late.
fn settles(status: Value, observed: &'static str) {
    run(async {
        let (state, fake) = fleet();
        {
            let mut state = state.lock().unwrap();
            (state.status, state.observed) = (status, observed);
        }
        let mut work = pin!(leading(&fake));
        fake.until(&mut work, "the first", |fake| fake.count("STATUS") == 1)
            .await;
        assert_eq!(state.lock().unwrap().admitted(), 0);
        fake.until(&mut work, "the second", |fake| fake.count("STATUS") == 2)
            .await;
        assert!(state.lock().unwrap().admitted() > 0);
        let asked = fake.asked();
        let mut written = asked.iter().filter(|one| one.verb() == "STATUS");
        let (first, second) = (written.next().unwrap(), written.next().unwrap());
        let waited = second.at.duration_since(first.at);
        assert!(waited >= SETTLE, "{waited:?}");
    });
}

#[test]
fn a_change_in_the_middle_of_another_one_waits_for_those_that_act_on_that_one() {
    settles(said("Updating"), "u");
}

#[test]
fn a_set_that_is_made_anew_waits_for_those_that_act_on_the_one_before() {
    settles(Value::Null, "before");
}

/// Nobody but the last holder knew for how long it had waited.
#[test]
fn who_takes_the_lease_over_from_one_that_waited_waits_itself() {
    let moving = json!({"type": "Progressing", "status": "True", "reason": "Updating", "message": "",
        "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let rollout = json!({"generation": 2, "admittedPartsPerBillion": 0});
    settles(json!({"conditions": [moving], "rollout": rollout}), "u");
}

#[test]
fn a_new_set_waits_for_nobody() {
    run(async {
        let (state, fake) = fleet();
        state.lock().unwrap().status = Value::Null;
        let mut work = pin!(leading(&fake));
        fake.until(&mut work, "the first", |fake| fake.count("STATUS") == 1)
            .await;
        assert!(state.lock().unwrap().admitted() > 0);
    });
}

#[test]
fn while_no_pod_has_reported_none_is_admitted() {
    run(async {
        let (state, fake) = fleet();
        let reports = std::mem::take(&mut state.lock().unwrap().reports);
        let mut work = pin!(leading(&fake));
        fake.until(&mut work, "the first", |fake| fake.count("STATUS") == 1)
            .await;
        {
            let state = state.lock().unwrap();
            assert_eq!(state.admitted(), 0);
            assert_eq!(state.status["pods"]["total"], 0);
            let told = &state.status["conditions"][1];
            assert_eq!(told["status"], "True", "{told}");
            assert_eq!(told["message"], "no pod has reported");
        }
        state.lock().unwrap().reports = reports;
        fake.until(&mut work, "the second", |fake| fake.count("STATUS") == 2)
            .await;
        assert!(state.lock().unwrap().admitted() > 0);
    });
}

/// What became of a pod that waits with the version it saw first, or was late for, in a moment.
async fn turn(fake: &mut Fake, seen: &watch::Receiver<Seen>) -> Option<Event> {
    tokio::select! {
        () = turns(&fake.me, seen.clone(), &fake.wiring) => {}
        () = sleep(Duration::from_millis(50)) => {}
    }
    fake.message().and_then(|message| message.event)
}

#[test]
fn who_comes_late_waits_to_be_named() {
    run(async {
        let (_, mut fake) = fleet();
        let (sender, seen) = seeing("u");
        let version = seen.borrow().version.clone().unwrap();
        sender.send_modify(|seen| seen.admitted = PARTS);
        fake.spec(|spec| spec.waits = Some(version.clone()));
        let admitted = |event: Option<Event>| matches!(event, Some(Event::Admitted { .. }));
        assert!(admitted(turn(&mut fake, &seen).await));

        fake.spec(|spec| spec.late = true);
        assert!(!admitted(turn(&mut fake, &seen).await), "it had refused it");
        fake.spec(|spec| spec.late = false);
        sender.send_modify(|seen| seen.first = Some(version.clone()));
        assert!(
            !admitted(turn(&mut fake, &seen).await),
            "it began with another"
        );
        sender.send_modify(|seen| (seen.first, seen.uncounted) = (None, Some(version)));
        let is_admitted = admitted(turn(&mut fake, &seen).await);
        assert!(!is_admitted, "it had no report when it saw it");

        let uid = fake.me.pod.as_ref().unwrap().uid.clone();
        sender.send_modify(|seen| seen.admitted_pods = [uid].into());
        assert!(admitted(turn(&mut fake, &seen).await));
        fake.me.pod = None;
        assert!(!admitted(turn(&mut fake, &seen).await), "nobody counts it");
    });
}
