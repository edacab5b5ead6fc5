//! A document as a tree: every key and value with its place, every scalar as it was written.
//!
//! The tree keeps what serde loses: positions, and whether a scalar was quoted. It is read in one way only, the way the
//! API server reads the same text. Where YAML 1.1 (kubectl) and YAML 1.2 read a scalar differently, it is [`Kind::Odd`]
//! and no field accepts it, so that a file means the same to podinit and to Kubernetes.

use super::problem::{FieldPath, Position, Segment, shown};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub position: Position,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the text.
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key starts.
    pub position: Position,
    /// The value.
    pub node: Node,
}

/// A scalar as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The text, quotes and escapes resolved.
    pub text: String,
    /// Whether it was written without quotes, so that it may be a number, a boolean or null.
    pub plain: bool,
}

/// What a node counts as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer in plain decimal digits.
    Int(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// A plain scalar that YAML 1.1 and YAML 1.2 read differently.
    Odd(Odd),
    /// A string.
    String,
    /// A list.
    Sequence,
    /// A mapping.
    Mapping,
}

/// Why a plain scalar is [`Kind::Odd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// `yes`, `no`, `on`, `off`, `y`, `n`: booleans in YAML 1.1, strings in YAML 1.2.
    Bool(bool),
    /// `0755`, `0x1f`, `0o17`, `0b1`, `1_000`, `+1`: numbers that are not plain decimal digits.
    Int,
}

/// What a node costs, all that is in it included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Values.
    pub(super) nodes: usize,
    /// Levels of lists and mappings.
    pub(super) depth: usize,
    /// Bytes of keys and scalars.
    pub(super) bytes: usize,
}

impl Node {
    /// What it counts as.
    pub fn kind(&self) -> Kind {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind(),
            Value::Sequence(_) => Kind::Sequence,
            Value::Mapping(_) => Kind::Mapping,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// The text of a scalar that counts as a string.
    pub fn string(&self) -> Option<&str> {
        self.text().filter(|_| self.kind() == Kind::String)
    }

    /// The entries of a mapping; nothing for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Scalar(_) | Value::Sequence(_) => &[],
        }
    }

    /// The items of a list; nothing for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            Value::Scalar(_) | Value::Mapping(_) => &[],
        }
    }

    /// The entry of a mapping with this key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of this key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Where the field of this path is written: at its value, or at its key if the value is a mapping or a list. If it is
    /// not written, where the innermost part of the path is that is.
    pub fn locate(&self, path: &FieldPath) -> Position {
        let mut node = self;
        let mut position = self.position;
        for segment in path.segments() {
            let (next, at) = match segment {
                Segment::Key(key) => match node.entry(key) {
                    Some(entry) => (&entry.node, entry.position),
                    None => break,
                },
                Segment::Index(index) => match node.items().get(*index) {
                    Some(item) => (item, item.position),
                    None => break,
                },
            };
            node = next;
            position = if next.text().is_some_and(|text| !text.is_empty()) {
                next.position
            } else {
                at
            };
        }
        position
    }

    /// What it costs.
    pub(super) fn size(&self) -> Size {
        let add = |size: Size, key: &str, node: &Self| {
            let below = node.size();
            Size {
                nodes: size.nodes + below.nodes,
                depth: size.depth.max(below.depth + 1),
                bytes: size.bytes + below.bytes + key.len(),
            }
        };
        let own = |depth, bytes| Size {
            nodes: 1,
            depth,
            bytes,
        };
        match &self.value {
            Value::Scalar(scalar) => own(0, scalar.text.len()),
            Value::Sequence(items) => items
                .iter()
                .fold(own(1, 0), |size, item| add(size, "", item)),
            Value::Mapping(entries) => entries
                .iter()
                .fold(own(1, 0), |size, entry| add(size, &entry.key, &entry.node)),
        }
    }

    /// What was found, for messages: `"many"`, `8080`, `null`, `a list`.
    pub fn found(&self) -> String {
        match (&self.value, self.kind()) {
            (Value::Sequence(_), _) => "a list".to_owned(),
            (Value::Mapping(_), _) => "a mapping".to_owned(),
            (Value::Scalar(_), Kind::Null) => "null".to_owned(),
            (Value::Scalar(scalar), Kind::String) => format!("\"{}\"", shown(&scalar.text)),
            (Value::Scalar(scalar), _) => format!("`{}`", shown(&scalar.text)),
        }
    }
}

impl Scalar {
    /// What it counts as.
    pub fn kind(&self) -> Kind {
        if self.plain {
            plain_kind(&self.text)
        } else {
            Kind::String
        }
    }
}

fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Kind::Odd(Odd::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Kind::Odd(Odd::Bool(false));
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Kind::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Kind::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        number_kind(text)
    } else {
        Kind::String
    }
}

fn number_kind(text: &str) -> Kind {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all =
        |text: &str, digit: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(digit);
    let bare = unsigned.replace('_', "");
    if all(&bare, u8::is_ascii_digit) && unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        let odd = bare.len() != unsigned.len()
            || text.starts_with('+')
            || (bare.len() > 1 && bare.starts_with('0'));
        return match text.parse() {
            Ok(value) if !odd => Kind::Int(value),
            Ok(_) | Err(_) if odd => Kind::Odd(Odd::Int),
            Ok(_) | Err(_) => Kind::Float(f64::INFINITY),
        };
    }
    let radix = |prefix: &str, digit: fn(&u8) -> bool| {
        bare.strip_prefix(prefix)
            .is_some_and(|digits| all(digits, digit))
    };
    if radix("0x", u8::is_ascii_hexdigit)
        || radix("0o", |b| (b'0'..=b'7').contains(b))
        || radix("0b", |b| matches!(b, b'0' | b'1'))
    {
        return Kind::Odd(Odd::Int);
    }
    let float = bare
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && bare.contains(|c: char| c.is_ascii_digit())
        && !bare.starts_with(['e', 'E', '-', '+']);
    match bare.parse::<f64>() {
        Ok(value) if float && bare.len() == unsigned.len() => {
            Kind::Float(if text.starts_with('-') { -value } else { value })
        }
        Ok(_) if float => Kind::Odd(Odd::Int),
        Ok(_) | Err(_) => Kind::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        plain_kind(text)
    }

    #[test]
    fn plain_scalars_are_read_as_the_api_server_reads_them() {
        for (text, expected) in [
            ("", Kind::Null),
            ("~", Kind::Null),
            ("null", Kind::Null),
            ("nULL", Kind::String),
            ("true", Kind::Bool(true)),
            ("FALSE", Kind::Bool(false)),
            ("yes", Kind::Odd(Odd::Bool(true))),
            ("off", Kind::Odd(Odd::Bool(false))),
            ("n", Kind::Odd(Odd::Bool(false))),
            ("yep", Kind::String),
            ("0", Kind::Int(0)),
            ("8080", Kind::Int(8080)),
            ("-1", Kind::Int(-1)),
            ("0755", Kind::Odd(Odd::Int)),
            ("+1", Kind::Odd(Odd::Int)),
            ("1_000", Kind::Odd(Odd::Int)),
            ("0x1F", Kind::Odd(Odd::Int)),
            ("0o17", Kind::Odd(Odd::Int)),
            ("0b11", Kind::Odd(Odd::Int)),
            ("1.5", Kind::Float(1.5)),
            ("-1e3", Kind::Float(-1000.0)),
            (".5", Kind::Float(0.5)),
            (".inf", Kind::Float(f64::INFINITY)),
            ("1_0.5", Kind::Odd(Odd::Int)),
            ("1.2.3", Kind::String),
            ("127.0.0.1:9000", Kind::String),
            ("2026-11-23", Kind::String),
            ("1e", Kind::String),
            ("-", Kind::String),
            ("--force", Kind::String),
            ("-F", Kind::String),
            (".", Kind::String),
            ("..", Kind::String),
            ("0x", Kind::String),
            ("0xg", Kind::String),
            ("5s", Kind::String),
            ("512Mi", Kind::String),
            ("25%", Kind::String),
            ("infinity", Kind::String),
            ("nan", Kind::String),
            ("1_", Kind::Odd(Odd::Int)),
            ("_1", Kind::String),
        ] {
            assert_eq!(kind(text), expected, "{text:?}");
        }
        assert!(matches!(kind(".nan"), Kind::Float(value) if value.is_nan()));
        assert!(matches!(kind(&"9".repeat(60)), Kind::Float(value) if value.is_infinite()));
    }
}
