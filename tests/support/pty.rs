//! A terminal, with something that runs in it.

#![allow(
    dead_code,
    unreachable_pub,
    unsafe_code,
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests are at the edge"
)]

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::bare::Stream;
use crate::support::{SOON, state_of, within};

/// A terminal, with something that runs in it. Dropping it ends that.
#[derive(Debug)]
pub struct Pty {
    child: Child,
    master: Option<File>,
    output: Stream,
    hung_up: Arc<AtomicBool>,
}

/// Reads until it is told to let go.
struct Reader {
    master: File,
    hung_up: Arc<AtomicBool>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while !self.hung_up.load(Ordering::Acquire) {
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(20_u8))? > 0 {
                return self.master.read(buffer);
            }
        }
        Ok(0)
    }
}

impl Pty {
    /// Runs words as the leader of a session that the terminal controls.
    pub fn start(words: &[&str], dir: &Path) -> Pty {
        Pty::run(words, dir, true)
    }

    /// Runs words with the terminal as their streams, but nobody's controlling terminal yet.
    pub fn start_uncontrolled(words: &[&str], dir: &Path) -> Pty {
        Pty::run(words, dir, false)
    }

    fn run(words: &[&str], dir: &Path, controlling: bool) -> Pty {
        let size = libc::winsize {
            ws_row: 37,
            ws_col: 113,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        for fd in [&pty.master, &pty.slave] {
            let flag = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
            nix::fcntl::fcntl(fd, flag).unwrap();
        }
        let stdio = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .current_dir(dir)
            .env("PS1", "$ ")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio());
        if controlling {
            // SAFETY: system calls with numbers only.
            unsafe {
                command.pre_exec(|| {
                    if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                    Ok(())
                });
            }
        }
        let child = command.spawn().unwrap();
        drop(command);
        drop(pty.slave);
        let master = File::from(pty.master);
        let hung_up = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            master: master.try_clone().unwrap(),
            hung_up: Arc::clone(&hung_up),
        };
        Pty {
            child,
            output: Stream::of(reader),
            master: Some(master),
            hung_up,
        }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn output(&self) -> &Stream {
        &self.output
    }

    fn master(&self) -> &File {
        self.master.as_ref().unwrap()
    }

    /// Types this.
    pub fn type_in(&self, keys: &str) {
        self.master().write_all(keys.as_bytes()).unwrap();
    }

    /// The user goes away.
    pub fn hang_up(&mut self) {
        self.hung_up.store(true, Ordering::Release);
        self.output.to_the_end();
        self.master = None;
    }

    /// The terminal's foreground process group.
    pub fn foreground(&self) -> i32 {
        // SAFETY: a number.
        unsafe { libc::tcgetpgrp(self.master().as_raw_fd()) }
    }

    /// Waits until a process group is in the foreground.
    pub fn wait_foreground(&self, group: i32) {
        within(SOON, &format!("{group} in the foreground"), || {
            (self.foreground() == group).then_some(())
        });
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the size lives through the call.
        unsafe { libc::ioctl(self.master().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }

    /// Waits for its exit code.
    pub fn code(&mut self, limit: Duration) -> i32 {
        let pid = self.pid();
        let deadline = Instant::now() + limit;
        within(2 * limit, "the end", || {
            assert!(
                Instant::now() < deadline,
                "still there:\n{}",
                self.output.text()
            );
            matches!(state_of(pid), None | Some('Z')).then_some(())
        });
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
