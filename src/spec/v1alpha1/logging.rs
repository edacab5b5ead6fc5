//! What happens to the output of processes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::units::{Duration, Quantity},
    defaults,
};

/// What happens to the output of a process. A field given in a process wins over the same field of the set, as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Json: one JSON object a line. Text: aligned, coloured on a terminal. Raw: whole lines as they are, nothing else is
    /// done with them. By default Json, on a terminal Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,

    /// Regular expressions: only lines that one of them matches are kept. By default all are. At most 32 of at most 1024
    /// characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub include: Option<Vec<String>>,

    /// Regular expressions: lines that one of them matches are dropped. At most 32 of at most 1024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub exclude: Option<Vec<String>>,

    /// What is made unreadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact: Option<Redact>,

    /// How lines that belong together become one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiline: Option<Multiline>,

    /// How a record gets its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LevelDetection>,

    /// Files that are followed and put into the stream. At most 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub files: Option<Vec<LogFile>>,

    /// The longest line, 1Ki to 16Mi; longer ones are cut, marked and counted. Default 256Ki.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_line_bytes: Option<Quantity>,

    /// What happens when the output is not taken. Block: the process waits. DropOldest: the oldest lines are dropped and
    /// counted. Default Block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_backpressure: Option<Backpressure>,

    /// Keys and values added to every record; values are strings. At most 32, of at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "labels_schema")]
    pub labels: Option<BTreeMap<String, String>>,
}

fn labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 256},
    })
}

/// The form of the log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Aligned text, coloured on a terminal.
    Text,
    /// Whole lines as they are.
    Raw,
}

/// What is made unreadable in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redact {
    /// Whether the built-in patterns (passwords, tokens, keys, card numbers) are used. Default true.
    #[serde(default = "defaults::yes")]
    pub builtin: bool,

    /// Further patterns. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub patterns: Vec<RedactPattern>,
}

/// A pattern that is made unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedactPattern {
    /// The name, for the count of what was redacted: a DNS label of at most 63 lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = crate::spec::units::NAME_PATTERN))]
    pub name: String,

    /// The regular expression. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub regex: String,

    /// What stands in its place; $1 is the first group. Default ***. At most 256 characters.
    #[serde(default = "defaults::stars")]
    #[schemars(length(max = 256))]
    pub replacement: String,
}

/// How lines that belong together become one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Multiline {
    /// Php: PHP and Laravel traces. None: only firstLine. Default None.
    #[serde(default)]
    pub preset: MultilinePreset,

    /// A regular expression that matches the first line of a record; lines it does not match belong to the record
    /// before. 1 to 1024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub first_line: Option<String>,

    /// The most lines of one record, 1 to 100000. Default 500.
    #[serde(default = "defaults::number::<500>")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_lines: u32,

    /// The most bytes of one record. Default 64Ki.
    #[serde(default = "defaults::kibibytes::<64>")]
    pub max_bytes: Quantity,

    /// How long a record waits for a further line. Default 500ms.
    #[serde(default = "defaults::half_second")]
    pub flush_after: Duration,
}

/// A known form of records of many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum MultilinePreset {
    /// PHP and Laravel traces.
    Php,
    /// None: only firstLine.
    #[default]
    None,
}

/// How a record gets its level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LevelDetection {
    /// Whether the level is looked for in the line (Monolog, pino, logfmt, plain). Default true.
    #[serde(default = "defaults::yes")]
    pub detect: bool,

    /// The level of lines without one. Default info.
    #[serde(default)]
    pub default: LogLevel,

    /// Records below this level are dropped. By default none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<LogLevel>,
}

/// A level of a log record, lowest first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the level of that name")]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Fatal,
}

/// A file that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogFile {
    /// The path. A relative one starts in the process's directory. 1 to 4096 characters.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,

    /// Whether what is in it already is read too. Default false.
    #[serde(default)]
    pub from_start: bool,
}

/// What happens when the output is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Backpressure {
    /// The process waits.
    Block,
    /// The oldest lines are dropped and counted.
    DropOldest,
}
