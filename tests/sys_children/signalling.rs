//! Signals to podinit become events; signals to runs reach those they are for.

use std::time::{Duration, Instant};

use podinit::domain::event::Event;
use podinit::domain::exit::Exit;
use podinit::domain::plan::SignalTarget;
use podinit::domain::signal::Signal;
use podinit::sys::pid1;
use podinit::sys::procfs::Stat;
use podinit::sys::signals::SignalMode;

use crate::kit::{Kit, command, is_alive, processes, stub, until, with_table, with_table_of};
use crate::scenario::Scenario;

pub(crate) const ALL: &[Scenario] = &[
    ("signals_to_a_set_are_events_and_come_first", of_a_set),
    ("signals_to_a_command_are_all_events", of_a_command),
    ("a_stopped_process_ends_on_term", stopped),
    ("a_stop_signal_is_the_leaders_alone", leader_alone),
    ("a_trap_takes_its_time", trap),
    ("a_frozen_child_outlives_kill_and_stops_nobody", frozen),
    ("a_signal_before_the_exec_ends_the_child", early),
    ("nobody_is_woken_while_nothing_happens", idle),
];

fn send_self(signal: Signal) {
    // SAFETY: numbers only.
    unsafe { libc::kill(libc::getpid(), signal.number()) };
}

fn signals(kit: &Kit) -> Vec<Signal> {
    let of = |event: &Event| match event {
        Event::Signal(signal) => Some(*signal),
        _ => None,
    };
    kit.seen.iter().filter_map(of).collect()
}

pub(crate) fn of_a_set() {
    with_table(async |mut kit| {
        let run = kit.stub(&["--forever"]).await;
        let pid = kit.spawned(run).await;
        kit.seen.clear();
        kit.kill(run);
        until("it is dead", || !is_alive(pid));
        let mut sent = SignalMode::Set.delivered();
        for signal in &sent {
            send_self(*signal);
        }
        kit.exited(run).await;
        sent.sort();
        assert_eq!(signals(&kit), sent);
        assert!(matches!(kit.seen[sent.len()], Event::Exited { .. }));
    });
}

fn of_a_command() {
    let start = pid1::init(SignalMode::Command).unwrap();
    with_table_of(start, async |mut kit| {
        let mut sent = SignalMode::Command.delivered();
        // Our own PIPE is our own business.
        sent.retain(|signal| signal.number() != libc::SIGPIPE);
        // TSTP and the like after CONT: each takes back the other while it waits.
        for signal in &sent {
            send_self(*signal);
            kit.until("the signal", |event| {
                matches!(event, Event::Signal(got) if got == signal).then_some(())
            })
            .await;
        }
        assert_eq!(signals(&kit), sent);
        // And it goes on: CHLD is no event.
        let run = kit.stub(&[]).await;
        kit.exited(run).await;
        assert_eq!(signals(&kit), sent);
    });
}

fn stopped() {
    with_table(async |mut kit| {
        let targets = [
            SignalTarget::Leader,
            SignalTarget::Group,
            SignalTarget::Session,
        ];
        for (target, signal) in targets
            .into_iter()
            .zip([Signal::TERM, Signal::QUIT, Signal::INT])
        {
            let run = kit.stub(&["--raise", "SIGSTOP", "--forever"]).await;
            let pid = kit.spawned(run).await;
            until("it has stopped", || Stat::read(pid).unwrap().state == b'T');
            assert!(kit.signal(run, signal, target));
            let (exit, _) = kit.exited(run).await;
            assert!(matches!(exit, Exit::Signal { signal: by, .. } if by == signal));
        }
        // A leftover too.
        let run = kit.spawn(&command(&[
            "sh",
            "-c",
            &format!("{} --raise SIGSTOP --forever & sleep 0.1", crate::kit::STUB),
        ]));
        let pid = kit.spawned(run).await;
        assert_eq!(kit.exited(run).await.1, 1);
        until("it has stopped", || {
            processes(|stat| stat.session == pid && stat.state == b'T').len() == 1
        });
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Session));
        kit.empty(run).await;
    });
}

fn leader_alone() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&["--hold", "2", "--say", "up", "--forever"]));
        let pid = kit.spawned(run).await;
        kit.line(run);
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Leader));
        assert_eq!(kit.exited(run).await.1, 2);
        assert_eq!(
            processes(|stat| stat.session == pid && stat.is_alive()).len(),
            2
        );
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Session));
        kit.empty(run).await;

        let run = kit.spawn(&stub(&["--hold", "2", "--say", "up", "--forever"]));
        let pid = kit.spawned(run).await;
        kit.line(run);
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Group));
        kit.exited(run).await;
        until("all of the group have ended", || {
            processes(|stat| stat.session == pid && stat.is_alive()).is_empty()
        });
    });
}

fn trap() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&[
            "--trap",
            "SIGTERM",
            "200",
            "5",
            "--say",
            "up",
            "--forever",
        ]));
        kit.spawned(run).await;
        assert_eq!(kit.line(run), "up");
        let began = Instant::now();
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Leader));
        assert_eq!(kit.line(run), "trapped SIGTERM");
        assert_eq!(kit.exited(run).await, (Exit::Code(5), 0));
        assert!(began.elapsed() >= Duration::from_millis(200));
    });
}

fn frozen() {
    let group = format!("/sys/fs/cgroup/freezer/podinit-test-{}", std::process::id());
    std::fs::create_dir(&group).expect("the freezer of cgroup v1, and root");
    let write = |file: &str, text: &str| std::fs::write(format!("{group}/{file}"), text).unwrap();
    with_table(async |mut kit| {
        let run = kit.stub(&["--forever"]).await;
        let pid = kit.spawned(run).await;
        write("cgroup.procs", &pid.to_string());
        write("freezer.state", "FROZEN");
        until("it is frozen", || {
            std::fs::read_to_string(format!("{group}/freezer.state")).unwrap() == "FROZEN\n"
        });
        assert!(kit.kill(run));
        // Others are not held up.
        let other = kit.stub(&["--exit", "4"]).await;
        assert_eq!(kit.exited(other).await.0, Exit::Code(4));
        kit.pass(Duration::from_millis(100)).await;
        let over = |event: &Event| matches!(event, Event::Exited { run: of, .. } if *of == run);
        assert_eq!(kit.count(over), 0);
        write("freezer.state", "THAWED");
        kit.exited(run).await;
    });
    std::fs::remove_dir(&group).unwrap();
}

fn early() {
    with_table(async |mut kit| {
        // Whenever it comes, somebody gets it, and nobody else does.
        for round in 0..200 {
            let run = kit.spawn(&command(&["sleep", "1000"]));
            if round % 2 == 0 {
                std::thread::sleep(Duration::from_micros(round * 10));
            }
            let target = [
                SignalTarget::Leader,
                SignalTarget::Group,
                SignalTarget::Session,
            ];
            assert!(kit.signal(run, Signal::TERM, target[round as usize % 3]));
            let (exit, left) = kit.exited(run).await;
            assert!(
                matches!(
                    exit,
                    Exit::Signal {
                        signal: Signal::TERM,
                        ..
                    }
                ),
                "{exit:?}"
            );
            assert_eq!(left, 0);
            assert!(!kit.signal(run, Signal::TERM, SignalTarget::Leader));
        }
    });
}

fn idle() {
    with_table(async |mut kit| {
        let runs = [
            kit.stub(&["--forever"]).await,
            kit.stub(&["--hold", "1", "--forever"]).await,
        ];
        // Leaderless and waiting for its witness.
        let left = kit.stub(&["--hold", "2"]).await;
        assert_eq!(kit.exited(left).await.1, 2);
        let switches = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status
                .lines()
                .find(|l| l.starts_with("voluntary_ctxt_switches"));
            line.unwrap()
                .split_whitespace()
                .next_back()
                .unwrap()
                .parse::<u32>()
                .unwrap()
        };
        kit.pass(Duration::from_millis(10)).await;
        let before = switches();
        kit.pass(Duration::from_secs(1)).await;
        // One sleep, ended by the end of this second.
        assert!(switches() - before <= 2, "{}", switches() - before);
        for run in runs {
            kit.kill(run);
            kit.exited(run).await;
        }
    });
}
