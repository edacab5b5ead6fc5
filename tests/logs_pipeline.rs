//! The log pipeline between real pipes: what comes out, and in which form.

#[path = "logs_rig.rs"]
mod rig;

use std::io::{BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use podinit::domain::id::RunId;
use podinit::domain::plan::{Backpressure, LogFormat, LogRule};
use podinit::domain::time::Wall;
use podinit::logs::{Config, Pipeline, wall_clock};
use podinit::ports::{Level, Logs, Record, Value};
use rig::{
    DEADLINE, Rig, in_background, label, lines, open, read_all, record, rule, until, within,
};

#[test]
fn writes_split_at_every_byte_give_whole_lines() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let text = "one\ntwo æøå\n\n{\"a\":\"b\"}\nlast\n".as_bytes();
    let Rig {
        pipeline, output, ..
    } = rig;
    let mut output = BufReader::new(output);
    let whole = ["one", "two æøå", "", "{\"a\":\"b\"}", "last"];
    for at in 0..=text.len() {
        let mut child = open(&pipeline, at as u64, "web-0", &rule).unwrap();
        child.stdout.write_all(&text[..at]).unwrap();
        let read = (at * text.len() + at) as u64;
        until("the first part is read", || {
            pipeline.stats().read_bytes == read
        });
        child.stdout.write_all(&text[at..]).unwrap();
        assert_eq!(lines(&mut output, 5), whole, "split at {at}");
    }
    pipeline.finish(DEADLINE);
}

#[test]
fn json_lines_have_the_envelope() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = Arc::new(LogRule {
        format: LogFormat::Json,
        max_line_bytes: 32,
        on_backpressure: Backpressure::Block,
        labels: vec![("team".to_owned(), "shop".to_owned())],
    });
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    child.stdout.write_all(b"hello \0 \xff \"x\"\n").unwrap();
    let pipeline = Arc::clone(&rig.pipeline);
    until("it is read", || pipeline.stats().read_bytes == 14);
    child
        .stderr
        .write_all(b"{\"level\":200,\"time\":0}\n")
        .unwrap();
    until("it is read", || pipeline.stats().read_bytes == 37);
    child.stderr.write_all(&[b'y'; 80]).unwrap();
    pipeline.close(RunId(1));
    let text = rig.finish().unwrap();
    let bodies: Vec<&str> = text
        .lines()
        .map(|line| {
            let (time, rest) = line.split_once(',').unwrap();
            assert_eq!(
                time.len(),
                "{\"time\":\"2026-11-23T10:00:00.123456Z\"".len()
            );
            rest
        })
        .collect();
    let y = "y".repeat(32);
    let head = |stream: &str| {
        format!(
            "\"stream\":\"{stream}\",\"process\":\"web\",\"instance\":\"web-0\",\"team\":\"shop\","
        )
    };
    assert_eq!(
        bodies,
        [
            format!(
                "{}\"message\":\"hello \\u0000 \u{fffd} \\\"x\\\"\"}}",
                head("stdout")
            ),
            format!("{}\"level\":200,\"app.time\":0}}", head("stderr")),
            format!("{}\"message\":\"{y}\",\"partial\":true}}", head("stderr")),
            format!("{}\"message\":\"{y}\",\"partial\":true}}", head("stderr")),
            format!("{}\"message\":\"{}\"}}", head("stderr"), "y".repeat(16)),
        ]
    );
    let stats = pipeline.stats();
    assert_eq!(
        (stats.cut_pieces, stats.invalid_lines, stats.lost_lines),
        (2, 1, 0)
    );
}

#[test]
fn a_line_of_ten_megabytes_is_cut_and_nothing_is_lost() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    let input: Vec<u8> = (0..10_000_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    let expected = input.clone();
    let output = read_all(rig.output);
    let writer = in_background(move || {
        child.stdout.write_all(&input)?;
        child.stderr.write_all(b"short\n")
    });
    within(&writer).unwrap().unwrap();
    rig.pipeline.close(RunId(1));
    rig.pipeline.finish(DEADLINE);
    let text = within(&output).unwrap().unwrap();
    let (mut joined, mut short) = (Vec::new(), 0);
    for line in text.split(|b| *b == b'\n') {
        assert!(line.len() <= 256 * 1024);
        if line == b"short" {
            short += 1;
        } else {
            joined.extend_from_slice(line);
        }
    }
    assert_eq!(short, 1);
    assert!(joined == expected);
}

#[test]
fn lines_of_different_streams_are_never_mixed() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut writers = Vec::new();
    for run in 0..8_u64 {
        let mut child = open(&rig.pipeline, run, &format!("web-{run}"), &rule).unwrap();
        writers.push(in_background(move || {
            for n in 0..2000 {
                // One line in two writes: the second half comes when others have written.
                write!(child.stdout, "{run} {n} ")?;
                writeln!(child.stdout, "{run} {n}")?;
            }
            std::io::Result::Ok(child)
        }));
    }
    let pipeline = Arc::clone(&rig.pipeline);
    let closer = in_background(move || {
        for (run, writer) in writers.iter().enumerate() {
            within(writer)??;
            pipeline.close(RunId(run as u64));
        }
        std::io::Result::Ok(())
    });
    let mut output = BufReader::new(rig.output);
    let text = in_background(move || lines(&mut output, 16_000));
    within(&closer).unwrap().unwrap();
    let mut next = [0; 8];
    for line in within(&text).unwrap() {
        let words: Vec<usize> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let [run, n, again, once_more] = words[..] else {
            panic!("{line}");
        };
        assert_eq!((run, n), (again, once_more));
        assert_eq!(n, next[run]);
        next[run] += 1;
    }
    assert_eq!(next, [2000; 8]);
}

#[test]
fn own_records_keep_their_place() {
    let rig = Rig::new(LogFormat::Text).unwrap();
    let rule = rule(LogFormat::Text, Backpressure::Block);
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    child.stdout.write_all(b"bye").unwrap();
    rig.pipeline.close(RunId(1));
    rig.pipeline.record(Record {
        level: Level::Warn,
        label: Some(label("web-0")),
        message: "exited".to_owned(),
        fields: vec![("code", Value::Int(1))],
        lines: vec!["and more".to_owned()],
    });
    let text = rig.finish().unwrap();
    let columns: Vec<&str> = text.lines().map(|line| &line[13..]).collect();
    assert_eq!(
        columns,
        [
            "web-0   | bye",
            "podinit | warn: web-0: exited code=1",
            "podinit | and more"
        ]
    );
}

#[test]
fn the_last_lines_outlive_the_run() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Json, Backpressure::Block);
    for run in 0..3 {
        let mut child = open(&rig.pipeline, run, "web-0", &rule).unwrap();
        write!(child.stdout, "start {run}\ncrash {run}").unwrap();
        drop(child);
        rig.pipeline.close(RunId(run));
        let last = rig.pipeline.last_lines(&label("web-0"), 16);
        assert_eq!(last, [format!("start {run}"), format!("crash {run}")]);
    }
    let last = rig.pipeline.last_lines(&label("web-0"), 1000);
    assert_eq!(
        last,
        [
            "start 0", "crash 0", "start 1", "crash 1", "start 2", "crash 2"
        ]
    );
    assert_eq!(rig.pipeline.last_lines(&label("web-1"), 1000), [""; 0]);
}

#[test]
fn close_reads_what_is_there_and_lets_go_of_the_pipe() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    // Somebody else has the write end and goes on writing without a pause.
    let (mut orphan, stderr) = (child.stdout, child.stderr);
    let flood = in_background(move || {
        let mut written = 0_u64;
        while orphan.write_all(b"orphan\n").is_ok() {
            written += 1;
        }
        written
    });
    until("it writes", || rig.pipeline.stats().read_bytes > 0);
    let output = read_all(rig.output);
    rig.pipeline.close(RunId(1));
    // The table lets go as well: nobody reads.
    drop((child.table, stderr));
    assert!(within(&flood).unwrap() > 0);
    rig.pipeline.finish(DEADLINE);
    let text = String::from_utf8(within(&output).unwrap().unwrap()).unwrap();
    let whole = |line: &str| !line.is_empty() && "orphan".starts_with(line);
    assert!(text.lines().all(whole));
}

#[test]
fn an_end_of_a_pipe_is_no_end_of_a_run() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut child = open(&rig.pipeline, 1, "web-0", &rule).unwrap();
    child.stdout.write_all(b"half").unwrap();
    drop(child.stdout);
    let mut output = BufReader::new(rig.output);
    assert_eq!(lines(&mut output, 1), ["half"]);
    child.stderr.write_all(b"more\n").unwrap();
    assert_eq!(lines(&mut output, 1), ["more"]);
    rig.pipeline.close(RunId(1));
    rig.pipeline.close(RunId(1));
    rig.pipeline.close(RunId(7));
    rig.pipeline.finish(DEADLINE);
}

#[test]
fn nothing_is_accepted_after_the_end() {
    let rig = Rig::new(LogFormat::Json).unwrap();
    let pipeline = Arc::clone(&rig.pipeline);
    pipeline.record(record("last"));
    let text = rig.finish().unwrap();
    assert!(text.contains("\"message\":\"last\""));
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut child = open(&pipeline, 1, "web-0", &rule).unwrap();
    drop(child.table);
    assert!(child.stdout.write_all(b"x").is_err());
    pipeline.record(record("too late"));
    pipeline.close(RunId(1));
    assert_eq!(pipeline.last_lines(&label("web-0"), 10), [""; 0]);
    pipeline.finish(Duration::ZERO);
}

#[test]
fn a_panic_loses_no_stream() {
    static BROKEN: AtomicBool = AtomicBool::new(false);
    fn clock() -> Wall {
        let ours = std::thread::current().name() == Some("logs");
        assert!(!ours || !BROKEN.swap(false, Ordering::SeqCst), "on purpose");
        wall_clock()
    }
    let (output, out) = std::io::pipe().unwrap();
    let config = Config {
        out: Some(out.into()),
        err: None,
        format: LogFormat::Json,
        colour: false,
        clock,
    };
    let pipeline = Pipeline::start(config).unwrap();
    let rule = rule(LogFormat::Raw, Backpressure::Block);
    let mut child = open(&pipeline, 1, "web-0", &rule).unwrap();
    let mut output = BufReader::new(output);
    child.stdout.write_all(b"one\n").unwrap();
    assert_eq!(lines(&mut output, 1), ["one"]);
    BROKEN.store(true, Ordering::SeqCst);
    child.stdout.write_all(b"taken down with it\n").unwrap();
    until("it was caught", || pipeline.stats().panics == 1);
    child.stdout.write_all(b"two\n").unwrap();
    child.stderr.write_all(b"three\n").unwrap();
    let mut two = lines(&mut output, 2);
    two.sort();
    assert_eq!(two, ["three", "two"]);
    let mut last = pipeline.last_lines(&label("web-0"), 1000);
    last.sort();
    assert_eq!(last, ["one", "three", "two"]);
    pipeline.finish(DEADLINE);
}
