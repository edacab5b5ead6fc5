#![expect(
    clippy::disallowed_methods,
    reason = "a test is at the edge: it looks how long something takes"
)]

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::*;
use crate::cluster::fake::{Answer, Fake, refused, run};
use crate::domain::id::Label;
use crate::domain::time::{Mono, Now, Wall};

fn notice(reason: &'static str, instance: &str) -> Notice {
    Notice {
        warning: true,
        reason,
        action: "Restarting",
        about: Some(Arc::new(Label {
            process: "worker".into(),
            instance: instance.into(),
        })),
        note: format!("{instance}: exit code 1; restarting in 1.0s"),
    }
}

fn echo(body: &Value) -> Answer {
    Answer::Json(201, body.clone())
}

async fn keep(fake: &Fake) {
    let (_, seen) = watch::channel(Seen::default());
    let mut queue = fake.wiring.notices.1.lock().await;
    let mut writer = Writer::new(&fake.access, &fake.me, seen, &fake.wiring).unwrap();
    writer.keep(&mut queue).await;
}

#[test]
fn a_notice_becomes_an_event_of_the_pod_with_the_set_beside_it() {
    run(async {
        let fake = Fake::new(|asked| echo(&asked.body));
        let mut work = pin!(keep(&fake));
        fake.wiring.notices.0.tell(notice("BackOff", "worker-0"));
        fake.until(&mut work, "an Event", |fake| fake.count("POST") == 1)
            .await;
        let asked = fake.asked();
        let path = "/apis/events.k8s.io/v1/namespaces/shop/events";
        assert!(asked[0].target.starts_with(path), "{}", asked[0].target);
        let mut body = asked[0].body.clone();
        let time = body["eventTime"].take();
        assert!(
            time.as_str().is_some_and(|time| time.ends_with('Z')),
            "{time}"
        );
        let name = body["metadata"]["name"].take();
        assert!(name.as_str().unwrap().starts_with("web-1."), "{name}");
        expect_test::expect![[r#"
            {
              "apiVersion": "events.k8s.io/v1",
              "kind": "Event",
              "action": "Restarting",
              "eventTime": null,
              "metadata": {
                "name": null,
                "namespace": "shop"
              },
              "note": "worker-0: exit code 1; restarting in 1.0s",
              "reason": "BackOff",
              "regarding": {
                "apiVersion": "v1",
                "fieldPath": "spec.containers{main}",
                "kind": "Pod",
                "name": "web-1",
                "namespace": "shop",
                "uid": "pod-uid"
              },
              "related": {
                "apiVersion": "podinit.dev/v1alpha1",
                "kind": "ProcessSet",
                "name": "web",
                "namespace": "shop"
              },
              "reportingController": "podinit.dev/podinit",
              "reportingInstance": "web-1",
              "type": "Warning"
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&body).unwrap());
    });
}

#[test]
fn without_the_right_it_is_said_once_and_nothing_is_asked_until_there_is_news() {
    run(async {
        let allowed = Arc::new(AtomicBool::new(false));
        let may = Arc::clone(&allowed);
        let fake = Fake::new(move |asked| {
            if may.load(Ordering::Relaxed) {
                echo(&asked.body)
            } else {
                refused(403, "events is forbidden")
            }
        });
        let mut work = pin!(keep(&fake));
        fake.wiring.notices.0.tell(notice("BackOff", "worker-0"));
        fake.wiring.notices.0.tell(notice("BackOff", "worker-1"));
        fake.until(&mut work, "the complaint", |fake| {
            fake.noted("cannot be written") == 1
        })
        .await;
        allowed.store(true, Ordering::Relaxed);
        fake.wiring.notices.0.tell(notice("BackOff", "worker-2"));
        fake.until(&mut work, "writing again", |fake| {
            fake.noted("written again") == 1
        })
        .await;
        let notes: Vec<_> = fake
            .asked()
            .iter()
            .map(|asked| asked.body["note"].clone())
            .collect();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[1].as_str().unwrap().contains("worker-2"), "{notes:?}");
    });
}

#[test]
fn one_that_the_server_does_not_take_keeps_no_other_from_being_written() {
    run(async {
        let fake = Fake::new(move |asked| {
            let note = asked.body["note"].as_str().unwrap_or_default();
            if note.contains("worker-0") {
                refused(422, "denied by a policy")
            } else {
                echo(&asked.body)
            }
        });
        let mut work = pin!(keep(&fake));
        fake.wiring.notices.0.tell(notice("BackOff", "worker-0"));
        fake.wiring.notices.0.tell(notice("BackOff", "worker-1"));
        fake.until(&mut work, "both", |fake| fake.asked().len() == 2)
            .await;
        fake.wiring.notices.0.tell(notice("BackOff", "worker-2"));
        fake.until(&mut work, "the next", |fake| fake.asked().len() == 3)
            .await;
        let last = fake.asked()[2].body["note"].clone();
        assert!(last.as_str().unwrap().contains("worker-2"), "{last}");
        assert_eq!(fake.noted("cannot be written"), 1);
    });
}

/// Two hundred times as fast as the real one.
fn fast() -> Now {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.unwrap() * 200;
    Now {
        mono: Mono::ZERO + since,
        wall: Wall(since.as_micros() as i64 / 200),
    }
}

#[test]
fn the_right_to_count_up_is_missed_once_however_many_events_there_are() {
    run(async {
        let mut fake = Fake::new(|asked| {
            if asked.verb() == "POST" {
                return echo(&asked.body);
            }
            let (path, _) = asked.target.split_once('?').unwrap();
            let name = path.rsplit('/').next().unwrap();
            refused(403, &format!("events \"{name}\" is forbidden: no patch"))
        });
        fake.wiring.clock = fast;
        let crashes = async {
            loop {
                for instance in ["worker-0", "worker-1"] {
                    fake.wiring.notices.0.tell(notice("BackOff", instance));
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let mut work = pin!(async {
            tokio::join!(keep(&fake), crashes);
        });
        fake.until(&mut work, "three tries", |fake| fake.count("PATCH") == 3)
            .await;
        assert!(fake.count("POST") > 2, "there are new ones all the time");
        let notes = fake.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("its Role needs"), "{notes:?}");
    });
}

#[test]
fn a_lost_answer_is_asked_again_for_the_same_event() {
    run(async {
        let names = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&names);
        let fake = Fake::new(move |asked| {
            let mut names = seen.lock().unwrap();
            names.push(asked.body["metadata"]["name"].clone());
            match names.len() {
                1 => Answer::Torn(String::new()),
                _ => refused(409, "already exists"),
            }
        });
        let mut work = pin!(keep(&fake));
        fake.wiring.notices.0.tell(notice("Killed", "worker-0"));
        fake.until(&mut work, "writing again", |fake| {
            fake.noted("written again") == 1
        })
        .await;
        let names = names.lock().unwrap();
        assert_eq!(names[0], names[1]);
        assert_eq!(names.len(), 2);
    });
}

#[test]
fn the_last_ones_are_written_before_podinit_leaves_and_nobody_waits_long_for_it() {
    run(async {
        let fake = Fake::new(|asked| echo(&asked.body));
        let (_, seen) = watch::channel(Seen::default());
        let mut queue = fake.wiring.notices.1.lock().await;
        let mut writer = Writer::new(&fake.access, &fake.me, seen, &fake.wiring).unwrap();
        for instance in ["worker-0", "worker-1", "worker-2"] {
            fake.wiring.notices.0.tell(notice("Killed", instance));
        }
        writer.finish(&mut queue).await;
        assert_eq!(fake.count("POST"), 3);

        let silent = Fake::new(|_| Answer::Silence);
        let (_, seen) = watch::channel(Seen::default());
        let mut queue = silent.wiring.notices.1.lock().await;
        let mut writer = Writer::new(&silent.access, &silent.me, seen, &silent.wiring).unwrap();
        silent.wiring.notices.0.tell(notice("Killed", "worker-0"));
        let began = std::time::Instant::now();
        writer.finish(&mut queue).await;
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
    });
}

#[test]
fn long_words_are_cut_to_what_the_server_takes() {
    let long = "\u{e9}".repeat(600);
    assert_eq!(cut(&long, NOTE).len(), 1024);
    assert_eq!(cut("a\u{e9}", 2), "a");
}
