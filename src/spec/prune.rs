//! Unknown keys of an object from the API server: the server prunes what its CRD does not know, so one that is left is of
//! a newer CRD than this podinit. It is taken out and said, not refused.

use super::check::rules::Object;
use super::check::{self, Rule};
use super::node::{Node, Value};
use super::problem::{FieldPath, Problem, shown};

/// Takes unknown keys out of a spec; a warning for each.
pub(super) fn prune(spec: &mut Node) -> Vec<Problem> {
    let mut warnings = Vec::new();
    object(
        spec,
        check::process_set_spec(),
        &FieldPath::spec(),
        &mut warnings,
    );
    warnings
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
        let message = format!(
            "unknown key `{}`: it is of a newer podinit and does nothing here",
            shown(&entry.key)
        );
        warnings.push(Problem::warning(path, message));
        false
    });
}
