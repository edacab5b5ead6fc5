//! What the tests of the log pipeline share: a pipeline between real pipes, and waits with a deadline.
#![allow(
    dead_code,
    reason = "each test binary uses a part; this file is a binary of its own, too"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests run threads and look at the clock"
)]

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podinit::domain::id::{Label, RunId};
use podinit::domain::plan::{Backpressure, LogFormat, LogRule};
use podinit::logs::{Config, Pipeline, wall_clock};
use podinit::ports::{Level, LogPipes, Logs, Record};

/// For everything that is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A pipeline and the reading end of its output.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) output: PipeReader,
    /// What it says on standard error.
    pub(crate) errors: PipeReader,
}

impl Rig {
    pub(crate) fn new(format: LogFormat) -> io::Result<Self> {
        let (output, out) = io::pipe()?;
        let (errors, err) = io::pipe()?;
        let config = Config {
            out: Some(out.into()),
            err: Some(err.into()),
            format,
            colour: false,
            clock: wall_clock,
        };
        Ok(Rig {
            pipeline: Arc::new(Pipeline::start(config)?),
            output,
            errors,
        })
    }

    /// Ends the pipeline while reading; gives what was read, as text.
    pub(crate) fn finish(self) -> io::Result<String> {
        let output = read_all(self.output);
        self.pipeline.finish(DEADLINE);
        Ok(String::from_utf8_lossy(&within(&output)??).into_owned())
    }
}

/// Reads until the end, on a thread of its own.
pub(crate) fn read_all(mut output: PipeReader) -> Receiver<io::Result<Vec<u8>>> {
    in_background(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).map(|_| bytes)
    })
}

/// A child's ends of its log pipes, and the ends the table keeps.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) stdout: PipeWriter,
    pub(crate) stderr: PipeWriter,
    pub(crate) table: (PipeReader, PipeReader),
}

/// Opens a run as the engine does: the pipeline gets duplicates.
pub(crate) fn open(
    pipeline: &Pipeline,
    run: u64,
    name: &str,
    rule: &Arc<LogRule>,
) -> io::Result<Child> {
    let (out, stdout) = io::pipe()?;
    let (err, stderr) = io::pipe()?;
    let pipes = LogPipes {
        stdout: Arc::new(out.try_clone()?.into()),
        stderr: Arc::new(err.try_clone()?.into()),
    };
    pipeline.open(RunId(run), &label(name), rule, pipes);
    Ok(Child {
        stdout,
        stderr,
        table: (out, err),
    })
}

pub(crate) fn label(name: &str) -> Arc<Label> {
    let process = name.rsplit_once('-').map_or(name, |(process, _)| process);
    Arc::new(Label {
        process: Arc::from(process),
        instance: Arc::from(name),
    })
}

pub(crate) fn rule(format: LogFormat, on_backpressure: Backpressure) -> Arc<LogRule> {
    Arc::new(LogRule {
        format,
        max_line_bytes: 256 * 1024,
        on_backpressure,
        labels: Vec::new(),
    })
}

pub(crate) fn record(message: &str) -> Record {
    Record {
        level: Level::Info,
        label: None,
        message: message.to_owned(),
        fields: Vec::new(),
        lines: Vec::new(),
    }
}

/// Writes numbered lines of `size` bytes in blocks, like a child whose output is buffered.
pub(crate) fn write_numbers(out: &mut impl Write, count: usize, size: usize) -> io::Result<()> {
    let mut block = Vec::new();
    for number in 0..count {
        writeln!(block, "{number:0>width$}", width = size - 1)?;
        if block.len() > 60_000 || number + 1 == count {
            out.write_all(&block)?;
            block.clear();
        }
    }
    Ok(())
}

/// The sum of what records say was dropped.
pub(crate) fn told_dropped(output: &str) -> u64 {
    let told = output
        .lines()
        .filter(|line| line.contains("\"source\":\"podinit\""));
    told.filter_map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        record["dropped"].as_u64()
    })
    .sum()
}

/// Runs something on a thread of its own.
pub(crate) fn in_background<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let (answer, receiver) = channel();
    std::thread::Builder::new()
        .spawn(move || answer.send(run()))
        .map_or_else(|_| channel().1, |_| receiver)
}

/// Its result, within the deadline.
pub(crate) fn within<T>(receiver: &Receiver<T>) -> io::Result<T> {
    receiver.recv_timeout(DEADLINE).map_err(io::Error::other)
}

/// Waits until something holds, within the deadline.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// Lets time pass in which nothing is expected to come out.
pub(crate) fn nothing_within(output: &PipeReader, time: Duration) -> bool {
    let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    poll(&mut fds, timeout) == Ok(0)
}

/// The next `count` lines.
pub(crate) fn lines(output: &mut BufReader<PipeReader>, count: usize) -> Vec<String> {
    output.lines().take(count).map_while(Result::ok).collect()
}
