//! The documentation is true: its YAML is accepted, its commands do what it says, its tables are those of the code, its
//! links lead somewhere.
//!
//! Every `sh` or `console` block has `<!-- run -->` or `<!-- not run: REASON -->` above it; `session` says what a run is,
//! `page` which other marks there are. `UPDATE_DOCS=1 cargo test --test docs` makes `docs/processset.md` and the tables of
//! `docs/changes.md` anew.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests are at the edge"
)]

#[path = "docs/effects.rs"]
mod effects;
#[path = "docs/matching.rs"]
mod matching;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/session.rs"]
mod session;
mod support;
#[path = "docs/words.rs"]
mod words;
#[path = "docs/yaml.rs"]
mod yaml;

use std::fmt::Write as _;
use std::path::Path;

use page::{Mark, Page};
use podinit::domain::plan::validate::NOT_SUPPORTED;
use podinit::domain::shutdown::table;
use yaml::Verdict;

/// One test a page, so that they run beside each other.
macro_rules! sessions {
    ($($test:ident: $path:literal;)*) => {
        $(#[test]
        fn $test() {
            assert!(session::run(&Page::read(Path::new($path))) > 0);
        })*

        const SESSIONS: &[&str] = &[$($path),*];
    };
}

sessions! {
    the_readme_is_true: "README.md";
    starting_is_true: "docs/start.md";
    stopping_is_true: "docs/stop.md";
    health_is_true: "docs/health.md";
    changing_is_true: "docs/changes.md";
    sidecars_are_true: "docs/sidecars.md";
    logs_are_true: "docs/logs.md";
    running_is_true: "docs/running.md";
    checking_is_true: "docs/check.md";
    planning_is_true: "docs/plan.md";
    coming_from_supervisord_is_true: "docs/from-supervisord.md";
}

#[test]
fn every_shell_block_is_run_or_says_why_not() {
    for page in page::all() {
        let mut runs = 0;
        for block in &page.blocks {
            let decided = block
                .marks
                .iter()
                .filter(|mark| matches!(mark, Mark::Run { .. } | Mark::NotRun(_)))
                .count();
            let wanted = match block.language.as_str() {
                "sh" | "console" => 1,
                "yaml" | "json" | "text" | "dockerfile" | "ini" => 0,
                other => panic!("{}: no block is in `{other}`", block.place),
            };
            assert_eq!(decided, wanted, "{}: marks for a run", block.place);
            runs += usize::from(matches!(block.marks[..], [.., Mark::Run { .. }]));
        }
        let path = page.path.to_str().unwrap();
        assert_eq!(
            runs > 0,
            SESSIONS.contains(&path),
            "{path}: see `sessions!`"
        );
    }
}

#[test]
fn every_yaml_block_is_accepted() {
    let mut count = 0;
    for page in page::all() {
        for block in page.blocks_in("yaml") {
            let has = |mark| block.marks.contains(&mark);
            let verdict = match (has(Mark::Invalid), has(Mark::Warns)) {
                (true, _) => Verdict::Invalid,
                (false, true) => Verdict::Warns,
                (false, false) => Verdict::Good,
            };
            yaml::check(&block.place, &block.text, verdict);
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn every_example_is_accepted() {
    let mut examples = page::files("examples", "yaml");
    examples.push("examples/laravel/processset.yaml".into());
    for path in examples {
        let text = std::fs::read_to_string(page::root().join(&path)).unwrap();
        yaml::check(path.to_str().unwrap(), &text, Verdict::Good);
    }
}

#[test]
fn the_field_reference_is_that_of_the_schema() {
    let path = page::root().join("docs/processset.md");
    let made = reference::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/processset.md is stale: UPDATE_DOCS=1 cargo test --test docs"
    );
}

#[test]
fn the_effects_of_changes_are_those_of_the_table() {
    let path = page::root().join("docs/changes.md");
    let committed = std::fs::read_to_string(&path).unwrap();
    let made = effects::put(&committed, "effects", &effects::legend());
    let made = effects::put(&made, "effects of fields", &effects::fields());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
        return;
    }
    assert!(
        committed == made,
        "docs/changes.md is stale: UPDATE_DOCS=1 cargo test --test docs"
    );
}

#[test]
fn the_changelog_lists_what_is_not_supported() {
    let page = Page::read(Path::new("CHANGELOG.md"));
    let listed: Vec<&str> = page
        .section("not supported yet")
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect();
    let known: Vec<String> = NOT_SUPPORTED
        .iter()
        .map(|row| format!("- `{}`: {}", row.path, row.what))
        .collect();
    assert_eq!(listed, known, "the lines of CHANGELOG.md");
}

/// The rows of a table between two marks, without its head.
fn rows<'p>(page: &'p Page, section: &str) -> Vec<&'p str> {
    let rows = page.section(section).into_iter();
    rows.filter(|row| row.starts_with("| ")).skip(1).collect()
}

#[test]
fn the_tables_of_stops_are_those_of_the_planner() {
    let page = Page::read(Path::new("docs/stop.md"));
    assert_eq!(rows(&page, "stop table"), table::instants(), "docs/stop.md");
    assert_eq!(rows(&page, "chain table"), table::chains(), "docs/stop.md");
}

#[test]
fn links_lead_somewhere() {
    let mut problems = String::new();
    for page in page::all() {
        for (line, link) in page.links() {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                page.path.clone()
            } else {
                page.path.parent().unwrap().join(file)
            };
            let there = page::root().join(&target).exists();
            let known = anchor.is_empty() || {
                let text = Page::read(&target);
                let id = format!("<a id=\"{anchor}\">");
                text.anchors().iter().any(|known| known == anchor) || text.text.contains(&id)
            };
            if !there || !known {
                let _ = writeln!(problems, "{}:{line}: {link}", page.path.display());
            }
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn nothing_of_a_machine_is_named() {
    // Home directories, hosts that images or packages come from, and what a page should be finished without.
    const WORDS: [&str; 6] = [
        "/home/",
        "localhost:5000",
        "registry.",
        "amazonaws",
        "\u{2014}",
        "TODO",
    ];
    let mut problems = String::new();
    for page in page::all() {
        for (at, line) in page.text.lines().enumerate() {
            for word in WORDS.iter().filter(|word| line.contains(**word)) {
                let _ = writeln!(problems, "{}:{}: {word}", page.path.display(), at + 1);
            }
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn the_readme_has_a_place_for_benchmarks() {
    Page::read(Path::new("README.md")).section("benchmarks");
}
