//! YAML in and out. The only module that uses the YAML library.
//!
//! Reading drives the library's parser by its events and builds a [`Node`] tree, under budgets that no text can exceed:
//! see [`MAX_BYTES`], [`MAX_DEPTH`], [`MAX_NODES`] and [`MAX_ALIASES`].

mod build;

use serde::Serialize;
use serde_yaml::granit_parser;

use self::build::{Builder, fatal, position};
use super::{
    node::Node,
    problem::{Position, Problem, shown},
};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// The most keys, items and values, those that aliases repeat included.
pub const MAX_NODES: usize = 100_000;
/// The most aliases.
pub const MAX_ALIASES: usize = 256;

/// What a text is: a tree, unless it is broken, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The only document; `None` if the text is broken.
    pub node: Option<Node>,
    /// What is wrong: one problem if the text is broken, else the duplicate keys.
    pub problems: Vec<Problem>,
}

/// Reads a text that holds one document.
pub fn parse(text: &str) -> Parsed {
    let mut builder = Builder::new(text);
    let node = builder.build();
    let (node, fatal) = match node {
        Ok(node) => (Some(node), None),
        Err(problem) => (None, Some(problem)),
    };
    let mut problems = fatal.map_or(builder.problems, |problem| vec![problem]);
    problems.sort_by_key(|problem| problem.position);
    Parsed { node, problems }
}

/// Writes a value as YAML.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, serde_yaml::SerializeError> {
    let options =
        serde_yaml::ser_options! { prefer_block_scalars: false, compact_list_indent: true };
    serde_yaml::to_string_with_options(value, options)
}

/// The position of a byte offset.
pub fn position_of(text: &str, offset: usize) -> Position {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Position {
        line: before.bytes().filter(|b| *b == b'\n').count() as u32 + 1,
        column: before[line_start..].chars().count() as u32 + 1,
    }
}

/// The library's error as a problem, with a hint at the usual causes.
fn broken(error: &granit_parser::ScanError, text: &str) -> Problem {
    let at = position(error.marker());
    let info = error.info();
    if info.contains("recursion limit") {
        return fatal(at, format!("nested deeper than {MAX_DEPTH} levels"));
    }
    fatal(at, format!("not valid YAML: {info}")).maybe_help(hint(&info, at, text))
}

fn hint(info: &str, at: Position, text: &str) -> Option<String> {
    let line = text.lines().nth(at.line as usize - 1)?;
    let indent = &line[..line.len() - line.trim_start().len()];
    let value = line
        .split_once(": ")
        .map_or(line, |(_, value)| value)
        .trim();
    if indent.contains('\t') {
        Some("YAML is indented with spaces, not with tabs".to_owned())
    } else if value.starts_with(['*', '&', '@', '`', '%', '!', '|', '>']) {
        Some(format!(
            "a text that starts with `{}` needs quotes: \"{}\"",
            &value[..1],
            shown(value)
        ))
    } else if info.contains("mapping values are not allowed") {
        Some("a text with `: ` in it needs quotes, or the line is indented too far".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            node::{Scalar, Value},
            problem::FieldPath,
        },
        *,
    };

    fn node(text: &str) -> Node {
        let parsed = parse(text);
        assert_eq!(parsed.problems, [], "{text}");
        parsed.node.unwrap()
    }

    fn problem(text: &str) -> String {
        let parsed = parse(text);
        assert_eq!(parsed.problems.len(), 1, "{text}: {:?}", parsed.problems);
        parsed.problems[0].to_string()
    }

    #[test]
    fn keys_and_values_have_places_and_quotes() {
        let root = node("a: 1\nb:\n  - 'x'\n  - {c: \"\u{e9}: 8\", d: e}\n");
        let at = |line, column| Position { line, column };
        assert_eq!(root.position, at(1, 1));
        assert_eq!(root.entry("b").unwrap().position, at(2, 1));
        let items = root.get("b").unwrap().items();
        assert_eq!(items[0].position, at(3, 5));
        assert_eq!(
            items[0].value,
            Value::Scalar(Scalar {
                text: "x".into(),
                plain: false
            })
        );
        assert_eq!(items[1].get("d").unwrap().position, at(4, 20));
        let path = FieldPath::ROOT.key("b").index(1).key("d");
        assert_eq!(root.locate(&path), at(4, 20));
        assert_eq!(root.locate(&FieldPath::ROOT.key("b")), at(2, 1));
        assert_eq!(
            root.locate(&FieldPath::ROOT.key("b").index(1).key("missing")),
            at(4, 5)
        );
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved() {
        let root = node(
            "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [*b, {z: 4}]}\nthree: *b\n",
        );
        let keys = |key: &str| -> Vec<_> {
            root.get(key)
                .unwrap()
                .entries()
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.text().unwrap().to_owned()))
                .collect()
        };
        let pairs = |list: &[(&str, &str)]| -> Vec<_> {
            list.iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect()
        };
        assert_eq!(keys("one"), pairs(&[("y", "3"), ("x", "1")]));
        assert_eq!(keys("two"), pairs(&[("x", "1"), ("y", "2"), ("z", "4")]));
        assert_eq!(keys("three"), pairs(&[("x", "1"), ("y", "2")]));
    }

    #[test]
    fn empty_documents_around_the_only_one_are_ignored() {
        for text in [
            "a: 1",
            "---\na: 1\n---\n",
            "# c\n---\n---\na: 1\n...\n",
            "\u{feff}a: 1",
        ] {
            assert_eq!(
                node(text).get("a").and_then(Node::text),
                Some("1"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn all_duplicate_keys_are_reported() {
        let parsed = parse("a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\n");
        let lines: Vec<_> = parsed.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "3:1: the key `a` is already given at 1:1\n  help: remove one of them",
                "4:11: the key `d` is already given at 4:5\n  help: remove one of them",
            ]
        );
        assert_eq!(
            parsed.node.unwrap().get("a").and_then(Node::text),
            Some("1")
        );
    }

    #[test]
    fn hostile_texts_end_in_one_problem() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let laughs = (1..10).fold(
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
            |text, i| {
                let before = format!("*a{}", i - 1);
                text + &format!("a{i}: &a{i} [{}]\n", [before.as_str(); 10].join(", "))
            },
        );
        let nest = |inner: &str| "[".repeat(30) + inner + &"]".repeat(30);
        let deeper = format!(
            "a: &a {}\nb: &b {}\nc: {}\n",
            nest("x"),
            nest("*a"),
            nest("*b")
        );
        let long = format!("a: &a {}\nb: [*a, *a, *a]\n", "x".repeat(400_000));
        let many = "a: &a x\nb: [".to_owned() + &"*a, ".repeat(300) + "]\n";
        for (text, expected) in [
            (String::new(), "1:1: the text is empty"),
            ("---\n".into(), "1:1: the text is empty"),
            ("# only a comment\n".into(), "1:1: the text is empty"),
            ("a: 1\n---\nb: 2\n".into(), "3:1: a second document"),
            ("a: \0b".into(), "1:4: a NUL byte"),
            ("a: *b\n".into(), "1:4: there is no anchor `&b`"),
            ("a: * * * * *\n".into(), "1:4: not valid YAML: "),
            ("a: */5 * * * *\n".into(), "1:"),
            ("a: @daily\n".into(), "1:4: not valid YAML: "),
            ("a: &a [*a]\n".into(), "1:8: an alias inside the anchor"),
            ("a:\n\tb: 1\n".into(), "2:"),
            ("a: b: c\n".into(), "1:5: not valid YAML: "),
            (
                "a: {{ .Values.x }}\n".into(),
                "1:5: a mapping's key must be a string",
            ),
            (
                "a: !vault x\n".into(),
                "1:11: the tag `!vault` is not supported",
            ),
            ("a: 'x\n".into(), "1:4: not valid YAML: "),
            ("<<: 1\n".into(), "1:5: `<<` takes a mapping"),
            (deep, "1:65: nested deeper than 64 levels"),
            (deeper, "3:"),
            (laughs, "5:"),
            (many, "2:1029: more than 256 aliases"),
            (long, "2:"),
            ("x".repeat(MAX_BYTES + 1), "1:1: the text has 1048577 bytes"),
            (
                "- a\n".repeat(MAX_BYTES / 4),
                "100001:3: more than 100000 values",
            ),
        ] {
            let message = problem(&text);
            assert!(
                message.starts_with(expected),
                "{message}\nexpected {expected}"
            );
        }
    }

    #[test]
    fn tags_of_the_core_schema_are_known() {
        let root = node("a: !!str 8080\nb: !!int 1\nc: ! 5\n");
        let plain = |key: &str| match &root.get(key).unwrap().value {
            Value::Scalar(scalar) => scalar.plain,
            other => panic!("{other:?}"),
        };
        assert_eq!((plain("a"), plain("b"), plain("c")), (false, true, false));
    }
}
