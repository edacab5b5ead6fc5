use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn names(line: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    object(line.as_bytes(), &mut names)?;
    Some(names.into_iter().map(|n| &line[n]).collect())
}

#[test]
fn objects_are_recognized() {
    let cases: &[(&str, Option<&[&str]>)] = &[
        ("{}", Some(&[])),
        (" { } \r", Some(&[])),
        (r#"{"a":1}"#, Some(&["a"])),
        (r#"{"a":{"b":[1,{"c":2}]},"d":[]}"#, Some(&["a", "d"])),
        (
            r#"{"a" : -0.5e-3 , "b\"" : "x\u00e6\ud83e\udd80"}"#,
            Some(&["a", "b\\\""]),
        ),
        (r#"{"a":true,"b":false,"c":null}"#, Some(&["a", "b", "c"])),
        ("", None),
        ("{", None),
        ("{}{}", None),
        ("{} x", None),
        ("[]", None),
        (r#"{"a"}"#, None),
        (r#"{"a":}"#, None),
        (r#"{"a":1,}"#, None),
        (r#"{,"a":1}"#, None),
        (r#"{"a":1"b":2}"#, None),
        (r#"{"a":[1}"#, None),
        (r#"{"a":[1,]}"#, None),
        (r#"{"a":{]}"#, None),
        (r#"{"a":01}"#, None),
        (r#"{"a":1.}"#, None),
        (r#"{"a":-}"#, None),
        (r#"{"a":.5}"#, None),
        (r#"{"a":1e}"#, None),
        (r#"{"a":1e999}"#, None),
        (r#"{"a":tru}"#, None),
        (r#"{"a":truex}"#, None),
        (r#"{"a":"\x"}"#, None),
        (r#"{"a":"\ud83e"}"#, None),
        (r#"{"a":"\ud83e\u0041"}"#, None),
        (r#"{"a":"\udd80"}"#, None),
        (r#"{"a":"\u12"}"#, None),
        (r#"{"a":"#, None),
        ("{\"a\":\"x\ty\"}", None),
        ("{'a':1}", None),
    ];
    for (line, expected) in cases {
        assert_eq!(names(line).as_deref(), *expected, "{line}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(names(&deep(99)).is_some());
    assert!(names(&deep(100)).is_none());
    assert!(names(&deep(10_000)).is_none());
}

#[test]
fn plain_finds_the_first_byte_to_escape() {
    for length in 0..40 {
        let text = "å".repeat(20);
        assert_eq!(plain(&text.as_bytes()[..length]), length);
        for at in 0..length {
            for bad in [0, b'\n', 0x1f, b'"', b'\\'] {
                let mut text = vec![0x7f; length];
                text[at] = bad;
                text[length - 1] = bad;
                assert_eq!(plain(&text), at);
            }
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_escaped_text_reads_back(text in any::<String>()) {
        let mut out = Vec::new();
        string(&text, &mut out);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn every_object_is_one(value in json()) {
        let line = value.to_string();
        prop_assert_eq!(names(&line).is_some(), value.is_object());
    }

    /// What we take for an object is one for serde_json too; the other way round with a byte changed at random.
    #[test]
    fn we_agree_with_serde_json(value in json(), at in any::<prop::sample::Index>(), byte in prop_oneof![any::<char>(), Just('"'), Just('}'), Just(','), Just('\\'), Just('1')]) {
        let mut chars: Vec<char> = Value::Object([("a".to_owned(), value)].into_iter().collect()).to_string().chars().collect();
        let at = at.index(chars.len());
        chars[at] = byte;
        let line: String = chars.into_iter().collect();
        let theirs = serde_json::from_str::<serde_json::Map<String, Value>>(&line).is_ok();
        prop_assert_eq!(names(&line).is_some(), theirs, "{}", line);
    }
}
