//! What a child does between fork and exec.
//!
//! The child is a copy of a process with several threads, of which only the calling one goes on: any lock may be held by
//! a thread that is no more. So in here there are raw system calls only: no allocation, no lock, no panic, nothing of
//! the C library but `syscall` itself. Everything a child needs is prepared in [`Orders`] before the fork.

#![allow(unsafe_code, reason = "fork, and raw system calls on prepared memory")]

use std::ffi::{c_char, c_int, c_long, c_uint};
use std::os::fd::RawFd;
use std::ptr;

use crate::domain::exit::{SpawnFailure, SpawnStep};

/// What the child is to do, in this order, ready for system calls.
#[derive(Debug)]
pub(super) struct Orders<'a> {
    /// Where failures are written to. Closes on exec.
    pub(super) status: RawFd,
    /// podinit's process id, to see whether it is still there.
    pub(super) parent: libc::pid_t,
    /// Session or group.
    pub(super) place: Place,
    /// Text for `/proc/self/oom_score_adj`.
    pub(super) oom_score_adj: Option<&'a [u8]>,
    /// Limits by number.
    pub(super) rlimits: &'a [(c_uint, libc::rlimit64)],
    /// Nice value.
    pub(super) nice: Option<c_int>,
    /// File mode creation mask.
    pub(super) umask: Option<u32>,
    /// Supplementary groups; `None`: as they are.
    pub(super) groups: Option<&'a [libc::gid_t]>,
    /// User and group; `None`: as they are.
    pub(super) ids: Option<(libc::uid_t, libc::gid_t)>,
    /// Sets no_new_privs.
    pub(super) no_new_privs: bool,
    /// The directory podinit was started in; `None`: `dir` is absolute.
    pub(super) start_dir: Option<RawFd>,
    /// Working directory; null: `start_dir`.
    pub(super) dir: *const c_char,
    /// stdin, stdout, stderr, all above 2; `None`: as they are.
    pub(super) stdio: Option<[RawFd; 3]>,
    /// Signals to make default.
    pub(super) signals: &'a [c_long],
    /// Paths to try, in this order.
    pub(super) candidates: &'a [*const c_char],
    /// With a null at the end.
    pub(super) argv: *const *const c_char,
    /// With a null at the end.
    pub(super) envp: *const *const c_char,
}

/// Where a child belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A session of its own, without a terminal.
    Session,
    /// A group of its own in our session.
    Group,
    /// The same, and the foreground of the terminal on stdin.
    Foreground,
}

/// Bytes that a failure takes in the status pipe: the step and errno.
pub(super) const MESSAGE_BYTES: usize = 8;

/// The steps that can fail after the fork.
const STEPS: [SpawnStep; 12] = [
    SpawnStep::Session,
    SpawnStep::OomScoreAdj,
    SpawnStep::Rlimit,
    SpawnStep::Nice,
    SpawnStep::Groups,
    SpawnStep::Gid,
    SpawnStep::Uid,
    SpawnStep::NoNewPrivs,
    SpawnStep::ParentDeathSignal,
    SpawnStep::WorkingDir,
    SpawnStep::Stdio,
    SpawnStep::Exec,
];

/// Reads what a child wrote.
pub(super) fn failure_of(message: [u8; MESSAGE_BYTES]) -> SpawnFailure {
    let (step, errno) = message.split_at(4);
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, i32::from_ne_bytes);
    let step = number(step);
    SpawnFailure {
        step: STEPS
            .into_iter()
            .find(|known| *known as i32 == step)
            .unwrap_or(SpawnStep::Exec),
        errno: number(errno),
    }
}

/// Forks; the child carries out its orders, the parent gets its process id, or errno.
///
/// Not fork(3): its handlers are other libraries' code. Not vfork: the parent would wait for the exec, and a mount that
/// hangs would stop PID 1. All signals are blocked across it, so that no handler of ours runs in the child.
pub(super) fn fork(orders: &Orders<'_>) -> Result<libc::pid_t, c_int> {
    let mut saved = 0_u64;
    // SAFETY: the masks are 8 bytes, as the kernel wants them. The child runs `obey` only, which never returns.
    unsafe {
        set_mask(&u64::MAX, &raw mut saved);
        let pid = call(libc::SYS_clone, [c_long::from(libc::SIGCHLD), 0, 0, 0, 0]);
        if pid == 0 {
            obey(orders);
        }
        let errno = if pid < 0 { errno() } else { 0 };
        set_mask(&raw const saved, ptr::null_mut());
        if pid < 0 {
            Err(errno)
        } else {
            Ok(pid as libc::pid_t)
        }
    }
}

/// The child's whole life.
unsafe fn obey(orders: &Orders<'_>) -> ! {
    // SAFETY: (for every step) what the orders point to was made before the fork, and this copy of it stays.
    unsafe {
        take_place(orders);
        take_limits(orders);
        take_identity(orders);
        stay_with_parent(orders);
        take_directory(orders);
        take_streams(orders);
        be_as_new(orders);
        execute(orders)
    }
}

unsafe fn take_place(orders: &Orders<'_>) {
    // SAFETY: numbers, and the address of a local.
    unsafe {
        let own = match orders.place {
            Place::Session => libc::SYS_setsid,
            Place::Group | Place::Foreground => libc::SYS_setpgid,
        };
        must(orders, SpawnStep::Session, call(own, [0, 0, 0, 0, 0]));
        if matches!(orders.place, Place::Foreground) {
            // TTOU is blocked, so this works from the background.
            let group = call(libc::SYS_getpid, [0, 0, 0, 0, 0]) as libc::pid_t;
            let request = libc::TIOCSPGRP as c_long;
            let foreground = [0, request, (&raw const group) as c_long, 0, 0];
            must(
                orders,
                SpawnStep::Session,
                call(libc::SYS_ioctl, foreground),
            );
        }
    }
}

/// As podinit's user: it may do more than the child's.
unsafe fn take_limits(orders: &Orders<'_>) {
    // SAFETY: numbers and prepared memory.
    unsafe {
        if let Some(text) = orders.oom_score_adj {
            let path = c"/proc/self/oom_score_adj".as_ptr() as c_long;
            let flags = c_long::from(libc::O_WRONLY | libc::O_CLOEXEC);
            let at = c_long::from(libc::AT_FDCWD);
            let fd = call(libc::SYS_openat, [at, path, flags, 0, 0]);
            must(orders, SpawnStep::OomScoreAdj, fd);
            let text = [fd, text.as_ptr() as c_long, text.len() as c_long, 0, 0];
            must(orders, SpawnStep::OomScoreAdj, call(libc::SYS_write, text));
            call(libc::SYS_close, [fd, 0, 0, 0, 0]);
        }
        for (resource, limit) in orders.rlimits {
            let resource = c_long::from(*resource);
            let limit = [0, resource, ptr::from_ref(limit) as c_long, 0, 0];
            must(orders, SpawnStep::Rlimit, call(libc::SYS_prlimit64, limit));
        }
        if let Some(nice) = orders.nice {
            let nice = [
                c_long::from(libc::PRIO_PROCESS),
                0,
                c_long::from(nice),
                0,
                0,
            ];
            must(orders, SpawnStep::Nice, call(libc::SYS_setpriority, nice));
        }
        if let Some(mask) = orders.umask {
            call(libc::SYS_umask, [c_long::from(mask), 0, 0, 0, 0]);
        }
    }
}

/// Groups, group, user, in this order: each step takes away the right to the one before it. The raw calls change this
/// thread only, and it is the only one here.
unsafe fn take_identity(orders: &Orders<'_>) {
    // SAFETY: numbers and prepared memory.
    unsafe {
        if let Some(groups) = orders.groups {
            let groups = [groups.len() as c_long, groups.as_ptr() as c_long, 0, 0, 0];
            must(orders, SpawnStep::Groups, call(libc::SYS_setgroups, groups));
        }
        if let Some((uid, gid)) = orders.ids {
            let (uid, gid) = (c_long::from(uid), c_long::from(gid));
            must(
                orders,
                SpawnStep::Gid,
                call(libc::SYS_setresgid, [gid, gid, gid, 0, 0]),
            );
            must(
                orders,
                SpawnStep::Uid,
                call(libc::SYS_setresuid, [uid, uid, uid, 0, 0]),
            );
        }
        if orders.ids.is_some() {
            // A change from one foreign user to another keeps ambient capabilities, which would come back with the
            // exec. Kernels before 4.3 have none.
            let option = c_long::from(libc::PR_CAP_AMBIENT);
            let clear = c_long::from(libc::PR_CAP_AMBIENT_CLEAR_ALL);
            call(libc::SYS_prctl, [option, clear, 0, 0, 0]);
        }
        if orders.no_new_privs {
            let option = c_long::from(libc::PR_SET_NO_NEW_PRIVS);
            must(
                orders,
                SpawnStep::NoNewPrivs,
                call(libc::SYS_prctl, [option, 1, 0, 0, 0]),
            );
        }
    }
}

/// Dies with podinit. After the change of user, which clears the request.
unsafe fn stay_with_parent(orders: &Orders<'_>) {
    // SAFETY: numbers only.
    unsafe {
        let option = c_long::from(libc::PR_SET_PDEATHSIG);
        let kill = c_long::from(libc::SIGKILL);
        must(
            orders,
            SpawnStep::ParentDeathSignal,
            call(libc::SYS_prctl, [option, kill, 0, 0, 0]),
        );
        // Died before the request? 0 is a parent outside of our PID namespace, which we cannot tell from another.
        let parent = call(libc::SYS_getppid, [0, 0, 0, 0, 0]) as libc::pid_t;
        if parent != orders.parent && parent != 0 {
            leave();
        }
    }
}

/// With the child's rights: what its user may not enter is refused.
unsafe fn take_directory(orders: &Orders<'_>) {
    // SAFETY: numbers and prepared memory.
    unsafe {
        if let Some(fd) = orders.start_dir {
            must(
                orders,
                SpawnStep::WorkingDir,
                call(libc::SYS_fchdir, [c_long::from(fd), 0, 0, 0, 0]),
            );
        }
        if !orders.dir.is_null() {
            must(
                orders,
                SpawnStep::WorkingDir,
                call(libc::SYS_chdir, [orders.dir as c_long, 0, 0, 0, 0]),
            );
        }
    }
}

/// Nothing above 2 stays open past the exec.
unsafe fn take_streams(orders: &Orders<'_>) {
    // SAFETY: numbers only.
    unsafe {
        if let Some(streams) = orders.stdio {
            let mut target = 0;
            for stream in streams {
                must(
                    orders,
                    SpawnStep::Stdio,
                    call(libc::SYS_dup3, [c_long::from(stream), target, 0, 0, 0]),
                );
                target = target.wrapping_add(1);
            }
        }
        // Before 5.11 refused: everything we know of is close-on-exec already.
        let flags = c_long::from(libc::CLOSE_RANGE_CLOEXEC);
        let last = c_long::from(c_uint::MAX);
        call(libc::SYS_close_range, [3, last, flags, 0, 0]);
    }
}

/// Default dispositions, nothing blocked. A signal that came since the fork takes effect here.
unsafe fn be_as_new(orders: &Orders<'_>) {
    /// The kernel's struct sigaction: handler, flags, restorer, mask. All zeros is SIG_DFL without flags.
    static DEFAULT: [u64; 4] = [0; 4];
    // SAFETY: prepared memory of the size that the kernel wants.
    unsafe {
        for number in orders.signals {
            let action = (&raw const DEFAULT) as c_long;
            call(libc::SYS_rt_sigaction, [*number, action, 0, 8, 0]);
        }
        set_mask(&0, ptr::null_mut());
    }
}

/// As execvp(3), without its shell: a path that is not there or may not be executed gives the next one its turn.
unsafe fn execute(orders: &Orders<'_>) -> ! {
    // SAFETY: prepared memory.
    unsafe {
        let mut reason = libc::ENOENT;
        let (argv, envp) = (orders.argv as c_long, orders.envp as c_long);
        for path in orders.candidates {
            call(libc::SYS_execve, [*path as c_long, argv, envp, 0, 0]);
            match errno() {
                libc::EACCES => reason = libc::EACCES,
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT
                    if orders.candidates.len() > 1 => {}
                other => {
                    reason = other;
                    break;
                }
            }
        }
        fail(orders, SpawnStep::Exec, reason)
    }
}

/// Goes on only when the call succeeded.
unsafe fn must(orders: &Orders<'_>, step: SpawnStep, result: c_long) {
    if result < 0 {
        // SAFETY: as in `obey`.
        unsafe { fail(orders, step, errno()) }
    }
}

unsafe fn fail(orders: &Orders<'_>, step: SpawnStep, errno: c_int) -> ! {
    let message = [step as c_int, errno];
    let address = message.as_ptr() as c_long;
    // SAFETY: the address of a local, of the length of a message.
    unsafe {
        let status = c_long::from(orders.status);
        call(
            libc::SYS_write,
            [status, address, MESSAGE_BYTES as c_long, 0, 0],
        );
        leave()
    }
}

unsafe fn leave() -> ! {
    loop {
        // SAFETY: a number; does not return.
        unsafe { call(libc::SYS_exit_group, [127, 0, 0, 0, 0]) };
    }
}

unsafe fn set_mask(new: *const u64, old: *mut u64) {
    let how = c_long::from(libc::SIG_SETMASK);
    // SAFETY: 8 bytes each, or null, as the caller promises.
    unsafe {
        call(
            libc::SYS_rt_sigprocmask,
            [how, new as c_long, old as c_long, 8, 0],
        )
    };
}

unsafe fn call(number: c_long, with: [c_long; 5]) -> c_long {
    // SAFETY: the caller gives what this call wants.
    unsafe { libc::syscall(number, with[0], with[1], with[2], with[3], with[4]) }
}

fn errno() -> c_int {
    // SAFETY: the address is always valid in this thread.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_reads_back() {
        for step in STEPS {
            let mut message = [0; MESSAGE_BYTES];
            message[..4].copy_from_slice(&(step as i32).to_ne_bytes());
            message[4..].copy_from_slice(&13_i32.to_ne_bytes());
            assert_eq!(failure_of(message), SpawnFailure { step, errno: 13 });
        }
    }
}
