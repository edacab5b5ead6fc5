//! The log pipeline with a thousand runs: what it costs while nobody writes, and while nobody ends a line. One test, so
//! that nothing else runs beside.
#![expect(clippy::disallowed_methods, reason = "looks at /proc")]

#[path = "logs_rig.rs"]
mod rig;

use std::io::{BufReader, Write};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use podinit::domain::id::RunId;
use podinit::domain::plan::{Backpressure, LogFormat};
use podinit::ports::Logs;
use rig::{DEADLINE, Rig, label, lines, nothing_within, open, read_all, rule, until, within};

const RUNS: u64 = 1000;
/// Bytes of a line that is not ended: in all, far more than there is memory for such lines.
const UNFINISHED: usize = 20_000;

fn status(task: &str, key: &str) -> usize {
    let text = std::fs::read_to_string(format!("{task}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// How often our two threads went to sleep so far.
fn waits() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let mut sum = 0;
    for task in tasks {
        let path = task.path().display().to_string();
        let name = std::fs::read_to_string(format!("{path}/comm")).unwrap_or_default();
        if ["logs", "logs-out"].contains(&name.trim()) {
            sum += status(&path, "voluntary_ctxt_switches:");
        }
    }
    sum
}

#[test]
fn a_thousand_runs_cost_no_wake_up_and_little_memory() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    assert!(most >= 10_000, "needs 10,000 open files (ulimit -Hn)");

    let rig = Rig::new(LogFormat::Json).unwrap();
    let rule = rule(LogFormat::Json, Backpressure::Block);
    let before = status("/proc/self", "RssAnon:");
    let mut children = Vec::new();
    for run in 0..RUNS {
        children.push(open(&rig.pipeline, run, &format!("web-{run}"), &rule).unwrap());
    }
    let mut output = BufReader::new(rig.output);
    for child in &mut children {
        child.stdout.write_all(b"ready\n").unwrap();
        child.stderr.write_all(b"steady\n").unwrap();
    }
    assert_eq!(
        lines(&mut output, 2 * RUNS as usize).len(),
        2 * RUNS as usize
    );
    for run in [0, RUNS - 1] {
        let last = rig.pipeline.last_lines(&label(&format!("web-{run}")), 100);
        assert_eq!(last.len(), 2);
    }
    let grown = status("/proc/self", "RssAnon:").saturating_sub(before);
    assert!(grown < 6 * 1024, "{grown} KiB for {RUNS} runs");

    // Until the last answer's wake-up is over, too.
    while !nothing_within(output.get_ref(), Duration::from_millis(50)) {}
    let before = waits();
    assert!(before > 0);
    assert!(nothing_within(output.get_ref(), Duration::from_millis(500)));
    assert_eq!(waits(), before, "it woke up");

    let output = read_all(output.into_inner());
    let before = status("/proc/self", "RssAnon:");
    for child in &mut children {
        child.stdout.write_all(&vec![b'x'; UNFINISHED]).unwrap();
    }
    until("all is read", || {
        rig.pipeline.stats().read_bytes >= RUNS * UNFINISHED as u64
    });
    let grown = status("/proc/self", "RssAnon:").saturating_sub(before);
    let to_be_read = RUNS as usize * UNFINISHED / 1024;
    assert!(
        grown < 24 * 1024 + to_be_read,
        "{grown} KiB for {RUNS} unfinished lines"
    );
    assert!(rig.pipeline.stats().cut_pieces > 0);

    for run in 0..RUNS {
        rig.pipeline.close(RunId(run));
    }
    rig.pipeline.finish(DEADLINE);
    let text = within(&output).unwrap().unwrap();
    let xs = memchr::memchr_iter(b'x', &text).count();
    assert_eq!(xs, RUNS as usize * UNFINISHED);
    assert_eq!(rig.pipeline.stats().lost_lines, 0);
}
