//! Checks a document against the shape of a ProcessSet and reports everything that is wrong with it.
//!
//! A file is held to what the API server holds a custom resource to, and to a little more: unknown keys are errors,
//! because a file has nobody who prunes them. Messages say what was expected, what was found and, where that can be told,
//! how to mend it.

mod hints;
pub mod rules;
mod scalar;
#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "generated")]
mod table;

use std::collections::HashMap;
use std::fmt::Write as _;

use rules::{Choice, List, Object, Unique};
pub use rules::{Form, Rule};

use super::{
    nearest::did_you_mean,
    node::{Entry, Node, Value},
    problem::{FieldPath, MAX_PROBLEMS, Position, Problem, shown},
};

/// What `ProcessSet.spec` must be.
pub fn process_set_spec() -> &'static Object {
    &table::PROCESS_SET_SPEC
}

/// Everything that is wrong with the shape of `spec`, in the order of the text.
pub fn check(spec: &Node, at: Position) -> Vec<Problem> {
    let mut checker = Checker::default();
    let place = Place {
        node: spec,
        at,
        path: &FieldPath::spec(),
        of: ("ProcessSet", "spec"),
    };
    checker.value(&place, &Rule::Object(process_set_spec()));
    checker.problems
}

/// Everything that is wrong with the shape of one value that is no field of `spec`.
pub fn check_value(node: &Node, at: Position, path: &FieldPath, rule: &Rule) -> Vec<Problem> {
    let mut checker = Checker::default();
    checker.value(
        &Place {
            node,
            at,
            path,
            of: ("", ""),
        },
        rule,
    );
    checker.problems
}

/// A value and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    node: &'a Node,
    /// Where its key is, or the item itself.
    at: Position,
    path: &'a FieldPath,
    /// The type it is a field of, and its key.
    of: (&'static str, &'static str),
}

impl Place<'_> {
    fn problem(&self, message: impl Into<String>) -> Problem {
        let absent = self.node.text() == Some("");
        let position = if absent { self.at } else { self.node.position };
        Problem::error(self.path.clone(), message).at(position)
    }
}

#[derive(Default)]
struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn report(&mut self, problem: Problem) {
        if !self.is_full() {
            self.problems.push(problem);
        }
    }

    fn is_full(&self) -> bool {
        self.problems.len() > MAX_PROBLEMS
    }

    fn value(&mut self, place: &Place<'_>, rule: &Rule) {
        if self.is_full() {
            return;
        }
        match (rule, &place.node.value) {
            (Rule::Object(object), Value::Mapping(entries)) => self.object(place, object, entries),
            (Rule::Map(rule, max), Value::Mapping(entries)) => self.map(place, rule, *max, entries),
            (Rule::List(list), Value::Sequence(items)) => self.list(place, list, items),
            (rule, _) => {
                if let Err(complaint) = scalar::check(place.node, rule) {
                    let help = hints::wrong_type(place.of, place.node, rule).or(complaint.help);
                    self.report(place.problem(complaint.message).maybe_help(help));
                }
            }
        }
    }

    fn object(&mut self, place: &Place<'_>, object: &'static Object, entries: &[Entry]) {
        let mut meant = Vec::new();
        for Entry {
            key,
            position,
            node,
        } in entries
        {
            if self.is_full() {
                return;
            }
            if let Some(field) = object.field(key) {
                let path = &place.path.key(field.key);
                let of = (object.name, field.key);
                self.value(
                    &Place {
                        node,
                        at: *position,
                        path,
                        of,
                    },
                    &field.rule,
                );
            } else {
                let problem = unknown_key(place.path, object, key).at(*position);
                meant.extend(problem.help.clone());
                self.report(problem);
            }
        }
        let has = |key: &&str| entries.iter().any(|entry| entry.key == **key);
        for field in object
            .fields
            .iter()
            .filter(|field| field.required && !has(&field.key))
        {
            // A misspelt key is one problem, not two.
            let name = format!("`{}`", field.key);
            if !meant.iter().any(|help| help.contains(&name)) {
                let message = format!("the key {name} is missing");
                let problem = Problem::error(place.path.clone(), message).at(place.at);
                self.report(problem.maybe_help(hints::missing_key(object, field)));
            }
        }
        if let Some(message) = broken_choice(object.choice, has, entries.is_empty()) {
            self.report(Problem::error(place.path.clone(), message).at(place.at));
        }
    }

    fn map(&mut self, place: &Place<'_>, rule: &'static Rule, max: u32, entries: &[Entry]) {
        if entries.len() > max as usize {
            self.report(place.problem(format!(
                "expected at most {max} keys, found {}",
                entries.len()
            )));
        }
        for Entry {
            key,
            position,
            node,
        } in entries
        {
            let path = &place.path.key(key.clone());
            self.value(
                &Place {
                    node,
                    at: *position,
                    path,
                    of: place.of,
                },
                rule,
            );
        }
    }

    fn list(&mut self, place: &Place<'_>, list: &'static List, items: &[Node]) {
        let (min, max) = (list.min as usize, list.max as usize);
        if !(min..=max).contains(&items.len()) {
            let bound = if items.len() < min {
                format!("at least {min}")
            } else {
                format!("at most {max}")
            };
            let noun = if bound.ends_with(" 1") {
                "item"
            } else {
                "items"
            };
            self.report(place.problem(format!("expected {bound} {noun}, found {}", items.len())));
        }
        for (index, node) in items.iter().enumerate().take(max) {
            let path = &place.path.index(index);
            self.value(
                &Place {
                    node,
                    at: node.position,
                    path,
                    of: place.of,
                },
                &list.item,
            );
        }
        let key = match list.unique {
            Unique::No => return,
            Unique::Items => None,
            Unique::Key(key) => Some(key),
        };
        let mut seen: HashMap<&str, Position> = HashMap::with_capacity(items.len());
        for (index, item) in items.iter().enumerate().take(max) {
            let Some(node) = key.map_or(Some(item), |key| item.get(key)) else {
                continue;
            };
            let Some(text) = node.text() else { continue };
            if let Some(first) = seen.insert(text, node.position) {
                let item = place.path.index(index);
                let path = key.map_or(item.clone(), |key| item.key(key));
                let mut message = format!("`{}` is already in this list", shown(text));
                if first.line > 0 {
                    let _ = write!(message, ", at {first}");
                }
                self.report(Problem::error(path, message).at(node.position));
            }
        }
    }
}

/// The problem of a key that its mapping does not know.
pub(super) fn unknown_key(path: &FieldPath, object: &Object, key: &str) -> Problem {
    let keys = || object.fields.iter().map(|field| field.key);
    let listed = || {
        let all: Vec<&str> = keys().collect();
        let few = (1..=12).contains(&all.len());
        few.then(|| format!("known keys are {}", all.join(", ")))
    };
    let help = hints::unknown_key(object, key)
        .or_else(|| did_you_mean(key, keys()))
        .or_else(listed);
    Problem::error(
        path.key(key.to_owned()),
        format!("unknown key `{}`", shown(key)),
    )
    .maybe_help(help)
}

/// What is wrong with the keys of a mapping together.
fn broken_choice(choice: Choice, has: impl Fn(&&str) -> bool, empty: bool) -> Option<String> {
    let given = |keys: &'static [&'static str]| -> Vec<&str> {
        keys.iter().copied().filter(|key| has(key)).collect()
    };
    match choice {
        Choice::Free => None,
        Choice::ExactlyOne(keys) => match given(keys).as_slice() {
            [_] => None,
            [] => Some(format!(
                "expected exactly one of {}, found none",
                keys.join(", ")
            )),
            many => Some(format!(
                "expected exactly one of {}, found {}",
                keys.join(", "),
                many.join(" and ")
            )),
        },
        Choice::AtLeastOne(keys) => given(keys)
            .is_empty()
            .then(|| format!("expected at least one of {}, found none", keys.join(", "))),
        Choice::NotAll(keys) => (given(keys).len() == keys.len())
            .then(|| format!("{} must not be given together", keys.join(" and "))),
        Choice::NotEmpty => empty.then(|| "expected at least one key, found none".to_owned()),
    }
}
