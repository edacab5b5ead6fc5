//! The log pipeline when its output does not keep up, or fails: who waits, what is lost, what is counted.
#![expect(
    clippy::disallowed_methods,
    reason = "tests run threads and look at the clock and at /proc"
)]

#[path = "logs_rig.rs"]
mod rig;

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use podinit::domain::id::RunId;
use podinit::domain::plan::{Backpressure, LogFormat};
use podinit::logs::{Config, Pipeline, wall_clock};
use podinit::ports::Logs;
use rig::{
    Child, DEADLINE, Rig, in_background, label, open, read_all, record, rule, told_dropped, until,
    within, write_numbers,
};

/// Far longer than anything of ours takes that must not wait.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Memory of this process that is not of files, in bytes.
fn anonymous() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().split(' ').next());
    number.and_then(|n| n.parse::<usize>().ok()).unwrap_or(0) * 1024
}

/// Fills the output until nothing more goes out.
fn block(rig: &Rig) -> io::Result<Child> {
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let child = open(&rig.pipeline, 999, "filler-0", &rule)?;
    let mut stdout = child.stdout.try_clone()?;
    let writer = in_background(move || {
        // Gets stuck sooner or later; ends with the pipeline.
        while stdout
            .write_all(&[b"filler\n".as_slice(); 64].concat())
            .is_ok()
        {}
    });
    let mut before = 0;
    while writer.recv_timeout(Duration::from_millis(100)).is_err() {
        let now = rig.pipeline.stats().read_bytes;
        // More than the output takes (64 KiB). With it the buffers before it take 120 KiB at least: two may be half full (of
        // 56 KiB) and the writer stuck at the end of a third. What may be left is a matter of this time.
        if now == before && now > 100_000 {
            break;
        }
        before = now;
    }
    Ok(child)
}

/// Reads numbered lines slowly; says how many came, all of them in order.
fn read_slowly(output: PipeReader) -> io::Result<usize> {
    let mut next = 0;
    let mut output = BufReader::with_capacity(512, output);
    let mut line = String::new();
    while output.read_line(&mut line)? > 0 {
        let number: usize = line.trim_end().parse().map_err(io::Error::other)?;
        if number != next {
            return Err(io::Error::other(format!("{number} instead of {next}")));
        }
        next += 1;
        if next % 1000 == 0 {
            std::thread::yield_now();
        }
        line.clear();
    }
    Ok(next)
}

#[test]
fn a_million_lines_through_a_slow_reader() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    let reader = in_background(move || read_slowly(rig.output));
    let writer = in_background(move || write_numbers(&mut child.stdout, 1_000_000, 20));
    within(&writer).unwrap().unwrap();
    rig.pipeline.close(RunId(1));
    rig.pipeline.finish(DEADLINE);
    assert_eq!(within(&reader).unwrap().unwrap(), 1_000_000);
    assert_eq!(rig.pipeline.stats().dropped_lines, 0);
}

#[test]
fn drop_oldest_reads_on_in_bounded_memory_and_counts() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::DropOldest);
    let before = anonymous();
    let mut produced = 0;
    for run in 0..4 {
        let mut child = open(&rig.pipeline, run, &format!("web-{run}"), &rule).unwrap();
        let writer = in_background(move || write_numbers(&mut child.stdout, 250_000, 100));
        within(&writer).unwrap().unwrap();
        produced += 250_000;
    }
    let stats = || rig.pipeline.stats();
    until("all is read", || stats().read_bytes == 100 * produced);
    assert!(stats().dropped_lines > 900_000);
    let grown = anonymous().saturating_sub(before);
    assert!(
        grown < 48 << 20,
        "{grown} bytes of memory for 100 MB of lines"
    );
    for run in 0..4 {
        rig.pipeline.close(RunId(run));
    }
    let pipeline = Arc::clone(&rig.pipeline);
    let text = rig.finish().unwrap();
    let written = text.lines().filter(|line| !line.starts_with('{')).count() as u64;
    assert_eq!(written + told_dropped(&text), produced);
    assert_eq!(pipeline.stats().dropped_lines, told_dropped(&text));
    assert_eq!(
        text.lines()
            .filter(|line| line.ends_with("0249999"))
            .count(),
        4
    );
}

#[test]
fn losses_are_told_of_as_soon_as_output_flows() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::DropOldest);
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    let writer = in_background(move || {
        write_numbers(&mut child.stdout, 50_000, 100)?;
        io::Result::Ok(child)
    });
    let child = within(&writer).unwrap().unwrap();
    until("lines are dropped", || {
        rig.pipeline.stats().dropped_lines > 0
    });
    let mut lines = BufReader::new(rig.output).lines();
    let told = lines.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.contains("\"dropped\":"))
    });
    let told = told.unwrap().unwrap();
    assert!(told.contains(
        "\"level\":\"warn\",\"source\":\"podinit\",\"process\":\"web\",\"instance\":\"web-0\""
    ));
    assert!(told.contains("\"stream\":\"stdout\""));
    drop(child);
}

#[test]
fn nothing_blocks_the_caller_while_output_is_blocked() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let filler = block(&rig).unwrap();
    let start = Instant::now();
    for n in 0..100_000 {
        rig.pipeline.record(record(&format!("record {n}")));
    }
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    child.stdout.write_all(b"one\n").unwrap();
    child.stderr.write_all(b"two\nthree").unwrap();
    rig.pipeline.close(RunId(1));
    let mut last = rig.pipeline.last_lines(&label("web-0"), 4096);
    assert!(start.elapsed() < 5 * AT_ONCE);
    last.sort();
    assert_eq!(last, ["one", "three", "two"]);
    drop(filler);

    let pipeline = Arc::clone(&rig.pipeline);
    let text = rig.finish().unwrap();
    let records = text
        .lines()
        .filter(|line| line.contains("\"message\":\"record "))
        .count();
    assert_eq!(records as u64 + told_dropped(&text), 100_000);
    assert_eq!(pipeline.stats().dropped_records, told_dropped(&text));
    assert!(text.contains("\"message\":\"record 99999\""));
    assert!(text.contains("\ntwo\nthree\n"));
}

#[test]
fn a_run_that_ends_while_output_is_blocked_loses_nothing() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let filler = block(&rig).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    for run in 0..20 {
        let mut child = open(&rig.pipeline, run, "web-0", &rule).unwrap();
        write_numbers(&mut child.stdout, 600, 100).unwrap();
        rig.pipeline.close(RunId(run));
        let last = rig.pipeline.last_lines(&label("web-0"), 101);
        // As far as there is memory; at least the first run's.
        assert_eq!(last.len(), 1);
        if run == 0 {
            assert!(last[0].ends_with("0599"));
        }
    }
    drop(filler);
    let pipeline = Arc::clone(&rig.pipeline);
    let text = rig.finish().unwrap();
    assert_eq!(text.lines().filter(|line| line.len() == 99).count(), 12_000);
    assert_eq!(pipeline.stats().dropped_lines, 0);
}

#[test]
fn runs_that_end_without_end_while_output_is_blocked_are_bounded() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let filler = block(&rig).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let open_files = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open_files();
    for run in 0..400 {
        let mut child = open(&rig.pipeline, run, "web-0", &rule).unwrap();
        write_numbers(&mut child.stdout, 600, 100).unwrap();
        rig.pipeline.close(RunId(run));
        rig.pipeline.last_lines(&label("web-0"), 1);
    }
    // Other tests open files, too.
    assert!(open_files() < before + 250);
    drop(filler);
    let pipeline = Arc::clone(&rig.pipeline);
    let text = rig.finish().unwrap();
    let written = text.lines().filter(|line| line.len() == 99).count() as u64;
    assert!(pipeline.stats().dropped_lines > 0);
    assert_eq!(written + told_dropped(&text), 240_000);
}

#[test]
fn children_are_waited_for_no_longer_when_told_so() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let filler = block(&rig).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    let writer = in_background(move || write_numbers(&mut child.stdout, 50_000, 100));
    until("it waits", || rig.pipeline.stats().read_bytes > 0);
    assert!(writer.try_recv().is_err());
    rig.pipeline.stop_blocking();
    within(&writer).unwrap().unwrap();
    drop(filler);
    rig.pipeline.close(RunId(999));
    rig.pipeline.close(RunId(1));
    let text = rig.finish().unwrap();
    assert!(text.contains("49999\n"));
}

#[test]
fn finish_ends_in_time_and_counts_what_is_lost() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let _filler = block(&rig).unwrap();
    let start = Instant::now();
    rig.pipeline.finish(AT_ONCE);
    assert!(start.elapsed() < 2 * AT_ONCE);
    let lost = rig.pipeline.stats().lost_lines;
    assert!(lost > 1000);
    let mut said = [0; 200];
    let mut errors = rig.errors;
    let length = errors.read(&mut said).unwrap();
    let said = std::str::from_utf8(&said[..length]).unwrap();
    assert_eq!(
        said,
        format!("podinit: {lost} lines of log output could not be written\n")
    );
}

/// A child that writes `count` lines gets through, whatever is the matter with our output. Gives the number of lines lost.
fn writes_through(out: Option<OwnedFd>, count: usize) -> io::Result<u64> {
    let config = Config {
        out,
        err: None,
        format: LogFormat::Json,
        colour: false,
        clock: wall_clock,
    };
    let pipeline = Pipeline::start(config)?;
    let rule = rule(LogFormat::Json, Backpressure::Block);
    let mut child = open(&pipeline, 1, "web-0", &rule)?;
    let writer = in_background(move || write_numbers(&mut child.stdout, count, 100));
    within(&writer)??;
    pipeline.close(RunId(1));
    let last = pipeline.last_lines(&label("web-0"), 101);
    assert!(last[0].ends_with(&(count - 1).to_string()));
    pipeline.finish(DEADLINE);
    Ok(pipeline.stats().lost_lines)
}

#[test]
fn children_do_not_notice_that_nobody_reads_any_more() {
    let (read, write) = io::pipe().unwrap();
    drop(read);
    assert_eq!(writes_through(Some(write.into()), 50_000).unwrap(), 50_000);
}

#[test]
fn children_do_not_notice_that_there_is_no_output() {
    assert_eq!(writes_through(None, 50_000).unwrap(), 50_000);
}

#[test]
fn children_wait_a_little_for_a_full_disk() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(writes_through(Some(full.into()), 50_000).unwrap(), 50_000);
}

#[test]
fn a_reader_that_goes_away_in_the_middle() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let filler = block(&rig).unwrap();
    drop(rig.output);
    let stats = || rig.pipeline.stats();
    let before = stats().read_bytes;
    until("it is read on", || stats().read_bytes > before + 1_000_000);
    rig.pipeline.close(RunId(999));
    drop(filler);
    rig.pipeline.finish(DEADLINE);
    assert!(stats().lost_lines > 100_000);
}

#[test]
fn two_formats_share_a_blocked_output_fairly() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let (block, drop_oldest) = (
        rule(LogFormat::Raw, Backpressure::Block),
        rule(LogFormat::Raw, Backpressure::DropOldest),
    );
    let mut waits = open(&rig.pipeline, 1, "waits-0", &block).unwrap();
    let mut loses = open(&rig.pipeline, 2, "loses-0", &drop_oldest).unwrap();
    let losing = in_background(move || write_numbers(&mut loses.stdout, 100_000, 50));
    let waiting = in_background(move || write_numbers(&mut waits.stdout, 100_000, 60));
    within(&losing).unwrap().unwrap();
    assert!(waiting.try_recv().is_err(), "it waits for the output");
    let output = read_all(rig.output);
    within(&waiting).unwrap().unwrap();
    rig.pipeline.close(RunId(1));
    rig.pipeline.close(RunId(2));
    rig.pipeline.finish(DEADLINE);
    let text = String::from_utf8(within(&output).unwrap().unwrap()).unwrap();
    assert_eq!(
        text.lines().filter(|line| line.len() == 59).count(),
        100_000
    );
    let kept = text.lines().filter(|line| line.len() == 49).count() as u64;
    assert_eq!(kept + told_dropped(&text), 100_000);
}
