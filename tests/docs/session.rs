//! Runs the blocks of a page: all in one directory, in their order, with podinit on the PATH.
//!
//! `sh` is a script that has to succeed. `console` is a session: `$ COMMAND` and below it what that prints, standard error
//! included. A line `...` stands for any lines, a line `^C` for Ctrl-C (on a terminal only), pressed once everything above it
//! was seen, in whatever order. What differs from run to run is not compared: times, durations, process ids, numbers with a fraction.
//! A command that fails is an error unless the next one is `echo $?`.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::matching::{Expected, is_like};
use crate::page::{Block, Mark, Page};

/// A command that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a page; gives how many blocks were run.
pub fn run(page: &Page) -> usize {
    let mut session = Session {
        dir: tempfile::tempdir().unwrap(),
        last_code: 0,
    };
    // Some commands are run as another user.
    std::fs::set_permissions(session.dir.path(), Permissions::from_mode(0o777)).unwrap();
    let mut count = 0;
    for block in &page.blocks {
        for mark in &block.marks {
            match mark {
                Mark::File(name) => session.write(name, &block.text),
                Mark::Run {
                    terminal,
                    any_order,
                } => {
                    count += 1;
                    session.block(block, *terminal, *any_order);
                }
                Mark::NotRun(_) | Mark::Invalid | Mark::Warns => {}
            }
        }
    }
    count
}

struct Session {
    dir: tempfile::TempDir,
    last_code: i32,
}

/// A command and what it has to print.
struct Step {
    command: String,
    expected: Vec<Expected>,
    /// The next command looks at the exit code.
    may_fail: bool,
}

impl Session {
    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn block(&mut self, block: &Block, terminal: bool, any_order: bool) {
        if block.language == "sh" {
            self.last_code = 0;
            let script = format!("set -euo pipefail\n{}", block.text);
            let mut job = Job::start(&script, self.dir.path(), terminal);
            let output = job.read(None).join("\n");
            let code = job.code();
            assert_eq!(code, 0, "{}: it failed:\n{output}", block.place);
            return;
        }
        for step in steps(&block.text) {
            self.step(block, &step, terminal, any_order);
        }
    }

    fn step(&mut self, block: &Block, step: &Step, terminal: bool, any_order: bool) {
        let script = format!("(exit {})\n{}", self.last_code, step.command);
        let mut job = Job::start(&script, self.dir.path(), terminal);
        for (at, item) in step.expected.iter().enumerate() {
            if *item == Expected::Interrupt {
                job.read(Some(&step.expected[..=at]));
                job.interrupt();
            }
        }
        let lines = job.read(None);
        self.last_code = job.code();
        assert!(
            is_like(&step.expected, &lines, any_order),
            "{}: `{}` gave something else:\n{}\n",
            block.place,
            step.command,
            lines.join("\n")
        );
        assert!(
            self.last_code == 0 || step.may_fail,
            "{}: `{}` failed with {}",
            block.place,
            step.command,
            self.last_code
        );
    }
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            if let (Some(last), true) = (steps.last_mut(), command.contains("$?")) {
                last.may_fail = true;
            }
            steps.push(Step {
                command: command.to_owned(),
                expected: Vec::new(),
                may_fail: false,
            });
        } else {
            let step = steps.last_mut().expect("a console block begins with `$ `");
            match line.strip_prefix("> ") {
                Some(more) if step.expected.is_empty() => {
                    step.command.push('\n');
                    step.command.push_str(more);
                }
                _ => step.expected.push(Expected::of(line)),
            }
        }
    }
    steps
}

/// A command that runs.
struct Job {
    child: Child,
    script: String,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    terminal: Option<File>,
    deadline: Instant,
}

impl Job {
    fn start(script: &str, dir: &Path, terminal: bool) -> Job {
        // A session of its own: what hangs is killed with all that belongs to it.
        let mut command = Command::new("setsid");
        let podinit = Path::new(env!("CARGO_BIN_EXE_podinit")).parent().unwrap();
        let path = format!("{}:{}", podinit.display(), std::env::var("PATH").unwrap());
        if terminal {
            command.arg("--ctty");
        }
        // So are its network and /run: what podinit takes there by itself is free.
        let script = format!("ip link set lo up; mount -t tmpfs none /run\n{script}");
        command.args([
            "--wait", "unshare", "--net", "--mount", "bash", "-c", &script,
        ]);
        command.current_dir(dir);
        command.env_clear();
        command.envs([
            ("PATH", path.as_str()),
            ("HOME", "/root"),
            ("NO_COLOR", "1"),
        ]);
        command.env("TMPDIR", dir);
        let (reader, writer, keyboard) = streams(terminal);
        let stdin = match &keyboard {
            Some(_) => Stdio::from(writer.try_clone().unwrap()),
            None => Stdio::null(),
        };
        command.stdin(stdin);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = command.spawn().unwrap();
        // It holds the writing end too.
        drop(command);
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut reader = File::from(reader);
            let mut bytes = [0; 4096];
            // A terminal ends with EIO.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Job {
            child,
            script,
            output,
            seen: Vec::new(),
            terminal: keyboard,
            deadline: Instant::now() + LIMIT,
        }
    }

    /// Reads until the end, or until there is what is expected; gives all whole lines so far.
    fn read(&mut self, until: Option<&[Expected]>) -> Vec<String> {
        loop {
            let lines = self.lines();
            if until.is_some_and(|expected| is_like(expected, &lines, false)) {
                return lines;
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Disconnected) if until.is_none() => return lines,
                Err(why) => {
                    self.kill();
                    panic!("`{}`: {why}, after\n{}", self.script, lines.join("\n"));
                }
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.seen).replace('\r', "");
        text.lines().map(str::to_owned).collect()
    }

    fn interrupt(&mut self) {
        let terminal = self.terminal.as_mut().expect("`^C` needs `run: terminal`");
        terminal.write_all(b"\x03").unwrap();
    }

    /// The output has ended: so has it, or it is about to.
    fn code(&mut self) -> i32 {
        let deadline = self.deadline;
        let child = &mut self.child;
        let left = deadline.saturating_duration_since(Instant::now());
        let status =
            crate::support::within(left, "the end of a command", || child.try_wait().unwrap());
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    fn kill(&self) {
        let group = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// Where output comes out, where it goes in, and with a terminal what stands for the keyboard.
fn streams(terminal: bool) -> (OwnedFd, OwnedFd, Option<File>) {
    if terminal {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut settings = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
        settings
            .local_flags
            .remove(nix::sys::termios::LocalFlags::ECHO);
        let now = nix::sys::termios::SetArg::TCSANOW;
        nix::sys::termios::tcsetattr(&pty.slave, now, &settings).unwrap();
        let keyboard = File::from(pty.master.try_clone().unwrap());
        (pty.master, pty.slave, Some(keyboard))
    } else {
        let (reader, writer) = std::io::pipe().unwrap();
        (reader.into(), writer.into(), None)
    }
}
