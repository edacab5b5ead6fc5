#![expect(
    clippy::disallowed_methods,
    reason = "a test is at the edge: it looks at files"
)]

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::mpsc::{Receiver, channel};

use super::*;

fn noted() -> (Note, Receiver<Record>) {
    let (sender, records) = channel();
    let note = Box::new(move |record| sender.send(record).unwrap());
    (note, records)
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_there_when_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("run/podinit");
    let (note, records) = noted();
    let mut state = State::new(top.clone(), note);
    assert!(!top.exists(), "nothing is made before the first file");
    state.write("draining".to_owned(), String::new());
    for number in 0..300 {
        state.write(format!("deadline/web-{number}"), "1".to_owned());
    }
    state.write("deadline/web-0".to_owned(), "2\n".to_owned());
    drop(state);
    assert_eq!(names(&top), ["deadline", "draining"]);
    assert_eq!(names(&top.join("deadline")).len(), 300);
    let first = top.join("deadline/web-0");
    assert_eq!(std::fs::read_to_string(&first).unwrap(), "2\n");
    assert_eq!(mode_of(&first), 0o644);
    assert_eq!(mode_of(&top), 0o755);
    assert_eq!(mode_of(&top.join("deadline")), 0o755);
    assert_eq!(records.try_iter().count(), 0);
}

#[test]
fn where_nothing_can_be_written_one_note_says_so() {
    let (note, records) = noted();
    let mut state = State::new("/proc/podinit".into(), note);
    state.write("draining".to_owned(), String::new());
    state.write("deadline/web-0".to_owned(), String::new());
    drop(state);
    let told: Vec<Record> = records.try_iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    // Nothing is wrong with a read-only root file system.
    assert_eq!(told[0].level, Level::Info);
    assert!(
        told[0]
            .message
            .starts_with("state files such as `/proc/podinit/draining` are not written: "),
        "{told:?}"
    );
    State::none().write("draining".to_owned(), String::new());
}

#[test]
fn no_link_in_the_directory_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (top, outside) = (dir.path().join("top"), dir.path().join("outside"));
    for path in [&top, &outside] {
        std::fs::create_dir(path).unwrap();
    }
    let victim = outside.join("victim");
    std::fs::write(&victim, "kept").unwrap();
    symlink(&outside, top.join("deadline")).unwrap();
    symlink(&victim, top.join("draining")).unwrap();
    symlink(&victim, top.join(".draining.new")).unwrap();

    State::clear(&top).unwrap();
    assert_eq!(names(&top), [".draining.new", "deadline"]);
    assert_eq!(names(&outside), ["victim"]);

    let (note, records) = noted();
    let mut state = State::new(top.clone(), note);
    state.write("draining".to_owned(), "now".to_owned());
    state.write("deadline/web-0".to_owned(), String::new());
    drop(state);
    assert_eq!(
        std::fs::read_to_string(top.join("draining")).unwrap(),
        "now"
    );
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
    assert_eq!(names(&outside), ["victim"]);
    assert_eq!(records.try_iter().count(), 1);
}

#[test]
fn what_an_earlier_life_left_is_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path();
    std::fs::create_dir_all(top.join("deadline/sub")).unwrap();
    for name in [
        "draining",
        "deadline/web-0",
        "deadline/.web-1.new",
        "deadline/sub/x",
        "fpm.conf",
    ] {
        std::fs::write(top.join(name), "").unwrap();
    }
    State::clear(top).unwrap();
    assert_eq!(names(top), ["deadline", "fpm.conf"]);
    assert_eq!(names(&top.join("deadline")), ["sub"]);
    assert_eq!(names(&top.join("deadline/sub")), ["x"]);
    // Nothing there, or something else than expected, is nothing to remove.
    State::clear(&top.join("missing")).unwrap();
    std::fs::create_dir(top.join("draining")).unwrap();
    State::clear(top).unwrap();
    assert_eq!(names(top), ["deadline", "draining", "fpm.conf"]);
}

#[test]
fn the_last_good_spec_outlives_the_files_of_an_earlier_container() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["draining", "processset.json"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    State::clear(dir.path()).unwrap();
    assert_eq!(names(dir.path()), ["processset.json"]);
}
