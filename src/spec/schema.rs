//! The schemas made from the types: the two CRDs, and the JSON schema for editors.
//!
//! schemars describes the Rust types; what we publish differs from that in ways that are all here: no `null` (absent is
//! absent), one list of values for an enum, formats that Kubernetes knows, and for a CRD no references and CEL rules with
//! a message in place of `oneOf`. None of it runs when a set starts: the checks of a file use `check::table`, which
//! `tests/fresh.rs` generates from [`spec_schema`].

mod choice;

use kube::CustomResourceExt;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use self::choice::as_cel;
pub use self::choice::{Choice, choice};
use super::v1alpha1::{
    ProcessReport, ProcessReportStatus, ProcessSet, ProcessSetSpec, ProcessSetStatus,
};

/// The schema of `ProcessSet.spec`, with its types under `$defs`.
pub fn spec_schema() -> Value {
    described::<ProcessSetSpec>()
}

/// The JSON schema (draft 2020-12) of a whole ProcessSet, for editors: unknown keys are errors.
pub fn json_schema() -> Value {
    let mut spec = spec_schema();
    let defs = spec.as_object_mut().and_then(|spec| spec.remove("$defs"));
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ProcessSet",
        "description": SET_DESCRIPTION,
        "type": "object",
        "required": ["apiVersion", "kind", "spec"],
        "properties": {
            "apiVersion": {"enum": ["podinit.dev/v1alpha1"]},
            "kind": {"enum": ["ProcessSet"]},
            "metadata": {
                "type": "object",
                "description": "As of every Kubernetes object.",
                "properties": {
                    "name": {"type": "string", "maxLength": 253, "description": "The name of the set. Default default."},
                    "namespace": {"type": "string", "maxLength": 63},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
            "spec": {"$ref": "#/$defs/ProcessSetSpec"},
            "status": {"type": "object", "description": "Written by podinit; ignored in a file."},
        },
        "$defs": defs,
    });
    root["$defs"]["ProcessSetSpec"] = spec;
    root["additionalProperties"] = false.into();
    for_each(&mut root["$defs"], &mut |schema| {
        schema.retain(|key, _| !key.starts_with("x-kubernetes-"));
        if schema.contains_key("properties") {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
    });
    root
}

const SET_DESCRIPTION: &str = "A ProcessSet says what podinit, the first process of a pod, runs: init processes, \
    long-running processes, scheduled processes and the sidecars it waits for. Pods that name it follow its changes.";
const REPORT_DESCRIPTION: &str = "A ProcessReport says what the podinit of one container observed. It is named \
    <pod>.<container>, owned by the Pod, and written by podinit only.";

/// The CustomResourceDefinition of ProcessSet, as JSON.
pub fn process_set_crd() -> Value {
    let properties = json!({
        "spec": structural::<ProcessSetSpec>(),
        "status": structural::<ProcessSetStatus>(),
    });
    let schema = json!({
        "description": SET_DESCRIPTION,
        "type": "object",
        "required": ["spec"],
        "properties": properties,
    });
    with_schema(&ProcessSet::crd(), &schema)
}

/// The CustomResourceDefinition of ProcessReport, as JSON.
pub fn process_report_crd() -> Value {
    let schema = json!({
        "description": REPORT_DESCRIPTION,
        "type": "object",
        "properties": {"status": structural::<ProcessReportStatus>()},
    });
    with_schema(&ProcessReport::crd(), &schema)
}

fn with_schema(crd: &impl serde::Serialize, schema: &Value) -> Value {
    let mut crd = serde_json::to_value(crd).unwrap_or_default();
    crd["spec"]["versions"][0]["schema"] = json!({ "openAPIV3Schema": schema });
    crd
}

/// The schema of a type, with references, in the form that all of ours have.
fn described<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    for_each(&mut schema, &mut |schema| {
        schema.remove("title");
        without_null(schema);
        with_plain_enum(schema);
        with_known_format(schema);
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = one_line(text);
        }
    });
    schema
}

/// The schema of a type as Kubernetes wants it: no references, rules in CEL.
fn structural<T: JsonSchema>() -> Value {
    let mut schema = described::<T>();
    let defs = schema
        .as_object_mut()
        .and_then(|schema| schema.remove("$defs"));
    inline(&mut schema, &defs.unwrap_or_default());
    for_each(&mut schema, &mut |schema| {
        if schema.contains_key("x-kubernetes-int-or-string") {
            schema.remove("anyOf");
        }
        if let Some((rule, message)) = as_cel(schema) {
            schema.insert(
                "x-kubernetes-validations".to_owned(),
                json!([{"rule": rule, "message": message}]),
            );
        }
    });
    schema
}

/// Calls `f` on every schema object, inner ones first. What is not a schema (defaults, rules) is left alone.
fn for_each(schema: &mut Value, f: &mut impl FnMut(&mut Map<String, Value>)) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| for_each(item, f)),
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match (key.as_str(), value) {
                    ("properties" | "$defs", Value::Object(named)) => {
                        named.values_mut().for_each(|schema| for_each(schema, f));
                    }
                    ("items" | "additionalProperties" | "oneOf" | "anyOf" | "not", value) => {
                        for_each(value, f);
                    }
                    _ => {}
                }
            }
            f(object);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `Option<T>` is T: an absent key is the only way to say nothing.
fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(branches)) = schema.get_mut("anyOf") else {
        return;
    };
    let before = branches.len();
    branches.retain(|branch| branch != &json!({"type": "null"}));
    if let (true, [Value::Object(only)]) = (branches.len() < before, branches.as_slice()) {
        let only = only.clone();
        schema.remove("anyOf");
        for (key, value) in only {
            schema.entry(key).or_insert(value);
        }
    }
}

/// An enum whose values have descriptions is `oneOf` constants for schemars; a list of values is what everyone knows.
fn with_plain_enum(schema: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = schema.get("oneOf") else {
        return;
    };
    let constants: Option<Vec<Value>> = branches
        .iter()
        .map(|branch| branch.get("const").cloned())
        .collect();
    if let Some(constants) = constants {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), constants.into());
    }
}

/// Kubernetes knows int32 and int64 only.
fn with_known_format(schema: &mut Map<String, Value>) {
    let known = match schema.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16" | "uint32") => "int32",
        Some("uint64") => "int64",
        _ => return,
    };
    schema.insert("format".to_owned(), known.into());
}

/// A paragraph of a doc comment as one line.
fn one_line(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect();
    paragraphs.join("\n\n")
}

/// Puts each type in the place of the references to it; what stands beside a reference wins.
fn inline(schema: &mut Value, defs: &Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, defs)),
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.remove("$ref") {
                let name = reference.trim_start_matches("#/$defs/");
                for (key, value) in defs[name].as_object().into_iter().flatten() {
                    object.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            object.values_mut().for_each(|value| inline(value, defs));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

    use super::*;

    fn visit(value: &Value, path: &str, f: &mut impl FnMut(&str, &Map<String, Value>)) {
        if let Value::Object(object) = value {
            f(path, object);
            for key in ["items", "additionalProperties"] {
                object
                    .get(key)
                    .into_iter()
                    .for_each(|inner| visit(inner, &format!("{path}.{key}"), f));
            }
            for (name, inner) in object
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                visit(inner, &format!("{path}.{name}"), f);
            }
        }
    }

    #[test]
    fn the_crds_are_structural() {
        for crd in [process_set_crd(), process_report_crd()] {
            let text = crd.to_string();
            for unwanted in [
                "null",
                "$ref",
                "\"oneOf\"",
                "\"anyOf\"",
                "\"const\"",
                "uint",
                "$defs",
                "\"title\"",
            ] {
                assert!(!text.contains(unwanted), "{unwanted}");
            }
            serde_json::from_value::<CustomResourceDefinition>(crd.clone()).unwrap();
            let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            visit(root, "", &mut |path, schema| {
                let int_or_string = schema.get("x-kubernetes-int-or-string").is_some();
                assert_eq!(
                    schema.contains_key("type"),
                    !int_or_string,
                    "{path}: exactly one of type and int-or-string"
                );
                assert!(
                    !(schema.contains_key("properties")
                        && schema.contains_key("additionalProperties")),
                    "{path}"
                );
                match schema.get("type").and_then(Value::as_str) {
                    Some("array") => {
                        assert!(schema.contains_key("maxItems"), "{path}: unbounded list");
                        assert!(
                            schema.contains_key("x-kubernetes-list-type"),
                            "{path}: list type"
                        );
                    }
                    Some("string") => {
                        let bounded = ["maxLength", "enum", "format"]
                            .iter()
                            .any(|key| schema.contains_key(*key));
                        assert!(bounded, "{path}: unbounded string");
                    }
                    _ => {}
                }
                for key in schema
                    .get("required")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    let inner = &schema["properties"][key.as_str().unwrap()];
                    assert!(
                        inner.get("default").is_none(),
                        "{path}.{key}: required and with a default"
                    );
                }
            });
        }
    }

    #[test]
    fn every_field_explains_itself() {
        let crd = process_set_crd();
        let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        visit(&root["properties"]["spec"], "spec", &mut |path, schema| {
            let last = path.rsplit('.').next();
            if last != Some("items") && last != Some("additionalProperties") {
                assert!(schema.contains_key("description"), "{path}");
            }
        });
    }

    #[test]
    fn rules_about_keys_become_cel() {
        let crd = process_set_crd();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let process = &spec["properties"]["processes"]["items"]["properties"];
        assert_eq!(
            process["lifecycle"]["properties"]["preStop"]["x-kubernetes-validations"][0],
            json!({
                "rule": "[has(self.exec), has(self.httpGet), has(self.sleep)].exists_one(given, given)",
                "message": "exactly one of exec, httpGet, sleep must be given",
            })
        );
        assert_eq!(
            process["env"]["items"]["x-kubernetes-validations"][0]["rule"],
            "!(has(self.value) && has(self.valueFrom))"
        );
        assert_eq!(
            process["onFailure"]["enum"],
            json!(["ExitSet", "MarkUnready", "Ignore"])
        );
        let description = process["onFailure"]["description"].as_str().unwrap();
        assert!(
            description.contains("By default MarkUnready for Serving"),
            "{description}"
        );
    }
}
