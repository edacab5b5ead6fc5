//! A spec that changes under a running podinit, with real files and real processes.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test"
)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use support::http::{ask, port_of};
use support::{Podinit, SOON, Start, says, within};

const STUB: &str = env!("CARGO_BIN_EXE_podinit-stub");

fn document(spec: &str) -> String {
    format!(
        "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: test}}\nspec:\n{spec}\n"
    )
}

/// Two workers, the first of which says what it is told.
fn spec(word: &str) -> String {
    format!(
        "  processes:\n    - {{name: a, traffic: Background, command: [{STUB}, --say, {word}, --forever]}}\n    \
         - {{name: b, traffic: Background, command: [{STUB}, --say, b, --forever]}}"
    )
}

fn start(spec: &str) -> (Podinit, PathBuf) {
    let podinit = Start::spec(spec)
        .arg("--admin-addr")
        .arg("127.0.0.1:0")
        .start();
    let file = podinit.path("processset.yaml");
    (podinit, file)
}

/// As an editor does it.
fn replace(file: &Path, spec: &str) {
    let new = file.with_extension("new");
    fs::write(&new, document(spec)).unwrap();
    fs::rename(new, file).unwrap();
}

#[test]
fn only_the_process_that_changed_is_restarted() {
    let (podinit, file) = start(&spec("one"));
    podinit.wait_for("one", says("one"));
    podinit.wait_started("b-0");
    replace(&file, &spec("two"));
    podinit.wait_for("what changed", |line| {
        line.get("message") == "the spec changed: a is restarted (command)"
    });
    podinit.wait_for("two", says("two"));
    podinit.wait_for("the end of it", |line| {
        line.get("message").starts_with("the change is done after ")
    });
    // The same content again, and a place that does not matter: nothing.
    replace(&file, &spec("two"));
    fs::write(podinit.path("other"), "x").unwrap();
    // In place, without a rename.
    fs::write(&file, document(&spec("three"))).unwrap();
    podinit.wait_for("three", says("three"));
    podinit.has_started("a-0", 3);
    podinit.has_started("b-0", 1);
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn a_spec_that_is_not_valid_changes_nothing_and_is_told_once() {
    let (podinit, file) = start(&spec("one"));
    podinit.wait_for("one", says("one"));
    replace(&file, "  processes: [{name: a, comand: [x]}]");
    let line = podinit.wait_for("the refusal", |line| {
        line.get("message").contains("nothing follows")
    });
    assert_eq!(line.get("level"), "error");
    assert_eq!(line.get("reason"), "Invalid");
    assert!(line.text.contains("unknown key `comand`"), "{}", line.text);
    let file_gone = file.with_extension("away");
    fs::rename(&file, &file_gone).unwrap();
    podinit.wait_for("the file is gone", |line| {
        line.get("message").contains("no such file")
    });
    fs::write(&file, document(&spec("two"))).unwrap();
    podinit.wait_for("two", says("two"));
    podinit.has_started("b-0", 1);
    let finished = podinit.stop();
    assert_eq!(finished.code, 0);
    let told = finished.lines.iter();
    let told = told.filter(|line| line.get("message").contains("unknown key `comand`"));
    assert_eq!(told.count(), 1);
}

#[test]
fn sighup_looks_at_once() {
    let (podinit, _) = start(&spec("one"));
    podinit.wait_for("one", says("one"));
    podinit.signal(1);
    podinit.wait_for("nothing new", |line| {
        line.get("message") == "the spec has not changed"
    });
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn a_config_map_is_followed_and_so_is_a_secret_that_the_spec_names() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("WORD"), "first").unwrap();
    let spec = |extra: &str| {
        format!(
            "  processes:\n    - name: a\n      command: [{STUB}, --say, \"$(WORD){extra}\", --forever]\n      \
             envFrom: [{{directory: {{path: {}}}}}]\n      traffic: Background",
            secret.path().display()
        )
    };
    let version = |name: &str, extra: &str| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("processset.yaml"), document(&spec(extra))).unwrap();
        symlink(name, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    version("..1", "");
    symlink("..data/processset.yaml", at("processset.yaml")).unwrap();
    let file = at("processset.yaml");
    let podinit = Start::args(&["-f", file.to_str().unwrap(), "--admin-addr", "off"]).start();
    podinit.wait_for("first", says("first"));
    version("..2", "!");
    podinit.wait_for("first!", says("first!"));
    fs::write(secret.path().join("WORD"), "second").unwrap();
    podinit.wait_for("second!", says("second!"));
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn standard_input_is_read_once_and_the_files_that_it_names_are_followed() {
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("WORD");
    fs::write(&file, "first").unwrap();
    let text = document(&format!(
        "  processes:\n    - name: a\n      command: [{STUB}, --say, \"$(WORD)\", --forever]\n      \
         envFrom: [{{directory: {{path: {}}}}}]\n      traffic: Background",
        secret.path().display()
    ));
    let podinit = Start::args(&["-f", "-"]).stdin(&text).start();
    podinit.wait_for("first", says("first"));
    for word in ["second", "third"] {
        fs::write(&file, word).unwrap();
        podinit.wait_for(word, says(word));
    }
    podinit.signal(1);
    podinit.wait_for("nothing new", |line| {
        line.get("message") == "the spec has not changed"
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0);
    let failed = finished.has(|line| line.get("level") == "error");
    assert!(!failed, "{}", finished.story());
}

/// The next version of a volume as the kubelet writes it; the one before goes.
fn swap(volume: &Path, number: u32, text: &str) {
    let at = |name: &str| volume.join(name);
    let name = |number: u32| format!("..{number}");
    fs::create_dir(at(&name(number))).unwrap();
    fs::write(at(&name(number)).join("processset.yaml"), text).unwrap();
    symlink(name(number), at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    if number > 0 {
        fs::remove_dir_all(at(&name(number - 1))).unwrap();
    }
}

#[test]
fn of_a_thousand_swaps_the_last_one_wins_and_nothing_restarts_without_a_change() {
    let volume = tempfile::tempdir().unwrap();
    let text = |word: &str| document(&spec(word));
    swap(volume.path(), 0, &text("first"));
    let file = volume.path().join("processset.yaml");
    symlink("..data/processset.yaml", &file).unwrap();
    let podinit = Start::args(&["-f", file.to_str().unwrap(), "--admin-addr", "off"]).start();
    podinit.wait_for("first", says("first"));
    podinit.wait_started("b-0");
    for number in 1..=1000 {
        swap(volume.path(), number, &text("first"));
    }
    for number in 1001..=2000 {
        swap(volume.path(), number, &text(&format!("word-{number}")));
    }
    podinit.wait_for("the last one", says("word-2000"));
    podinit.signal(1);
    podinit.wait_for("no other one", |line| {
        line.get("message") == "the spec has not changed"
    });
    let lines = podinit.lines();
    let changes = lines.iter().filter(|line| {
        line.get("message")
            .starts_with("the spec changed: a is restarted")
    });
    assert_eq!(podinit.starts("a-0"), 1 + changes.count());
    assert_eq!(podinit.starts("b-0"), 1, "b was left alone");
    assert!(
        !lines.iter().any(|line| line.get("level") == "error"),
        "none was seen half done"
    );
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn a_serving_process_is_replaced_while_the_pod_says_that_it_is_not_ready() {
    let spec = |word: &str| {
        format!(
            "  shutdown: {{drain: 2s}}\n  processes:\n    - {{name: a, command: [{STUB}, --say, {word}, --forever]}}"
        )
    };
    let (podinit, file) = start(&spec("one"));
    let address = port_of(&podinit);
    podinit.wait_for("one", says("one"));
    within(SOON, "ready", || {
        (ask(&address, "GET", "/readyz").0 == 200).then_some(())
    });
    replace(&file, &spec("two"));
    within(SOON, "unready", || {
        (ask(&address, "GET", "/readyz").0 == 503).then_some(())
    });
    podinit.has_started("a-0", 1);
    podinit.wait_for("two", says("two"));
    within(SOON, "ready again", || {
        (ask(&address, "GET", "/readyz").0 == 200).then_some(())
    });
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn log_rules_change_in_place() {
    let spec = |format: &str| {
        format!(
            "  processes:\n    - name: a\n      command: [python3, -uc, 'import time\\nwhile True: print(\"tick\"); time.sleep(0.05)']\n      \
             logging: {{format: {format}}}"
        )
        .replace("'import", "\"import")
        .replace("(0.05)'", "(0.05)\"")
        .replace("(\"tick\")", "('tick')")
    };
    // The ticks come as JSON first and as they are then, out of one and the same run.
    let (podinit, file) = start(&spec("Json"));
    podinit.wait_for("a tick as JSON", says("tick"));
    replace(&file, &spec("Raw"));
    podinit.wait_for("a bare tick", |line| line.text == "tick");
    podinit.has_started("a-0", 1);
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("conf");
    let file = conf.join("processset.yaml");
    let write = |word: &str| {
        fs::create_dir(&conf).unwrap();
        fs::write(&file, document(&spec(word))).unwrap();
    };
    write("one");
    let podinit = Start::args(&["-f", file.to_str().unwrap(), "--admin-addr", "off"]).start();
    podinit.wait_for("one", says("one"));
    for (nth, word) in ["two", "three"].into_iter().enumerate() {
        fs::remove_dir_all(&conf).unwrap();
        podinit.wait_for_nth("it is gone", nth + 1, |line| {
            line.get("message").contains("no such file")
        });
        write(word);
        podinit.wait_for(word, says(word));
    }
    podinit.has_started("b-0", 1);
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn where_nothing_can_be_watched_that_is_said_once_and_sighup_still_looks() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("processset.yaml");
    fs::write(&file, document(&spec("one"))).unwrap();
    // A user namespace of its own, in which nobody gets an inotify.
    let script = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    let podinit = Start::args(&["-f", file.to_str().unwrap(), "--admin-addr", "off"])
        .under(&[
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .start();
    podinit.wait_for("one", says("one"));
    for word in ["two", "three"] {
        replace(&file, &spec(word));
        podinit.signal(1);
        podinit.wait_for(word, says(word));
    }
    let finished = podinit.stop();
    assert_eq!(finished.code, 0);
    let told = finished.lines.iter();
    let told = told.filter(|line| line.get("message").contains("cannot be watched"));
    assert_eq!(told.count(), 1, "{}", finished.story());
}
