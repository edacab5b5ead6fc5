//! Our own records as lines. Pure.
//!
//! ```text
//! {"time":"2026-11-23T10:00:00.123456Z","level":"info","source":"podinit","process":"web","instance":"web-0","message":"exited","code":1}
//! 10:00:00.123 podinit | web-0: exited code=1
//! ```
//!
//! `Text` names the level unless it is `info`. A field called like something in front of it becomes `field.NAME`.

use std::fmt::Write as _;
use std::sync::Arc;

use super::format::{Column, Formatter, Stream};
use super::json;
use crate::domain::time::Wall;
use crate::ports::{Level, Record, Value};

/// The line of a record, with its newline.
pub(super) fn json(record: &Record, time: Wall, formatter: &mut Formatter, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(formatter.stamp.rfc3339(time));
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(record.level.to_string().as_bytes());
    out.extend_from_slice(b"\",\"source\":\"podinit\"");
    let mut names = vec!["time", "level", "source", "process", "instance", "message"];
    let member = |name: &str, out: &mut Vec<u8>| {
        out.push(b',');
        json::string(name, out);
        out.push(b':');
    };
    if let Some(label) = &record.label {
        member("process", out);
        json::string(&label.process, out);
        member("instance", out);
        json::string(&label.instance, out);
    }
    member("message", out);
    json::string(&record.message, out);
    for (name, value) in &record.fields {
        if names.contains(name) {
            let renamed = format!("field.{name}");
            if names.iter().filter(|n| *n == name).count() > 1 {
                continue;
            }
            member(&renamed, out);
        } else {
            member(name, out);
        }
        names.push(name);
        match value {
            Value::Text(text) => json::string(text, out),
            Value::Float(number) if !number.is_finite() => out.extend_from_slice(b"null"),
            other => out.extend_from_slice(shown(other).as_bytes()),
        }
    }
    out.extend_from_slice(b"}\n");
}

/// The line of a record for people, with its newline; then those that come with it.
pub(super) fn text(record: &Record, time: Wall, formatter: &mut Formatter, out: &mut Vec<u8>) {
    let column = Column {
        name: Arc::from("podinit"),
        stream: Stream::Stdout,
        number: None,
    };
    formatter.columns(time, &column, out);
    let mut line = String::new();
    if record.level != Level::Info {
        let _ = write!(line, "{}: ", record.level);
    }
    if let Some(label) = &record.label {
        let _ = write!(line, "{label}: ");
    }
    line.push_str(&record.message);
    for (name, value) in &record.fields {
        if matches!(value, Value::Json(_)) {
            continue;
        }
        let _ = write!(line, " {name}=");
        match value {
            Value::Text(text) if !bare(text) => {
                let mut quoted = Vec::new();
                json::string(text, &mut quoted);
                line.push_str(&String::from_utf8_lossy(&quoted));
            }
            other => line.push_str(&shown(other)),
        }
    }
    printable(&line, out);
    for line in &record.lines {
        formatter.columns(time, &column, out);
        printable(line, out);
    }
}

fn printable(line: &str, out: &mut Vec<u8>) {
    for character in line.chars() {
        if character.is_control() {
            out.extend_from_slice(character.escape_default().to_string().as_bytes());
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.push(b'\n');
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Json(json) => json.clone(),
    }
}

/// Whether a text can be told from what is around it without quotes.
fn bare(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Label;

    const TIME: Wall = Wall(1_795_428_000_123_456);

    fn record(level: Level, fields: Vec<(&'static str, Value)>) -> Record {
        Record {
            level,
            label: Some(Arc::new(Label {
                process: Arc::from("web"),
                instance: Arc::from("web-0"),
            })),
            message: "it \"said\"\nno".to_owned(),
            fields,
            lines: Vec::new(),
        }
    }

    fn as_json(record: &Record) -> String {
        let mut out = Vec::new();
        json(record, TIME, &mut Formatter::new(false), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn as_text(record: &Record) -> String {
        let mut out = Vec::new();
        text(record, TIME, &mut Formatter::new(false), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_has_all_fields() {
        let fields = vec![
            ("code", Value::Int(-1)),
            ("seconds", Value::Float(0.5)),
            ("ratio", Value::Float(f64::NAN)),
            ("killed", Value::Bool(true)),
            ("path", Value::Text("a\\b".to_owned())),
        ];
        assert_eq!(
            as_json(&record(Level::Info, fields)),
            "{\"time\":\"2026-11-23T10:00:00.123456Z\",\"level\":\"info\",\"source\":\"podinit\",\"process\":\"web\",\
             \"instance\":\"web-0\",\"message\":\"it \\\"said\\\"\\nno\",\"code\":-1,\"seconds\":0.5,\"ratio\":null,\
             \"killed\":true,\"path\":\"a\\\\b\"}\n"
        );
    }

    #[test]
    fn no_name_occurs_twice() {
        let fields = ["time", "code", "code", "code", "process"]
            .map(|n| (n, Value::Int(1)))
            .to_vec();
        let line = as_json(&record(Level::Warn, fields));
        for name in [
            "\"time\"",
            "\"code\"",
            "\"field.code\"",
            "\"process\"",
            "\"field.time\"",
        ] {
            assert_eq!(line.matches(name).count(), 1, "{name} in {line}");
        }
    }

    #[test]
    fn text_is_one_line_for_people() {
        let fields = vec![
            ("code", Value::Int(1)),
            ("why", Value::Text("bad luck".to_owned())),
            ("pid", Value::Text("x".to_owned())),
            ("empty", Value::Text(String::new())),
        ];
        assert_eq!(
            as_text(&record(Level::Warn, fields)),
            "10:00:00.123 podinit | warn: web-0: it \"said\"\\nno code=1 why=\"bad luck\" pid=x empty=\"\"\n"
        );
        assert_eq!(
            as_text(&record(Level::Info, Vec::new())),
            "10:00:00.123 podinit | web-0: it \"said\"\\nno\n"
        );
    }
}
