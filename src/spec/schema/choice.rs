//! Rules about which keys of a mapping go together: as the schema says them, and as CEL.

use serde_json::{Map, Value};

/// Which keys a rule is about, and how many of them there must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Exactly one.
    ExactlyOne(Vec<String>),
    /// At least one.
    AtLeastOne(Vec<String>),
    /// Not all of them.
    NotAll(Vec<String>),
}

/// The rule about keys that a schema's `oneOf`, `anyOf` or `not` says, if it says one.
pub fn choice(schema: &Map<String, Value>) -> Option<Choice> {
    let required = |schema: &Value| -> Option<Vec<String>> {
        let object = schema.as_object().filter(|object| object.len() == 1)?;
        serde_json::from_value(object.get("required")?.clone()).ok()
    };
    let each = |key: &str| -> Option<Vec<String>> {
        let branches = schema.get(key)?.as_array()?;
        let keys: Option<Vec<Vec<String>>> = branches.iter().map(required).collect();
        Some(keys?.concat())
    };
    if let Some(keys) = each("oneOf") {
        return Some(Choice::ExactlyOne(keys));
    }
    if let Some(keys) = each("anyOf") {
        return Some(Choice::AtLeastOne(keys));
    }
    schema.get("not").and_then(required).map(Choice::NotAll)
}

/// Takes a rule about keys out of a schema and gives it as CEL, whose message says what is wrong.
pub(super) fn as_cel(schema: &mut Map<String, Value>) -> Option<(String, String)> {
    let choice = choice(schema)?;
    for key in ["oneOf", "anyOf", "not"] {
        schema.remove(key);
    }
    let has = |keys: &[String]| -> Vec<String> {
        keys.iter().map(|key| format!("has(self.{key})")).collect()
    };
    Some(match choice {
        Choice::ExactlyOne(keys) => (
            format!("[{}].exists_one(given, given)", has(&keys).join(", ")),
            format!("exactly one of {} must be given", keys.join(", ")),
        ),
        Choice::AtLeastOne(keys) => (
            has(&keys).join(" || "),
            format!("at least one of {} must be given", keys.join(", ")),
        ),
        Choice::NotAll(keys) => (
            format!("!({})", has(&keys).join(" && ")),
            format!("{} must not be given together", keys.join(" and ")),
        ),
    })
}
