//! Facts about changes of the spec.

use super::{Fields, about_set, seconds, text, unworded};
use crate::domain::event::Refusal;
use crate::domain::fact::Fact;
use crate::domain::plan::Origin;
use crate::domain::time::Human;
use crate::ports::{Level, Record, Value};

/// Where a spec came from.
pub(super) fn source(origin: &Origin) -> Fields {
    let mut fields: Fields = Vec::new();
    if !origin.what.is_empty() {
        fields.push(("spec", text(&origin.what)));
    }
    if let Some(object) = &origin.object {
        fields.push(("generation", Value::Int(object.generation)));
    }
    fields
}

pub(super) fn record(fact: Fact) -> Record {
    match fact {
        Fact::ChangeApplied {
            origin,
            what,
            stops_runs,
        } => {
            let mut fields = source(&origin);
            fields.push(("restarts", Value::Bool(stops_runs)));
            about_set(Level::Info, format!("the spec changed: {what}"), fields)
        }
        Fact::ChangeWaits { origin, why } => about_set(
            Level::Info,
            format!("the spec changed, which waits: {why}"),
            source(&origin),
        ),
        Fact::ChangeRefused(Refusal {
            origin,
            reason,
            message,
        }) => {
            let mut fields = source(&origin);
            fields.push(("reason", text(reason)));
            let mut lines = message.lines().map(str::to_owned);
            let first = lines.next().unwrap_or_default();
            let message = format!("the spec changed, but nothing follows: {first}");
            let mut record = about_set(Level::Error, message, fields);
            record.lines = lines.collect();
            if !record.lines.is_empty() {
                let rest = record.lines.join("\n");
                record.fields.push(("problems", Value::Text(rest)));
            }
            record
        }
        Fact::ChangeDone { took } => about_set(
            Level::Info,
            format!("the change is done after {}", Human(took)),
            vec![("seconds", seconds(took))],
        ),
        Fact::ChangeReverted { origin, limit } => about_set(
            Level::Error,
            format!(
                "not ready {} after the spec changed: back to the last good one",
                Human(limit)
            ),
            source(&origin),
        ),
        _ => unworded(),
    }
}
