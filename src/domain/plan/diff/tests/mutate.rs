//! Changes of a full example, made from the rules of the schema: for each field two texts that differ in it only.

use serde_json::{Map, Value, json};

use super::super::table::{Effect, fields, row_of};
use crate::spec::check::rules::{Choice, Object};
use crate::spec::check::{Form, Rule, process_set_spec};

/// A step from one text to another.
pub(super) struct Change {
    pub(super) what: &'static str,
    pub(super) old: String,
    pub(super) new: String,
    /// The value that comes or goes may be the default.
    pub(super) may_be_nothing: bool,
}

/// Much of what this version supports, so that what a field should leave alone is there. Lists of objects have in their first
/// place what is changed.
fn example() -> Value {
    serde_json::from_str(include_str!("example.json")).unwrap()
}

/// Values that the rules of the schema do not give: the end of a path, and two values that differ.
fn by_hand(path: &str) -> Option<[Value; 2]> {
    let known = [
        ("fastCgi.address", ["/run/a.sock", "/run/b.sock"]),
        ("fastCgi.path", ["/a", "/b"]),
        ("initProcesses[].dependsOn[].name", ["j", "k"]),
        ("dependsOn[].name", ["db", "cache"]),
        ("dependsOn[].condition", ["Started", "Ready"]),
        ("maxLineBytes", ["64Ki", "32Ki"]),
    ];
    let numbers = [("maxReplicas", [8, 9]), ("priority", [10, 1])];
    let text = known.into_iter().find(|(end, _)| path.ends_with(end));
    let number = numbers.into_iter().find(|(end, _)| path.ends_with(end));
    text.map(|(_, values)| values.map(Value::from))
        .or_else(|| number.map(|(_, values)| values.map(Value::from)))
}

/// Fields without fields of their own.
pub(super) fn leaves() -> Vec<String> {
    let all = fields();
    let is_leaf = |path: &&String| {
        !all.iter().any(|other| {
            let rest = other.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]"))
        })
    };
    all.iter().filter(is_leaf).cloned().collect()
}

fn text(metadata: &Value, spec: &Value) -> String {
    json!({
        "apiVersion": "podinit.dev/v1alpha1",
        "kind": "ProcessSet",
        "metadata": metadata,
        "spec": spec,
    })
    .to_string()
}

/// Steps that change this field and no other.
pub(super) fn changes(path: &str) -> Vec<Change> {
    if let Some(key) = path.strip_prefix("metadata.") {
        return vec![of_metadata(key)];
    }
    let metadata = json!({"name": "shop"});
    let (rule, required) = rule_of(path);
    let is_refused = row_of(path).is_some_and(|row| row.effects == [Effect::Refused]);
    let base = example();
    let mut all = Vec::new();
    let mut push = |what, old: &Value, new: &Value, may_be_nothing| {
        all.push(Change {
            what,
            old: text(&metadata, old),
            new: text(&metadata, new),
            may_be_nothing,
        });
    };
    let Some(present) = value_at(&base, path) else {
        let [first, second] = by_hand(path).unwrap_or_else(|| two_values(&rule));
        let with = put(&base, path, &first);
        let above = path.rsplit_once('.').map_or("", |(above, _)| above);
        let is_alone = value_at(&base, above).is_some() || row_of(above) == row_of(path);
        if is_alone || is_refused {
            push("comes", &base, &with, !is_refused);
        }
        if !is_refused && first != second {
            push("changes", &with, &put(&base, path, &second), false);
        }
        if !is_refused && is_alone {
            push("goes", &with, &base, true);
        }
        return all;
    };
    let hand = by_hand(path).map(|values| values.into_iter().find(|value| *value != present));
    let other = hand
        .flatten()
        .unwrap_or_else(|| other_value(&rule, &present));
    push("changes", &base, &put(&base, path, &other), false);
    if !required && !is_alternative(path) {
        push("goes", &base, &without(&base, path), true);
    }
    all
}

fn of_metadata(key: &str) -> Change {
    let (old, new) = match key {
        "labels" | "annotations" => (json!({"a": "b"}), json!({"a": "c"})),
        _ => (json!("shop"), json!("mall")),
    };
    let with = |value: Value| {
        let mut metadata = json!({"name": "shop"});
        metadata[key] = value;
        text(&metadata, &example())
    };
    Change {
        what: "changes",
        old: with(old),
        new: with(new),
        may_be_nothing: false,
    }
}

/// The objects that a path goes through, with the key in each, and whether the key stands for a list.
fn way(path: &str) -> Vec<(&'static Object, &str, bool)> {
    let mut object = process_set_spec();
    let mut way = Vec::new();
    for step in path.split('.').skip(1) {
        let key = step.trim_end_matches("[]");
        way.push((object, key, key != step));
        match object.field(key).map(|field| field.rule) {
            Some(Rule::Object(inner)) => object = inner,
            Some(Rule::List(list)) => {
                if let Rule::Object(inner) = list.item {
                    object = inner;
                }
            }
            _ => {}
        }
    }
    way
}

fn rule_of(path: &str) -> (Rule, bool) {
    let way = way(path);
    let (object, key, _) = way.last().unwrap();
    let field = object.field(key).unwrap();
    (field.rule, field.required)
}

/// It is one of several of which one is written, at least.
fn is_alternative(path: &str) -> bool {
    let way = way(path);
    let (object, key, _) = way.last().unwrap();
    matches!(object.choice, Choice::ExactlyOne(keys) | Choice::AtLeastOne(keys) if keys.contains(key))
        || object.fields.len() == 1
}

fn value_at(spec: &Value, path: &str) -> Option<Value> {
    let mut value = spec;
    for step in path.split('.').skip(1) {
        let key = step.trim_end_matches("[]");
        value = value.get(key)?;
        if key != step {
            value = value.get(0)?;
        }
    }
    Some(value.clone())
}

/// The same with this value at the path; what that needs is made, what it excludes is removed.
fn put(spec: &Value, path: &str, wanted: &Value) -> Value {
    let mut spec = spec.clone();
    let way = way(path);
    let mut value = &mut spec;
    for (at, (object, key, is_list)) in way.iter().enumerate() {
        let inner = value.as_object_mut().unwrap();
        make_room(inner, object, key);
        if at + 1 == way.len() {
            inner.insert((*key).to_owned(), wanted.clone());
            break;
        }
        let made = || match object.field(key).unwrap().rule {
            Rule::Object(object) => minimal(object, way[at + 1].1),
            Rule::List(list) => match list.item {
                Rule::Object(object) => json!([minimal(object, way[at + 1].1)]),
                _ => unreachable!("a list on the way is one of objects"),
            },
            _ => unreachable!("the way goes through objects"),
        };
        value = inner.entry((*key).to_owned()).or_insert_with(made);
        if *is_list {
            value = &mut value[0];
        }
    }
    spec
}

/// Removes what `key` excludes.
fn make_room(inner: &mut Map<String, Value>, object: &Object, key: &str) {
    if let Choice::ExactlyOne(keys) | Choice::NotAll(keys) = object.choice
        && keys.contains(&key)
    {
        inner.retain(|other, _| other == key || !keys.contains(&other.as_str()));
    }
}

/// An object with what it must have for its key `key`.
fn minimal(object: &'static Object, key: &str) -> Value {
    let mut made = Map::new();
    for field in object.fields {
        // A request needs a port; that of portBase is not there for all.
        if field.required || field.key == "port" {
            made.insert(field.key.to_owned(), filled(object, field.key));
        }
    }
    if let Choice::ExactlyOne(keys) | Choice::AtLeastOne(keys) = object.choice
        && !keys.contains(&key)
    {
        made.insert(keys[0].to_owned(), filled(object, keys[0]));
    }
    Value::Object(made)
}

fn filled(object: &'static Object, key: &str) -> Value {
    match object.field(key).unwrap().rule {
        Rule::Object(inner) => minimal(inner, ""),
        rule => {
            // Only the end of the path counts here.
            let hand = by_hand(&format!("{}.{key}", lower_first(object.name)));
            let [first, _] = hand.unwrap_or_else(|| two_values(&rule));
            first
        }
    }
}

/// `FastCgiAction` as the `fastCgi` that it is the value of.
fn lower_first(name: &str) -> String {
    let name = name.trim_end_matches("Action");
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

fn without(spec: &Value, path: &str) -> Value {
    let mut spec = spec.clone();
    let mut value = &mut spec;
    let mut steps: Vec<&str> = path.split('.').skip(1).collect();
    let last = steps.pop().unwrap();
    for step in steps {
        let key = step.trim_end_matches("[]");
        value = &mut value[key];
        if key != step {
            value = &mut value[0];
        }
    }
    value.as_object_mut().unwrap().remove(last);
    spec
}

/// Two values that a rule allows; the first is no default. Equal ones: there is only one.
fn two_values(rule: &Rule) -> [Value; 2] {
    match rule {
        Rule::Object(object) => [minimal(object, ""), minimal(object, "")],
        Rule::Map(value, _) => two_values(value).map(|value| json!({"k": value})),
        Rule::List(list) => match list.item {
            Rule::Object(object) => [json!([minimal(object, "")]), json!([])],
            item => {
                let [first, second] = two_values(&item);
                [json!([first]), json!([first, second])]
            }
        },
        Rule::Text(_, _, form) => texts(*form).map(Value::from),
        Rule::Int(low, high) | Rule::IntOrText(low, high, _) => {
            let first = (low + 7).min(*high);
            [first, if first == *high { first - 1 } else { first + 1 }].map(Value::from)
        }
        Rule::Number(low, _) => [0.25, 0.5].map(|part| json!(f64::from(*low) + part)),
        Rule::Bool => [json!(false), json!(true)],
        Rule::Enum(values) => {
            let last = values.len() - 1;
            [values[last], values[last - 1]].map(Value::from)
        }
    }
}

fn texts(form: Form) -> [&'static str; 2] {
    match form {
        Form::Any => ["x1", "x2"],
        Form::Name => ["new-1", "new-2"],
        Form::EnvName => ["NEW_1", "NEW_2"],
        Form::AbsolutePath => ["/x1", "/x2"],
        Form::Url => ["http://x1", "http://x2"],
        Form::Duration => ["3s", "4s"],
        Form::Mode => ["0070", "0077"],
        Form::Signal => ["SIGINT", "SIGQUIT"],
        Form::Quantity => ["64Ki", "32Ki"],
        Form::Percent => ["30%", "40%"],
        Form::UserName => ["root", "www-data"],
        Form::Unlimited => ["unlimited", "unlimited"],
    }
}

/// A value that a rule allows and that is not this one.
fn other_value(rule: &Rule, present: &Value) -> Value {
    let [first, second] = two_values(rule);
    match (rule, present) {
        (Rule::Int(_, high) | Rule::IntOrText(_, high, _), Value::Number(number)) => {
            let number = number.as_i64().unwrap();
            json!(if number < *high {
                number + 1
            } else {
                number - 1
            })
        }
        (Rule::List(_), Value::Array(items)) => {
            let more = first.as_array().unwrap().iter();
            json!(items.iter().chain(more).collect::<Vec<_>>())
        }
        _ if first == *present => second,
        _ => first,
    }
}
