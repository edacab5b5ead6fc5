//! What a run leaves behind is found, ended and waited for; what is foreign is never touched.

use std::time::{Duration, Instant};

use podinit::domain::exit::Exit;
use podinit::domain::plan::SignalTarget;
use podinit::domain::signal::Signal;
use podinit::ports::Children;

use crate::kit::{is_alive, processes, stub, until, with_table};
use crate::scenario::Scenario;

pub(crate) const ALL: &[Scenario] = &[
    (
        "an_exit_is_noticed_while_a_grandchild_holds_the_pipes",
        holder,
    ),
    ("leftovers_in_groups_of_their_own_are_found", own_groups),
    ("who_leaves_the_session_is_no_leftover", leaver),
    ("a_leftover_that_somebody_else_reaps_is_noticed", aside),
    ("a_chain_of_forks_does_not_outrun_kill", chain),
    ("members_die_one_by_one", one_by_one),
    ("a_daemon_is_an_orphan", daemon),
    ("childless_at_once_without_children", childless),
    ("orphans_of_orphans_are_ended_too", nested_orphans),
    ("a_thousand_leaders_end_together", thousand),
    ("a_thousand_sessions_are_killed_at_once", thousand_killed),
    ("a_number_that_is_used_again_is_not_signalled", used_again),
];

fn members_of(session: i32) -> Vec<i32> {
    processes(|stat| stat.session == session && stat.is_alive())
}

pub(crate) fn holder() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&[
            "--ignore",
            "SIGTERM",
            "--hold",
            "1",
            "--say",
            "up",
            "--forever",
        ]));
        let pid = kit.spawned(run).await;
        assert_eq!(kit.line(run), "up");
        let began = Instant::now();
        assert!(kit.signal(run, Signal::KILL, SignalTarget::Leader));
        let (exit, left) = kit.exited(run).await;
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "{:?}",
            began.elapsed()
        );
        assert!(matches!(
            exit,
            Exit::Signal {
                signal: Signal::KILL,
                ..
            }
        ));
        assert_eq!(left, 1);

        // There is nobody to lead, but somebody in the session and the group. It ignores TERM.
        assert!(!kit.signal(run, Signal::TERM, SignalTarget::Leader));
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Group));
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Session));
        kit.pass(Duration::from_millis(50)).await;
        assert_eq!(members_of(pid).len(), 1);
        assert!(kit.kill(run));
        kit.empty(run).await;
        assert!(members_of(pid).is_empty());
        assert!(!kit.kill(run));
        assert_eq!(kit.output(run), "");
    });
}

pub(crate) fn own_groups() {
    with_table(async |mut kit| {
        let args = [
            "--group",
            "--group",
            "--hold",
            "2",
            "--say",
            "up",
            "--forever",
        ];
        let run = kit.spawn(&stub(&args));
        let pid = kit.spawned(run).await;
        kit.line(run);
        until("groups of their own", || {
            processes(|stat| stat.session == pid && stat.group != pid).len() == 2
        });
        // The group is the leader's; the session is all.
        assert!(kit.signal(run, Signal::KILL, SignalTarget::Group));
        // Those of the group may still be dying.
        assert!(kit.exited(run).await.1 >= 2);
        until("the group has ended", || members_of(pid).len() == 2);
        assert!(!kit.signal(run, Signal::TERM, SignalTarget::Group));
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Session));
        kit.empty(run).await;

        // With its leader alive.
        let run = kit.spawn(&stub(&args));
        let pid = kit.spawned(run).await;
        kit.line(run);
        assert!(kit.signal(run, Signal::TERM, SignalTarget::Session));
        kit.exited(run).await;
        until("all have ended", || members_of(pid).is_empty());
    });
}

fn leaver() {
    with_table(async |mut kit| {
        let run = kit.stub(&["--leaver"]).await;
        let (exit, left) = kit.exited(run).await;
        assert_eq!((exit, left), (Exit::Code(0), 1));
        // It leaves 50 ms later, of which nobody tells. The next signal finds that out.
        let own = std::process::id() as i32;
        until("it has left", || {
            processes(|stat| stat.parent == own && stat.session != stat.group).is_empty()
        });
        until("its session is its own", || {
            let children = processes(|stat| stat.parent == own);
            let [child] = children[..] else {
                panic!("{children:?}")
            };
            podinit::sys::procfs::Stat::read(child).unwrap().session == child
        });
        assert!(!kit.kill(run));
        kit.empty(run).await;
        assert_eq!(
            processes(|stat| stat.parent == own && stat.is_alive()).len(),
            1
        );
        kit.table.end_orphans(Signal::TERM);
        kit.childless().await;
    });
}

fn aside() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&["--aside", "300"]));
        let pid = kit.spawned(run).await;
        assert_eq!(kit.exited(run).await, (Exit::Code(0), 1));
        let orphans = kit.orphans_reaped();
        kit.empty(run).await;
        assert!(members_of(pid).is_empty());
        // Nobody whom we could reap has died.
        assert_eq!(kit.orphans_reaped(), orphans);
        kit.table.end_orphans(Signal::KILL);
        kit.childless().await;
    });
}

pub(crate) fn chain() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&[
            "--chain", "20000", "--chain", "20000", "--say", "up",
        ]));
        let pid = kit.spawned(run).await;
        let (_, left) = kit.exited(run).await;
        assert!(left >= 1, "{left}");
        kit.pass(Duration::from_millis(200)).await;
        assert!(
            !kit.seen.iter().any(|event| {
                matches!(event, podinit::domain::event::Event::SessionEmpty { .. })
            })
        );
        let began = Instant::now();
        assert!(kit.kill(run));
        kit.empty(run).await;
        println!(
            "chains killed in {:?}, {} reaped",
            began.elapsed(),
            kit.orphans_reaped()
        );
        assert!(members_of(pid).is_empty());
    });
}

pub(crate) fn one_by_one() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&["--hold", "20", "--say", "up"]));
        let pid = kit.spawned(run).await;
        assert_eq!(kit.exited(run).await.1, 20);
        let members = members_of(pid);
        assert_eq!(members.len(), 20);
        for (index, member) in members.iter().enumerate() {
            assert!(!kit.seen.iter().any(|event| {
                matches!(event, podinit::domain::event::Event::SessionEmpty { .. })
            }));
            assert!(is_alive(*member));
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(*member),
                nix::sys::signal::SIGKILL,
            )
            .unwrap();
            kit.orphans(index as u32 + 1).await;
        }
        kit.empty(run).await;
    });
}

fn daemon() {
    with_table(async |mut kit| {
        let run = kit.stub(&["--daemon", "3", "--say", "up"]).await;
        assert_eq!(kit.exited(run).await, (Exit::Code(0), 0));
        let own = std::process::id() as i32;
        assert_eq!(processes(|stat| stat.parent == own).len(), 3);
        // A run that goes on is no orphan.
        let other = kit.stub(&["--forever"]).await;
        kit.table.end_orphans(Signal::TERM);
        kit.orphans(3).await;
        assert!(
            kit.seen
                .iter()
                .all(|event| !matches!(event, podinit::domain::event::Event::Childless))
        );
        kit.kill(other);
        kit.exited(other).await;
        kit.childless().await;
    });
}

fn childless() {
    with_table(async |mut kit| {
        kit.table.end_orphans(Signal::TERM);
        kit.childless().await;
        kit.table.end_orphans(Signal::KILL);
        assert_eq!(kit.seen.len(), 1);
        kit.pass(Duration::from_millis(10)).await;
        assert_eq!(
            kit.seen.len(),
            2,
            "each question gets its answer: {:?}",
            kit.seen
        );
    });
}

pub(crate) fn nested_orphans() {
    with_table(async |mut kit| {
        // Each daemon ignores TERM and holds children that do not: they come to us when it is killed.
        let script = "trap '' TERM; setsid sh -c 'sleep 1000 & setsid sleep 1000 & sleep 1000; sleep 1000' & sleep 1000";
        let run = kit.spawn(&crate::kit::command(&[
            "sh",
            "-c",
            &format!("setsid sh -c \"{script}\" & sleep 0.2"),
        ]));
        assert_eq!(kit.exited(run).await.1, 0);
        let own = std::process::id() as i32;
        assert_eq!(processes(|stat| stat.parent == own).len(), 1);
        kit.table.end_orphans(Signal::TERM);
        kit.pass(Duration::from_millis(50)).await;
        kit.table.end_orphans(Signal::KILL);
        kit.childless().await;
        assert!(kit.orphans_reaped() >= 4, "{:?}", kit.seen);
    });
}

fn thousand() {
    with_table(async |mut kit| {
        let began = Instant::now();
        let runs: Vec<_> = (0..1000)
            .map(|_| kit.spawn(&crate::kit::command(&["sleep", "1000"])))
            .collect();
        for run in &runs {
            kit.spawned(*run).await;
        }
        println!("1,000 up in {:?}", began.elapsed());
        // One that stays out of every session, so that the short way of looking is closed.
        let daemon = kit.stub(&["--daemon", "1"]).await;
        kit.exited(daemon).await;
        let began = Instant::now();
        for run in &runs {
            assert!(kit.signal(*run, Signal::TERM, SignalTarget::Leader));
        }
        for run in &runs {
            assert_eq!(kit.exited(*run).await.1, 0);
        }
        let took = began.elapsed();
        println!("1,000 ended in {took:?}");
        assert!(took < Duration::from_secs(2));
        kit.table.end_orphans(Signal::KILL);
        kit.childless().await;
    });
}

fn thousand_killed() {
    with_table(async |mut kit| {
        let launch = stub(&[
            "--ignore",
            "SIGTERM",
            "--hold",
            "1",
            "--group",
            "--say",
            "up",
            "--forever",
        ]);
        let runs: Vec<_> = (0..300).map(|_| kit.spawn(&launch)).collect();
        for run in &runs {
            kit.spawned(*run).await;
            kit.line(*run);
        }
        let began = Instant::now();
        for run in &runs {
            assert!(kit.kill(*run));
        }
        println!("300 sessions of 3 signalled in {:?}", began.elapsed());
        kit.table.end_orphans(Signal::KILL);
        kit.childless().await;
        println!("and gone in {:?}", began.elapsed());
        for run in runs {
            if kit.exited(run).await.1 > 0 {
                kit.empty(run).await;
            }
        }
    });
}

/// The number of a session that is over goes to somebody else, who makes it a session again.
fn used_again() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&["--leaver"]));
        let pid = kit.spawned(run).await;
        assert_eq!(kit.exited(run).await.1, 1);
        until("the leftover has left", || members_of(pid).is_empty());

        // Nobody tells us; then the number is given out again.
        let mut stranger = None;
        for _ in 0..1000 {
            std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
                .expect("CONFIG_CHECKPOINT_RESTORE and root: run on another kernel");
            // SAFETY: this process has one thread.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: these take nothing.
                unsafe {
                    libc::setsid();
                    // A session of that number with one member, whose leader is dead as ours was.
                    libc::fork();
                    libc::pause();
                    libc::_exit(0);
                }
            }
            if child == pid {
                stranger = Some(child);
                break;
            }
            let other = nix::unistd::Pid::from_raw(child);
            nix::sys::signal::kill(other, nix::sys::signal::SIGKILL).unwrap();
        }
        let stranger = stranger.expect("the number, before others take it");
        until("it has a session", || members_of(stranger).len() == 2);
        assert!(!kit.kill(run));
        kit.empty(run).await;
        assert_eq!(members_of(stranger).len(), 2);
        kit.table.end_orphans(Signal::KILL);
        kit.childless().await;
    });
}
