//! How output is logged: the process's fields over the set's, each as a whole.

use super::super::host::HostView;
use super::super::{Backpressure, LogFormat, LogRule};
use crate::spec::v1alpha1::{self as spec, Logging};

const MAX_LINE_BYTES: usize = 256 << 10;

/// The rule for one process.
pub(super) fn rule(own: Option<&Logging>, set: Option<&Logging>, host: &HostView) -> LogRule {
    let by_default = if host.stdout_is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let format = field(own, set, |logging| logging.format).map(|format| match format {
        spec::LogFormat::Json => LogFormat::Json,
        spec::LogFormat::Text => LogFormat::Text,
        spec::LogFormat::Raw => LogFormat::Raw,
    });
    let on_backpressure = field(own, set, |logging| logging.on_backpressure);
    let labels = field(own, set, |logging| logging.labels.as_ref());
    LogRule {
        format: format.unwrap_or(by_default),
        max_line_bytes: field(own, set, |logging| logging.max_line_bytes)
            .map_or(MAX_LINE_BYTES, |bytes| bytes.bytes() as usize),
        on_backpressure: match on_backpressure {
            Some(spec::Backpressure::DropOldest) => Backpressure::DropOldest,
            Some(spec::Backpressure::Block) | None => Backpressure::Block,
        },
        labels: labels
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    }
}

fn field<'a, T>(
    own: Option<&'a Logging>,
    set: Option<&'a Logging>,
    get: impl Fn(&'a Logging) -> Option<T>,
) -> Option<T> {
    own.and_then(&get).or_else(|| set.and_then(&get))
}
