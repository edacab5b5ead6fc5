//! podinit, or tini, with streams of the test's own: for what the harness of lines does not show.

#![allow(
    dead_code,
    unreachable_pub,
    unsafe_code,
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses a part of this; tests are at the edge"
)]

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::support::{As, PODINIT, SOON, children_of, state_of, within};

/// A child with flags.
pub const STUB: &str = env!("CARGO_BIN_EXE_podinit-stub");

/// What becomes PID 1 of a PID namespace of its own.
pub const NAMESPACE: [&str; 5] = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"];

/// Something to be run: podinit, tini or a command, with all streams piped unless told otherwise.
#[derive(Debug)]
pub struct Bare {
    command: Command,
    mode: As,
    keeps: Vec<tempfile::TempDir>,
}

impl Bare {
    /// These words, behind those that make a namespace when it is to be PID 1.
    pub fn new(mode: As, words: &[&str]) -> Bare {
        let mut all: Vec<&str> = match mode {
            As::Pid1 => NAMESPACE.to_vec(),
            As::PlainChild => Vec::new(),
        };
        all.extend(words);
        let mut command = Command::new(all[0]);
        command.args(&all[1..]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Bare {
            command,
            mode,
            keeps: Vec::new(),
        }
    }

    /// `podinit -- words`.
    pub fn podinit(mode: As, words: &[&str]) -> Bare {
        Bare::new(mode, &[&[PODINIT, "--"], words].concat())
    }

    /// `tini -- words`.
    pub fn tini(mode: As, words: &[&str]) -> Bare {
        let tini: &[&str] = match mode {
            As::Pid1 => &["tini", "--"],
            As::PlainChild => &["tini", "-s", "--"],
        };
        Bare::new(mode, &[tini, words].concat())
    }

    /// podinit with a spec, given as [`crate::support::Start::spec`] wants it, behind words of the test's own.
    pub fn spec(mode: As, under: &[&str], spec: &str) -> Bare {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("processset.yaml");
        let text = format!(
            "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: test}}\nspec:\n{spec}\n"
        );
        std::fs::write(&file, text).unwrap();
        let run = [PODINIT, "-f", file.to_str().unwrap()];
        let mut bare = Bare::new(mode, &[under, &run].concat());
        bare.command.current_dir(dir.path());
        bare.command.envs(crate::support::apart(dir.path()));
        bare.keeps.push(dir);
        bare
    }

    /// Changes how it is run.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Bare {
        change(&mut self.command);
        self
    }

    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Bare {
        self.with(|command| {
            command.env(name, value);
        })
    }

    #[must_use]
    pub fn dir(self, dir: &std::path::Path) -> Bare {
        self.with(|command| {
            command.current_dir(dir);
        })
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        // What started the tests may ignore some, and so would the child of a child: a shell INT and QUIT of what it starts
        // in the background, Python PIPE and XFSZ of everything.
        let reset = || {
            for number in 1..=libc::SIGRTMAX() {
                // SAFETY: only says what a signal does, and fails for KILL and STOP; it is async-signal-safe.
                unsafe { libc::signal(number, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: what runs between fork and exec is async-signal-safe.
        unsafe { self.command.pre_exec(reset) };
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let stdout = child.stdout.take().map(Stream::of);
        let stderr = child.stderr.take().map(Stream::of);
        Running {
            stdin: child.stdin.take(),
            child,
            mode: self.mode,
            stdout,
            stderr,
            keeps: self.keeps,
        }
    }

    /// Runs it to its end, without input; gives its code and what it wrote.
    pub fn run(self) -> Ended {
        let mut running = self.start();
        running.stdin.take();
        running.finish(SOON)
    }
}

/// What runs. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    mode: As,
    pub stdin: Option<ChildStdin>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    keeps: Vec<tempfile::TempDir>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; 128 + signal when one ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// From the call that waited to its end.
    pub took: Duration,
    keeps: Vec<tempfile::TempDir>,
}

impl Ended {
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.keeps[0].path().join(name)
    }

    /// Everything, for a failure message.
    pub fn story(&self) -> String {
        format!("exit {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Running {
    /// Its process id as the test sees it.
    pub fn pid(&self) -> i32 {
        let own = self.child.id() as i32;
        match self.mode {
            As::PlainChild => own,
            As::Pid1 => within(SOON, "unshare to fork", || {
                children_of(own).first().copied()
            }),
        }
    }

    /// Its first child.
    pub fn child(&self) -> i32 {
        let pid = self.pid();
        within(SOON, "a child", || children_of(pid).first().copied())
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.keeps[0].path().join(name)
    }

    pub fn signal(&self, number: i32) {
        kill(self.pid(), number);
    }

    pub fn stdout(&self) -> &Stream {
        self.stdout.as_ref().unwrap()
    }

    pub fn stderr(&self) -> &Stream {
        self.stderr.as_ref().unwrap()
    }

    /// Waits for the end; what holds its output open after that is not waited for.
    pub fn finish(mut self, limit: Duration) -> Ended {
        let began = Instant::now();
        let code = self.code(limit);
        let took = began.elapsed();
        let text = |stream: &Option<Stream>| stream.as_ref().map(Stream::to_the_end);
        Ended {
            code,
            stdout: text(&self.stdout).unwrap_or_default(),
            stderr: text(&self.stderr).unwrap_or_default(),
            took,
            keeps: std::mem::take(&mut self.keeps),
        }
    }

    /// Waits for its exit code.
    pub fn code(&mut self, limit: Duration) -> i32 {
        let own = self.child.id() as i32;
        within(limit, "the end", || {
            matches!(state_of(own), None | Some('Z')).then_some(())
        });
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // --kill-child ends the namespace with unshare.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    closed: bool,
}

/// What comes out of a descriptor, read as it comes.
#[derive(Debug, Clone, Default)]
pub struct Stream(Arc<(Mutex<Text>, Condvar)>);

impl Stream {
    pub fn of(mut from: impl Read + Send + 'static) -> Stream {
        let stream = Stream::default();
        let sink = stream.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let count = from.read(&mut buffer).unwrap_or(0);
                let mut text = sink.lock();
                text.bytes.extend_from_slice(&buffer[..count]);
                text.closed = count == 0;
                drop(text);
                sink.0.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        stream
    }

    fn lock(&self) -> MutexGuard<'_, Text> {
        self.0.0.lock().unwrap()
    }

    /// What came so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits until what came is as wanted.
    pub fn wait<T>(&self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        let mut guard = self.lock();
        loop {
            let text = String::from_utf8_lossy(&guard.bytes);
            if let Some(found) = found(&text) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !guard.closed,
                "never came: {what}\n{}",
                tail(&text)
            );
            guard = self.0.1.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// Waits for so many occurrences of a text.
    pub fn wait_for(&self, text: &str, times: usize) {
        self.wait(&format!("{text:?} x {times}"), |all| {
            (all.matches(text).count() >= times).then_some(())
        });
    }

    /// All of it, once it is closed; what there is when that takes too long.
    pub fn to_the_end(&self) -> String {
        let deadline = Instant::now() + SOON;
        let mut guard = self.lock();
        while !guard.closed && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            guard = self.0.1.wait_timeout(guard, left).unwrap().0;
        }
        String::from_utf8_lossy(&guard.bytes).into_owned()
    }
}

fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(4000);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// Sends a signal, real-time ones too; that nobody is there any more is no error.
pub fn kill(pid: i32, number: i32) {
    // SAFETY: numbers only.
    unsafe { libc::kill(pid, number) };
}

/// The processes, dead ones left out, with this text in their command line.
pub fn with_mark(mark: &str) -> Vec<i32> {
    let is_marked = |pid: i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| memchr::memmem::find(&line, mark.as_bytes()).is_some())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| is_marked(*pid) && !matches!(state_of(*pid), None | Some('Z' | 'X')))
        .collect()
}

/// A mark that no other test has.
pub fn mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// A line of /proc/PID/status.
pub fn status_of(pid: i32, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"))
        .map(|value| value.trim().to_owned())
}
