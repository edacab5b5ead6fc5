//! Writes `src/spec/check/table.rs` out of the schema: Rust constants, one line a field.

use podinit::spec::{
    check::Form,
    schema::{Choice, choice},
};
use serde_json::{Map, Value};

type Schema = Map<String, Value>;

const HEADER: &str = "\
//! What every field of a ProcessSet must be. Generated from the types by `UPDATE_EXPECT=1 cargo test --test fresh`.

use super::rules::{Choice, Form, List, Object, Rule, Unique, opt, req};

";

/// The whole file, for the schema of `ProcessSet.spec`.
pub(crate) fn table(spec: &Value) -> String {
    let spec = spec.as_object().expect("a schema");
    let defs = spec["$defs"].as_object().expect("definitions");
    let table = Table { defs };
    let root = table
        .object("ProcessSetSpec", spec)
        .replacen("static", "pub(super) static", 1);
    let all = defs.iter().map(|(name, def)| {
        let def = def.as_object().expect("a schema");
        if is_object(def) {
            table.object(name, def)
        } else {
            format!("const {}: Rule = {};\n", constant(name), table.inner(def))
        }
    });
    HEADER.to_owned() + &root + &all.collect::<String>()
}

struct Table<'a> {
    defs: &'a Schema,
}

impl Table<'_> {
    fn object(&self, name: &str, schema: &Schema) -> String {
        let choice = match choice(schema) {
            Some(Choice::ExactlyOne(keys)) => format!("ExactlyOne(&{keys:?})"),
            Some(Choice::AtLeastOne(keys)) => format!("AtLeastOne(&{keys:?})"),
            Some(Choice::NotAll(keys)) => format!("NotAll(&{keys:?})"),
            None if schema.contains_key("minProperties") => "NotEmpty".to_owned(),
            None => "Free".to_owned(),
        };
        let required: Vec<&str> = array(schema, "required")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let field = |(key, schema): (&String, &Value)| {
            let function = if required.contains(&key.as_str()) {
                "req"
            } else {
                "opt"
            };
            format!("    {function}({key:?}, {}),\n", self.rule(schema))
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let fields: String = properties.into_iter().flatten().map(field).collect();
        let constant = constant(name);
        format!(
            "static {constant}: Object = Object {{ name: {name:?}, choice: Choice::{choice}, fields: &[\n{fields}] }};\n"
        )
    }

    /// The rule of a field or item.
    fn rule(&self, schema: &Value) -> String {
        let schema = schema.as_object().expect("a schema");
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let name = reference.trim_start_matches("#/$defs/");
                let constant = constant(name);
                let object = is_object(self.defs[name].as_object().expect("a schema"));
                if object {
                    format!("Rule::Object(&{constant})")
                } else {
                    constant
                }
            }
            None => self.inner(schema),
        }
    }

    fn inner(&self, schema: &Schema) -> String {
        let text = |schema: &Schema| {
            format!(
                "{}, {}, {}",
                size(schema, "minLength", 0),
                size(schema, "maxLength", 0),
                form(schema)
            )
        };
        let bounds = |schema: &Schema| {
            format!(
                "{}, {}",
                bound(schema, "minimum", i64::MIN),
                bound(schema, "maximum", i64::MAX)
            )
        };
        if schema.contains_key("x-kubernetes-int-or-string") {
            return format!("Rule::IntOrText({}, {})", bounds(schema), form(schema));
        }
        if schema.contains_key("enum") {
            let values: Vec<&str> = array(schema, "enum")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            return format!("Rule::Enum(&{values:?})");
        }
        match schema["type"].as_str().expect("one type") {
            "boolean" => "Rule::Bool".to_owned(),
            "integer" => format!("Rule::Int({})", bounds(schema)),
            "number" => format!("Rule::Number({})", bounds(schema)),
            "string" => format!("Rule::Text({})", text(schema)),
            "object" => format!(
                "Rule::Map(&{}, {})",
                self.rule(&schema["additionalProperties"]),
                size(schema, "maxProperties", 0)
            ),
            "array" => format!(
                "Rule::List(&List {{ item: {}, min: {}, max: {}, unique: {} }})",
                self.rule(&schema["items"]),
                size(schema, "minItems", 0),
                size(schema, "maxItems", 0),
                unique(schema)
            ),
            other => panic!("a type {other} needs a rule"),
        }
    }
}

fn is_object(schema: &Schema) -> bool {
    schema.get("type") == Some(&"object".into())
}

fn array<'a>(schema: &'a Schema, key: &str) -> &'a [Value] {
    schema
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn bound(schema: &Schema, key: &str, absent: i64) -> i64 {
    schema.get(key).and_then(Value::as_i64).unwrap_or(absent)
}

/// A size; without a limit it is a mistake in the types, except for the least.
fn size(schema: &Schema, key: &str, absent: u64) -> u64 {
    let size = schema
        .get(key)
        .map_or(absent, |value| value.as_u64().expect("a size"));
    assert!(
        size > 0 || key.starts_with("min"),
        "{key} is missing in {schema:?}"
    );
    size
}

fn form(schema: &Schema) -> String {
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else {
        return "Form::Any".to_owned();
    };
    let known = Form::PATTERNS.iter().find(|(known, _)| *known == pattern);
    let (_, form) = known.unwrap_or_else(|| panic!("the pattern {pattern} needs a Form"));
    format!("Form::{form:?}")
}

fn unique(schema: &Schema) -> String {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => format!(
            "Unique::Key({})",
            array(schema, "x-kubernetes-list-map-keys")[0]
        ),
        Some("set") => "Unique::Items".to_owned(),
        _ => "Unique::No".to_owned(),
    }
}

/// `HttpGetAction` as `HTTP_GET_ACTION`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
