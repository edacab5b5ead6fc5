//! Signals: all that tini forwards arrive, and TERM has an end.

use std::time::Duration;

use nix::unistd::Pid;

use crate::MODES;
use crate::bare::{Bare, Running, STUB, kill};
use crate::support::{As, PODINIT, SOON, children_of, state_of, within};

/// Sent to tini these are taken by tini itself: faults of its own, and the terminal's to background processes.
const KEPT: [i32; 10] = [
    libc::SIGCHLD,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

fn forwarded() -> impl Iterator<Item = i32> {
    let never = [libc::SIGKILL, libc::SIGSTOP, 32, 33];
    (1..=64).filter(move |n| !KEPT.contains(n) && !never.contains(n))
}

const TRAP_ALL: [&str; 5] = [STUB, "--trap-all", "--say", "ready", "--forever"];

fn ready(bare: Bare) -> Running {
    let running = bare.start();
    running.stdout().wait_for("ready\n", 1);
    running
}

/// Signals the init; waits for the child to have got that, the n-th time.
fn pass(running: &Running, number: i32, times: usize) {
    running.signal(number);
    running
        .stdout()
        .wait_for(&format!("got {number:02}\n"), times);
}

#[test]
fn every_signal_that_tini_forwards_reaches_the_child() {
    for mode in MODES {
        for init in [Bare::podinit, Bare::tini] {
            let mut running = ready(init(mode, &TRAP_ALL));
            for number in forwarded() {
                pass(&running, number, 1);
            }
            let all = running.stdout().text();
            assert_eq!(all.lines().count(), 1 + forwarded().count(), "{all}");
            kill(running.child(), libc::SIGKILL);
            assert_eq!(running.code(SOON), 137);
        }
    }
}

/// What becomes of a child that handles no signal when its init gets one.
fn code_after(bare: Bare, number: i32) -> i32 {
    let mut running = ready(bare);
    let child = running.child();
    running.signal(number);
    // The last one stops a child of tini's; podinit's leads a session, so that nobody could continue it, and then the
    // kernel stops nothing.
    let harmless = [libc::SIGCONT, libc::SIGURG, libc::SIGWINCH, libc::SIGTSTP];
    if harmless.contains(&number) {
        kill(child, libc::SIGKILL);
    }
    running.code(SOON)
}

#[test]
fn a_signal_ends_it_with_the_code_that_tini_ends_with() {
    let child = ["sh", "-c", "echo ready; exec sleep infinity"];
    for mode in MODES {
        for number in forwarded() {
            let codes =
                [Bare::podinit, Bare::tini].map(|init| code_after(init(mode, &child), number));
            assert_eq!(codes[0], codes[1], "{number} as {mode:?}");
        }
    }
}

/// A child that tells of all signals, ends by itself with 5, and has a grace period that is over long before.
fn impatient(mode: As, millis: &str, grace: &str) -> Running {
    let words = [
        STUB,
        "--trap-all",
        "--say",
        "ready",
        "--delay",
        millis,
        "--exit",
        "5",
    ];
    ready(Bare::podinit(mode, &words).env("PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", grace))
}

#[test]
fn int_hup_and_user_signals_are_forwarded_and_start_no_deadline() {
    for mode in MODES {
        let running = impatient(mode, "1500", "1");
        for number in [libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2] {
            pass(&running, number, 1);
        }
        pass(&running, libc::SIGINT, 2);
        assert_eq!(running.finish(SOON).code, 5);
    }
}

#[test]
fn term_is_forwarded_each_time_and_kill_follows_inside_the_grace_period() {
    for mode in MODES {
        let running = impatient(mode, "60000", "2");
        pass(&running, libc::SIGTERM, 1);
        pass(&running, libc::SIGTERM, 2);
        pass(&running, libc::SIGUSR1, 1);
        let ended = running.finish(Duration::from_secs(10));
        assert_eq!(ended.code, 137, "{}", ended.story());
        assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
        assert_eq!(
            ended.stdout.matches("got 15\n").count(),
            2,
            "{}",
            ended.story()
        );
    }
}

#[test]
fn quit_and_rtmin_3_start_the_deadline_too() {
    for number in [libc::SIGQUIT, 37] {
        let running = impatient(As::Pid1, "60000", "2");
        pass(&running, number, 1);
        let ended = running.finish(Duration::from_secs(10));
        assert_eq!(ended.code, 137, "{}", ended.story());
        assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
    }
}

#[test]
fn a_child_that_obeys_term_has_the_last_word() {
    for mode in MODES {
        let words = [
            STUB,
            "--trap",
            "SIGTERM",
            "200",
            "9",
            "--say",
            "ready",
            "--forever",
        ];
        let running = ready(Bare::podinit(mode, &words));
        running.signal(libc::SIGTERM);
        assert_eq!(running.finish(SOON).code, 9);
    }
}

/// The child has ended, what it left behind takes a second: that is no child to end with another code.
#[test]
fn signals_that_come_after_the_child_change_nothing() {
    let words = [
        STUB, "--ignore", "SIGTERM", "--hold", "1", "--say", "ready", "--exit", "7",
    ];
    let running = ready(Bare::podinit(As::PlainChild, &words));
    let podinit = running.pid();
    within(SOON, "the child to be gone", || {
        let pid = Pid::from_raw(*children_of(podinit).first()?);
        let is_left = nix::unistd::getsid(Some(pid)).is_ok_and(|session| session != pid);
        is_left.then_some(())
    });
    for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGTERM] {
        kill(podinit, number);
    }
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 7, "{}", ended.story());
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

/// Signals that came before there was a child are kept for it.
#[test]
fn a_signal_that_came_before_the_child_reaches_it() {
    for number in [libc::SIGUSR1, libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // Blocked and sent, so that it is pending when podinit begins.
        let raise = format!(
            "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new({number})); kill {number}, $$; exec @ARGV"
        );
        let words = ["perl", "-e", &raise, PODINIT, "--", STUB, "--delay", "5000"];
        let ended = Bare::new(As::PlainChild, &words).run();
        assert_eq!(ended.code, 128 + number, "{}", ended.story());
    }
}

#[test]
fn a_stopped_child_goes_on_and_is_still_podinit_s() {
    for mode in MODES {
        let running = ready(Bare::podinit(mode, &TRAP_ALL));
        let child = running.child();
        kill(child, libc::SIGSTOP);
        within(SOON, "the child to stop", || {
            (state_of(child) == Some('T')).then_some(())
        });
        pass(&running, libc::SIGCONT, 1);
        pass(&running, libc::SIGUSR1, 1);
        kill(child, libc::SIGKILL);
        assert_eq!(running.finish(SOON).code, 137);
    }
}
