//! `docs/processset.md`, made from the JSON schema and the table of what is not supported yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use podinit::domain::plan::validate::NOT_SUPPORTED;
use podinit::spec::schema;
use serde_json::{Map, Value};

use crate::words::{anchor, cell, default_of, plural, prose};

const HEAD: &str = include_str!("reference_head.md");

/// Kinds of values that are not objects: the schema's name, what a cell says, what it means.
const VALUES: [(&str, &str, &str); 7] = [
    (
        "Duration",
        "duration",
        "Whole milliseconds with the units `h`, `m`, `s`, `ms`, largest first: `500ms`, `5s`, `10m`, `1h30m`. 0 to 168h; `0` needs no unit.",
    ),
    (
        "Quantity",
        "quantity",
        "Bytes: an integer, or a number with `Ki`, `Mi`, `Gi`, `Ti`, `k`, `M`, `G`, `T`: `512Mi`, `1.5Gi`.",
    ),
    (
        "Signal",
        "signal",
        "A name with its prefix: `SIGTERM`, `SIGQUIT`, `SIGRTMIN+3`. No numbers.",
    ),
    (
        "Mode",
        "mode",
        "Permission bits as a quoted octal string of three or four digits: `\"0755\"`.",
    ),
    (
        "IdOrName",
        "id or name",
        "A number, or a name that /etc/passwd or /etc/group of the image has. podinit reads these files itself: no NSS, no LDAP.",
    ),
    ("RlimitValue", "limit", "A number or `unlimited`."),
    (
        "IntOrPercent",
        "count or percentage",
        "A count from 0 to 1000, or a percentage such as `25%`.",
    ),
];

/// What the descriptions of fields cannot say: how far this version is.
const NOTES: [(&str, &str, &str); 2] = [
    (
        "Process",
        "maxReplicas",
        "Only checked so far: there is no `podinit scale` yet.",
    ),
    (
        "Process",
        "onFailure",
        "MarkUnready is the same as Ignore until podinit answers readiness probes.",
    ),
];

/// The object whose fields all kinds of processes have; there is none in the schema.
const COMMON: &str = "Every kind of process";
const KINDS: [&str; 3] = ["Process", "InitProcess", "CronProcess"];

/// Gives the page.
pub fn page() -> String {
    let schema = schema::json_schema();
    let reference = Reference::new(&schema);
    let mut out = HEAD.to_owned();
    out.push_str("## Document\n\nThe file as a whole.\n\n");
    let document = &schema["properties"];
    let mut rows = String::new();
    for (key, type_, meaning) in [
        ("apiVersion", "`podinit.dev/v1alpha1`", "Required."),
        ("kind", "`ProcessSet`", "Required."),
        (
            "metadata.name",
            "string",
            "The name of the set, in podinit's records.",
        ),
        ("metadata.namespace", "string", "Has no meaning in a file."),
        (
            "metadata.labels",
            "strings by name",
            "Have no meaning in a file.",
        ),
        (
            "metadata.annotations",
            "strings by name",
            "Have no meaning in a file.",
        ),
        ("spec", "[ProcessSetSpec](#processsetspec)", "Required."),
        ("status", "object", "Written by podinit; ignored in a file."),
    ] {
        let known = key.split('.').try_fold(document, |at, step| {
            at.get(step)?.get("properties").or(at.get(step))
        });
        assert!(known.is_some(), "the schema has no {key}");
        let _ = writeln!(rows, "| `{key}` | {type_} | {meaning} |");
    }
    let _ = writeln!(out, "| field | type | meaning |\n|---|---|---|\n{rows}");
    for name in &reference.supported {
        reference.object(name, &mut out);
        if name == "ProcessSetSpec" {
            reference.common(&mut out);
        }
    }
    out.push_str("## Values\n\n| type | how it is written |\n|---|---|\n");
    for (_, shown, meaning) in VALUES {
        let _ = writeln!(
            out,
            "| <a id=\"{}\"></a>{shown} | {meaning} |",
            anchor(shown)
        );
    }
    out.push_str(
        "\n## Not supported yet\n\nThese objects belong to fields that are [refused for now](../CHANGELOG.md#not-supported-yet). \
         The schema has them, so that specs can be written and editors know them; what they mean may still change.\n\n",
    );
    for name in &reference.planned {
        reference.object(name, &mut out);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

struct Reference<'s> {
    defs: &'s Map<String, Value>,
    /// Objects that are reached by supported fields, in their order.
    supported: Vec<String>,
    /// The others.
    planned: Vec<String>,
    /// What is not supported yet, by object and field.
    missing: BTreeMap<(String, String), &'static str>,
    /// Fields that all kinds of processes have.
    common: BTreeSet<String>,
}

impl<'s> Reference<'s> {
    fn new(schema: &'s Value) -> Self {
        let defs = schema["$defs"].as_object().unwrap();
        let fields = |name: &str| defs[name]["properties"].as_object().unwrap();
        let [first, others @ ..] = &KINDS;
        let common = fields(first)
            .iter()
            .filter(|(key, field)| {
                others
                    .iter()
                    .all(|kind| fields(kind).get(*key) == Some(*field))
            })
            .map(|(key, _)| key.clone())
            .collect();
        let mut reference = Reference {
            defs,
            supported: Vec::new(),
            planned: Vec::new(),
            missing: BTreeMap::new(),
            common,
        };
        for row in NOT_SUPPORTED {
            let place = reference.place(row.path);
            reference.missing.insert(place, row.what);
        }
        reference.supported = reference.reached(true);
        let all = reference.reached(false);
        let planned = |name: &String| !reference.supported.contains(name);
        reference.planned = all.into_iter().filter(planned).collect();
        reference
    }

    /// The object and the field that a path of the table stands for.
    fn place(&self, path: &str) -> (String, String) {
        let mut steps = path.split('.').map(|step| step.trim_end_matches("[]"));
        let root = match steps.next().unwrap() {
            "spec" => "ProcessSetSpec",
            "logging" => "Logging",
            "httpGet" => "HttpGetAction",
            other => panic!("the table of what is not supported begins a path with `{other}`"),
        };
        let steps: Vec<&str> = steps.collect();
        let (field, way) = steps.split_last().unwrap();
        let object = way.iter().fold(root.to_owned(), |object, step| {
            let field = &self.defs[&object]["properties"][*step];
            self.object_of(field)
                .unwrap_or_else(|| panic!("no object at {path}"))
        });
        assert!(
            self.defs[&object]["properties"].get(*field).is_some(),
            "the schema has no {path}"
        );
        (object, (*field).to_owned())
    }

    /// Objects in the order in which a reader meets them.
    fn reached(&self, only_supported: bool) -> Vec<String> {
        let mut seen = Vec::new();
        let mut queue = VecDeque::from(["ProcessSetSpec".to_owned()]);
        while let Some(name) = queue.pop_front() {
            if seen.contains(&name) {
                continue;
            }
            let fields = self.defs[&name]["properties"].as_object();
            for (key, field) in fields.into_iter().flatten() {
                let missing = self.missing.contains_key(&(name.clone(), key.clone()));
                if let Some(object) = self.object_of(field)
                    && !(missing && only_supported)
                {
                    queue.push_back(object);
                }
            }
            seen.push(name);
        }
        seen
    }

    /// The object that a field holds, or a list of.
    fn object_of(&self, field: &Value) -> Option<String> {
        let name = reference_of(field).or_else(|| reference_of(field.get("items")?))?;
        let schema = &self.defs[name];
        let is_object = schema["type"] == "object" && schema.get("enum").is_none();
        is_object.then(|| name.to_owned())
    }

    fn object(&self, name: &str, out: &mut String) {
        let schema = &self.defs[name];
        let description = schema["description"].as_str().unwrap_or_default();
        let title = if self.planned.iter().any(|planned| planned == name) {
            "###"
        } else {
            "##"
        };
        let _ = writeln!(out, "{title} {name}\n\n{}\n", prose(description));
        let empty = Map::new();
        let fields = schema["properties"].as_object().unwrap_or(&empty);
        let is_kind = KINDS.contains(&name);
        if is_kind {
            let link = anchor(COMMON);
            let _ = writeln!(
                out,
                "The fields of [every kind of process](#{link}), and:\n"
            );
        }
        let own = |key: &String| !(is_kind && self.common.contains(key));
        self.table(name, fields.iter().filter(|(key, _)| own(key)), out);
    }

    fn common(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "## {COMMON}\n\nWhat [Process](#process), [InitProcess](#initprocess) and [CronProcess](#cronprocess) have in common.\n"
        );
        let fields = self.defs["Process"]["properties"].as_object().unwrap();
        let common = fields.iter().filter(|(key, _)| self.common.contains(*key));
        self.table("Process", common, out);
    }

    fn table<'f>(
        &self,
        object: &str,
        fields: impl Iterator<Item = (&'f String, &'f Value)>,
        out: &mut String,
    ) {
        let required: Vec<&str> = self.defs[object]["required"]
            .as_array()
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut rows = String::new();
        for (key, field) in fields {
            let description = field["description"].as_str().unwrap_or_default();
            let (by_default, meaning) = default_of(field, description);
            let by_default = if required.contains(&key.as_str()) {
                "required".to_owned()
            } else {
                by_default
            };
            let missing = self.missing.get(&(object.to_owned(), key.clone()));
            let missing = missing.map(|what| format!(" **Not supported yet:** {what}."));
            let note = NOTES
                .iter()
                .find(|(of, field, _)| *of == object && *field == key)
                .map(|(.., note)| format!(" {note}"));
            let bounds = bounds_of(field);
            // What its own column says.
            let meaning = match bounds.as_str() {
                "" => meaning,
                bounds => meaning.replace(&format!(", {bounds}"), ""),
            };
            let _ = writeln!(
                rows,
                "| `{key}` | {} | {by_default} | {bounds} | {}{}{} |",
                self.type_of(field),
                cell(&meaning),
                missing.unwrap_or_default(),
                note.unwrap_or_default()
            );
        }
        if rows.is_empty() {
            out.push_str("No fields.\n\n");
        } else {
            let _ = writeln!(
                out,
                "| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n{rows}"
            );
        }
    }

    fn type_of(&self, field: &Value) -> String {
        if let Some(name) = reference_of(field) {
            let schema = &self.defs[name];
            if let Some((_, shown, _)) = VALUES.iter().find(|(known, ..)| *known == name) {
                return format!("[{shown}](#{})", anchor(shown));
            }
            if let Some(values) = schema["enum"].as_array() {
                let values: Vec<String> = values
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|value| format!("`{value}`"))
                    .collect();
                return values.join(", ");
            }
            assert!(schema["type"] == "object", "VALUES has no {name}");
            return format!("[{name}](#{})", anchor(name));
        }
        match field["type"].as_str() {
            Some("array") => format!("list of {}", plural(&self.type_of(&field["items"]))),
            Some("object") => "strings by name".to_owned(),
            Some(other) => other.to_owned(),
            None => panic!("a field without a type: {field}"),
        }
    }
}

fn bounds_of(field: &Value) -> String {
    let range = |low: &str, high: &str, unit: &str| -> Option<String> {
        let (low, high) = (&field[low], &field[high]);
        match (low.is_null(), high.is_null()) {
            (false, false) => Some(format!("{low} to {high}{unit}")),
            (true, false) => Some(format!("at most {high}{unit}")),
            _ => None,
        }
    };
    let of_items = field.get("items").map(bounds_of);
    let own = range("minimum", "maximum", "")
        .or_else(|| range("minItems", "maxItems", ""))
        .or_else(|| range("minLength", "maxLength", " characters"))
        .or_else(|| range("minProperties", "maxProperties", ""))
        .unwrap_or_default();
    match of_items {
        Some(items) if !items.is_empty() => format!("{own}, each {items}"),
        _ => own,
    }
}

fn reference_of(field: &Value) -> Option<&str> {
    field.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}
