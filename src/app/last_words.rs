//! What podinit says when it leaves: the termination message, and complaints when there is no log.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::domain::system::Outcome;
use crate::engine::publish::report::brief;

/// What Kubernetes keeps of a termination message, in bytes.
pub(super) const LIMIT: usize = 4096;

/// The report has so much of it, so that last lines have their place too.
const REPORT: usize = 3072;

/// Writes the termination message, if there is a file for it. Failing at that changes nothing.
pub(super) fn write(path: &Path, outcome: &Outcome, last_lines: &[String]) {
    let message = message(outcome, last_lines);
    let file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path);
    if let Ok(mut file) = file {
        let _ = file.write_all(message.as_bytes());
    }
}

/// The reason first, then the report of the stop, then as many of the last lines as fit, oldest first.
fn message(outcome: &Outcome, last_lines: &[String]) -> String {
    let mut message = format!("exit code {}: {}\n", outcome.code, outcome.reason);
    truncate(&mut message, LIMIT);
    let report = outcome
        .report
        .as_ref()
        .map_or_else(Vec::new, |report| brief(report));
    let room = LIMIT.saturating_sub(message.len()).min(REPORT);
    message.push_str(&fitting(&report, room));
    let mut room = LIMIT - message.len();
    let mut kept = 0;
    for line in last_lines.iter().rev() {
        if line.len() + 1 > room {
            break;
        }
        room -= line.len() + 1;
        kept += 1;
    }
    for line in &last_lines[last_lines.len() - kept..] {
        message.push_str(line);
        message.push('\n');
    }
    message
}

/// As many lines as fit, and a word for the rest.
fn fitting(lines: &[String], room: usize) -> String {
    const MORE: &str = "...\n";
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let last = at + 1 == lines.len();
        let spare = if last { 0 } else { MORE.len() };
        if text.len() + line.len() + 1 + spare > room {
            if text.len() + MORE.len() <= room {
                text.push_str(MORE);
            }
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

/// A line on standard error, without minding whether anybody reads it.
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "podinit: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Mono;

    fn outcome(reason: &str) -> Outcome {
        Outcome {
            code: 3,
            reason: reason.to_owned(),
            about: None,
            report: None,
            until: Mono::ZERO,
        }
    }

    #[test]
    fn the_newest_lines_are_kept_in_order() {
        let lines: Vec<String> = (0..1000).map(|n| format!("line {n}")).collect();
        let message = message(&outcome("web-0 failed for good: exit code 3"), &lines);
        assert!(message.len() <= LIMIT && message.len() > LIMIT - 20);
        assert!(message.starts_with("exit code 3: web-0 failed for good: exit code 3\nline "));
        assert!(message.ends_with("line 998\nline 999\n"));
    }

    #[test]
    fn a_reason_that_is_too_long_is_cut_between_characters() {
        let message = message(&outcome(&"ü".repeat(LIMIT)), &["never".to_owned()]);
        assert!(message.len() <= LIMIT);
    }
}
