//! The example of the design and a file with every field: they load, and nothing is lost on the way.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests are at the edge"
)]

use std::collections::BTreeSet;

use podinit::spec::{
    check::{
        process_set_spec,
        rules::{List, Object, Rule},
    },
    load,
    node::Node,
    units::Mode,
    v1alpha1::{
        Phase, ProcessReport, ProcessReportSpec, ProcessReportStatus, ProcessSet, ProcessSetSpec,
    },
    yaml,
};

fn loaded(text: &str) -> ProcessSet {
    let loaded = load(text, "test.yaml", &[]);
    assert_eq!(loaded.problems, []);
    loaded.set.unwrap()
}

const SHOP: &str = include_str!("fixtures/shop.yaml");
const EVERYTHING: &str = include_str!("fixtures/everything.yaml");

#[test]
fn the_example_of_the_design_loads() {
    let set = loaded(SHOP);
    assert_eq!(set.metadata.name.as_deref(), Some("shop"));
    assert_eq!(set.spec.processes.len(), 3);
    assert_eq!(set.spec.processes[2].replicas, 4);
    assert_eq!(set.spec.processes[0].stop_signal.to_string(), "SIGQUIT");
    assert_eq!(set.spec.directories[0].mode.map(Mode::bits), Some(0o775));
}

#[test]
fn every_field_loads_and_comes_back() {
    for text in [SHOP, EVERYTHING] {
        let set = loaded(text);
        let json = serde_json::to_value(&set).unwrap();
        let again: ProcessSet = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(again, set);
        let written = yaml::to_string(&json).unwrap();
        assert_eq!(loaded(&written), set, "{written}");
    }
}

#[test]
fn an_absent_field_is_its_default() {
    let text = "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec: {processes: [{name: a, command: [b]}]}\n";
    let set = loaded(text);
    assert_eq!(set.metadata.name.as_deref(), Some("default"));
    let process = &set.spec.processes[0];
    let json = serde_json::to_string(process).unwrap();
    let expected = concat!(
        r#"{"name":"a","enabled":true,"command":["b"],"envPolicy":"Inherit","stopSignal":"SIGTERM","#,
        r#""signalTarget":"Leader","successExitCodes":[0],"replicas":1,"minReadySeconds":0,"restartPolicy":"Always","#,
        r#""restartBackoff":{"initial":"1s","factor":2,"max":"5m","jitter":0.1,"resetAfter":"10m"},"onSuccess":"Ignore","#,
        r#""traffic":"Serving","updateStrategy":{"type":"RollingUpdate","maxUnavailable":1,"maxSurge":0}}"#
    );
    assert_eq!(json, expected);
}

/// What the API server sends to an older podinit: fields it does not know are skipped, not refused.
#[test]
fn a_custom_resource_of_a_newer_version_is_read() {
    let json = r#"{"processes": [{"name": "a", "command": ["b"], "fromTheFuture": {"x": 1}}]}"#;
    let spec: ProcessSetSpec = serde_json::from_str(json).unwrap();
    assert_eq!(spec.processes[0].name, "a");
}

/// A report has no spec; all of it is in the status subresource.
#[test]
fn a_report_is_all_status() {
    let mut report = ProcessReport::new("shop-0.main", ProcessReportSpec {});
    report.status = Some(ProcessReportStatus {
        pod: "shop-0".into(),
        phase: Phase::Running,
        ready: "4/5".into(),
        ..ProcessReportStatus::default()
    });
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["kind"], "ProcessReport");
    assert_eq!(json["status"]["phase"], "Running");
    assert_eq!(json.get("spec"), None);
    assert_eq!(
        serde_json::from_value::<ProcessReport>(json).unwrap(),
        report
    );
}

/// The fixture says it has every field: it does, and a new field must be added to it.
#[test]
fn the_fixture_has_every_field() {
    let root = yaml::parse(EVERYTHING).node.unwrap();
    let mut used = BTreeSet::new();
    used_fields(
        root.get("spec").unwrap(),
        &Rule::Object(process_set_spec()),
        &mut used,
    );
    let mut all = BTreeSet::new();
    all_fields(&Rule::Object(process_set_spec()), &mut all);
    let missing: Vec<_> = all.difference(&used).collect();
    assert!(
        missing.is_empty(),
        "add to tests/fixtures/everything.yaml: {missing:?}"
    );
}

type Fields = BTreeSet<(&'static str, &'static str)>;

fn used_fields(node: &Node, rule: &Rule, used: &mut Fields) {
    match rule {
        Rule::Object(object) => {
            for entry in node.entries() {
                let field = object.field(&entry.key).unwrap();
                used.insert((object.name, field.key));
                used_fields(&entry.node, &field.rule, used);
            }
        }
        Rule::List(List { item, .. }) => node
            .items()
            .iter()
            .for_each(|node| used_fields(node, item, used)),
        _ => {}
    }
}

fn all_fields(rule: &Rule, all: &mut Fields) {
    match rule {
        Rule::Object(Object { name, fields, .. }) => {
            for field in *fields {
                if all.insert((name, field.key)) {
                    all_fields(&field.rule, all);
                }
            }
        }
        Rule::List(List { item, .. }) => all_fields(item, all),
        _ => {}
    }
}
