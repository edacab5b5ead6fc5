//! podinit's own signals: which of them are ours, and reading them from a descriptor.
//!
//! They are blocked before any thread starts, so no handler ever runs and none is lost: the kernel keeps them until the
//! table reads them. Children get an empty mask back.

#![allow(unsafe_code, reason = "signal sets and signalfd(2)")]

use std::ffi::c_long;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::domain::signal::Signal;

use super::call::own_pid;

/// Which signals are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalMode {
    /// A ProcessSet: those with a meaning (DESIGN 5.1). The others keep their usual effect.
    Set,
    /// `podinit -- CMD`: everything that tini forwards, which is all but the two that cannot be caught, CHLD, those of
    /// a fault in podinit itself, and those of the terminal to background processes.
    Command,
}

/// With a meaning for a ProcessSet.
const SET: [Signal; 7] = [
    Signal::TERM,
    Signal::INT,
    Signal::QUIT,
    Signal::RTMIN_3,
    Signal::HUP,
    Signal::USR1,
    Signal::USR2,
];

/// Not forwarded.
const KEPT: [i32; 12] = [
    libc::SIGKILL,
    libc::SIGSTOP,
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

impl SignalMode {
    /// The signals that become [`crate::domain::event::Event::Signal`].
    pub fn delivered(self) -> Vec<Signal> {
        match self {
            SignalMode::Set => SET.to_vec(),
            SignalMode::Command => (1..=64)
                .filter(|number| !KEPT.contains(number))
                .filter_map(Signal::from_number)
                .collect(),
        }
    }

    /// Blocks them in the calling thread and all that it starts, with CHLD. In `--` mode TTIN and TTOU too: podinit
    /// hands the terminal over from the background, which would stop it otherwise.
    pub(super) fn block(self) -> io::Result<()> {
        let mut set = set_of(&self.delivered());
        let mut more = vec![libc::SIGCHLD];
        if self == SignalMode::Command {
            more.extend([libc::SIGTTIN, libc::SIGTTOU]);
        }
        for number in more {
            // SAFETY: `set` is a valid set, the number a valid signal.
            unsafe { libc::sigaddset(&raw mut set, number) };
        }
        // SAFETY: `set` is a valid set; the old one is not asked for.
        match unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
        } {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset makes a valid set; the numbers are valid signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal.number());
        }
        set.assume_init()
    }
}

/// Makes every inherited "ignore" the default again: an ignored CHLD would reap our children for us, and children would
/// inherit the others. PIPE and XFSZ are ignored for ourselves (an output that is closed or may not grow is an error, no
/// death); the child resets them.
pub(super) fn reset_dispositions() {
    for number in (1..=64).filter(|n| ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(n)) {
        let wanted = if [libc::SIGPIPE, libc::SIGXFSZ].contains(&number) {
            libc::SIG_IGN
        } else {
            libc::SIG_DFL
        };
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the pointers are to valid memory; handlers (Rust's guard against stack overflow) are left alone.
        unsafe {
            if libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()) != 0 {
                continue;
            }
            let current = action.assume_init().sa_sigaction;
            if current == wanted || (current != libc::SIG_IGN && current != libc::SIG_DFL) {
                continue;
            }
            let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            action.sa_sigaction = wanted;
            libc::sigaction(number, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Signals whose disposition a child would have to reset: all that are not default here. Nothing changes them any more
/// once podinit is fit to be PID 1.
pub(super) fn not_default() -> Vec<c_long> {
    (1..=64)
        .filter(|number| {
            // The kernel's struct sigaction, which begins with the handler; by the raw call, which knows the two signals
            // of the C library too.
            let mut action = [0_u64; 4];
            let (no_new, old) = (std::ptr::null::<u64>(), action.as_mut_ptr());
            // SAFETY: memory of the size that the kernel wants.
            let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, *number, no_new, old, 8) };
            result != 0 || action[0] != libc::SIG_DFL as u64
        })
        .collect()
}

/// Stops podinit itself until somebody continues it, then forgets the CONT that did.
pub(super) fn stop_self() {
    let set = set_of(&[Signal::CONT]);
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: numbers, a valid set and a valid time.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGSTOP);
        while libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const now) > 0 {}
    }
}

/// The descriptor that blocked signals are read from.
#[derive(Debug)]
pub(super) struct SignalFd(OwnedFd);

/// What was pending.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// In the kernel's order, lowest number first.
    pub(super) signals: Vec<Signal>,
    /// A child changed state.
    pub(super) child: bool,
}

impl SignalFd {
    pub(super) fn open(mode: SignalMode) -> io::Result<Self> {
        let mut set = set_of(&mode.delivered());
        // SAFETY: `set` is a valid set; signalfd makes a new descriptor or fails.
        unsafe {
            libc::sigaddset(&raw mut set, libc::SIGCHLD);
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            match libc::signalfd(-1, &raw const set, flags) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(SignalFd(OwnedFd::from_raw_fd(fd))),
            }
        }
    }

    /// Takes everything that is pending.
    pub(super) fn take(&self) -> Pending {
        let mut pending = Pending::default();
        while let Some(info) = self.read() {
            let number = info.ssi_signo as i32;
            if number == libc::SIGCHLD {
                pending.child = true;
            } else if number == libc::SIGPIPE && info.ssi_pid == own_pid() as u32 {
                // Our own write to a closed pipe; nobody sent it to be forwarded.
            } else if let Some(signal) = Signal::from_number(number) {
                pending.signals.push(signal);
            }
        }
        pending
    }

    /// Blocks the thread until a signal is pending, or for that long, in whole milliseconds.
    pub(super) fn wait(&self, at_most: Duration) {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
        // Interrupted, if anything.
        let _ = poll(&mut fds, timeout);
    }

    fn read(&self) -> Option<libc::signalfd_siginfo> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        // SAFETY: `info` is writable memory of that size; all zeros is a valid record.
        unsafe {
            let got = libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), SIZE);
            (got == SIZE as isize).then(|| info.assume_init())
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gets_what_tini_forwards() {
        let delivered = SignalMode::Command.delivered();
        // 64 less two of the C library, less 12 that are kept.
        assert_eq!(delivered.len(), 64 - 2 - 12);
        for name in ["SIGHUP", "SIGTSTP", "SIGCONT", "SIGWINCH", "SIGRTMAX"] {
            assert!(delivered.contains(&name.parse().unwrap()), "{name}");
        }
        for name in ["SIGCHLD", "SIGKILL", "SIGSTOP", "SIGSEGV", "SIGTTOU"] {
            assert!(!delivered.contains(&name.parse().unwrap()), "{name}");
        }
    }
}
