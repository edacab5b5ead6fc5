//! `podinit -- CMD`: as if podinit were not there, with a terminal or without.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use podinit::domain::exit::Exit;
use podinit::domain::plan::SignalTarget;
use podinit::domain::signal::Signal;
use podinit::ports::Stdio;
use podinit::sys::pid1;
use podinit::sys::procfs::Stat;
use podinit::sys::signals::SignalMode;
use serde_json::Value;

use crate::kit::{SOON, is_alive, processes, stub, until, with_table_of};
use crate::places::{new_namespace, own_proc};
use crate::scenario::Scenario;

pub(crate) const ALL: &[Scenario] = &[
    ("a_command_has_our_streams_and_its_own_session", streams),
    ("term_does_not_wake_what_a_command_stopped", no_wake),
    ("a_command_is_a_job_of_the_shell_above", job),
    ("a_job_in_the_background_waits_for_the_terminal", background),
    ("as_the_first_on_a_terminal_nothing_stops_for_good", || {
        first_on_a_terminal(false);
    }),
    ("as_pid_1_on_a_terminal_nothing_stops_for_good", || {
        first_on_a_terminal(true);
    }),
    ("leftovers_on_a_terminal_are_those_of_the_group", leftovers),
];

fn streams() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let start = pid1::init(SignalMode::Command).unwrap();
    // SAFETY: numbers only; nobody else uses stdin here.
    assert_eq!(unsafe { libc::dup2(reader.as_raw_fd(), 0) }, 0);
    let output = tempfile::NamedTempFile::new().unwrap();
    // SAFETY: as above, with stdout.
    assert_eq!(unsafe { libc::dup2(output.as_raw_fd(), 1) }, 1);
    with_table_of(start, async |mut kit| {
        let launch = stub(&["--state", "--echo", "--exit", "42"]);
        let run = kit.spawn_with(&launch, Stdio::Inherited).unwrap();
        (&writer).write_all(b"hello\n").unwrap();
        drop(writer);
        assert_eq!(kit.exited(run).await, (Exit::Code(42), 0));
        let text = std::fs::read_to_string(output.path()).unwrap();
        let mut lines = text.lines();
        let state: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(lines.next(), Some("hello"));
        assert_eq!(state["session"], state["pid"]);
        assert_eq!(state["fds"].as_object().unwrap().len(), 3);
    });
    let _ = reader.read(&mut [0]);
}

fn no_wake() {
    let start = pid1::init(SignalMode::Command).unwrap();
    with_table_of(start, async |mut kit| {
        let launch = stub(&["--raise", "SIGSTOP", "--forever"]);
        let run = kit.spawn_with(&launch, Stdio::Inherited).unwrap();
        let pid = kit.spawned(run).await;
        until("it has stopped", || Stat::read(pid).unwrap().state == b'T');
        kit.signal(run, Signal::TERM, SignalTarget::Leader);
        kit.pass(Duration::from_millis(50)).await;
        assert_eq!(Stat::read(pid).unwrap().state, b'T');
        kit.signal(run, Signal::CONT, SignalTarget::Leader);
        let (exit, _) = kit.exited(run).await;
        assert!(matches!(
            exit,
            Exit::Signal {
                signal: Signal::TERM,
                ..
            }
        ));
    });
}

/// The other end of a terminal.
pub(crate) struct Master {
    fd: OwnedFd,
    seen: Vec<u8>,
}

impl Master {
    pub(crate) fn open() -> (Master, OwnedFd) {
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: two addresses of locals; nothing else is asked for.
        unsafe {
            let result = libc::openpty(
                &raw mut master,
                &raw mut slave,
                std::ptr::null_mut(),
                std::ptr::null(),
                std::ptr::null(),
            );
            assert_eq!(result, 0, "/dev/ptmx is needed");
            let master = Master {
                fd: OwnedFd::from_raw_fd(master),
                seen: Vec::new(),
            };
            (master, OwnedFd::from_raw_fd(slave))
        }
    }

    fn write(&mut self, text: &str) {
        nix::unistd::write(&self.fd, text.as_bytes()).unwrap();
    }

    /// Waits until this has been written to the terminal; forgets what came before.
    pub(crate) fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(at) = self
                .seen
                .windows(text.len())
                .position(|w| w == text.as_bytes())
            {
                self.seen.drain(..at + text.len());
                return;
            }
            let seen = String::from_utf8_lossy(&self.seen).into_owned();
            assert!(Instant::now() < deadline, "no {text:?} in {seen:?}");
            let mut buffer = [0; 4096];
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            if nix::poll::poll(&mut fds, PollTimeout::from(100_u8)).unwrap() == 1 {
                let length = nix::unistd::read(&self.fd, &mut buffer).unwrap_or(0);
                self.seen.extend(&buffer[..length]);
            }
        }
    }

    fn foreground(&self) -> i32 {
        // SAFETY: the descriptor is open.
        unsafe { libc::tcgetpgrp(self.fd.as_raw_fd()) }
    }
}

/// Runs a function in a new process that leads a session with this terminal.
pub(crate) fn on_terminal(slave: &OwnedFd, body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: this process has one thread; numbers only.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::setsid();
            assert_eq!(libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0), 0);
            for fd in 0..=1 {
                libc::dup2(slave.as_raw_fd(), fd);
            }
            libc::_exit(body());
        }
        child
    }
}

/// What `podinit --` does.
fn podinit(args: &[&str]) -> i32 {
    let start = pid1::init(SignalMode::Command).unwrap();
    let mut code = 0;
    with_table_of(start, async |mut kit| {
        let run = kit.spawn_with(&stub(args), Stdio::Inherited).unwrap();
        let (exit, left) = kit.exited(run).await;
        if left > 0 {
            kit.kill(run);
            kit.empty(run).await;
        }
        code = i32::from(exit.shell_code());
    });
    code
}

/// A shell with one job, which is podinit. Writes a letter for what happens to it: `s`topped, e`x`ited; reads what to
/// do: `f`oreground, `b`ackground. Gives the job's exit code.
fn shell(
    mut told: impl Read,
    mut tell: impl Write,
    args: &[&str],
    start_in_background: bool,
) -> i32 {
    // SAFETY: numbers, the address of a local; this process has one thread.
    unsafe {
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        let own = libc::getpgrp();
        let job = libc::fork();
        if job == 0 {
            libc::setpgid(0, 0);
            if !start_in_background {
                libc::tcsetpgrp(0, libc::getpid());
            }
            libc::signal(libc::SIGTTOU, libc::SIG_DFL);
            libc::_exit(podinit(args));
        }
        libc::setpgid(job, job);
        loop {
            let mut status = 0;
            assert_eq!(libc::waitpid(job, &raw mut status, libc::WUNTRACED), job);
            let foreground = libc::tcgetpgrp(0);
            libc::tcsetpgrp(0, own);
            if !libc::WIFSTOPPED(status) {
                // The job's terminal is its own again, not its child's.
                assert!(foreground == job || foreground == own, "{foreground}");
                tell.write_all(b"x").unwrap();
                return libc::WEXITSTATUS(status);
            }
            tell.write_all(b"s").unwrap();
            let mut order = [0];
            told.read_exact(&mut order).unwrap();
            if order[0] == b'f' {
                libc::tcsetpgrp(0, job);
            }
            libc::kill(-job, libc::SIGCONT);
        }
    }
}

struct Session {
    master: Master,
    shell: i32,
    orders: std::io::PipeWriter,
    news: std::io::PipeReader,
}

impl Session {
    fn start(args: &[&str], start_in_background: bool) -> Session {
        let (master, slave) = Master::open();
        let (told, orders) = std::io::pipe().unwrap();
        let (news, tell) = std::io::pipe().unwrap();
        let shell = on_terminal(&slave, || shell(told, tell, args, start_in_background));
        Session {
            master,
            shell,
            orders,
            news,
        }
    }

    fn news(&mut self) -> char {
        let mut letter = [0];
        self.news.read_exact(&mut letter).unwrap();
        char::from(letter[0])
    }

    fn order(&mut self, letter: &str) {
        self.orders.write_all(letter.as_bytes()).unwrap();
    }

    /// The child of podinit, which is the child of the shell.
    fn command(&self) -> i32 {
        let mut found = 0;
        until("the command is there", || {
            let podinit = processes(|stat| stat.parent == self.shell);
            let children = processes(|stat| podinit.contains(&stat.parent));
            found = children.first().copied().unwrap_or(0);
            found != 0
        });
        found
    }

    fn end(self) -> i32 {
        let pid = nix::unistd::Pid::from_raw(self.shell);
        match nix::sys::wait::waitpid(pid, None).unwrap() {
            nix::sys::wait::WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}"),
        }
    }
}

fn job() {
    let mut session = Session::start(&["--say", "ready", "--echo", "--exit", "5"], false);
    session.master.expect("ready");
    let command = session.command();
    until("it is in the foreground", || {
        session.master.foreground() == command
    });
    let stat = Stat::read(command).unwrap();
    assert_eq!((stat.session, stat.group), (session.shell, command));
    session.master.write("one\n");
    session.master.expect("one\r\none\r\n");

    for round in ["two", "three"] {
        session.master.write("\x1a");
        assert_eq!(session.news(), 's');
        assert_eq!(session.master.foreground(), session.shell);
        assert_eq!(Stat::read(command).unwrap().state, b'T');
        session.order("f");
        until("it is in the foreground again", || {
            session.master.foreground() == command
        });
        session.master.write(&format!("{round}\n"));
        session.master.expect(&format!("{round}\r\n{round}\r\n"));
    }

    // Ctrl-C is the command's, not ours: it ends by it, and we as it did.
    session.master.write("\x03");
    assert_eq!(session.news(), 'x');
    assert_eq!(session.end(), 128 + libc::SIGINT);
}

fn background() {
    let mut session = Session::start(&["--echo", "--exit", "5"], true);
    // It reads, which stops it, and so us.
    assert_eq!(session.news(), 's');
    let command = session.command();
    assert_eq!(session.master.foreground(), session.shell);
    session.order("b");
    assert_eq!(session.news(), 's');
    session.order("f");
    until("it is in the foreground", || {
        session.master.foreground() == command
    });
    session.master.write("now\n");
    session.master.expect("now\r\nnow\r\n");
    // Stopped by a signal from elsewhere, it is the same.
    // SAFETY: numbers only.
    unsafe { libc::kill(command, libc::SIGSTOP) };
    assert_eq!(session.news(), 's');
    session.order("f");
    until("it is in the foreground again", || {
        session.master.foreground() == command
    });
    session.master.write("\x04");
    assert_eq!(session.news(), 'x');
    assert_eq!(session.end(), 5);
}

/// As under `docker run -it`: nobody is above to continue us.
fn first_on_a_terminal(as_pid1: bool) {
    let (mut master, slave) = Master::open();
    if as_pid1 {
        new_namespace();
    }
    let podinit = on_terminal(&slave, || {
        if as_pid1 {
            own_proc();
        }
        podinit(&["--say", "ready", "--echo", "--exit", "5"])
    });
    typing(&mut master);
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(podinit), None).unwrap();
    assert!(
        matches!(status, nix::sys::wait::WaitStatus::Exited(_, 5)),
        "{status:?}"
    );
}

fn typing(master: &mut Master) {
    master.expect("ready");
    master.write("one\n");
    master.expect("one\r\none\r\n");
    master.write("\x1a");
    master.expect("^Z");
    master.write("two\n");
    master.expect("two\r\ntwo\r\n");
    master.write("\x04");
}

fn leftovers() {
    let (mut master, slave) = Master::open();
    let podinit = on_terminal(&slave, || {
        podinit(&[
            "--ignore", "SIGHUP", "--hold", "1", "--state", "--exit", "6",
        ])
    });
    master.expect("\"group\":");
    until("it is over", || !is_alive(podinit));
    assert!(processes(|stat| stat.session == podinit && stat.is_alive()).is_empty());
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(podinit), None).unwrap();
    assert!(
        matches!(status, nix::sys::wait::WaitStatus::Exited(_, 6)),
        "{status:?}"
    );
}
