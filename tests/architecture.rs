//! The rules of ARCHITECTURE.md that a compiler does not check: layers, purity, sizes, unsafe code.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    clippy::unwrap_used,
    reason = "a test reads the sources of the repository"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom: `crate::X` in a file of a module is only allowed for these X.
const LAYERS: &[(&str, &[&str])] = &[
    ("spec", &["spec"]),
    ("domain", &["domain", "spec"]),
    ("ports", &["ports", "domain"]),
    ("sys", &["sys", "ports", "domain"]),
    ("logs", &["logs", "ports", "domain"]),
    ("probe", &["probe", "ports", "domain"]),
    ("http", &["http", "ports", "domain"]),
    ("state", &["state", "ports", "domain"]),
    ("config", &["config", "ports", "domain", "spec"]),
    ("cluster", &["cluster", "ports", "domain", "spec"]),
    ("engine", &["engine", "ports", "domain"]),
    (
        "app",
        &[
            "app", "engine", "sys", "logs", "probe", "http", "state", "config", "cluster", "ports",
            "domain", "spec",
        ],
    ),
    (
        "cli",
        &["cli", "app", "config", "http", "sys", "domain", "spec"],
    ),
];

/// What the pure layers never name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "tokio",
    "libc::",
    "nix::",
    "Instant::now",
    "SystemTime",
    "rand::",
    "tracing::",
    "async fn",
    "println!",
];

const MAX_LINES: usize = 800;
const P90_LINES: usize = 400;

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(under);
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        })
        .collect()
}

/// The module a file of `src` belongs to: `domain/plan.rs` -> `domain`, `app.rs` -> `app`.
fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    let text = path.to_str().unwrap();
    text.ends_with("tests.rs") || text.contains("/tests/")
}

/// The file without its test module and its comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.split("#[cfg(test)]\n#[expect(")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{line}");
            all
        })
}

#[test]
fn no_layer_uses_one_above_it() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut problems = String::new();
    for (path, text) in sources("src") {
        let module = module(&path);
        if matches!(module.as_str(), "lib" | "main") || is_test(&path) {
            continue;
        }
        let Some(allowed) = layers.get(module.as_str()) else {
            let _ = writeln!(problems, "src/{}: a module without a layer", path.display());
            continue;
        };
        for (line, text) in code(&text).lines().enumerate() {
            for used in text.split("crate::").skip(1) {
                let used: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if layers.contains_key(used.as_str()) && !allowed.contains(&used.as_str()) {
                    let _ = writeln!(
                        problems,
                        "src/{} (code line {}): `{module}` may not use `{used}`",
                        path.display(),
                        line + 1
                    );
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn the_core_is_pure() {
    let mut problems = String::new();
    for (path, text) in sources("src") {
        if !matches!(module(&path).as_str(), "domain" | "spec") || is_test(&path) {
            continue;
        }
        let code = code(&text);
        for word in IMPURE {
            if code.contains(word) {
                let _ = writeln!(problems, "src/{} names {word}", path.display());
            }
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn unsafe_code_is_in_sys_and_each_says_why_it_is_sound() {
    let mut problems = String::new();
    for (path, text) in sources("src") {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            let uses = !trimmed.starts_with("//")
                && ["unsafe {", "unsafe impl"]
                    .iter()
                    .any(|word| line.contains(word));
            if !uses {
                continue;
            }
            if module(&path) != "sys" {
                let _ = writeln!(
                    problems,
                    "src/{}:{}: unsafe outside sys",
                    path.display(),
                    at + 1
                );
            }
            let said = lines[at.saturating_sub(12)..=at]
                .iter()
                .any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if !said {
                let _ = writeln!(
                    problems,
                    "src/{}:{}: no SAFETY line",
                    path.display(),
                    at + 1
                );
            }
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn files_stay_small_and_say_what_they_are_for() {
    let mut problems = String::new();
    let mut sizes = Vec::new();
    for (path, text) in sources("src") {
        let lines = text.lines().count();
        if !is_test(&path) {
            sizes.push(code(&text).lines().count());
        }
        if lines > MAX_LINES {
            let _ = writeln!(
                problems,
                "src/{}: {lines} lines, over {MAX_LINES}",
                path.display()
            );
        }
        if !text.starts_with("//!") && !is_test(&path) {
            let _ = writeln!(
                problems,
                "src/{}: does not open with what it is for",
                path.display()
            );
        }
    }
    sizes.sort_unstable();
    let p90 = sizes[sizes.len() * 9 / 10];
    if p90 > P90_LINES {
        let _ = writeln!(
            problems,
            "one file in ten has over {p90} lines of code ({P90_LINES} at most)"
        );
    }
    assert!(problems.is_empty(), "\n{problems}");
}
