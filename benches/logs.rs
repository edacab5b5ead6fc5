//! Log throughput: one producer of 100-byte lines through the real pipeline, with s6-log and cat beside it.
//!
//! `cargo bench --bench logs [-- MEGABYTES [NAME]]` prints megabytes of input a second: the median of five runs, all cases taking
//! turns, so that a busy machine hits them alike. The producer is a process of its own that writes whole lines in blocks
//! of 64 KiB, as a program whose output is buffered does; the sink is /dev/null, and a `cat` that reads a pipe.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a benchmark runs programs and looks at the clock"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use podinit::domain::id::{Label, RunId};
use podinit::domain::plan::{Backpressure, LogFormat, LogRule};
use podinit::logs::{Config, Pipeline, wall_clock};
use podinit::ports::{LogPipes, Logs};

/// Bytes of a line, with its newline.
const LINE: usize = 100;
const BLOCK: usize = 64 * 1024;
const RUNS: usize = 5;

/// What a line looks like.
#[derive(Clone, Copy)]
enum Lines {
    Plain,
    Quotes,
    Object,
    /// Plain ones, one write each.
    Single,
}

impl Lines {
    fn line(self) -> Vec<u8> {
        let text = match self {
            Lines::Plain | Lines::Single => {
                "10.0.0.1 - - [23/Nov/2026:10:00:00 +0000] GET /up HTTP/1.1 200 2 - kube-probe/1.33 0.001 s "
            }
            Lines::Quotes => {
                r#"10.0.0.1 - - [23/Nov/2026:10:00:00 +0000] "GET /up HTTP/1.1" 200 2 "-" "kube-probe/1.33" x"#
            }
            Lines::Object => {
                r#"{"message":"order paid","context":{"order":123456,"total":9.95},"level":200,"channel":"app"}"#
            }
        };
        let mut line = format!("{text:x<width$}\n", width = LINE - 1);
        if matches!(self, Lines::Object) {
            line = format!("{text:<width$}\n", width = LINE - 1);
        }
        assert_eq!(line.len(), LINE);
        line.into_bytes()
    }

    fn name(self) -> &'static str {
        match self {
            Lines::Plain => "plain",
            Lines::Quotes => "quotes",
            Lines::Object => "object",
            Lines::Single => "single",
        }
    }
}

#[derive(Clone, Copy)]
enum Subject {
    Podinit(LogFormat),
    Program(&'static [&'static str]),
}

/// What is measured: its name, what it reads, what it is.
type Case = (&'static str, Lines, Subject);

const S6: Subject = Subject::Program(&["s6-log", "1"]);
const S6_TIMES: Subject = Subject::Program(&["s6-log", "T", "1"]);
const CAT: Subject = Subject::Program(&["cat"]);
const RAW: Subject = Subject::Podinit(LogFormat::Raw);
const TEXT: Subject = Subject::Podinit(LogFormat::Text);
const JSON: Subject = Subject::Podinit(LogFormat::Json);

const CASES: [Case; 11] = [
    ("podinit Raw", Lines::Plain, RAW),
    ("podinit Text", Lines::Plain, TEXT),
    ("podinit Json", Lines::Plain, JSON),
    ("podinit Json, quotes", Lines::Quotes, JSON),
    ("podinit Json, objects", Lines::Object, JSON),
    ("s6-log 1", Lines::Plain, S6),
    ("s6-log T 1 (times)", Lines::Plain, S6_TIMES),
    ("cat (nothing)", Lines::Plain, CAT),
    ("podinit Json, a write a line", Lines::Single, JSON),
    ("s6-log 1, a write a line", Lines::Single, S6),
    ("cat, a write a line", Lines::Single, CAT),
];

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [mode, lines, bytes] = &args[..]
        && mode == "produce"
    {
        return produce(lines, bytes.parse().map_err(io::Error::other)?);
    }
    let megabytes: usize = args
        .first()
        .map_or(Ok(400), |a| a.parse())
        .map_err(io::Error::other)?;
    println!("{megabytes} MB of {LINE}-byte lines, MB/s of input, median of {RUNS}\n");
    println!("{:<28} {:>12} {:>12}", "", "/dev/null", "pipe to cat");
    let wanted = args.get(1).map_or("", String::as_str);
    let cases: Vec<&Case> = CASES.iter().filter(|c| c.0.contains(wanted)).collect();
    let mut speeds = vec![[Vec::new(), Vec::new()]; cases.len()];
    for _ in 0..RUNS {
        for (case, speeds) in cases.iter().zip(&mut speeds) {
            for (to_cat, speeds) in [false, true].into_iter().zip(speeds) {
                let time = run(case, megabytes * 1_000_000, to_cat)?;
                speeds.push(megabytes as f64 / time.as_secs_f64());
            }
        }
    }
    for (case, mut speeds) in cases.iter().zip(speeds) {
        let [null, cat] = speeds.each_mut().map(|s| {
            s.sort_by(f64::total_cmp);
            s[s.len() / 2]
        });
        println!("{:<28} {null:>12.0} {cat:>12.0}", case.0);
    }
    Ok(())
}

/// Writes `bytes` bytes of lines to standard output, in blocks.
fn produce(lines: &str, bytes: usize) -> io::Result<()> {
    let kinds = [Lines::Plain, Lines::Quotes, Lines::Object, Lines::Single];
    let kind = kinds.into_iter().find(|k| k.name() == lines);
    let kind = kind.ok_or_else(|| io::Error::other("no such lines"))?;
    let block = match kind {
        Lines::Single => kind.line(),
        _ => kind.line().repeat(BLOCK / LINE),
    };
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len());
        out.write_all(&block[..now])?;
        left -= now;
    }
    Ok(())
}

fn producer(lines: Lines, bytes: usize, out: Stdio) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["produce", lines.name(), &bytes.to_string()])
        .stdout(out)
        .spawn()
}

/// Time from the start of the producer to the last byte being out.
fn run(case: &Case, bytes: usize, to_cat: bool) -> io::Result<Duration> {
    let null = || OpenOptions::new().write(true).open("/dev/null");
    let (mut cat, sink): (Option<Child>, OwnedFd) = if to_cat {
        let (read, write) = io::pipe()?;
        let cat = Command::new("cat").stdin(read).stdout(null()?).spawn()?;
        (Some(cat), write.into())
    } else {
        (None, null()?.into())
    };
    let start = Instant::now();
    match case.2 {
        Subject::Podinit(format) => through_podinit(format, case.1, bytes, sink)?,
        Subject::Program(command) => {
            let (read, write) = io::pipe()?;
            let mut program = Command::new(command[0])
                .args(&command[1..])
                .stdin(read)
                .stdout(sink)
                .spawn()?;
            let mut child = producer(case.1, bytes, write.into())?;
            child.wait()?;
            program.wait()?;
        }
    }
    if let Some(cat) = &mut cat {
        cat.wait()?;
    }
    Ok(start.elapsed())
}

fn through_podinit(format: LogFormat, lines: Lines, bytes: usize, sink: OwnedFd) -> io::Result<()> {
    let config = Config {
        out: Some(sink),
        err: None,
        format,
        colour: false,
        clock: wall_clock,
    };
    let pipeline = Pipeline::start(config)?;
    let rule = LogRule {
        format,
        max_line_bytes: 256 * 1024,
        on_backpressure: Backpressure::Block,
        labels: Vec::new(),
    };
    let label = Label {
        process: Arc::from("nginx"),
        instance: Arc::from("nginx-0"),
    };
    let (stdout, write) = io::pipe()?;
    let (stderr, _) = io::pipe()?;
    let pipes = LogPipes {
        stdout: Arc::new(stdout.into()),
        stderr: Arc::new(stderr.into()),
    };
    pipeline.open(RunId(1), &Arc::new(label), &Arc::new(rule), pipes);
    producer(lines, bytes, write.into())?.wait()?;
    pipeline.close(RunId(1));
    pipeline.finish(Duration::from_mins(1));
    let stats = pipeline.stats();
    assert_eq!((stats.read_bytes, stats.lost_lines), (bytes as u64, 0));
    Ok(())
}
