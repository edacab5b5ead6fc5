//! A ProcessSet as the API server gives it: JSON, with the server's own fields around the spec.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test"
)]

use podinit::spec::{Loaded, Problem, load, load_object};
use serde_json::{Value, json};

const ORIGIN: &str = "ProcessSet shop/web";

fn object(spec: &Value) -> Value {
    json!({
        "apiVersion": "podinit.dev/v1alpha1",
        "kind": "ProcessSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "generation": 3},
        "spec": spec,
    })
}

fn process(more: &Value) -> Value {
    let mut process = json!({"name": "a", "command": ["b"]});
    let fields = process.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    object(&json!({"processes": [process]}))
}

fn read(object: &Value) -> Loaded {
    load_object(&object.to_string(), ORIGIN, &[])
}

/// Path, message and help: what is said of a text is said of an object, but for the place in the text.
fn words(problems: &[Problem]) -> Vec<(String, String, Option<String>)> {
    let all = problems.iter().map(|problem| {
        let path = problem.path.to_string();
        let help = problem.help.clone();
        let message = problem.message.clone();
        let message = message.split(", at 1:").next().unwrap().to_owned();
        (path, message, help)
    });
    all.collect()
}

fn has_errors(loaded: &Loaded) -> bool {
    loaded.problems.iter().any(Problem::is_error)
}

#[test]
fn a_mistake_is_told_in_the_words_it_has_in_a_file() {
    let cases = [
        process(&json!({"replicas": "2"})),
        process(&json!({"replicas": -1, "terminationGracePeriodSeconds": 1.5})),
        process(&json!({"command": "nginx -g"})),
        process(&json!({"stopSignal": "SIGNOPE"})),
        process(&json!({"restartBackoff": {"initial": "5 parsecs"}})),
        process(&json!({"traffic": "serving"})),
        process(&json!({"livenessProbe": {"httpGet": {"path": "/", "port": 70000}}})),
        process(&json!({"name": "Not_A_Name"})),
        process(
            &json!({"env": [{"name": "A", "value": 1}, {"name": "B", "value": true}, {"name": "C", "value": null}]}),
        ),
        object(&json!({"processes": [{"name": "a"}, {"name": "a", "command": []}]})),
        object(&json!({"processes": {"a": {}}})),
        object(&json!([])),
        object(&json!(null)),
        json!({"apiVersion": "podinit.dev/v9", "kind": "ProcessSet", "metadata": {}, "spec": {}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "metadata": {"name": "a"}}),
        json!([]),
    ];
    for case in cases {
        let from_file = load(&case.to_string(), "processset.yaml", &[]);
        let from_server = read(&case);
        assert!(has_errors(&from_server), "{case}");
        assert_eq!(from_server.set, None, "{case}");
        assert_eq!(
            words(&from_server.problems),
            words(&from_file.problems),
            "{case}"
        );
        for problem in &from_server.problems {
            assert_eq!(problem.position, None, "{problem}");
            assert_eq!(&*problem.origin, ORIGIN, "{problem}");
        }
    }
}

#[test]
fn keys_that_are_not_known_are_warnings_wherever_they_are() {
    let given = object(&json!({
        "fromTheFuture": [1, {"x": null}],
        "shutdown": {"drain": "1s", "later": true},
        "processes": [{
            "name": "a", "command": ["b"], "newer": {}, "replicas": 2,
            "env": [{"name": "A", "value": "1", "newest": 1}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 80, "tls": {}}},
        }],
    }));
    let loaded = read(&given);
    let paths: Vec<String> = loaded
        .problems
        .iter()
        .map(|problem| problem.path.to_string())
        .collect();
    assert_eq!(
        paths,
        [
            "spec.fromTheFuture",
            "spec.shutdown.later",
            "spec.processes[0].newer",
            "spec.processes[0].env[0].newest",
            "spec.processes[0].livenessProbe.httpGet.tls",
        ]
    );
    assert!(!has_errors(&loaded), "{:?}", loaded.problems);
    let set = loaded.set.unwrap();
    assert_eq!(set.spec.processes[0].replicas, 2);
    // Beside mistakes they stay warnings.
    let loaded = read(&process(&json!({"replicas": "2", "newer": 1})));
    let errors = loaded.problems.iter().filter(|one| one.is_error()).count();
    assert_eq!((errors, loaded.problems.len()), (1, 2));
}

#[test]
fn the_number_of_warnings_is_bounded() {
    let many: serde_json::Map<String, Value> =
        (0..5000).map(|at| (format!("x{at}"), json!(1))).collect();
    let loaded = read(&process(&Value::Object(many)));
    assert!(loaded.set.is_some());
    let most = podinit::spec::problem::MAX_PROBLEMS;
    assert!(
        loaded.problems.len() <= most + 1,
        "{}",
        loaded.problems.len()
    );
}

#[test]
fn what_the_server_keeps_around_the_spec_is_taken_as_it_is() {
    let mut deep = json!({});
    for _ in 0..90 {
        deep = json!({"f:x": deep});
    }
    let mut given = process(&json!({}));
    given["metadata"]["managedFields"] = json!([{"manager": "kubectl", "fieldsV1": deep}]);
    given["metadata"]["annotations"] = json!({"last-applied": "x".repeat(800 << 10)});
    given["metadata"]["fromTheFuture"] = json!({"x": 1});
    given["status"] = json!({"message": "y".repeat(800 << 10), "conditions": 7});
    let loaded = read(&given);
    assert_eq!(loaded.problems, []);
    let set = loaded.set.unwrap();
    assert_eq!(set.metadata.name.as_deref(), Some("web"));
    assert_eq!(set.metadata.namespace.as_deref(), Some("shop"));
}

#[test]
fn strings_are_what_json_says_they_are() {
    for escaped in [
        r"\ud83d\ude00",
        r"\u003c\u2028\u007f\u0085\/",
        "\u{7f}\u{85}\u{1f600}",
        r"\t\n\r\b\f\u0001",
        "yes",
        "1_000",
        "~",
        "<<",
        "*a & !b",
    ] {
        let word: String = serde_json::from_str(&format!("\"{escaped}\"")).unwrap();
        let json = process(&json!({"command": ["b", "PLACE"]}))
            .to_string()
            .replace("PLACE", escaped);
        let loaded = load_object(&json, ORIGIN, &[]);
        assert_eq!(loaded.problems, [], "{escaped}");
        let set = loaded.set.unwrap();
        let command = serde_json::to_value(&set.spec.processes[0].command).unwrap();
        assert_eq!(command, json!(["b", word]), "{escaped}");
    }
}

#[test]
fn nothing_but_json_is_read_and_not_without_end() {
    let yaml = "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec: {processes: []}\n";
    let nested = format!(
        r#"{{"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "spec": {}{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    let endless = "[".repeat(1 << 20);
    let wide = object(&json!({"processes": vec![1; 200_000]})).to_string();
    let long = process(&json!({"command": ["b", "x".repeat(2 << 20)]})).to_string();
    for (text, expected) in [
        ("", "not valid JSON"),
        (yaml, "not valid JSON"),
        ("{} {}", "not valid JSON"),
        (&endless, "not valid JSON"),
        (&nested, "nested deeper than 64 levels"),
        (&wide, "more than 100000 values"),
        (&long, "at most 1048576 are read"),
    ] {
        let loaded = load_object(text, ORIGIN, &[]);
        let shown = &text[..text.len().min(60)];
        assert_eq!(loaded.set, None, "{shown}");
        assert_eq!(loaded.problems.len(), 1, "{shown}: {:?}", loaded.problems);
        let message = loaded.problems[0].to_string();
        assert!(message.contains(expected), "{shown}: {message}");
    }
}

#[test]
fn the_environment_overrides_fields_as_it_does_for_files() {
    let variable = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let given = process(&json!({})).to_string();
    let well = variable("PODINIT_PROCESS_A_REPLICAS", "3");
    let from_file = load(&given, "processset.yaml", &well).set;
    let from_server = load_object(&given, ORIGIN, &well).set;
    assert_eq!(from_server.as_ref().unwrap().spec.processes[0].replicas, 3);
    assert_eq!(from_server, from_file);
    let badly = variable("PODINIT_PROCESS_A_REPLICAS", "many");
    let from_file = load(&given, "processset.yaml", &badly).problems;
    let from_server = load_object(&given, ORIGIN, &badly).problems;
    assert_eq!(from_server, from_file, "the variable is named in both");
}
