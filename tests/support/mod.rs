//! podinit as its users run it: the real binary on a spec of a few lines, its log read line by line, its end awaited.
//! Every wait is on a predicate under a deadline.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::format_push_string,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses a part of this; tests are at the edge"
)]

pub mod http;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// What everything is awaited for at most, unless a test says otherwise. Generous: the machine may be busy.
pub const SOON: Duration = Duration::from_secs(30);

/// The binary under test.
pub const PODINIT: &str = env!("CARGO_BIN_EXE_podinit");

/// How podinit is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// PID 1 of a new PID namespace with its own /proc, as in a container.
    Pid1,
    /// A plain child of the test.
    PlainChild,
}

#[derive(Debug, Default)]
struct Output {
    lines: Vec<Line>,
    closed: bool,
}

/// In seconds.
const DAY: f64 = 86_400.0;

/// A line of podinit's standard output, and when the test saw it.
#[derive(Debug, Clone)]
pub struct Line {
    /// When the test saw it.
    pub at: Instant,
    /// As it came.
    pub text: String,
    /// As JSON; `Null` when it is none.
    pub json: Value,
}

impl Line {
    /// A text field; empty when there is none.
    pub fn get(&self, key: &str) -> &str {
        self.json.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// A number field.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.json.get(key).and_then(Value::as_f64)
    }

    /// How long after another record podinit wrote this one, by its own clock, less than a day: when a test sees a line
    /// depends on when it has its turn.
    pub fn since(&self, earlier: &Line) -> Duration {
        Duration::from_secs_f64((self.second() - earlier.second()).rem_euclid(DAY))
    }

    /// podinit wrote it after this time, by at most half a day.
    pub fn is_after(&self, time: SystemTime) -> bool {
        let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let after = (self.second() - time.as_secs_f64()).rem_euclid(DAY);
        after > 0.0 && after < DAY / 2.0
    }

    /// Of the day.
    fn second(&self) -> f64 {
        let time = self.get("time").trim_end_matches('Z');
        let (_, time) = time.split_once('T').unwrap();
        let parts = time.split(':').map(|part| part.parse::<f64>().unwrap());
        parts.fold(0.0, |sum, part| sum * 60.0 + part)
    }

    /// podinit's own record about this instance with this beginning of a message.
    pub fn is_own(&self, instance: &str, message: &str) -> bool {
        self.get("source") == "podinit"
            && self.get("instance") == instance
            && self.get("message").starts_with(message)
    }

    /// The same for every instance whose name begins so.
    pub fn is_own_prefix(&self, instance: &str, message: &str) -> bool {
        self.get("source") == "podinit"
            && self.get("instance").starts_with(instance)
            && self.get("message").starts_with(message)
    }
}

/// A podinit to be started.
#[derive(Debug)]
pub struct Start {
    mode: As,
    args: Vec<String>,
    env: Vec<(String, Option<String>)>,
    wrapper: Vec<String>,
    stdin: Option<String>,
    dir: tempfile::TempDir,
}

impl Start {
    /// With a ProcessSet of which `spec` is given, indented by two at least, as YAML.
    pub fn spec(spec: &str) -> Start {
        let start = Start::args(&[]);
        let file = start.dir.path().join("processset.yaml");
        let text = format!(
            "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: test}}\nspec:\n{spec}\n"
        );
        fs::write(&file, text).unwrap();
        start.arg("-f").arg(file.to_str().unwrap())
    }

    /// With these arguments only.
    pub fn args(args: &[&str]) -> Start {
        Start {
            mode: As::Pid1,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: Vec::new(),
            wrapper: Vec::new(),
            stdin: None,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    #[must_use]
    pub fn mode(mut self, mode: As) -> Start {
        self.mode = mode;
        self
    }

    #[must_use]
    pub fn arg(mut self, arg: &str) -> Start {
        self.args.push(arg.to_owned());
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Start {
        self.env.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Start {
        self.env.push((name.to_owned(), None));
        self
    }

    /// Puts words before podinit's path, as `setpriv --reuid 1234`.
    #[must_use]
    pub fn under(mut self, words: &[&str]) -> Start {
        self.wrapper
            .extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    #[must_use]
    pub fn stdin(mut self, text: &str) -> Start {
        self.stdin = Some(text.to_owned());
        self
    }

    /// A directory of the test's own, removed at its end.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self) -> Command {
        let mut words: Vec<&str> = match self.mode {
            As::Pid1 => vec!["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"],
            As::PlainChild => vec![],
        };
        words.extend(self.wrapper.iter().map(String::as_str));
        words.push(PODINIT);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(&self.args);
        command.current_dir(self.dir.path());
        command.envs(apart(self.dir.path()));
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Starts it; its standard output is read from now on.
    pub fn start(self) -> Podinit {
        let mut command = self.command();
        let stdin = if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        if let Some(text) = &self.stdin {
            child
                .stdin
                .take()
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }
        let output: Arc<(Mutex<Output>, Condvar)> = Arc::default();
        let stdout = child.stdout.take().unwrap();
        let sink = Arc::clone(&output);
        std::thread::spawn(move || read_lines(stdout, &sink));
        let errors: Arc<Mutex<String>> = Arc::default();
        let mut stderr = child.stderr.take().unwrap();
        let sink = Arc::clone(&errors);
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            *sink.lock().unwrap() = text;
        });
        Podinit {
            child,
            mode: self.mode,
            wrapped: !self.wrapper.is_empty(),
            output,
            stderr: Some(stderr),
            errors,
            dir: self.dir,
        }
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Finished {
        self.start().finish(SOON)
    }
}

/// What keeps podinits that run at the same time apart: no port, a socket and a state directory in this directory, which
/// any user may write to from now on.
pub fn apart(dir: &Path) -> [(&'static str, PathBuf); 3] {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    [
        ("PODINIT_ADMIN_ADDR", "off".into()),
        ("PODINIT_SOCKET", dir.join("podinit.sock")),
        ("PODINIT_STATE_DIR", dir.join("state")),
    ]
}

fn read_lines(stdout: impl std::io::Read, sink: &(Mutex<Output>, Condvar)) {
    let mut reader = BufReader::with_capacity(1 << 16, stdout);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let end = reader.read_until(b'\n', &mut bytes).unwrap_or(0) == 0;
        let mut output = sink.0.lock().unwrap();
        if end {
            output.closed = true;
        } else {
            let text = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
            output.lines.push(Line {
                at: Instant::now(),
                json: serde_json::from_str(&text).unwrap_or(Value::Null),
                text: text.into_owned(),
            });
        }
        sink.1.notify_all();
        if end {
            return;
        }
    }
}

/// A podinit that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Podinit {
    child: Child,
    mode: As,
    wrapped: bool,
    output: Arc<(Mutex<Output>, Condvar)>,
    stderr: Option<std::thread::JoinHandle<()>>,
    errors: Arc<Mutex<String>>,
    dir: tempfile::TempDir,
}

/// How a podinit ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; 128 + signal when one ended it.
    pub code: i32,
    /// Everything it wrote to its standard output.
    pub lines: Vec<Line>,
    /// Everything it wrote to its standard error.
    pub stderr: String,
    /// From the call that waited to its end.
    pub took: Duration,
    dir: tempfile::TempDir,
}

impl Finished {
    /// The test's own directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everything, for a failure message.
    pub fn story(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        format!("exit {}\n{}\n{}", self.code, lines.join("\n"), self.stderr)
    }

    /// podinit's last record: how it ended, and what it counted.
    pub fn summary(&self) -> &Line {
        let own = |line: &&Line| {
            line.get("source") == "podinit" && line.get("message").starts_with("finished: ")
        };
        let summary = self.lines.iter().rev().find(own);
        summary.unwrap_or_else(|| panic!("no summary in\n{}", self.story()))
    }

    /// Whether some line is as told.
    pub fn has(&self, is: impl Fn(&Line) -> bool) -> bool {
        self.lines.iter().any(is)
    }

    /// The place of the first line that is as told.
    pub fn position(&self, what: &str, is: impl Fn(&Line) -> bool) -> usize {
        self.lines
            .iter()
            .position(is)
            .unwrap_or_else(|| panic!("no line {what} in\n{}", self.story()))
    }
}

impl Podinit {
    /// The test's own directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in the test's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// podinit's process id as the test sees it.
    pub fn pid(&self) -> i32 {
        let own = self.child.id() as i32;
        match self.mode {
            As::PlainChild => own,
            As::Pid1 => *within(SOON, "unshare to fork", || {
                let children = children_of(own);
                (!children.is_empty()).then_some(children)
            })
            .first()
            .unwrap(),
        }
    }

    /// Waits for a line that is as told; gives it.
    pub fn wait_for(&self, what: &str, is: impl Fn(&Line) -> bool) -> Line {
        self.wait_for_nth(what, 1, is)
    }

    /// Waits for the n-th line that is as told; gives it.
    pub fn wait_for_nth(&self, what: &str, nth: usize, is: impl Fn(&Line) -> bool) -> Line {
        let deadline = Instant::now() + SOON;
        let (output, changed) = &*self.output;
        let mut guard = output.lock().unwrap();
        let (mut seen, mut looked) = (0, 0);
        loop {
            for line in &guard.lines[looked..] {
                seen += usize::from(is(line));
                if seen == nth {
                    return line.clone();
                }
            }
            looked = guard.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || guard.closed {
                let all: Vec<&str> = guard.lines.iter().map(|line| line.text.as_str()).collect();
                let errors = self.errors.lock().unwrap();
                panic!(
                    "no line: {what} (number {nth})\n{}\n{errors}",
                    all.join("\n")
                );
            }
            guard = changed.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// Waits until an instance has started; gives the pid it has in its namespace.
    pub fn wait_started(&self, instance: &str) -> i32 {
        let line = self.wait_for(&format!("{instance} started"), |line| {
            line.is_own(instance, "started")
        });
        line.number("pid").unwrap() as i32
    }

    /// An instance has started so often, and no more. Its output may be there before podinit says so.
    pub fn has_started(&self, instance: &str, times: usize) {
        let is = |line: &Line| line.is_own(instance, "started");
        self.wait_for_nth(&format!("{instance} started"), times, is);
        assert_eq!(self.starts(instance), times, "{instance}");
    }

    /// How often podinit has said so far that an instance started.
    pub fn starts(&self, instance: &str) -> usize {
        let lines = self.lines();
        let own = lines.iter().filter(|line| line.is_own(instance, "started"));
        own.count()
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.output.0.lock().unwrap().lines.clone()
    }

    /// Sends podinit a signal.
    pub fn signal(&self, signal: i32) {
        let pid = nix::unistd::Pid::from_raw(self.pid());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
    }

    /// Sends TERM and waits for the end.
    pub fn stop(self) -> Finished {
        self.signal(15);
        self.finish(SOON)
    }

    /// Waits for the end.
    pub fn finish(mut self, limit: Duration) -> Finished {
        let began = Instant::now();
        let status = self.wait_exit(limit);
        let took = began.elapsed();
        let (output, changed) = &*self.output;
        let deadline = Instant::now() + SOON;
        let mut guard = output.lock().unwrap();
        while !guard.closed && Instant::now() < deadline {
            guard = changed
                .wait_timeout(guard, deadline - Instant::now())
                .unwrap()
                .0;
        }
        let lines = guard.lines.clone();
        drop(guard);
        if let Some(stderr) = self.stderr.take() {
            stderr.join().unwrap();
        }
        let stderr = self.errors.lock().unwrap().clone();
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        Finished {
            code,
            lines,
            stderr,
            took,
            dir,
        }
    }

    fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        // A pidfd becomes readable when its process ends: no polling.
        let deadline = Instant::now() + limit;
        if let Ok(fd) = pidfd_open(pid) {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [nix::poll::PollFd::new(
                std::os::fd::AsFd::as_fd(&fd),
                nix::poll::PollFlags::POLLIN,
            )];
            let timeout = nix::poll::PollTimeout::try_from(left).unwrap();
            let ready = nix::poll::poll(&mut fds, timeout).unwrap_or(0);
            if ready == 0 {
                let all: Vec<String> = self.lines().into_iter().map(|line| line.text).collect();
                panic!("still there after {limit:?}\n{}", all.join("\n"));
            }
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Podinit {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // --kill-child ends the namespace with unshare.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[allow(
    unsafe_code,
    reason = "the one system call that nix has no wrapper for"
)]
fn pidfd_open(pid: nix::unistd::Pid) -> std::io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: plain system call; the descriptor it returns is owned by nobody else.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0);
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(std::os::fd::OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Whether the process `a` of a test's set says this.
pub fn says(word: &str) -> impl Fn(&Line) -> bool + use<> {
    let word = word.to_owned();
    move |line| line.get("process") == "a" && line.get("message") == word
}

/// Waits until `found` gives something. For what no line tells: looks again every few milliseconds, under a deadline.
pub fn within<T>(limit: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    let never = (Mutex::new(()), Condvar::new());
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        let guard = never.0.lock().unwrap();
        let _ = never
            .1
            .wait_timeout(guard, Duration::from_millis(2))
            .unwrap();
    }
}

/// The children of a process, of all its threads.
pub fn children_of(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Everything below a process, itself left out.
pub fn descendants_of(pid: i32) -> Vec<i32> {
    let mut all = children_of(pid);
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        all.extend(children_of(pid));
        next += 1;
    }
    all
}

/// A process's state letter (proc(5)); `None` when there is none.
pub fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
