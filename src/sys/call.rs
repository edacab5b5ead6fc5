//! System calls about processes, as safe functions with the meaning that the table needs. `libc`, not `nix`: that one
//! has no real-time signals, neither in wait nor in kill.

#![allow(
    unsafe_code,
    reason = "system calls; each takes plain numbers or memory that lives through the call"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::domain::exit::{Exit, Usage};
use crate::domain::signal::Signal;

/// A process id, as the kernel gives it. Never leaves `sys` except to be printed.
pub(super) type Pid = libc::pid_t;

/// What a look at our dead children found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peek {
    /// This one is dead and not reaped yet.
    Dead(Pid),
    /// There are children, none of them dead.
    Alive,
    /// There are no children.
    Childless,
}

/// Finds a dead child without reaping it. Of several the kernel shows the same one until it is reaped.
pub(super) fn peek() -> Peek {
    match wait_id(
        libc::P_ALL,
        0,
        libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
    ) {
        Ok(Some(info)) => {
            // SAFETY: waitid filled the record for a child, so `si_pid` is the field in use.
            Peek::Dead(unsafe { info.si_pid() })
        }
        Ok(None) => Peek::Alive,
        // ECHILD; nothing else is possible with these arguments.
        Err(_) => Peek::Childless,
    }
}

/// Whether a child is dead and not reaped yet; `None` when it is no child of ours.
pub(super) fn is_dead(child: Pid) -> Option<bool> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    match wait_id(libc::P_PID, child, options) {
        Ok(info) => Some(info.is_some()),
        Err(_) => None,
    }
}

/// The signal that stopped a child since the last time this was asked.
pub(super) fn stop_of(child: Pid) -> Option<i32> {
    let info = wait_id(libc::P_PID, child, libc::WSTOPPED | libc::WNOHANG).ok()??;
    // SAFETY: waitid filled the record for a child, so `si_status` is the field in use.
    Some(unsafe { info.si_status() })
}

fn wait_id(
    kind: libc::idtype_t,
    id: Pid,
    options: libc::c_int,
) -> io::Result<Option<libc::siginfo_t>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` is writable memory of the right size; all zeros is a valid siginfo_t.
    let (result, info) = unsafe {
        let result = libc::waitid(kind, id as libc::id_t, info.as_mut_ptr(), options);
        (result, info.assume_init())
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the record is either still zero or about a child; `si_pid` is 0 in the first case.
    let found = unsafe { info.si_pid() } != 0;
    Ok(found.then_some(info))
}

/// How a dead child ended, without reaping it. `None` when it is not dead, or no child.
pub(super) fn ended(child: Pid) -> Option<(Exit, Usage)> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: both pointers are to writable memory of the right size; all zeros is a valid record of either kind. The raw
    // call, as the C library's has no place for the usage.
    let (result, info, usage) = unsafe {
        let result = libc::syscall(
            libc::SYS_waitid,
            libc::P_PID,
            child,
            info.as_mut_ptr(),
            options,
            usage.as_mut_ptr(),
        );
        (result, info.assume_init(), usage.assume_init())
    };
    // SAFETY: the record is either still zero or about a child.
    let (pid, value) = unsafe { (info.si_pid(), info.si_status()) };
    if result != 0 || pid != child {
        return None;
    }
    let status = match info.si_code {
        libc::CLD_EXITED => value << 8,
        libc::CLD_DUMPED => value | 0x80,
        _ => value,
    };
    Some((exit_of(status), usage_of(&usage)))
}

/// Reaps a dead child. `None` when it is not dead, or no child.
pub(super) fn reap(child: Pid) -> Option<(Exit, Usage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to writable memory of the right size; all zeros is a valid rusage.
    let (reaped, usage) = unsafe {
        let reaped = libc::wait4(child, &raw mut status, libc::WNOHANG, usage.as_mut_ptr());
        (reaped, usage.assume_init())
    };
    (reaped == child).then(|| (exit_of(status), usage_of(&usage)))
}

fn exit_of(status: libc::c_int) -> Exit {
    if !libc::WIFSIGNALED(status) {
        return Exit::Code(libc::WEXITSTATUS(status) as u8);
    }
    let number = libc::WTERMSIG(status);
    match Signal::from_number(number) {
        Some(signal) => Exit::Signal {
            signal,
            core: libc::WCOREDUMP(status),
        },
        // 32 and 33 belong to the C library and have no name; the code is the one a shell would give.
        None => Exit::Code(128 + number as u8),
    }
}

fn usage_of(usage: &libc::rusage) -> Usage {
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
    };
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        // The kernel counts in KiB.
        max_rss: usage.ru_maxrss as u64 * 1024,
    }
}

/// Sends a signal to a process, or with a negative number to a group. Says whether there was anybody.
/// 0 and -1 are refused: one is our own group, the other everybody.
pub(super) fn kill(target: Pid, signal: Signal) -> bool {
    if target == 0 || target == -1 {
        return false;
    }
    // SAFETY: takes numbers only.
    unsafe { libc::kill(target, signal.number()) == 0 }
}

/// Whether a process (dead ones that nobody reaped included) has this number.
pub(super) fn is_taken(pid: Pid) -> bool {
    // SAFETY: takes numbers only; signal 0 is not sent.
    let result = unsafe { libc::kill(pid, 0) };
    result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// The session of a process; `None` when there is no such process.
pub(super) fn session_of(pid: Pid) -> Option<Pid> {
    // SAFETY: takes a number only.
    let session = unsafe { libc::getsid(pid) };
    (session >= 0).then_some(session)
}

/// The process group of a process; `None` when there is no such process.
pub(super) fn group_of(pid: Pid) -> Option<Pid> {
    // SAFETY: takes a number only.
    let group = unsafe { libc::getpgid(pid) };
    (group >= 0).then_some(group)
}

/// A handle on a process that stays its own when the number is used again. `None` when the process is gone, or when the
/// kernel (before 5.3, gVisor) or a seccomp filter knows no such thing.
pub(super) fn pidfd(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    // SAFETY: a descriptor that the kernel has just made for us; it is close-on-exec by itself.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Sends a signal through a handle. Says whether the process was still there.
pub(super) fn pidfd_kill(process: BorrowedFd<'_>, signal: Signal) -> bool {
    // SAFETY: the descriptor is open, no record is passed.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal.number(),
            std::ptr::null::<libc::siginfo_t>(),
            0,
        ) == 0
    }
}

/// Whether the calling thread is the process's first one.
pub(super) fn on_main_thread() -> bool {
    // SAFETY: take nothing.
    unsafe { libc::gettid() == libc::getpid() }
}

/// Our own process id.
pub(super) fn own_pid() -> Pid {
    // SAFETY: takes nothing.
    unsafe { libc::getpid() }
}

/// The terminal's foreground group; `None` when the descriptor is no terminal, or not ours to control.
pub(super) fn foreground_group(terminal: BorrowedFd<'_>) -> Option<Pid> {
    // SAFETY: the descriptor is open.
    let group = unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) };
    (group >= 0).then_some(group)
}

/// Makes a group the terminal's foreground one. TTOU must be blocked or ignored.
pub(super) fn set_foreground_group(terminal: BorrowedFd<'_>, group: Pid) -> bool {
    // SAFETY: the descriptor is open.
    unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), group) == 0 }
}

/// Puts a child into a group of its own. Fails harmlessly once the child has made its exec: it did that itself.
pub(super) fn make_group(child: Pid) {
    // SAFETY: takes numbers only.
    let _ = unsafe { libc::setpgid(child, child) };
}
