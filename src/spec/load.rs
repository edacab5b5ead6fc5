//! From text to a ProcessSet: parse, overrides, check, type. All problems at once, each with its place.

use std::sync::Arc;

use super::{
    check, de, json,
    nearest::did_you_mean,
    node::{Node, Value},
    overrides,
    problem::{FieldPath, MAX_PROBLEMS, Position, Problem, shown},
    prune,
    v1alpha1::{ProcessSet, ProcessSetSpec},
    yaml,
};

/// The API version of a ProcessSet.
pub const API_VERSION: &str = "podinit.dev/v1alpha1";
/// The kind of a ProcessSet.
pub const KIND: &str = "ProcessSet";

/// What became of a text.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The set; `None` if there is an error among the problems.
    pub set: Option<ProcessSet>,
    /// Everything that is wrong, in the order of the text.
    pub problems: Vec<Problem>,
    node: Option<Node>,
    origin: Arc<str>,
    /// Whether anybody can look at the places.
    has_places: bool,
    /// Variables that set fields; their nodes have line 0 and the index here as column.
    variables: Vec<Arc<str>>,
}

/// Reads a text called `origin` (a file name or `<stdin>`), with the environment variables that override fields of it;
/// variables that are none of those are skipped, so that the whole environment may be given.
pub fn load(text: &str, origin: &str, environment: &[(String, String)]) -> Loaded {
    loaded(yaml::parse(text), (origin, true), environment)
}

/// Reads a ProcessSet as the API server gives it, called `origin`. The same as [`load`], but it is JSON, there are no
/// places to tell of, what is around the spec is the server's business, and unknown keys are warnings.
pub fn load_object(text: &str, origin: &str, environment: &[(String, String)]) -> Loaded {
    let mut warnings = Vec::new();
    let mut parsed = json::parse(text, &mut warnings);
    if let Some(root) = &mut parsed.node {
        prune::prune(root, &mut warnings);
    }
    if warnings.len() > MAX_PROBLEMS {
        warnings.truncate(MAX_PROBLEMS);
        let message = "there are more keys that this podinit does not know";
        warnings.push(Problem::warning(FieldPath::ROOT, message));
    }
    let mut loaded = loaded(parsed, (origin, false), environment);
    let warnings = warnings.into_iter().map(|warning| warning.of(origin));
    loaded.problems.extend(warnings);
    loaded
}

/// Of something called `origin`, which has places that one can look at or not.
fn loaded(
    parsed: yaml::Parsed,
    (origin, has_places): (&str, bool),
    environment: &[(String, String)],
) -> Loaded {
    let yaml::Parsed {
        mut node,
        mut problems,
    } = parsed;
    let mut variables = Vec::new();
    if let Some(root) = &mut node {
        let applied = overrides::apply(root, environment);
        variables = applied.variables;
        problems.extend(check_document(root));
        // The order of the text; what the environment set has no place in it and comes last.
        problems.sort_by_key(|problem| problem.position.map(|at| (at.line == 0, at)));
        problems.extend(applied.problems);
    }
    let mut loaded = Loaded {
        set: None,
        problems: Vec::new(),
        node,
        origin: origin.into(),
        has_places,
        variables,
    };
    if problems.is_empty() {
        match loaded.node.as_ref().map(typed) {
            Some(Ok(set)) => loaded.set = Some(set),
            Some(Err(problem)) => problems.push(*problem),
            None => {}
        }
    }
    if problems.len() > MAX_PROBLEMS {
        problems.truncate(MAX_PROBLEMS);
        problems.push(Problem::error(
            FieldPath::ROOT,
            "there are more problems: mend these first",
        ));
    }
    loaded.problems = problems
        .into_iter()
        .map(|problem| loaded.named(problem))
        .collect();
    loaded
}

impl Loaded {
    /// Where a field is written; `None` if it is not from the text.
    pub fn locate(&self, path: &FieldPath) -> Option<Position> {
        let position = self.node.as_ref()?.locate(path);
        (self.has_places && position.line > 0).then_some(position)
    }

    /// Gives a problem that was found later, by its path, its place and the name of the text or variable.
    #[must_use]
    pub fn placed(&self, mut problem: Problem) -> Problem {
        if problem.position.is_none() {
            problem.position = self.node.as_ref().map(|node| node.locate(&problem.path));
        }
        self.named(problem)
    }

    /// Turns the place of a variable into its name.
    fn named(&self, mut problem: Problem) -> Problem {
        if !problem.origin.is_empty() {
            return problem;
        }
        problem.origin = self.origin.clone();
        if let Some(Position { line: 0, column }) = problem.position {
            problem.position = None;
            if let Some(variable) = self.variables.get(column as usize) {
                problem.origin = variable.clone();
            }
        }
        if !self.has_places {
            problem.position = None;
        }
        problem
    }
}

fn typed(root: &Node) -> Result<ProcessSet, Box<Problem>> {
    let path = FieldPath::spec();
    let spec: ProcessSetSpec = match root.get("spec") {
        Some(spec) => de::from_node(spec, &path)?,
        None => return Err(Box::new(Problem::error(path, "missing"))),
    };
    let metadata = root.get("metadata");
    let text = |key: &str| {
        metadata
            .and_then(|metadata| metadata.get(key))
            .and_then(Node::string)
    };
    let mut set = ProcessSet::new(text("name").unwrap_or("default"), spec);
    set.metadata.namespace = text("namespace").map(str::to_owned);
    Ok(set)
}

/// Checks a whole document: what it says it is, its metadata, its spec.
fn check_document(root: &Node) -> Vec<Problem> {
    let Value::Mapping(entries) = &root.value else {
        let message = format!("expected a ProcessSet, found {}", root.found());
        return vec![Problem::error(FieldPath::ROOT, message).at(root.position)];
    };
    let mut problems = vec![];
    problems.extend(check_version(root));
    problems.extend(check_kind(root));
    if !problems.is_empty() && root.get("spec").is_none() {
        // Something else altogether: its other keys would only be noise.
        return problems;
    }
    for entry in entries {
        match entry.key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => check_metadata(&entry.node, entry.position, &mut problems),
            "spec" => problems.extend(check_spec(&entry.node, entry.position)),
            key => {
                let help = if check::process_set_spec().field(key).is_some() {
                    Some("it belongs under `spec`".to_owned())
                } else {
                    did_you_mean(key, ["apiVersion", "kind", "metadata", "spec"])
                };
                let message = format!("unknown key `{}`", shown(key));
                let problem =
                    Problem::error(FieldPath::ROOT.key(key.to_owned()), message).at(entry.position);
                problems.push(problem.maybe_help(help));
            }
        }
    }
    if root.get("spec").is_none() {
        problems
            .push(Problem::error(FieldPath::ROOT, "the key `spec` is missing").at(root.position));
    }
    problems
}

fn check_version(root: &Node) -> Option<Problem> {
    let path = FieldPath::ROOT.key("apiVersion");
    let expected = format!("apiVersion: {API_VERSION}");
    let Some(entry) = root.entry("apiVersion") else {
        let problem =
            Problem::error(FieldPath::ROOT, "the key `apiVersion` is missing").at(root.position);
        let foreign = [
            "services",
            "program",
            "programs",
            "processes",
            "version",
            "global",
        ];
        return Some(
            if root.get("spec").is_none() && foreign.iter().any(|key| root.get(key).is_some()) {
                problem.help(format!(
                "a ProcessSet starts with `{expected}`; docs/migrating.md has the keys of other supervisors beside ours"
            ))
            } else {
                problem.help(format!("write `{expected}`"))
            },
        );
    };
    match entry.node.string() {
        Some(API_VERSION) => None,
        Some(other) if other.starts_with("podinit.dev/") => Some(
            Problem::error(
                path,
                format!("this podinit does not know the version {other:?}"),
            )
            .at(entry.node.position)
            .help(format!(
                "write `{expected}`, or use a podinit that knows it"
            )),
        ),
        _ => Some(
            Problem::error(
                path,
                format!("expected {API_VERSION}, found {}", entry.node.found()),
            )
            .at(entry.node.position),
        ),
    }
}

fn check_kind(root: &Node) -> Option<Problem> {
    let path = FieldPath::ROOT.key("kind");
    let Some(entry) = root.entry("kind") else {
        let problem =
            Problem::error(FieldPath::ROOT, "the key `kind` is missing").at(root.position);
        return root
            .get("apiVersion")
            .is_some()
            .then(|| problem.help("write `kind: ProcessSet`"));
    };
    let help = match entry.node.string() {
        Some(KIND) => return None,
        Some("ConfigMap") => {
            Some("give the ProcessSet itself: the text under the ConfigMap's data".to_owned())
        }
        Some("List") => Some("give one ProcessSet, not a List".to_owned()),
        Some(other) => did_you_mean(other, [KIND]),
        None => None,
    };
    let message = format!("expected {KIND}, found {}", entry.node.found());
    Some(
        Problem::error(path, message)
            .at(entry.node.position)
            .maybe_help(help),
    )
}

/// What an object's metadata may hold. Only name and namespace are used; the rest is what `kubectl get -o yaml` prints.
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "selfLink",
];

fn check_metadata(metadata: &Node, at: Position, problems: &mut Vec<Problem>) {
    let path = FieldPath::ROOT.key("metadata");
    if !matches!(metadata.value, Value::Mapping(_)) {
        let position = if metadata.text() == Some("") {
            at
        } else {
            metadata.position
        };
        problems.push(
            Problem::error(
                path,
                format!("expected a mapping, found {}", metadata.found()),
            )
            .at(position),
        );
        return;
    }
    for entry in metadata.entries() {
        let path = path.key(entry.key.clone());
        match entry.key.as_str() {
            "name" | "namespace" => {
                let rule = check::Rule::Text(1, 253, check::Form::Any);
                problems.extend(check::check_value(
                    &entry.node,
                    entry.position,
                    &path,
                    &rule,
                ));
                let label = |text: &str| text.split('.').all(|part| check::Form::Name.holds(part));
                if entry
                    .node
                    .string()
                    .is_some_and(|text| !text.is_empty() && !label(text))
                {
                    let message = format!(
                        "expected lower-case letters, digits, `-` and `.`, found {}",
                        entry.node.found()
                    );
                    problems.push(Problem::error(path, message).at(entry.node.position));
                }
            }
            key if METADATA.contains(&key) => {}
            key => {
                let problem = Problem::error(path, format!("unknown key `{}`", shown(key)))
                    .at(entry.position);
                problems.push(problem.maybe_help(did_you_mean(key, METADATA)));
            }
        }
    }
}

fn check_spec(spec: &Node, at: Position) -> Vec<Problem> {
    let mut problems = check::check(spec, at);
    let lists = ["processes", "cronProcesses", "initProcesses"];
    let empty = |key: &&str| spec.get(key).is_none_or(|list| list.items().is_empty());
    if problems.is_empty() && lists.iter().all(empty) {
        let message = "nothing to run: expected at least one entry in processes, cronProcesses or initProcesses";
        problems.push(Problem::error(FieldPath::spec(), message).at(at));
    }
    problems
}
