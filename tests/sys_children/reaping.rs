//! Every exit is noticed, once, as what it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use podinit::domain::event::Event;
use podinit::domain::exit::Exit;
use podinit::domain::plan::SignalTarget;
use podinit::domain::signal::Signal;
use podinit::ports::Children;
use podinit::sys::procfs::Stat;

use crate::kit::{command, processes, stub, until, with_table};
use crate::scenario::{Scenario, children_of};

pub(crate) const ALL: &[Scenario] = &[
    ("ten_thousand_instant_exits_are_all_counted", ten_thousand),
    ("three_thousand_orphans_leave_no_zombies", scatter),
    ("three_thousand_orphans_at_one_moment", burst),
    ("a_burst_beside_runs_that_come_and_go", busy_burst),
    ("every_exit_code_and_every_signal", codes_and_signals),
    ("usage_is_counted", usage),
    ("a_leader_whose_first_thread_has_ended_is_not_dead", thread),
    ("spawned_always_comes_before_exited", order),
];

fn ten_thousand() {
    with_table(async |mut kit| {
        let began = Instant::now();
        let launch = command(&["/bin/true"]);
        let (mut started, mut spawned, mut exited) = (0, 0, 0);
        while exited < 10_000 {
            // At most so many at once: descriptors and memory are not what is tested.
            while started < 10_000 && started - exited < 200 {
                let run = kit.spawn(&launch);
                kit.drop_output(run);
                started += 1;
            }
            kit.table.wait(&mut kit.seen).await;
            for event in kit.seen.drain(..) {
                match event {
                    Event::Spawned { .. } => spawned += 1,
                    Event::Exited {
                        exit: Exit::Code(0),
                        left: 0,
                        ..
                    } => exited += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((spawned, exited), (10_000, 10_000));
        println!("10,000 in {:?}", began.elapsed());
    });
}

/// Looks for zombies of this process, on a thread of its own, until told to stop. Gives the most seen at once.
fn watch_zombies(stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    let stop = Arc::clone(stop);
    let own = std::process::id() as i32;
    std::thread::Builder::new()
        .spawn(move || {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                let zombies = children_of(own)
                    .into_iter()
                    .flatten()
                    .filter_map(Stat::read)
                    .filter(|stat| !stat.is_alive())
                    .count();
                most = most.max(zombies);
                std::thread::sleep(Duration::from_micros(200));
            }
            most
        })
        .unwrap()
}

/// Other work on the machine must not keep this thread from running: what it does in its time is tested, not how much
/// of it it gets. Children are scheduled as usual.
fn go_first() {
    let first = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: a valid record.
    let set = unsafe { libc::sched_setscheduler(0, policy, &raw const first) };
    assert_eq!(set, 0, "CAP_SYS_NICE is needed");
}

fn scatter() {
    with_table(async |mut kit| {
        let stop = Arc::new(AtomicBool::new(false));
        let watcher = watch_zombies(&stop);
        go_first();
        let began = Instant::now();
        let run = kit.stub(&["--scatter", "3000", "--say", "over"]).await;
        kit.exited(run).await;
        let over = Instant::now();
        kit.orphans(3000).await;
        let late = over.elapsed();
        let own = std::process::id() as i32;
        assert_eq!(children_of(own), Some(Vec::new()));
        stop.store(true, Ordering::Relaxed);
        let most = watcher.join().unwrap();
        println!(
            "3,000 orphans in {:?}: at most {most} zombies, none {late:?} after",
            began.elapsed()
        );
        assert!(most <= 50, "{most}");
        assert!(late <= Duration::from_millis(100), "{late:?}");
    });
}

pub(crate) fn burst() {
    with_table(async |mut kit| {
        let run = kit.stub(&["--burst", "3000", "--forever"]).await;
        assert_eq!(kit.line(run), "ready");
        let began = Instant::now();
        kit.orphans(3000).await;
        println!(
            "3,000 orphans at one moment: {:?}, 50 ms of waiting included",
            began.elapsed()
        );
        kit.kill(run);
        assert_eq!(kit.exited(run).await.1, 0);
        assert_eq!(kit.orphans_reaped(), 3000);
        assert_eq!(children_of(std::process::id() as i32), Some(Vec::new()));
    });
}

fn busy_burst() {
    with_table(async |mut kit| {
        let bursts: Vec<_> = (0..4)
            .map(|_| kit.spawn(&stub(&["--burst", "500"])))
            .collect();
        let mut others = Vec::new();
        for code in 0..100 {
            others.push(kit.spawn(&stub(&["--delay", "20", "--exit", &code.to_string()])));
        }
        for (code, run) in others.into_iter().enumerate() {
            assert_eq!(kit.exited(run).await.0, Exit::Code(code as u8));
        }
        for run in bursts {
            assert_eq!(kit.exited(run).await.0, Exit::Code(0));
        }
        kit.orphans(2000).await;
    });
}

fn codes_and_signals() {
    with_table(async |mut kit| {
        for code in 0..=255_u8 {
            let run = kit.spawn(&stub(&["--exit", &code.to_string()]));
            assert_eq!(kit.exited(run).await, (Exit::Code(code), 0));
        }
        let harmless = ["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"];
        let stops = ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"];
        for number in 1..=64 {
            let Some(signal) = Signal::from_number(number) else {
                // 32 and 33: the C library's, which the kernel knows all the same.
                let run = kit.stub(&["--raise", &number.to_string()]).await;
                assert_eq!(kit.exited(run).await.0, Exit::Code(128 + number as u8));
                continue;
            };
            let name = signal.to_string();
            let run = kit.stub(&["--raise", &name, "--exit", "7"]).await;
            if stops.contains(&name.as_str()) {
                // TSTP, TTIN and TTOU do nothing to an orphaned process group, which a session's first one is.
                if name == "SIGSTOP" {
                    let pid = kit.spawned(run).await;
                    until("it has stopped", || Stat::read(pid).unwrap().state == b'T');
                    assert!(kit.signal(run, Signal::CONT, SignalTarget::Leader));
                }
                assert_eq!(kit.exited(run).await.0, Exit::Code(7), "{name}");
            } else if harmless.contains(&name.as_str()) {
                assert_eq!(kit.exited(run).await.0, Exit::Code(7), "{name}");
            } else {
                let (exit, _) = kit.exited(run).await;
                let Exit::Signal { signal: by, .. } = exit else {
                    panic!("{name}: {exit:?}");
                };
                assert_eq!(by, signal);
            }
        }
    });
}

fn usage() {
    with_table(async |mut kit| {
        let run = kit.spawn(&command(&[
            "sh",
            "-c",
            "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done",
        ]));
        let (exit, usage, _) = kit.ended(run).await;
        assert_eq!(exit, Exit::Code(0));
        assert!(usage.user > Duration::from_millis(20), "{usage:?}");
        assert!(
            (100_000..1_000_000_000).contains(&usage.max_rss),
            "{usage:?}"
        );
    });
}

fn thread() {
    with_table(async |mut kit| {
        let began = Instant::now();
        let run = kit.stub(&["--thread", "300", "9"]).await;
        assert_eq!(kit.exited(run).await, (Exit::Code(9), 0));
        assert!(began.elapsed() >= Duration::from_millis(300));

        // The same for one of its session: it is left although it looks like a zombie.
        let run = kit.spawn(&command(&[
            "sh",
            "-c",
            &format!("{} --thread 400 0 & exit 3", crate::kit::STUB),
        ]));
        let (exit, left) = kit.exited(run).await;
        assert_eq!((exit, left), (Exit::Code(3), 1));
        kit.empty(run).await;
    });
}

fn order() {
    with_table(async |mut kit| {
        let launches = [
            command(&["true"]),
            command(&["/nonexistent"]),
            stub(&["--raise", "SIGKILL"]),
        ];
        let mut runs = Vec::new();
        for round in 0..300 {
            runs.push((round % 3, kit.spawn(&launches[round % 3])));
        }
        // All are over before we look for the first time.
        until("all are dead", || {
            let own = std::process::id() as i32;
            processes(|stat| stat.parent == own && stat.is_alive()).is_empty()
        });
        for (kind, run) in &runs {
            if *kind == 1 {
                kit.failed(*run).await;
            } else {
                kit.exited(*run).await;
            }
        }
        for (kind, run) in runs {
            let about: Vec<&str> = kit
                .seen
                .iter()
                .filter_map(|event| match event {
                    Event::Spawned { run: of, .. } if *of == run => Some("spawned"),
                    Event::SpawnFailed { run: of, .. } if *of == run => Some("failed"),
                    Event::Exited { run: of, .. } if *of == run => Some("exited"),
                    _ => None,
                })
                .collect();
            if kind == 1 {
                assert_eq!(about, ["failed"]);
            } else {
                assert_eq!(about, ["spawned", "exited"]);
            }
        }
        // Those whose exec failed are reaped, and no orphans.
        let own = std::process::id() as i32;
        kit.pass(Duration::from_millis(50)).await;
        assert!(processes(|stat| stat.parent == own).is_empty());
        assert_eq!(kit.orphans_reaped(), 0);
    });
}
