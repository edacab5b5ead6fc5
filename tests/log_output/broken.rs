//! An output that is closed, full or without a reader.

use std::fs::File;
use std::io::PipeReader;
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::bare::{Bare, Running, STUB, Stream};
use crate::support::{As, SOON, within};

/// One writes 10 MB and says when it has; one crashes over and over; both with `Block`.
fn spec() -> String {
    format!(
        "
  terminationGracePeriodSeconds: 8
  processes:
    - {{name: loud, command: [{STUB}, --flood, '10000000', --file, written, --forever]}}
    - {{name: crash, command: [sh, -c, 'echo again; echo x >> runs; exit 1'], restartBackoff: {{initial: 5ms, max: 5ms}}}}"
    )
}

fn runs(running: &Running) -> usize {
    std::fs::read(running.path("runs")).map_or(0, |text| text.len() / 2)
}

/// Children go on, crashes are restarted, and a stop is a stop.
fn nothing_happens(running: Running) {
    within(SOON, "the loud one to have written all", || {
        running.path("written").exists().then_some(())
    });
    let before = runs(&running);
    within(SOON, "ten more runs", || {
        (runs(&running) >= before + 10).then_some(())
    });
    running.signal(libc::SIGTERM);
    let ended = running.finish(SOON);
    assert_eq!(ended.code, 0, "{}", ended.story());
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
}

const MODES: [As; 2] = [As::Pid1, As::PlainChild];

#[test]
fn a_closed_stdout_changes_nothing_for_the_processes() {
    for mode in MODES {
        let closed = ["sh", "-c", "exec \"$0\" \"$@\" >&-"];
        nothing_happens(Bare::spec(mode, &closed, &spec()).start());
        let closed = ["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"];
        nothing_happens(Bare::spec(mode, &closed, &spec()).start());
    }
}

#[test]
fn a_full_disk_changes_nothing_for_the_processes() {
    for mode in MODES {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let bare = Bare::spec(mode, &[], &spec()).with(|command| {
            command.stdout(full);
        });
        nothing_happens(bare.start());
    }
}

/// The signal that comes with it would end podinit.
#[test]
fn a_file_that_may_not_grow_changes_nothing_for_the_processes() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("log")).unwrap();
        let bare = Bare::spec(mode, &["prlimit", "--fsize=100000"], &spec()).with(|command| {
            command.stdout(file);
        });
        nothing_happens(bare.start());
    }
}

fn with_reader(mode: As) -> (Running, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let bare = Bare::spec(mode, &[], &spec()).with(|command| {
        command.stdout(Stdio::from(writer));
    });
    (bare.start(), reader)
}

#[test]
fn a_reader_that_dies_changes_nothing_for_the_processes() {
    for mode in MODES {
        let (running, reader) = with_reader(mode);
        within(SOON, "a few runs", || (runs(&running) >= 3).then_some(()));
        drop(reader);
        nothing_happens(running);
    }
}

#[test]
fn a_stderr_without_a_reader_changes_nothing_either() {
    let (running, reader) = with_reader(As::PlainChild);
    drop(reader);
    nothing_happens(running);
    let (out, err) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let bare = Bare::spec(As::PlainChild, &[], &spec()).with(|command| {
        command.stdout(out.1).stderr(err.1);
    });
    drop((out.0, err.0));
    nothing_happens(bare.start());
}

/// Whoever shares the pipe may have made it non-blocking.
#[test]
fn a_non_blocking_stdout_loses_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let running = Bare::spec(
        As::Pid1,
        &[],
        "  processes: [{name: p, restartPolicy: Never, command: [sh, -c, 'touch begun; seq 100000']}]",
    )
    .with(|command| {
        command.stdout(writer);
    })
    .start();
    within(SOON, "it to begin", || {
        running.path("begun").exists().then_some(())
    });
    let stream = Stream::of(reader);
    let ended = running.finish(SOON);
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let text = stream.to_the_end();
    let numbers = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("\"stream\":\"stdout\"")?;
        rest.split_once("\"message\":\"")?
            .1
            .strip_suffix("\"}")?
            .parse::<u32>()
            .ok()
    });
    assert!(numbers.eq(1..=100_000));
}

#[test]
fn lines_that_no_disk_took_are_told_of_at_the_end() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = Bare::spec(
        As::PlainChild,
        &[],
        "  processes: [{name: p, restartPolicy: Never, command: [seq, '100']}]",
    )
    .with(|command| {
        command.stdout(full);
    })
    .run();
    assert_eq!(ended.code, 0, "{}", ended.story());
    let lost: usize = ended
        .stderr
        .strip_prefix("podinit: ")
        .and_then(|rest| rest.strip_suffix(" lines of log output could not be written\n"))
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("{}", ended.story()));
    // The child's, and our own: plan, start, end and so on.
    assert!((101..=110).contains(&lost), "{lost}");
}
