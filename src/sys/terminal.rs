//! podinit's terminal in `--` mode: the child is a job, podinit the shell that has only this one.
//!
//! The child is a process group of its own in our session, in the foreground when we are. When it stops (Ctrl-Z, or a
//! background read), podinit takes the terminal back and stops itself, so that the shell above sees its own job stop;
//! continued, it hands the terminal over again and continues the child's group. Where nobody is above to continue us
//! (PID 1, or an orphaned group), a stop from the keyboard is undone at once: it would freeze the container for good.

use std::os::fd::{AsFd, BorrowedFd};

use crate::domain::signal::Signal;

use super::after_fork::Place;
use super::call::{self, Pid};
use super::procfs::Stat;
use super::signals;

#[derive(Debug)]
pub(super) struct Terminal {
    stdin: std::io::Stdin,
    /// Our own process group.
    own: Pid,
    /// The child's.
    job: Option<Pid>,
}

impl Terminal {
    /// `None` when stdin is no terminal, or not the one that controls us.
    pub(super) fn of_stdin() -> Option<Terminal> {
        let stdin = std::io::stdin();
        call::foreground_group(stdin.as_fd())?;
        let own = call::group_of(0)?;
        Some(Terminal {
            stdin,
            own,
            job: None,
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }

    fn foreground(&self) -> Option<Pid> {
        call::foreground_group(self.fd())
    }

    /// In the background there is no foreground to give.
    pub(super) fn place(&self) -> Place {
        if self.foreground() == Some(self.own) {
            Place::Foreground
        } else {
            Place::Group
        }
    }

    /// The child does all this itself too; whoever is first, it is done before anything depends on it.
    pub(super) fn adopt(&mut self, child: Pid, place: Place) {
        call::make_group(child);
        if place == Place::Foreground {
            call::set_foreground_group(self.fd(), child);
        }
        self.job = Some(child);
    }

    /// The child is dead, and not reaped yet. The terminal goes back if it still has it.
    pub(super) fn over(&mut self, child: Pid) {
        if self.job == Some(child) {
            self.job = None;
            if self.foreground() == Some(child) {
                call::set_foreground_group(self.fd(), self.own);
            }
        }
    }

    /// A child changed state: if ours has stopped, do as a job does. Returns when it goes on.
    pub(super) fn mind(&mut self, is_pid1: bool) {
        let Some(job) = self.job else { return };
        let Some(signal) = call::stop_of(job) else {
            return;
        };
        let background = signal == libc::SIGTTIN || signal == libc::SIGTTOU;
        if background && self.foreground() == Some(self.own) {
            // A shell's fg made us the foreground without stopping and continuing us.
            self.go_on(job);
        } else if is_pid1 || self.group_is_orphaned() {
            let keyboard = signal == libc::SIGTSTP;
            if keyboard || (background && self.foreground() == Some(job)) {
                self.go_on(job);
            }
        } else {
            if self.foreground() == Some(job) {
                call::set_foreground_group(self.fd(), self.own);
            }
            signals::stop_self();
            self.go_on(job);
        }
    }

    /// With the terminal if it is ours to give.
    fn go_on(&self, job: Pid) {
        if self.foreground() == Some(self.own) {
            call::set_foreground_group(self.fd(), job);
        }
        call::kill(-job, Signal::CONT);
    }

    /// Whether nobody in our session, but outside of our group, is an ancestor: then nobody would continue us.
    fn group_is_orphaned(&self) -> bool {
        let Some(mut stat) = Stat::read(call::own_pid()) else {
            return true;
        };
        loop {
            let session = stat.session;
            match Stat::read(stat.parent) {
                Some(parent) if parent.session != session => return true,
                Some(parent) if parent.group != self.own => return false,
                Some(parent) => stat = parent,
                None => return true,
            }
        }
    }
}
