use std::pin::pin;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, channel};

use serde_json::{Value, json};

use super::*;
use crate::cluster::fake::{Answer, Asked, Fake, refused, run, status};

fn metadata(generation: i64, version: u64) -> Value {
    json!({"name": "web", "namespace": "shop", "uid": "u", "generation": generation,
        "resourceVersion": version.to_string()})
}

fn partial(generation: i64, version: u64) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata(generation, version)})
}

fn list(items: &[Value]) -> Answer {
    Answer::Json(
        200,
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": "10"}, "items": items}),
    )
}

fn object(generation: i64, parts: u32) -> Answer {
    Answer::Json(
        200,
        json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "metadata": metadata(generation, 10),
            "spec": {}, "status": {"rollout": {"generation": generation, "admittedPartsPerBillion": parts}}}),
    )
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// Watches that bring what the test says; each is given out once, later ones stay open and bring nothing.
struct Watches(
    Mutex<Vec<Receiver<String>>>,
    Mutex<Vec<mpsc::Sender<String>>>,
);

impl Watches {
    fn new(watches: Vec<Receiver<String>>) -> Watches {
        Watches(Mutex::new(watches), Mutex::default())
    }

    fn next(&self) -> Answer {
        let mut watches = self.0.lock().unwrap();
        if watches.is_empty() {
            let (sender, watch) = channel();
            self.1.lock().unwrap().push(sender);
            return Answer::Lines(watch);
        }
        Answer::Lines(watches.remove(0))
    }
}

/// Of a set whose generation is one higher each time it is read.
fn growing(watch: Receiver<String>) -> Fake {
    let watches = Watches::new(vec![watch]);
    let generation = Mutex::new(0);
    Fake::new(move |asked| match asked.verb() {
        "LIST" => list(&[partial(1, 10)]),
        "WATCH" => watches.next(),
        _ => {
            *generation.lock().unwrap() += 1;
            object(*generation.lock().unwrap(), 0)
        }
    })
}

async fn following(fake: &Fake) {
    let reported = AtomicBool::new(true);
    follow(&fake.access, Sender::default(), &fake.wiring, &reported).await;
}

#[test]
fn a_new_generation_is_read_whole_and_nothing_else_is() {
    run(async {
        let (sender, watch) = channel();
        let fake = growing(watch);
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "the first", |fake| fake.found() == [1])
            .await;
        sender.send(line("MODIFIED", &partial(1, 11))).unwrap();
        sender.send(line("MODIFIED", &partial(2, 12))).unwrap();
        fake.until(&mut work, "the second", |fake| fake.found() == [1, 2])
            .await;
        assert_eq!(fake.count("GET"), 2);
        sender.send(line("DELETED", &partial(2, 13))).unwrap();
        fake.until(&mut work, "deleted", |fake| fake.noted("was deleted") == 1)
            .await;
        assert_eq!(fake.notes().len(), 1);
        let asked = fake.asked();
        let selector = "fieldSelector=metadata.name%3Dweb";
        assert!(asked[0].target.contains(selector), "{asked:?}");
        assert!(asked[0].accept.contains("PartialObjectMetadata"));
    });
}

/// Its turn cannot come by its part then: it was in nobody's count.
#[test]
fn who_has_no_report_yet_takes_a_version_late() {
    run(async {
        let (sender, watch) = channel();
        let fake = growing(watch);
        let (seen, told) = tokio::sync::watch::channel(Seen::default());
        let reported = AtomicBool::new(false);
        let mut work = pin!(follow(&fake.access, seen, &fake.wiring, &reported));
        let uncounted = || told.borrow().uncounted.as_ref().map(|one| one.generation);
        for (read, reports, wanted) in
            [(1, false, Some(1)), (2, false, Some(2)), (3, true, Some(2))]
        {
            reported.store(reports, Relaxed);
            if read > 1 {
                sender
                    .send(line("MODIFIED", &partial(read, 10 + read as u64)))
                    .unwrap();
            }
            fake.until(&mut work, "read", |fake| {
                fake.found().len() == read as usize
            })
            .await;
            assert_eq!(uncounted(), wanted, "generation {read}");
        }
    });
}

#[test]
fn what_is_not_allowed_is_said_once_with_the_mend() {
    run(async {
        let fake = Fake::new(|_| refused(403, "processsets.podinit.dev \"web\" is forbidden"));
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "some tries", |fake| fake.count("LIST") == 4)
            .await;
        let notes = fake.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(
            notes[0].contains("is forbidden (403); its Role needs get, list and watch"),
            "{notes:?}"
        );
        assert_eq!(fake.news().len(), 1);
    });
}

#[test]
fn a_watch_that_is_not_allowed_is_said_once_though_the_list_is() {
    run(async {
        let fake = Fake::new(|asked| match asked.verb() {
            "LIST" => list(&[partial(1, 10)]),
            "WATCH" => refused(403, "no watch"),
            _ => object(1, 0),
        });
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "some tries", |fake| fake.count("WATCH") == 4)
            .await;
        let notes = fake.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("no watch (403)"), "{notes:?}");
        assert_eq!(fake.found(), [1]);
    });
}

#[test]
fn a_server_that_is_back_is_found_within_five_seconds() {
    run(async {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let fake = Fake::of_url(&format!("http://127.0.0.1:{port}"));
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "nobody there", |fake| fake.noted("refused") == 1)
            .await;
        let watches = Watches::new(Vec::new());
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        fake.serve(listener, move |asked| match asked.verb() {
            "LIST" => list(&[partial(1, 10)]),
            "WATCH" => watches.next(),
            _ => object(1, 0),
        });
        let back = fake.until(&mut work, "found", |fake| fake.found() == [1]);
        let back = tokio::time::timeout(Duration::from_secs(5), back).await;
        assert!(back.is_ok());
        fake.until(&mut work, "said", |fake| {
            fake.noted("is followed again") == 1
        })
        .await;
    });
}

#[test]
fn a_list_a_watch_or_an_object_without_an_end_is_refused_without_being_held() {
    for endless in ["LIST", "WATCH", "GET"] {
        run(async {
            let written = std::sync::Arc::new(Mutex::new(0));
            let counted = written.clone();
            let fake = Fake::new(move |asked| match asked.verb() {
                verb if verb == endless => Answer::Endless(counted.clone()),
                "LIST" => list(&[partial(1, 10)]),
                "WATCH" => Answer::Silence,
                _ => object(1, 0),
            });
            let mut work = pin!(following(&fake));
            fake.until(&mut work, "refused", |fake| {
                fake.noted("the answer is longer than 3 MiB") == 1
            })
            .await;
            // What the sockets hold was written too.
            let written = *written.lock().unwrap();
            assert!(written < 32 << 20, "{endless}: {written}");
        });
    }
}

#[test]
fn a_version_that_is_gone_is_listed_anew_quietly_and_seldom() {
    run(async {
        let gone = || {
            let (sender, watch) = channel();
            let line = line("ERROR", &status(410, "too old resource version"));
            sender.send(line).unwrap();
            watch
        };
        let fake = Fake::new(move |asked| match asked.verb() {
            "LIST" => list(&[partial(1, 10)]),
            "WATCH" => Answer::Lines(gone()),
            _ => object(1, 0),
        });
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "a storm", |fake| fake.count("WATCH") == 4)
            .await;
        assert_eq!(fake.notes(), Vec::<String>::new());
        assert_eq!(fake.found(), [1]);
        let asked = fake.asked();
        let took = asked[asked.len() - 1].at - asked[0].at;
        assert!(took >= Duration::from_millis(2900), "{took:?}");
    });
}

#[test]
fn a_watch_that_ends_at_once_makes_no_storm() {
    run(async {
        let fake = Fake::new(move |asked| match asked.verb() {
            "LIST" => list(&[partial(1, 10)]),
            "WATCH" => Answer::Lines(channel().1),
            _ => object(1, 0),
        });
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "four", |fake| fake.count("WATCH") == 4)
            .await;
        let asked = fake.asked();
        let took = asked[asked.len() - 1].at - asked[0].at;
        assert!(took >= Duration::from_millis(2900), "{took:?}");
    });
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept() {
    run(async {
        let watches = Watches::new(Vec::new());
        let busy = |seconds: u32| {
            let body = status(429, "too many");
            Answer::With(429, "Retry-After", seconds.to_string(), body)
        };
        let fake = Fake::new(move |asked: &Asked| match asked.verb() {
            "LIST" if asked.before < 2 => busy(2),
            "LIST" => list(&[partial(1, 10)]),
            "WATCH" => watches.next(),
            _ => object(1, 0),
        });
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "found", |fake| fake.found() == [1])
            .await;
        let asked = fake.asked();
        for pair in asked[..3].windows(2) {
            let between = pair[1].at - pair[0].at;
            assert!(between >= Duration::from_millis(1900), "{between:?}");
        }
        assert_eq!(fake.notes().len(), 1, "{:?}", fake.notes());
        assert_eq!(fake.noted("asked for a pause"), 1);
    });
}

#[test]
fn garbage_and_half_a_line_are_no_end() {
    run(async {
        let watches = Watches::new(Vec::new());
        let half = line("MODIFIED", &partial(2, 11));
        let half = half[..half.len() / 2].to_owned();
        let fake = Fake::new(move |asked| match (asked.verb(), asked.before) {
            ("LIST", 0) => Answer::Text(200, "<html>welcome</html>".to_owned()),
            ("LIST", 1) => Answer::Text(502, "<html>bad gateway</html>".to_owned()),
            ("LIST", _) => list(&[partial(1, 10)]),
            ("WATCH", 0) => Answer::Torn(half.clone()),
            ("WATCH", 1) => Answer::Torn("{]\n".to_owned()),
            ("WATCH", _) => watches.next(),
            ("GET", 0) => Answer::Text(200, "{".to_owned()),
            _ => object(1, 0),
        });
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "it works in the end", |fake| {
            fake.noted("is followed again") == 1 && fake.count("WATCH") >= 3
        })
        .await;
        assert_eq!(fake.found(), [1]);
        assert_eq!(fake.noted("bad gateway"), 1, "{:?}", fake.notes());
    });
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    run(async {
        let fake = Fake::new(|_| Answer::Silence);
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "given up", |fake| {
            fake.noted("no answer in 10 s") == 1
        })
        .await;
        assert_eq!(fake.count("LIST"), 1);
    });
}

#[test]
fn a_connection_that_breaks_in_the_handshake_is_said() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::Builder::new()
            .spawn(move || {
                for stream in listener.incoming() {
                    drop(stream);
                }
            })
            .unwrap();
        let fake = Fake::of_url(&format!("https://127.0.0.1:{port}"));
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "said", |fake| {
            fake.noted("cannot be followed") == 1
        })
        .await;
        // An end or a reset, whichever comes first.
        let notes = fake.notes();
        assert!(notes[0].contains("client error (Connect)"), "{notes:?}");
    });
}

#[test]
fn a_token_that_is_not_taken_is_read_anew() {
    run(async {
        let watches = Watches::new(Vec::new());
        let fake = Fake::new(move |asked| match (asked.verb(), asked.token.as_str()) {
            (_, "Bearer first") => refused(401, "Unauthorized"),
            ("LIST", _) => list(&[partial(1, 10)]),
            ("WATCH", _) => watches.next(),
            _ => object(1, 0),
        });
        let mut work = pin!(following(&fake));
        fake.until(&mut work, "not taken", |fake| {
            fake.noted("Unauthorized (401)") == 1
        })
        .await;
        std::io::Write::write_all(&mut fake.token.reopen().unwrap(), b"other\n").unwrap();
        fake.until(&mut work, "found", |fake| fake.found() == [1])
            .await;
        assert_eq!(fake.notes().len(), 1);
        assert_eq!(fake.asked().last().unwrap().token, "Bearer other");
    });
}
