//! What a probe writes is told in short, and costs nobody anything.

use std::time::{Duration, Instant};

use podinit::domain::event::Event;
use podinit::domain::exit::{Exit, SpawnStep};
use podinit::domain::id::RunId;
use podinit::domain::plan::{Identity, Launch};
use podinit::domain::signal::Signal;
use podinit::ports::{Children, Stdio};

use crate::kit::{Kit, command, cstring, open_descriptors, stub, with_table};
use crate::scenario::Scenario;

pub(crate) const ALL: &[Scenario] = &[
    ("what_a_probe_says_is_told_before_its_exit", told),
    ("a_probe_has_its_own_streams", streams),
    ("a_probe_that_says_much_never_waits", much),
    ("probes_that_flood_take_nobodys_turn", floods),
    ("a_grandchild_with_the_pipe_keeps_no_probe", holder),
    ("a_probe_that_cannot_be_executed_says_nothing", refused),
    ("many_probes_leave_nothing_open", many),
];

fn probe(kit: &mut Kit, launch: &Launch) -> RunId {
    kit.spawn_with(launch, Stdio::Kept).expect("a fork")
}

fn shell(script: &str) -> Launch {
    command(&["sh", "-c", script])
}

/// What a run said; it must have been told between its exec and its exit.
fn said(kit: &Kit, run: RunId) -> Option<String> {
    let about: Vec<&Event> = kit
        .seen
        .iter()
        .filter(|event| match event {
            Event::Spawned { run: of, .. }
            | Event::Said { run: of, .. }
            | Event::Exited { run: of, .. } => *of == run,
            _ => false,
        })
        .collect();
    match about[..] {
        [Event::Spawned { .. }, Event::Exited { .. }] => None,
        [
            Event::Spawned { .. },
            Event::Said { text, .. },
            Event::Exited { .. },
        ] => Some(text.clone()),
        _ => panic!("{about:?}"),
    }
}

async fn outcome(kit: &mut Kit, launch: &Launch) -> (Exit, Option<String>) {
    let run = probe(kit, launch);
    let (exit, _) = kit.exited(run).await;
    (exit, said(kit, run))
}

fn told() {
    with_table(async |mut kit| {
        let cases = [
            ("exit 3", None),
            ("echo", None),
            ("echo no connection; exit 3", Some("no connection")),
            (
                "echo one >&2; echo two; echo three >&2",
                Some("one\ntwo\nthree"),
            ),
            ("printf 'a\\377b'", Some("a\u{fffd}b")),
            (
                "echo early; exec >&- 2>&-; sleep 0.05; exit 3",
                Some("early"),
            ),
            ("echo one; sleep 0.05; echo two", Some("one\ntwo")),
        ];
        for (script, text) in cases {
            let (exit, said) = outcome(&mut kit, &shell(script)).await;
            assert_eq!(said.as_deref(), text, "{script}");
            let code = if script.ends_with("exit 3") { 3 } else { 0 };
            assert_eq!(exit, Exit::Code(code), "{script}");
        }
        // Killed: what it said until then.
        let run = probe(&mut kit, &stub(&["--say", "up", "--forever"]));
        kit.spawned(run).await;
        kit.pass(Duration::from_millis(50)).await;
        kit.kill(run);
        kit.exited(run).await;
        assert_eq!(said(&kit, run).as_deref(), Some("up"));
    });
}

fn streams() {
    with_table(async |mut kit| {
        let script = "for n in 0 1 2; do readlink /proc/self/fd/$n; done; \
                      [ /proc/$$/fd/1 -ef /proc/$$/fd/2 ] && echo same; ps -o sid= -p $$ | tr -d ' '; echo $$";
        let (_, text) = outcome(&mut kit, &shell(script)).await;
        let text = text.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "/dev/null");
        assert!(lines[1].starts_with("pipe:"), "{text}");
        assert_eq!(lines[3], "same");
        assert_eq!(lines[4], lines[5], "a session of its own");
        // Another user may open its standard error anew.
        let mut launch = shell("echo x > /dev/stderr && echo y > /dev/stdout");
        launch.dir = Some(cstring("/"));
        launch.identity = Some(Identity {
            uid: 4242,
            gid: 4242,
            groups: Vec::new(),
        });
        let (exit, text) = outcome(&mut kit, &launch).await;
        assert_eq!((exit, text.as_deref()), (Exit::Code(0), Some("x\ny")));
    });
}

fn much() {
    with_table(async |mut kit| {
        let launch = stub(&["--flood", "20000000", "--exit", "3"]);
        let (exit, text) = outcome(&mut kit, &launch).await;
        assert_eq!(exit, Exit::Code(3));
        let lines = format!("{}\n", "x".repeat(99)).repeat(11);
        assert_eq!(text.as_deref(), Some(&lines[..1024]));
    });
}

fn floods() {
    with_table(async |mut kit| {
        let flood = stub(&["--flood", "1000000000000"]);
        let floods: Vec<RunId> = (0..4).map(|_| probe(&mut kit, &flood)).collect();
        for run in &floods {
            kit.spawned(*run).await;
        }
        // Nothing is told, and yet timers have their turn.
        let began = Instant::now();
        kit.pass(Duration::from_millis(200)).await;
        assert!(
            began.elapsed() < Duration::from_millis(400),
            "{:?}",
            began.elapsed()
        );
        // And so have others: the median, as four others want two processors.
        let mut late = Vec::new();
        for _ in 0..21 {
            let other = kit.stub(&["--forever"]).await;
            let began = Instant::now();
            kit.kill(other);
            kit.exited(other).await;
            kit.drop_output(other);
            late.push(began.elapsed());
        }
        late.sort();
        println!(
            "exits beside four floods: {:?}, at most {:?}",
            late[10], late[20]
        );
        assert!(late[10] < Duration::from_millis(100), "{late:?}");
        for run in floods {
            kit.kill(run);
            kit.exited(run).await;
            assert_eq!(said(&kit, run).unwrap().len(), 1024);
        }
    });
}

fn holder() {
    with_table(async |mut kit| {
        let before = open_descriptors();
        let script = format!(
            "echo first >&2; {stub} --flood 1000000000 & {stub} --ignore SIGTERM --forever & exit 4",
            stub = crate::kit::STUB
        );
        let began = Instant::now();
        let run = probe(&mut kit, &shell(&script));
        let (exit, left) = kit.exited(run).await;
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        assert_eq!((exit, left), (Exit::Code(4), 2));
        let text = said(&kit, run).unwrap();
        assert!(text.len() <= 1024 && text.starts_with("first"), "{text}");
        // It goes on being read: the one that floods is not held up, and ends by itself.
        let children = || {
            crate::scenario::children_of(std::process::id() as i32)
                .unwrap()
                .len()
        };
        let deadline = Instant::now() + crate::kit::SOON;
        while children() > 1 {
            assert!(Instant::now() < deadline, "it does not get on");
            kit.pass(Duration::from_millis(10)).await;
        }
        kit.kill(run);
        kit.empty(run).await;
        assert_eq!(open_descriptors(), before);
        assert_eq!(kit.count(|event| matches!(event, Event::Said { .. })), 1);
    });
}

fn refused() {
    with_table(async |mut kit| {
        let before = open_descriptors();
        for _ in 0..100 {
            let run = probe(&mut kit, &command(&["/nonexistent"]));
            let failure = kit.failed(run).await;
            assert_eq!(
                (failure.step, failure.errno),
                (SpawnStep::Exec, libc::ENOENT)
            );
        }
        kit.table.end_orphans(Signal::TERM);
        kit.childless().await;
        assert_eq!(open_descriptors(), before);
        assert_eq!(kit.orphans_reaped(), 0);
        assert_eq!(kit.count(|event| matches!(event, Event::Said { .. })), 0);
    });
}

fn many() {
    /// 100,000 were tried by hand.
    const COUNT: usize = 5_000;
    with_table(async |mut kit| {
        let before = open_descriptors();
        let began = Instant::now();
        let launches = [
            stub(&["--say", "no", "--exit", "1"]),
            command(&["/bin/true"]),
            command(&["/nonexistent"]),
        ];
        let (mut started, mut over, mut said) = (0, 0, 0);
        while over < COUNT {
            while started < COUNT && started - over < 50 {
                probe(&mut kit, &launches[started % 3]);
                started += 1;
            }
            kit.table.wait(&mut kit.seen).await;
            for event in kit.seen.drain(..) {
                match event {
                    Event::Spawned { .. } => {}
                    Event::Said { text, .. } => {
                        assert_eq!(text, "no");
                        said += 1;
                    }
                    Event::Exited { left: 0, .. } | Event::SpawnFailed { .. } => over += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(said, COUNT.div_ceil(3));
        kit.table.end_orphans(Signal::TERM);
        kit.childless().await;
        assert_eq!(open_descriptors(), before);
        println!("{COUNT} probes in {:?}", began.elapsed());
    });
}
