//! What probes found, in words.

use super::{about, about_set, seconds, text, unworded};
use crate::domain::fact::Fact;
use crate::domain::time::Human;
use crate::ports::{Level, Record, Value};

pub(super) fn record(fact: Fact) -> Record {
    match fact {
        Fact::ProbeFailing { label, probe, why } => about(
            Level::Info,
            label,
            format!("{} fails: {why}", probe.field()),
            vec![("probe", text(probe.field())), ("error", text(&why))],
        ),
        Fact::BecameReady { label, took } => about(
            Level::Info,
            label,
            format!("ready {} after its start", Human(took)),
            vec![("seconds", seconds(took))],
        ),
        Fact::BecameUnready {
            label,
            why,
            failures,
        } => about(
            Level::Warn,
            label,
            if failures == 0 {
                "not ready: the process said so".to_owned()
            } else {
                format!("not ready: {}: {why}", times(failures, "readinessProbe"))
            },
            vec![
                ("failures", Value::Int(failures.into())),
                ("error", text(&why)),
            ],
        ),
        Fact::Unhealthy {
            label,
            probe,
            why,
            failures,
        } => about(
            Level::Warn,
            label,
            format!("unhealthy: {}: {why}", times(failures, probe.field())),
            vec![
                ("probe", text(probe.field())),
                ("failures", Value::Int(failures.into())),
                ("error", text(&why)),
            ],
        ),
        Fact::NotifyFailed { why } => about_set(
            Level::Error,
            format!(
                "probes of the kind notify cannot pass: no socket for the sd_notify protocol: {why}"
            ),
            vec![("error", Value::Text(why))],
        ),
        _ => unworded(),
    }
}

fn times(failures: u32, probe: &str) -> String {
    match failures {
        0 | 1 => format!("{probe} failed"),
        more => format!("{probe} failed {more} times in a row"),
    }
}
