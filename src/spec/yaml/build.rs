//! From the parser's events to a [`Node`] tree, counting against the budgets.

use std::collections::{HashMap, HashSet};

use serde_yaml::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Tag};

use super::{
    super::{
        node::{Entry, Kind, Node, Scalar, Size, Value},
        problem::{FieldPath, MAX_PROBLEMS, Position, Problem, shown},
    },
    MAX_ALIASES, MAX_BYTES, MAX_DEPTH, MAX_NODES, broken, hint, position_of,
};

pub(super) fn fatal(position: Position, message: impl Into<String>) -> Problem {
    Problem::error(FieldPath::ROOT, message).at(position)
}

/// A collection that is not complete yet.
struct Open {
    position: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        key: Option<(String, Position)>,
    },
}

#[derive(Default)]
pub(super) struct Builder<'t> {
    text: &'t str,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    spent: Spent,
    aliases: usize,
    document: Option<Node>,
    pub(super) problems: Vec<Problem>,
}

/// What the text has cost so far.
#[derive(Default)]
struct Spent {
    nodes: usize,
    bytes: usize,
}

impl Spent {
    /// Counts what was read, or is about to be repeated, against the budgets.
    fn add(&mut self, size: Size, position: Position) -> Result<(), Problem> {
        self.nodes += size.nodes;
        self.bytes += size.bytes;
        if self.nodes > MAX_NODES {
            let message =
                format!("more than {MAX_NODES} values, those that aliases repeat included");
            return Err(fatal(position, message));
        }
        if self.bytes > MAX_BYTES {
            let message = format!("anchors and aliases repeat more than {MAX_BYTES} bytes");
            return Err(fatal(position, message));
        }
        Ok(())
    }
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    pub(super) fn build(&mut self) -> Result<Node, Problem> {
        let start = Position { line: 1, column: 1 };
        let text = self.text;
        if text.len() > MAX_BYTES {
            return Err(fatal(
                start,
                format!(
                    "the text has {} bytes; at most {MAX_BYTES} are read",
                    text.len()
                ),
            ));
        }
        if let Some(offset) = text.find('\0') {
            return Err(fatal(
                position_of(text, offset),
                "a NUL byte is not allowed in YAML",
            ));
        }
        let mut options = granit_parser::options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH, emit_unresolved_aliases: true };
        options.set_emit_comments(false);
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| broken(&error, text))?;
            let empty = span.start.index() == span.end.index();
            self.take(event, position(&span.start), empty)?;
        }
        self.document.take().ok_or_else(|| {
            fatal(start, "the text is empty; expected a ProcessSet")
                .help("start with `apiVersion: podinit.dev/v1alpha1` and `kind: ProcessSet`")
        })
    }

    fn take(&mut self, event: Event<'_>, position: Position, empty: bool) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain =
                    style == ScalarStyle::Plain && !is_string_tag(tag.as_deref(), position)?;
                // The library says `~` for a value that is not there.
                let absent = plain && empty;
                let text = if absent {
                    String::new()
                } else {
                    text.into_owned()
                };
                let scalar = Scalar { text, plain };
                self.finish(
                    Node {
                        position,
                        value: Value::Scalar(scalar),
                    },
                    anchor,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                is_string_tag(tag.as_deref(), position)?;
                self.start(position, anchor, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                is_string_tag(tag.as_deref(), position)?;
                self.start(
                    position,
                    anchor,
                    Content::Mapping {
                        entries: Vec::new(),
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Err(fatal(position, "a collection ends that was not started"));
                };
                let value = match open.content {
                    Content::Sequence(items) => Value::Sequence(items),
                    Content::Mapping { entries, .. } => Value::Mapping(self.complete(entries)?),
                };
                self.finish(
                    Node {
                        position: open.position,
                        value,
                    },
                    open.anchor,
                )
            }
            Event::Alias(id) => self.alias(id, position),
            Event::UnresolvedAlias(name) => {
                let message = format!("there is no anchor `&{}` before this alias", shown(&name));
                Err(fatal(position, message).maybe_help(hint("", position, self.text)))
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::Comment(..) => Ok(()),
            // The enum may grow; what we do not know cannot be ignored.
            _ => Err(fatal(position, "a YAML construct that is not supported")),
        }
    }

    fn start(
        &mut self,
        position: Position,
        anchor: usize,
        content: Content,
    ) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(fatal(
                position,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.open.push(Open {
            position,
            anchor,
            content,
        });
        Ok(())
    }

    fn alias(&mut self, id: usize, position: Position) -> Result<(), Problem> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(fatal(position, format!("more than {MAX_ALIASES} aliases")));
        }
        let Some(node) = self.anchors.get(&id) else {
            return Err(fatal(position, "an alias inside the anchor it refers to"));
        };
        let size = node.size();
        self.spent.add(size, position)?;
        self.within_depth(size.depth, position)?;
        self.finish(node.clone(), 0)
    }

    fn within_depth(&self, further: usize, position: Position) -> Result<(), Problem> {
        if self.open.len() + further > MAX_DEPTH {
            return Err(fatal(
                position,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.spent.add(node.size(), node.position)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.spent.add(
            Size {
                nodes: 1,
                ..Size::default()
            },
            node.position,
        )?;
        match self.open.last_mut().map(|open| &mut open.content) {
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping { entries, key }) => match key.take() {
                Some((name, position)) => entries.push(Entry {
                    key: name,
                    position,
                    node,
                }),
                None => *key = Some(as_key(node)?),
            },
            None if node.kind() == Kind::Null => {}
            None if self.document.is_some() => {
                let message = "a second document; expected exactly one ProcessSet";
                let help = "remove the `---` line and what follows it";
                return Err(fatal(node.position, message).help(help));
            }
            None => self.document = Some(node),
        }
        Ok(())
    }

    /// Reports duplicate keys; the first one stays.
    fn duplicates(&mut self, entries: &[Entry]) -> Vec<usize> {
        let mut first: HashMap<&str, Position> = HashMap::with_capacity(entries.len());
        let mut duplicates = Vec::new();
        for (index, Entry { key, position, .. }) in entries.iter().enumerate() {
            let Some(known) = first.get(key.as_str()) else {
                first.insert(key, *position);
                continue;
            };
            duplicates.push(index);
            if self.problems.len() <= MAX_PROBLEMS {
                let message = format!("the key `{}` is already given at {known}", shown(key));
                self.problems
                    .push(fatal(*position, message).help("remove one of them"));
            }
        }
        duplicates
    }

    /// Drops duplicate keys and resolves `<<`.
    fn complete(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, Problem> {
        let duplicates = self.duplicates(&entries);
        let mut own = Vec::with_capacity(entries.len());
        let mut merged = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            match entry.node {
                _ if duplicates.binary_search(&index).is_ok() => {}
                node if entry.key == "<<" => merged.extend(to_merge(node)?),
                node => own.push(Entry { node, ..entry }),
            }
        }
        if !merged.is_empty() {
            let mut known: HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
            own.extend(
                merged
                    .into_iter()
                    .filter(|entry| known.insert(entry.key.clone())),
            );
        }
        Ok(own)
    }
}

/// The entries that a `<<` key brings in.
fn to_merge(node: Node) -> Result<Vec<Entry>, Problem> {
    match node.value {
        Value::Mapping(entries) => Ok(entries),
        Value::Sequence(items) => items.into_iter().try_fold(Vec::new(), |mut all, item| {
            all.extend(to_merge(item)?);
            Ok(all)
        }),
        Value::Scalar(_) => Err(fatal(
            node.position,
            "`<<` takes a mapping or a list of mappings",
        )),
    }
}

fn as_key(node: Node) -> Result<(String, Position), Problem> {
    match node.value {
        Value::Scalar(scalar) => Ok((scalar.text, node.position)),
        Value::Sequence(_) | Value::Mapping(_) => {
            let message = "a mapping's key must be a string, not a list or a mapping";
            Err(fatal(node.position, message).help("a text with `{{ }}` or `[ ]` needs quotes"))
        }
    }
}

/// Whether a tag makes a plain scalar a string. Tags other than those of the core schema are refused.
fn is_string_tag(tag: Option<&Tag>, position: Position) -> Result<bool, Problem> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.core_suffix() == Some("str")),
        Some(tag) if tag.original() == "!" => Ok(true),
        Some(tag) => Err(fatal(
            position,
            format!("the tag `{}` is not supported", shown(&tag.original())),
        )),
    }
}

pub(super) fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line().max(1) as u32,
        column: marker.col() as u32 + 1,
    }
}
