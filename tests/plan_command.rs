//! `podinit plan`, as a person and as a program see it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests are at the edge"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Standard output, standard error and the code for a file on standard input.
fn plan(args: &[&str], text: &str) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podinit"));
    command.arg("plan").args(args).arg("-").env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Wrong usage ends it before it reads.
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

fn set(spec: &str) -> String {
    format!(
        "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: shop}}\nspec:\n  {spec}\n"
    )
}

/// 64 processes with names of 63 letters, in chains of eight, and every third with a preStop hook.
fn large() -> String {
    let name = |at: usize| format!("p{at:02}-{}", "x".repeat(59));
    let mut spec = "processes:\n".to_owned();
    for at in 0..64 {
        let _ = write!(spec, "    - {{name: {}, command: [a]", name(at));
        if at >= 8 {
            let _ = write!(
                spec,
                ", dependsOn: [{{name: {}}}, {{name: {}}}]",
                name(at - 8),
                name((at - 8) / 8 * 8)
            );
            if at % 8 == 0 {
                spec.truncate(spec.rfind(", {name").unwrap());
                spec.push(']');
            }
        }
        if at % 3 == 0 {
            spec.push_str(", lifecycle: {preStop: {sleep: {seconds: 1}}}");
        }
        spec.push_str("}\n");
    }
    set(&spec)
}

#[test]
fn text_has_100_columns_of_ascii() {
    for grace in ["0", "1", "2", "3", "10", "30", "3600", "86400"] {
        let (out, err, code) = plan(&["--grace", grace], &large());
        assert_eq!((err.as_str(), code), ("", Some(0)));
        for line in out.lines() {
            assert!(
                line.is_ascii() && line.len() <= 100,
                "{}: {line}",
                line.len()
            );
        }
        let bars = out.lines().filter(|line| line.ends_with('|')).count();
        let stages = if grace.parse::<u32>().unwrap() <= 2 {
            64
        } else {
            64 + 22 + 1
        };
        // The axis, finish and tail have a row each.
        assert_eq!(bars, stages + 3, "{out}");
    }
}

#[test]
fn json_has_the_documented_shape() {
    let spec = "processes: [{name: web, command: [a], dependsOn: [{name: db}]}, {name: db, command: [a], terminationGracePeriodSeconds: 40}]\n  initProcesses: [{name: one, command: [a]}, {name: two, command: [a]}]";
    let (out, err, code) = plan(&["-o", "json"], &set(spec));
    assert_eq!((err.as_str(), code), ("", Some(0)));
    let plan: Value = serde_json::from_str(&out).unwrap();
    let expected = serde_json::json!({
        "valid": true,
        "problems": [],
        "name": "shop",
        "start": {
            "sidecars": [],
            "waves": [["one"], ["two"], ["db"], ["web"]],
            "longest": ["one", "two", "db", "web"],
            "processes": [
                {"name": "one", "init": true, "replicas": 1, "wave": 1, "after": []},
                {"name": "two", "init": true, "replicas": 1, "wave": 2, "after": [
                    {"name": "one", "condition": "Completed", "optional": true, "because": "order"}]},
                {"name": "db", "init": false, "replicas": 1, "wave": 3, "after": []},
                {"name": "web", "init": false, "replicas": 1, "wave": 4, "after": [
                    {"name": "db", "condition": "Ready", "optional": false, "because": "dependsOn"}]},
            ],
        },
        "stop": {
            "gracePeriodSeconds": 30,
            "source": "default",
            "killSeconds": 28.0,
            "finishSeconds": 1.0,
            "tailSeconds": 1.0,
            "atOnce": false,
            "fits": false,
            "neededSeconds": 46.0,
            "enoughGracePeriodSeconds": 48,
            "longest": [0, 1, 2],
            "stages": plan["stop"]["stages"],
        },
    });
    assert_eq!(plan, expected);
    let last = &plan["stop"]["stages"][2];
    let want = [
        ("kind", "\"Stop\""),
        ("name", "\"db\""),
        ("traffic", "\"Serving\""),
        ("after", "[0,1]"),
        ("limitSeconds", "40.0"),
        ("claimSeconds", "40.0"),
        ("endSeconds", "28.0"),
        ("cut", "true"),
    ];
    for (key, value) in want {
        assert_eq!(last[key].to_string(), value, "{key}");
    }
}

#[test]
fn a_picture_is_well_formed_and_no_text_leaves_it() {
    let (out, err, code) = plan(&["-o", "svg"], &large());
    assert_eq!((err.as_str(), code), ("", Some(0)));
    assert!(
        !out.contains("href") && !out.contains("url(http"),
        "it stands for itself"
    );
    let mut open = Vec::new();
    for tag in out.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert_eq!(open, [""; 0], "every tag is closed");
    // Texts of one line: none begins before the one left of it has ended.
    let mut rows: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in out.lines().filter(|line| line.starts_with("  <text ")) {
        let attribute = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0)
        };
        let text = line
            .rsplit_once("</text>")
            .unwrap()
            .0
            .rsplit('>')
            .next()
            .unwrap();
        let class = attribute(" class").unwrap_or_default();
        let small = class.contains("small");
        let wide = text.len() as f64 * if small { 6.82 } else { 7.44 };
        let x: f64 = attribute(" x").unwrap().parse().unwrap();
        let left = match class {
            class if class.contains("right") => x - wide,
            class if class.contains("middle") => x - wide / 2.0,
            _ => x,
        };
        assert!(left >= 0.0 && left + wide <= 1240.0, "{line}");
        let row = rows.entry(attribute(" y").unwrap().to_owned()).or_default();
        row.push((left, left + wide));
    }
    for (y, mut row) in rows {
        row.sort_by(|one, other| one.0.total_cmp(&other.0));
        for two in row.windows(2) {
            assert!(two[0].1 <= two[1].0, "at {y}: {two:?}");
        }
    }
}

#[test]
fn mermaid_is_two_diagrams() {
    let spec = "processes: [{name: end, command: [a]}, {name: title, command: [a], dependsOn: [{name: end, optional: true}]}]";
    let (out, _, code) = plan(&["-o", "mermaid", "--grace", "30"], &set(spec));
    assert_eq!(code, Some(0));
    for line in [
        "flowchart LR",
        "    p0[\"end\"]",
        "  p0 -.->|\"Ready (optional)\"| p1",
        "gantt",
        "  drain :crit, 0, 5000ms",
        "  stop title :crit, 5000, 22000ms",
        "  SIGKILL by podinit :milestone, 28000, 0ms",
    ] {
        assert!(out.lines().any(|found| found == line), "{line}\n{out}");
    }
}

#[test]
fn what_is_invalid_is_said_and_not_drawn() {
    let bad = set("processes: [{name: a}]");
    for form in ["text", "mermaid", "svg"] {
        let (out, err, code) = plan(&["-o", form], &bad);
        assert_eq!((out.as_str(), code), ("", Some(65)));
        assert!(
            err.contains("spec.processes[0]: the key `command` is missing"),
            "{err}"
        );
    }
    let (out, err, code) = plan(&["-o", "json"], &bad);
    assert_eq!((err.as_str(), code), ("", Some(65)));
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(plan["valid"], false);
    assert_eq!(plan["problems"][0]["path"], "spec.processes[0]");
    assert_eq!(plan.as_object().unwrap().len(), 2);
}

#[test]
fn a_grace_period_has_bounds() {
    for grace in ["-1", "86401", "30s", ""] {
        let (_, err, code) = plan(&[&format!("--grace={grace}")], &set("{}"));
        assert_eq!(code, Some(64), "{grace}: {err}");
    }
}

#[test]
fn sidecars_stand_before_everything_in_every_form() {
    let spec = set(
        "sidecars: [{name: istio-proxy, preset: Istio, quit: OnCompletion}, {name: log, quit: OnCompletion, quitHttpPost: {port: 1, path: /q}}, {name: db, startupProbe: {tcpSocket: {port: 1}, initialDelaySeconds: 5}, onTimeout: Start}]\n  processes: [{name: web, command: [a]}]",
    );
    let drawn = |form| {
        let (out, err, code) = plan(&["-o", form], &spec);
        assert_eq!((err.as_str(), code), ("", Some(0)));
        out
    };
    let rows = "shop: the start, in 1 wave
        istio-proxy (sidecar)  ready within 60s, else exit 69; quits when the set ended by itself
        log (sidecar)          not waited for; quits when the set ended by itself
        db (sidecar)           ready within 35s or not
*    1  web
";
    let text = drawn("text");
    assert!(text.starts_with(rows), "{text}");
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    let json: Value = serde_json::from_str(&drawn("json")).unwrap();
    let expected = serde_json::json!([
        {"name": "istio-proxy", "limitSeconds": 60.0, "onTimeout": "Fail", "quit": "OnCompletion"},
        {"name": "log", "limitSeconds": null, "onTimeout": "Fail", "quit": "OnCompletion"},
        {"name": "db", "limitSeconds": 35.0, "onTimeout": "Start", "quit": "Never"},
    ]);
    assert_eq!(json["start"]["sidecars"], expected);
    let chart = drawn("mermaid");
    let begin = "flowchart LR
  subgraph w0 [\"sidecars\"]
    s0{{\"istio-proxy\"}}
    s1{{\"log\"}}
    s2{{\"db\"}}
  end
";
    assert!(chart.contains(begin), "{chart}");
    assert!(chart.contains("  w0 ==> w1\n"), "{chart}");
    let picture = drawn("svg");
    for words in [
        ">istio-proxy (sidecar)<",
        ">ready within 35s or not<",
        ">web<",
    ] {
        assert!(picture.contains(words), "{picture}");
    }
}
