use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::*;
use crate::domain::time::Wall;

/// An object's members; refuses a name that occurs twice.
#[derive(Debug)]
struct Strict(HashMap<String, Value>);

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut members = HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("{name} twice")));
                    }
                }
                Ok(Strict(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

fn head() -> Head {
    let label = Label {
        process: Arc::from("web"),
        instance: Arc::from("web-0"),
    };
    let labels = [("team", "a\"b"), ("level", "x"), ("team", "twice")];
    Head::new(
        &label,
        Stream::Stdout,
        &labels.map(|(k, v)| (k.to_owned(), v.to_owned())),
    )
}

fn written(bytes: &[u8], part: Part) -> String {
    let mut out = Vec::new();
    let lines = Lines {
        seq: 0,
        time: Wall(0),
        part,
        bytes,
    };
    let used = Envelope::default().lines((&head(), b"T"), &lines, usize::MAX, &mut out, &mut 0);
    assert_eq!(used, bytes.len());
    String::from_utf8(out).unwrap()
}

const HEAD: &str = r#"{"time":"T","stream":"stdout","process":"web","instance":"web-0","team":"a\"b","label.level":"x""#;

#[test]
fn a_line_becomes_the_message() {
    let cases = [
        ("plain", "plain"),
        ("", ""),
        ("with \"quotes\" and \\", r#"with \"quotes\" and \\"#),
        ("crlf\r", "crlf"),
        ("progress\r100 %", r"progress\r100 %"),
        (
            "nul \0 tab \t esc \x1b[0m",
            r"nul \u0000 tab \t esc \u001b[0m",
        ),
        ("{not json}", "{not json}"),
        ("{\"a\":1", r#"{\"a\":1"#),
        ("æøå 🦀", "æøå 🦀"),
    ];
    for (line, message) in cases {
        assert_eq!(
            written(format!("{line}\n").as_bytes(), Part::Whole),
            format!("{HEAD},\"message\":\"{message}\"}}\n")
        );
    }
}

#[test]
fn an_object_is_merged() {
    let cases = [
        (r"{}", ""),
        (
            r#"{"message":"m","level":"info"}"#,
            r#","message":"m","level":"info""#,
        ),
        (
            r#"{"a":{"time":1},"n":1.10}"#,
            r#","a":{"time":1},"n":1.10"#,
        ),
        (
            r#"{"time":1,"msg":"x","stream":[],"team":2}"#,
            r#","app.time":1,"msg":"x","app.stream":[],"app.team":2"#,
        ),
        (
            r#"{"ti\u006de":1,"\u00e6":2}"#,
            r#","app.ti\u006de":1,"\u00e6":2"#,
        ),
        ("{\"a\":1}\r", r#","a":1"#),
        (r#"{ "a" : 1 } "#, r#", "a" : 1 "#),
    ];
    for (line, members) in cases {
        assert_eq!(
            written(format!("{line}\n").as_bytes(), Part::Whole),
            format!("{HEAD}{members}}}\n"),
            "{line}"
        );
    }
}

#[test]
fn an_object_with_a_name_twice_is_a_text() {
    for line in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"time":1,"time":2}"#,
        r#"{"time":1,"app.time":2}"#,
        r#"{"time":1,"app.tim\u0065":2}"#,
    ] {
        let out = written(format!("{line}\n").as_bytes(), Part::Whole);
        let members: Strict = serde_json::from_str(&out).unwrap();
        assert_eq!(members.0["message"], line);
    }
}

#[test]
fn pieces_are_marked_and_never_merged() {
    assert_eq!(
        written(b"{}\n", Part::More),
        format!("{HEAD},\"message\":\"{{}}\",\"partial\":true}}\n")
    );
    assert_eq!(
        written(b"{}\n", Part::End),
        format!("{HEAD},\"message\":\"{{}}\"}}\n")
    );
}

#[test]
fn invalid_utf8_is_replaced_and_counted() {
    let mut out = Vec::new();
    let bytes = b"good\nbad \xff\xe2\x82 end\n{\"a\":\"\xff\"}\n";
    let lines = Lines {
        seq: 0,
        time: Wall(0),
        part: Part::Whole,
        bytes,
    };
    let mut invalid = 0;
    Envelope::default().lines((&head(), b"T"), &lines, usize::MAX, &mut out, &mut invalid);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(invalid, 2);
    assert!(out.contains("\"message\":\"good\""));
    assert!(out.contains("\"message\":\"bad \u{fffd}\u{fffd} end\""));
    assert!(out.contains("\"a\":\"\u{fffd}\""));
}

#[test]
fn writing_stops_at_the_limit_behind_a_line() {
    let lines = Lines {
        seq: 0,
        time: Wall(0),
        part: Part::Whole,
        bytes: b"one\ntwo\n{}\nthree\n",
    };
    let mut out = Vec::new();
    let used = Envelope::default().lines((&head(), b"T"), &lines, 1, &mut out, &mut 0);
    assert_eq!(used, 4);
    assert!(out.ends_with(b"\"one\"}\n"));
}

proptest! {
    #[test]
    fn any_bytes_give_lines_that_parse(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        bytes.push(b'\n');
        let out = written(&bytes, Part::Whole);
        prop_assert_eq!(out.lines().count(), bytes.split(|b| *b == b'\n').count() - 1);
        for (line, text) in out.lines().zip(bytes.split(|b| *b == b'\n')) {
            let members: Strict = serde_json::from_str(line).unwrap();
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let text = String::from_utf8_lossy(text);
            prop_assert_eq!(members.0.get("message").and_then(Value::as_str), Some(text.as_ref()));
        }
    }

    #[test]
    fn any_members_give_lines_that_parse(
        members in prop::collection::vec(("time|app\\.time|stream|team|a|b|message|level|ti\\\\u006de|[a-z]{1,2}", any::<Option<i32>>()), 0..8),
    ) {
        let inside: Vec<String> = members.iter().map(|(n, v)| format!("\"{n}\":{}", Value::from(*v))).collect();
        let line = format!("{{{}}}\n", inside.join(","));
        let out = written(line.as_bytes(), Part::Whole);
        let strict: Strict = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(&strict.0["time"], "T");
        let unique: HashSet<&String> = members.iter().map(|(n, _)| n).collect();
        let clash = members.iter().any(|(n, _)| n == "app.time" || n.contains('\\'));
        if unique.len() == members.len() && !clash {
            let ours = 6;
            prop_assert_eq!(strict.0.len(), ours + members.len());
        }
    }
}
