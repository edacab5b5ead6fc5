//! What is generated from the types is as committed. Refresh with `UPDATE_EXPECT=1 cargo test --test fresh`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests are at the edge"
)]

use expect_test::expect_file;
use podinit::{cli, spec::schema};

#[path = "support/rules.rs"]
mod rules;

#[test]
fn the_table_of_rules_is_fresh() {
    expect_file!["../src/spec/check/table.rs"].assert_eq(&rules::table(&schema::spec_schema()));
}

#[test]
fn the_crds_are_fresh() {
    for (name, text) in cli::crd::files().unwrap() {
        expect_file![format!("../crds/{name}")].assert_eq(&text);
        // kubectl apply keeps the whole object in an annotation of at most 256 KiB.
        let crd: serde_json::Value = match name {
            "podinit.dev_processsets.yaml" => schema::process_set_crd(),
            _ => schema::process_report_crd(),
        };
        assert!(
            crd.to_string().len() < 200_000,
            "{name}: {} bytes",
            crd.to_string().len()
        );
    }
}

#[test]
fn the_schema_for_editors_is_fresh() {
    expect_file!["../schemas/processset.v1alpha1.json"].assert_eq(&cli::schema::text().unwrap());
}

/// The committed files are what the program prints, byte for byte.
#[test]
fn the_program_prints_what_is_committed() {
    let print = |command: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_podinit"))
            .arg(command)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let files = cli::crd::files().unwrap();
    let documents = files
        .iter()
        .fold(String::new(), |all, (_, text)| all + "---\n" + text);
    assert_eq!(print("crd"), documents);
    assert_eq!(print("schema"), cli::schema::text().unwrap());
    assert_eq!(
        print("version"),
        format!("podinit {}\n", env!("CARGO_PKG_VERSION"))
    );
}

/// The picture of docs/plan.md.
#[test]
fn the_picture_of_the_laravel_example_is_fresh() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_podinit"))
        .args(["plan", "-o", "svg", "examples/laravel/processset.yaml"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    expect_file!["../docs/plan.svg"].assert_eq(&String::from_utf8(output.stdout).unwrap());
}
