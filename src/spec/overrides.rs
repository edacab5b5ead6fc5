//! Fields set by environment variables: `PODINIT_PROCESS_<NAME>_<FIELD>`.
//!
//! Applied to the tree before the check, so that a value from a variable is held to the same rules and its problem names
//! the variable. The type of the field decides how the text is read; the text never does: `00123456` stays that string
//! where a string is wanted.
//!
//! `<NAME>` is the name of a process, init process or cron process in capitals with `_` for `-`; the longest name that
//! fits wins. `<FIELD>` is the field in SCREAMING_SNAKE, also of a mapping below (`LIVENESS_PROBE_PERIOD_SECONDS`). Lists
//! of strings, such as `COMMAND` and `ARGS`, are JSON lists.

use std::sync::Arc;

use super::{
    check,
    check::rules::{Field, Object, Rule},
    nearest::nearest,
    node::{Entry, Node, Scalar, Value},
    problem::{FieldPath, Position, Problem, shown},
};

const PREFIX: &str = "PODINIT_PROCESS_";
const LISTS: [&str; 3] = ["processes", "initProcesses", "cronProcesses"];

/// What applying the variables left.
pub(super) struct Applied {
    /// The variables, by the column of the nodes they made (their line is 0).
    pub(super) variables: Vec<Arc<str>>,
    /// Variables that name nothing, or have no value of the field's type.
    pub(super) problems: Vec<Problem>,
}

/// A process that can be named.
struct Target {
    list: &'static str,
    index: usize,
    name: String,
    screaming: String,
    object: &'static Object,
}

/// Sets the fields that the variables of ours name.
pub(super) fn apply(root: &mut Node, environment: &[(String, String)]) -> Applied {
    let mut applied = Applied {
        variables: Vec::new(),
        problems: Vec::new(),
    };
    let mut ours: Vec<(&str, &str)> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.as_str())))
        .collect();
    if ours.is_empty() {
        return applied;
    }
    ours.sort_unstable();
    let targets = root.get("spec").map(targets).unwrap_or_default();
    for (rest, value) in ours {
        let variable: Arc<str> = format!("{PREFIX}{rest}").into();
        let position = Position {
            line: 0,
            column: applied.variables.len() as u32,
        };
        match resolve(&targets, rest)
            .and_then(|(target, field)| node_for(target, &field, value, position))
        {
            Ok((path, node)) => {
                set(root, &path, node, position);
                applied.variables.push(variable);
            }
            Err(problem) => applied.problems.push(problem.of(variable)),
        }
    }
    applied
}

fn targets(spec: &Node) -> Vec<Target> {
    let mut targets = Vec::new();
    for list in LISTS {
        let field = check::process_set_spec().field(list);
        let Some(Rule::List(check::rules::List {
            item: Rule::Object(object),
            ..
        })) = field.map(|field| &field.rule)
        else {
            continue;
        };
        let items = spec.get(list).map(Node::items).unwrap_or_default();
        for (index, item) in items.iter().enumerate() {
            if let Some(name) = item
                .get("name")
                .and_then(Node::text)
                .filter(|name| !name.is_empty())
            {
                let screaming = screaming(name);
                targets.push(Target {
                    list,
                    index,
                    name: name.to_owned(),
                    screaming,
                    object,
                });
            }
        }
    }
    targets
}

/// `php-fpm` as `PHP_FPM`, `livenessProbe` as `LIVENESS_PROBE`.
fn screaming(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        });
    }
    out
}

type FieldSteps = Vec<&'static Field>;

/// The process and the field that `NAME_FIELD` stands for.
fn resolve<'t>(targets: &'t [Target], rest: &str) -> Result<(&'t Target, FieldSteps), Problem> {
    let after = |target: &Target| -> Option<usize> {
        let field = rest.strip_prefix(&target.screaming)?;
        field.starts_with('_').then_some(target.screaming.len())
    };
    let Some(longest) = targets.iter().filter_map(after).max() else {
        return Err(unknown_process(targets, rest));
    };
    let named: Vec<&Target> = targets
        .iter()
        .filter(|target| after(target) == Some(longest))
        .collect();
    let [target] = named.as_slice() else {
        let both: Vec<String> = named
            .iter()
            .map(|target| format!("{} in spec.{}", target.name, target.list))
            .collect();
        let message = format!("it could mean {}", both.join(" or "));
        return Err(Problem::error(FieldPath::ROOT, message).help("rename one of them"));
    };
    let field = &rest[longest + 1..];
    let found = fields(target.object, field);
    match found.as_slice() {
        [steps] => Ok((target, steps.clone())),
        [] => Err(unknown_field(target, field)),
        many => {
            let both: Vec<String> = many.iter().map(|steps| dotted(steps)).collect();
            let message = format!("`{field}` could mean {}", both.join(" or "));
            Err(Problem::error(path_of(target), message))
        }
    }
}

/// All the fields below `object` that a SCREAMING_SNAKE name can stand for.
fn fields(object: &'static Object, name: &str) -> Vec<FieldSteps> {
    let mut found = Vec::new();
    for field in object.fields {
        let screaming = screaming(field.key);
        match (name.strip_prefix(&screaming), field.rule) {
            (Some(""), _) => found.push(vec![field]),
            (Some(below), Rule::Object(object)) if below.starts_with('_') => {
                found.extend(fields(object, &below[1..]).into_iter().map(|mut steps| {
                    steps.insert(0, field);
                    steps
                }));
            }
            _ => {}
        }
    }
    found
}

fn dotted(steps: &[&Field]) -> String {
    let keys: Vec<&str> = steps.iter().map(|field| field.key).collect();
    keys.join(".")
}

fn path_of(target: &Target) -> FieldPath {
    FieldPath::spec().key(target.list).index(target.index)
}

fn unknown_process(targets: &[Target], rest: &str) -> Problem {
    let names = || targets.iter().map(|target| target.screaming.as_str());
    let mut ends = rest
        .match_indices('_')
        .map(|(at, _)| at)
        .chain([rest.len()]);
    let meant = ends.find_map(|end| nearest(&rest[..end], names()));
    let mut all: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    all.sort_unstable();
    let help = match meant {
        Some(name) => format!("did you mean `{PREFIX}{name}_..`?"),
        None if all.is_empty() => "the set has no process".to_owned(),
        None => format!("the processes are {}", all.join(", ")),
    };
    Problem::error(
        FieldPath::ROOT,
        "no process has a name that this variable begins with",
    )
    .help(help)
}

fn unknown_field(target: &Target, field: &str) -> Problem {
    let known: Vec<String> = target
        .object
        .fields
        .iter()
        .map(|field| screaming(field.key))
        .collect();
    let meant = nearest(field, known.iter().map(String::as_str));
    let help = meant.map(|name| format!("did you mean `{PREFIX}{}_{name}`?", target.screaming));
    let message = format!("`{}` has no field `{}`", shown(&target.name), shown(field));
    Problem::error(path_of(target), message).maybe_help(help)
}

/// The path of keys and the node for a value, read by the type of its field.
fn node_for(
    target: &Target,
    steps: &FieldSteps,
    value: &str,
    position: Position,
) -> Result<(Steps, Node), Problem> {
    let keys: Vec<&'static str> = steps.iter().map(|field| field.key).collect();
    let path = keys
        .iter()
        .fold(path_of(target), |path, key| path.key(*key));
    let node = match steps.last().map(|field| field.rule) {
        Some(Rule::Text(..) | Rule::Enum(_)) if keys == ["name"] => {
            Err(("a name cannot be set by a variable".to_owned(), None))
        }
        Some(rule) => read(rule, value, position),
        None => Err(("no field".to_owned(), None)),
    };
    match node {
        Ok(node) => Ok((
            Steps {
                list: target.list,
                index: target.index,
                keys,
            },
            node,
        )),
        Err((message, help)) => Err(Problem::error(path, message).maybe_help(help)),
    }
}

/// Reads a text as a value of this type.
fn read(rule: Rule, text: &str, position: Position) -> Result<Node, (String, Option<String>)> {
    let scalar = |plain: bool| {
        let text = text.to_owned();
        Ok(Node {
            position,
            value: Value::Scalar(Scalar { text, plain }),
        })
    };
    match rule {
        Rule::Text(..) | Rule::Enum(_) => scalar(false),
        Rule::Int(..) | Rule::Number(..) | Rule::Bool => scalar(!text.is_empty()),
        Rule::IntOrText(..) => scalar(!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())),
        Rule::List(list) => match list.item {
            Rule::Text(..) | Rule::Int(..) => json_list(text, position),
            _ => Err((
                "a list of mappings cannot be set by a variable".to_owned(),
                None,
            )),
        },
        Rule::Object(object) => {
            let fields: Vec<String> = object
                .fields
                .iter()
                .map(|field| screaming(field.key))
                .collect();
            let help = format!("set one of its fields: append one of {}", fields.join(", "));
            Err((
                "a mapping cannot be set by a variable".to_owned(),
                Some(help),
            ))
        }
        Rule::Map(..) => Err(("a mapping cannot be set by a variable".to_owned(), None)),
    }
}

fn json_list(text: &str, position: Position) -> Result<Node, (String, Option<String>)> {
    let refused = |why: String| {
        let help = r#"for instance ["php", "artisan", "queue:work"]"#.to_owned();
        (format!("expected a JSON list, {why}"), Some(help))
    };
    let list: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|_| refused(format!("found \"{}\"", shown(text))))?;
    let item = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Ok(Scalar { text, plain: false }),
        serde_json::Value::Number(number) => Ok(Scalar {
            text: number.to_string(),
            plain: true,
        }),
        other => Err(refused(format!("found {other} in it"))),
    };
    let nodes = list.into_iter().map(|value| {
        item(value).map(|scalar| Node {
            position,
            value: Value::Scalar(scalar),
        })
    });
    Ok(Node {
        position,
        value: Value::Sequence(nodes.collect::<Result<_, _>>()?),
    })
}

/// Where a value goes.
struct Steps {
    list: &'static str,
    index: usize,
    keys: Vec<&'static str>,
}

/// Puts a node in its place; mappings on the way are made if they are not there.
fn set(root: &mut Node, steps: &Steps, node: Node, position: Position) {
    let Some(list) = entry_mut(root, "spec").and_then(|spec| entry_mut(spec, steps.list)) else {
        return;
    };
    let Value::Sequence(items) = &mut list.value else {
        return;
    };
    let Some(mut at) = items.get_mut(steps.index) else {
        return;
    };
    for key in &steps.keys {
        if !matches!(at.value, Value::Mapping(_)) {
            *at = Node {
                position,
                value: Value::Mapping(Vec::new()),
            };
        }
        let Value::Mapping(entries) = &mut at.value else {
            return;
        };
        let index = entries
            .iter()
            .position(|entry| entry.key == *key)
            .unwrap_or_else(|| {
                let node = Node {
                    position,
                    value: Value::Mapping(Vec::new()),
                };
                entries.push(Entry {
                    key: (*key).to_owned(),
                    position,
                    node,
                });
                entries.len() - 1
            });
        at = &mut entries[index].node;
    }
    *at = node;
}

fn entry_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Mapping(entries) => entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.node),
        Value::Scalar(_) | Value::Sequence(_) => None,
    }
}
