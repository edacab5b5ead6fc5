//! JSON in: an object of the API server as the same tree that YAML becomes.
//!
//! What the server keeps around the spec is taken as it is, however much it is; the spec has the budgets of a text.

use serde_json::{Map, Value as Json};

use super::node::{Entry, Node, Scalar, Value};
use super::problem::{FieldPath, Position, Problem, shown};
use super::yaml::{MAX_BYTES, MAX_DEPTH, MAX_NODES, Parsed};

/// What podinit reads of an object.
const READ: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
/// And of its metadata.
const METADATA: [&str; 2] = ["name", "namespace"];

/// Reads an object; warnings are put beside.
pub(super) fn parse(text: &str, warnings: &mut Vec<Problem>) -> Parsed {
    match read(text, warnings) {
        Ok(node) => Parsed {
            node: Some(node),
            problems: Vec::new(),
        },
        Err(message) => Parsed {
            node: None,
            problems: vec![Problem::error(FieldPath::ROOT, message)],
        },
    }
}

fn read(text: &str, warnings: &mut Vec<Problem>) -> Result<Node, String> {
    let mut root: Json =
        serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))?;
    if let Json::Object(fields) = &mut root {
        envelope(fields, warnings);
    }
    let mut budget = Budget::default();
    let node = budget.node(root, 0)?;
    if budget.bytes > MAX_BYTES {
        let message = format!(
            "the spec has {} bytes; at most {MAX_BYTES} are read",
            budget.bytes
        );
        return Err(message);
    }
    Ok(node)
}

/// Leaves what is read.
fn envelope(fields: &mut Map<String, Json>, warnings: &mut Vec<Problem>) {
    fields.retain(|key, _| {
        let known = READ.contains(&key.as_str());
        if !known && key != "status" {
            warnings.push(unknown(FieldPath::ROOT.key(key.clone()), key));
        }
        known
    });
    if let Some(Json::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|key, _| METADATA.contains(&key.as_str()));
    }
}

/// The server prunes what its CRD does not know, so what is left is of a newer CRD than this podinit.
pub(super) fn unknown(path: FieldPath, key: &str) -> Problem {
    let message = format!(
        "unknown key `{}`: it is of a newer podinit and does nothing here",
        shown(key)
    );
    Problem::warning(path, message)
}

/// What was used of the budgets.
#[derive(Default)]
struct Budget {
    nodes: usize,
    bytes: usize,
    places: u32,
}

impl Budget {
    /// Not a place that anybody could look at, so of no line, but problems have the order of the text.
    fn place(&mut self) -> Position {
        self.places += 1;
        Position {
            line: 0,
            column: self.places,
        }
    }

    fn node(&mut self, json: Json, depth: usize) -> Result<Node, String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values"));
        }
        let inner = matches!(json, Json::Array(_) | Json::Object(_));
        if inner && depth >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let position = self.place();
        let value = match json {
            Json::Null => self.scalar("null".to_owned(), true),
            Json::Bool(value) => self.scalar(value.to_string(), true),
            Json::Number(value) => self.scalar(value.to_string(), true),
            Json::String(text) => self.scalar(text, false),
            Json::Array(items) => {
                let items = items.into_iter().map(|item| self.node(item, depth + 1));
                Value::Sequence(items.collect::<Result<_, _>>()?)
            }
            Json::Object(fields) => {
                let entries = fields
                    .into_iter()
                    .map(|(key, value)| -> Result<Entry, String> {
                        self.bytes += key.len();
                        Ok(Entry {
                            position: self.place(),
                            node: self.node(value, depth + 1)?,
                            key,
                        })
                    });
                Value::Mapping(entries.collect::<Result<_, _>>()?)
            }
        };
        Ok(Node { position, value })
    }

    fn scalar(&mut self, text: String, plain: bool) -> Value {
        self.bytes += text.len();
        Value::Scalar(Scalar { text, plain })
    }
}
