//! Drives a real table in a scenario, as the engine would, and waits for what has to happen.

#![allow(dead_code, reason = "not every test target uses all of it")]

use std::collections::HashMap;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use podinit::domain::event::Event;
use podinit::domain::exit::{Exit, SpawnFailure, Usage};
use podinit::domain::id::RunId;
use podinit::domain::plan::{Launch, SignalTarget};
use podinit::domain::signal::Signal;
use podinit::ports::{Children, LogPipes, Stdio};
use podinit::sys::pid1::{self, Start};
use podinit::sys::procfs::Stat;
use podinit::sys::signals::SignalMode;
use podinit::sys::table::Table;

/// What must happen happens within this time, or the test fails.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The path of the child with flags.
pub(crate) const STUB: &str = env!("CARGO_BIN_EXE_podinit-stub");

/// A table, and all that it said.
pub(crate) struct Kit {
    pub(crate) table: Table,
    pub(crate) seen: Vec<Event>,
    next: u64,
    outputs: HashMap<RunId, BufReader<PipeReader>>,
    errors: HashMap<RunId, Arc<OwnedFd>>,
}

pub(crate) struct PipeReader {
    pipe: Arc<OwnedFd>,
    /// Its run is: what is not there will not come, though the pipe may still be open.
    over: bool,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        let limit = if self.over { Duration::ZERO } else { SOON };
        let limit = PollTimeout::try_from(limit).expect("a short time");
        let there = nix::poll::poll(&mut fds, limit)? > 0;
        assert!(there || self.over, "no output came");
        Ok(if there {
            nix::unistd::read(&self.pipe, buffer)?
        } else {
            0
        })
    }
}

/// Runs a scenario with a table for a ProcessSet.
pub(crate) fn with_table(body: impl AsyncFnOnce(Kit)) {
    let start = pid1::init(SignalMode::Set).expect("fit to own children");
    with_table_of(start, body);
}

/// The same, prepared by the caller.
pub(crate) fn with_table_of(start: Start, body: impl AsyncFnOnce(Kit)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let kit = Kit {
            table: Table::new(start).expect("a table"),
            seen: Vec::new(),
            next: 0,
            outputs: HashMap::new(),
            errors: HashMap::new(),
        };
        body(kit).await;
    });
}

/// The stub with these arguments.
pub(crate) fn stub(args: &[&str]) -> Launch {
    let mut words = vec![STUB];
    words.extend(args);
    command(&words)
}

/// Any command.
pub(crate) fn command(words: &[&str]) -> Launch {
    Launch {
        argv: words.iter().map(|word| cstring(word)).collect(),
        env: vec![cstring("PATH=/usr/bin:/bin")],
        ..Launch::default()
    }
}

pub(crate) fn cstring(text: &str) -> CString {
    CString::new(text).expect("no zero in it")
}

impl Kit {
    pub(crate) fn try_spawn(&mut self, launch: &Launch) -> Result<RunId, SpawnFailure> {
        self.spawn_with(launch, Stdio::Logged)
    }

    pub(crate) fn spawn_with(
        &mut self,
        launch: &Launch,
        stdio: Stdio,
    ) -> Result<RunId, SpawnFailure> {
        let run = RunId(self.next);
        self.next += 1;
        if let Some(pipes) = self.table.spawn(run, launch, stdio)? {
            self.errors.insert(run, Arc::clone(&pipes.stderr));
            self.take_output(run, pipes);
        }
        Ok(run)
    }

    pub(crate) fn spawn(&mut self, launch: &Launch) -> RunId {
        self.try_spawn(launch).expect("a fork")
    }

    /// Starts the stub and waits for its exec.
    pub(crate) async fn stub(&mut self, args: &[&str]) -> RunId {
        let run = self.spawn(&stub(args));
        self.spawned(run).await;
        run
    }

    /// The next line of a run's standard output.
    pub(crate) fn line(&mut self, run: RunId) -> String {
        let mut line = String::new();
        let output = self.outputs.get_mut(&run).expect("a logged run");
        output.read_line(&mut line).expect("readable");
        line.trim_end().to_owned()
    }

    pub(crate) fn take_output(&mut self, run: RunId, pipes: LogPipes) {
        let pipe = pipes.stdout;
        let reader = BufReader::new(PipeReader { pipe, over: false });
        self.outputs.insert(run, reader);
    }

    /// All that is left of the standard output of a run that is over.
    pub(crate) fn output(&mut self, run: RunId) -> String {
        let mut text = String::new();
        let mut output = self.outputs.remove(&run).expect("a logged run");
        output.get_mut().over = true;
        output.read_to_string(&mut text).expect("readable");
        text
    }

    pub(crate) fn drop_output(&mut self, run: RunId) {
        self.outputs.remove(&run);
        self.errors.remove(&run);
    }

    /// Takes events until one is what is looked for; those that came before count too.
    pub(crate) async fn until<T>(&mut self, what: &str, found: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + SOON;
        let mut checked = 0;
        loop {
            if let Some(value) = self.seen[checked..].iter().find_map(&found) {
                return value;
            }
            checked = self.seen.len();
            let wait = self.table.wait(&mut self.seen);
            let waited = tokio::time::timeout_at(deadline, wait).await;
            assert!(
                waited.is_ok(),
                "{what} did not happen within {SOON:?}; seen: {:?}",
                self.tail()
            );
        }
    }

    /// Takes what happens in a time in which nothing must.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let deadline = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < deadline
            && tokio::time::timeout_at(deadline, self.table.wait(&mut self.seen))
                .await
                .is_ok()
        {}
    }

    /// As the engine does, which waits again when it has dealt with what happened: then the table does what it put off.
    async fn turn(&mut self) {
        let now = tokio::time::Instant::now();
        let _ = tokio::time::timeout_at(now, self.table.wait(&mut self.seen)).await;
    }

    fn tail(&self) -> &[Event] {
        &self.seen[self.seen.len().saturating_sub(20)..]
    }

    pub(crate) async fn spawned(&mut self, run: RunId) -> i32 {
        self.until(&format!("exec of {run}"), |event| match event {
            Event::Spawned { run: of, pid } if *of == run => Some(*pid as i32),
            Event::SpawnFailed { run: of, failure } if *of == run => panic!("{failure}"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn failed(&mut self, run: RunId) -> SpawnFailure {
        self.until(&format!("failure of {run}"), |event| match event {
            Event::SpawnFailed { run: of, failure } if *of == run => Some(*failure),
            Event::Spawned { run: of, .. } if *of == run => panic!("its exec succeeded"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn exited(&mut self, run: RunId) -> (Exit, u32) {
        let (exit, _, left) = self.ended(run).await;
        (exit, left)
    }

    pub(crate) async fn ended(&mut self, run: RunId) -> (Exit, Usage, u32) {
        let ended = self.exit_of(run).await;
        self.turn().await;
        ended
    }

    /// Its exit, when it is told: the table has not gone on since then.
    pub(crate) async fn exit_of(&mut self, run: RunId) -> (Exit, Usage, u32) {
        self.until(&format!("exit of {run}"), |event| match event {
            Event::Exited {
                run: of,
                exit,
                usage,
                left,
            } if *of == run => Some((*exit, *usage, *left)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn empty(&mut self, run: RunId) {
        let what = format!("the end of the session of {run}");
        self.until(&what, |event| {
            matches!(event, Event::SessionEmpty { run: of } if *of == run).then_some(())
        })
        .await;
        self.turn().await;
    }

    pub(crate) async fn childless(&mut self) {
        self.until("the end of all children", |event| {
            matches!(event, Event::Childless).then_some(())
        })
        .await;
    }

    pub(crate) fn signal(&mut self, run: RunId, signal: Signal, target: SignalTarget) -> bool {
        self.table.signal(run, signal, target)
    }

    pub(crate) fn kill(&mut self, run: RunId) -> bool {
        self.signal(run, Signal::KILL, SignalTarget::Session)
    }

    pub(crate) fn count(&self, found: impl Fn(&Event) -> bool) -> usize {
        self.seen.iter().filter(|event| found(event)).count()
    }

    /// Waits until so many orphans were reaped since the beginning.
    pub(crate) async fn orphans(&mut self, count: u32) {
        let deadline = tokio::time::Instant::now() + SOON;
        while self.orphans_reaped() < count {
            let wait = self.table.wait(&mut self.seen);
            let waited = tokio::time::timeout_at(deadline, wait).await;
            assert!(
                waited.is_ok(),
                "{} orphans of {count}",
                self.orphans_reaped()
            );
        }
    }

    pub(crate) fn orphans_reaped(&self) -> u32 {
        let of = |event: &Event| match event {
            Event::OrphansReaped(count) => *count,
            _ => 0,
        };
        self.seen.iter().map(of).sum()
    }
}

/// Waits for something that no event tells.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "{what} did not happen within {SOON:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process is there and can still do something.
pub(crate) fn is_alive(pid: i32) -> bool {
    Stat::read(pid).is_some_and(|stat| stat.is_alive())
}

/// All processes for which this holds.
pub(crate) fn processes(holds: impl Fn(&Stat) -> bool) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| holds(&stat)))
        .collect()
}

/// Descriptors that this process has open.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

pub(crate) fn is_there(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}
