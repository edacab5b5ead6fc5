//! The report of a stop: one JSON object for machines, a few lines for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::{about_set, seconds, source_name};
use crate::domain::plan::Traffic;
use crate::domain::process::phase::RunEnd;
use crate::domain::shutdown::report::{InstanceReport, StopReport};
use crate::domain::time::Human;
use crate::ports::{Level, Record, Value};

/// The record: the object as the field `report`, the lines below it for a terminal.
pub(super) fn record(report: &StopReport) -> Record {
    let mut record = about_set(
        Level::Info,
        format!(
            "stopped in {} of {}",
            Human(report.used),
            Human(report.budget)
        ),
        vec![
            ("seconds", seconds(report.used)),
            ("budgetSeconds", seconds(report.budget)),
            ("report", Value::Json(object(report).to_string())),
        ],
    );
    record.lines = lines(report);
    record
}

fn object(report: &StopReport) -> Json {
    let mut all = Map::new();
    all.insert("reason".into(), json!(report.why));
    all.insert("exitCode".into(), json!(report.code));
    all.insert("graceSeconds".into(), number(report.grace));
    all.insert("graceSource".into(), json!(source_name(report.source)));
    all.insert("budgetSeconds".into(), number(report.budget));
    all.insert("usedSeconds".into(), number(report.used));
    // What shortens it is the Pod, if podinit may read that.
    let decided = if report.shortened {
        "metadata.deletionTimestamp"
    } else {
        source_name(report.source)
    };
    all.insert("deadlineSource".into(), json!(decided));
    all.insert("deadlineShortened".into(), json!(report.shortened));
    all.insert("claimsShortened".into(), json!(report.claims_cut));
    if let Some(drain) = report.drain {
        let drain = json!({
            "plannedSeconds": number(drain.planned),
            "seconds": number(drain.took),
            "cut": drain.cut,
        });
        all.insert("drain".into(), drain);
    }
    let hooks = report.hooks.iter().map(|hook| {
        let mut one = json!({"name": hook.name, "seconds": number(hook.took)});
        if let Some(failure) = &hook.failure {
            one["error"] = json!(failure);
        }
        one
    });
    all.insert("hooks".into(), hooks.collect());
    let processes = report.instances.iter().map(instance).collect();
    all.insert("processes".into(), processes);
    Json::Object(all)
}

/// Times are seconds since t0; what did not happen is left out.
fn instance(of: &InstanceReport) -> Json {
    let mut all = Map::new();
    all.insert("instance".into(), json!(of.label.instance));
    all.insert("traffic".into(), json!(traffic(of.traffic)));
    all.insert("signal".into(), json!(of.signal.to_string()));
    for (name, at) in [
        ("askedSeconds", of.asked),
        ("signalledSeconds", of.signalled),
        ("exitedSeconds", of.exited),
        ("killedSeconds", of.killed),
        ("goneSeconds", of.gone),
        ("tookSeconds", of.took()),
    ] {
        if let Some(at) = at {
            all.insert(name.into(), number(at));
        }
    }
    if let Some(RunEnd::Exit(exit)) = of.how {
        all.insert("exitCode".into(), json!(exit.shell_code()));
    }
    if of.killed.is_some() {
        all.insert("killedByDeadline".into(), json!(of.by_deadline));
    }
    if of.is_stuck() {
        all.insert("stuck".into(), json!(true));
    }
    Json::Object(all)
}

fn traffic(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Serving => "Serving",
        Traffic::Background => "Background",
    }
}

fn number(time: Duration) -> Json {
    json!((time.as_secs_f64() * 1e6).round() / 1e6)
}

/// One line an instance, without bars: for the termination message. Times count from t0.
pub fn brief(report: &StopReport) -> Vec<String> {
    let mut lines = vec![format!(
        "used {} of {} (grace {} from {}){}",
        Human(report.used),
        Human(report.budget),
        Human(report.grace),
        source_name(report.source),
        if report.claims_cut {
            ", claims cut"
        } else {
            ""
        },
    )];
    if let Some(drain) = report.drain {
        let cut = if drain.cut { " (cut)" } else { "" };
        lines.push(format!("drain: {}{cut}", Human(drain.took)));
    }
    for hook in &report.hooks {
        let how = hook.failure.as_deref().unwrap_or("done");
        lines.push(format!(
            "hook {}: {how}, took {}",
            hook.name,
            Human(hook.took)
        ));
    }
    for one in &report.instances {
        let mut line = one.label.instance.to_string();
        let signal = one.signal.to_string();
        for (what, at) in [
            ("asked", one.asked),
            (signal.as_str(), one.signalled),
            ("SIGKILL", one.killed),
            ("exited", one.exited),
        ] {
            if let Some(at) = at {
                let separator = if line.contains(' ') { "," } else { ":" };
                let _ = write!(line, "{separator} {what} {}", Human(at));
            }
        }
        if let (Some(how), Some(took)) = (one.how, one.took()) {
            let _ = write!(line, ", {how}, took {}", Human(took));
        }
        if one.is_stuck() {
            line.push_str(", stuck");
        }
        lines.push(line);
    }
    lines
}

/// How wide the bars are.
const WIDTH: usize = 40;

/// One line a stage: a bar to the scale of the time used, then what happened.
pub(super) fn lines(report: &StopReport) -> Vec<String> {
    let names = (report.instances.iter().map(|one| &*one.label.instance))
        .chain(report.hooks.iter().map(|hook| &*hook.name));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let scale = Scale {
        whole: report.used,
        width: width.clamp(5, 40),
    };
    let mut lines = vec![format!(
        "{}; budget {} of {} ({}){}",
        report.why,
        Human(report.budget),
        Human(report.grace),
        source_name(report.source),
        if report.claims_cut {
            ", too short for all claims"
        } else {
            ""
        },
    )];
    for hook in &report.hooks {
        let how = hook.failure.as_deref().unwrap_or("done");
        let span = (hook.began, None, hook.began + hook.took);
        lines.push(scale.line(&hook.name, span, how));
    }
    if let Some(drain) = report.drain {
        let how = if drain.cut { "cut" } else { "done" };
        lines.push(scale.line("drain", (Duration::ZERO, None, drain.took), how));
    }
    for one in &report.instances {
        let from = one.asked.or(one.exited).unwrap_or_default();
        let to = one.gone.or(one.exited).unwrap_or(report.used);
        lines.push(scale.line(&one.label.instance, (from, one.killed, to), &ending(one)));
    }
    lines
}

fn ending(one: &InstanceReport) -> String {
    let mut text = match one.signalled {
        Some(_) => format!("{}, ", one.signal),
        None => String::new(),
    };
    match (&one.how, one.killed) {
        _ if one.is_stuck() => text.push_str("still there after SIGKILL"),
        (_, Some(_)) if one.by_deadline => text.push_str("SIGKILL at the set's deadline"),
        (_, Some(_)) => text.push_str("SIGKILL after its grace period"),
        (Some(how), None) => {
            let _ = write!(text, "{how}");
        }
        (None, None) => text.push_str("ended"),
    }
    text
}

struct Scale {
    whole: Duration,
    width: usize,
}

impl Scale {
    fn column(&self, at: Duration) -> usize {
        let whole = self.whole.as_secs_f64().max(1e-9);
        ((at.as_secs_f64() / whole * WIDTH as f64).round() as usize).min(WIDTH)
    }

    fn line(&self, name: &str, span: (Duration, Option<Duration>, Duration), how: &str) -> String {
        let (from, killed, to) = span;
        let (first, last) = (self.column(from), self.column(to));
        let first = first.min(WIDTH - 1);
        let mut bar: Vec<char> = vec![' '; WIDTH];
        for cell in &mut bar[first..last.max(first + 1)] {
            *cell = '=';
        }
        if let Some(killed) = killed {
            bar[self.column(killed).clamp(first, WIDTH - 1)] = 'X';
        }
        let bar: String = bar.into_iter().collect();
        let took = Human(to.saturating_sub(from)).to_string();
        let width = self.width;
        format!("  {name:width$} |{bar}| {took:>6}  {how}")
    }
}
