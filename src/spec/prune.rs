//! Unknown keys of a spec from the API server are taken out and said, not refused.

use super::check::rules::Object;
use super::check::{self, Rule};
use super::json::unknown;
use super::node::{Node, Value};
use super::problem::{FieldPath, Problem};

/// Takes unknown keys out of the spec of a document; a warning for each.
pub(super) fn prune(root: &mut Node, warnings: &mut Vec<Problem>) {
    let Value::Mapping(entries) = &mut root.value else {
        return;
    };
    if let Some(spec) = entries.iter_mut().find(|entry| entry.key == "spec") {
        let rule = check::process_set_spec();
        object(&mut spec.node, rule, &FieldPath::spec(), warnings);
    }
}

fn value(node: &mut Node, rule: &Rule, path: &FieldPath, warnings: &mut Vec<Problem>) {
    match (rule, &mut node.value) {
        (Rule::Object(rule), Value::Mapping(_)) => object(node, rule, path, warnings),
        (Rule::Map(rule, _), Value::Mapping(entries)) => {
            for entry in entries {
                let path = path.key(entry.key.clone());
                value(&mut entry.node, rule, &path, warnings);
            }
        }
        (Rule::List(list), Value::Sequence(items)) => {
            for (at, item) in items.iter_mut().enumerate() {
                value(item, &list.item, &path.index(at), warnings);
            }
        }
        _ => {}
    }
}

fn object(node: &mut Node, rule: &Object, path: &FieldPath, warnings: &mut Vec<Problem>) {
    let Value::Mapping(entries) = &mut node.value else {
        return;
    };
    entries.retain_mut(|entry| {
        let path = path.key(entry.key.clone());
        if let Some(field) = rule.field(&entry.key) {
            value(&mut entry.node, &field.rule, &path, warnings);
            return true;
        }
        warnings.push(unknown(path, &entry.key));
        false
    });
}
