#![expect(clippy::disallowed_methods, reason = "tests are at the edge")]

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;

/// A ConfigMap volume as the kubelet makes it: `NAME -> ..data/NAME`, `..data -> ..VERSION`.
struct Volume {
    dir: tempfile::TempDir,
    versions: u32,
}

impl Volume {
    fn new(content: &str) -> Volume {
        let mut volume = Volume {
            dir: tempfile::tempdir().unwrap(),
            versions: 0,
        };
        volume.swap(content);
        symlink("..data/spec.yaml", volume.file()).unwrap();
        volume
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("spec.yaml")
    }

    /// What the kubelet's AtomicWriter does.
    fn swap(&mut self, content: &str) {
        self.versions += 1;
        let at = |name: &str| self.dir.path().join(name);
        let version = format!("..version{}", self.versions);
        fs::create_dir(at(&version)).unwrap();
        fs::write(at(&version).join("spec.yaml"), content).unwrap();
        symlink(&version, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        if self.versions > 1 {
            let old = format!("..version{}", self.versions - 1);
            fs::remove_dir_all(at(&old)).unwrap();
        }
    }
}

/// Watches a file as the loader does: arm, read, wait. Sends what it reads, when that is something else than before.
fn follow(path: PathBuf) -> (mpsc::Receiver<Option<String>>, Waker) {
    let (sender, seen) = mpsc::channel();
    let waker = Waker::new().unwrap();
    let mut watch = Watch::new(waker.clone());
    watch.arm(std::slice::from_ref(&path)).unwrap();
    let mut last = fs::read_to_string(&path).ok();
    thread::spawn(move || {
        while watch.wait() == Woken::Files {
            watch.arm(std::slice::from_ref(&path)).unwrap();
            let now = fs::read_to_string(&path).ok();
            if now != last {
                last.clone_from(&now);
                sender.send(now).unwrap();
            }
        }
    });
    (seen, waker)
}

const SOON: Duration = Duration::from_secs(10);

fn next(seen: &mpsc::Receiver<Option<String>>) -> Option<String> {
    seen.recv_timeout(SOON).expect("a change was noticed")
}

#[test]
fn of_a_thousand_swaps_the_last_one_wins() {
    let mut volume = Volume::new("0");
    let (seen, waker) = follow(volume.file());
    let began = Instant::now();
    for version in 1..=1000 {
        volume.swap(&version.to_string());
    }
    let mut told = 0;
    let mut last = String::new();
    while last != "1000" {
        last = next(&seen).expect("it is never missing");
        told += 1;
    }
    // A busy machine takes its time for a thousand swaps, and every pause in them is worth a look.
    let most = 3 + began.elapsed().as_millis() / QUIET.as_millis();
    assert!(told <= most, "told {told} times: once a debounce at most");
    waker.wake();
}

#[test]
fn a_file_changes_by_a_rename_in_place_and_by_vanishing_and_coming_back() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a"), "1").unwrap();
    let (seen, waker) = follow(at("a"));
    fs::write(at("new"), "2").unwrap();
    fs::rename(at("new"), at("a")).unwrap();
    assert_eq!(next(&seen).as_deref(), Some("2"));
    fs::write(at("a"), "3").unwrap();
    assert_eq!(next(&seen).as_deref(), Some("3"));
    fs::remove_file(at("a")).unwrap();
    assert_eq!(next(&seen), None);
    fs::write(at("a"), "4").unwrap();
    assert_eq!(next(&seen).as_deref(), Some("4"));
    waker.wake();
}

#[test]
fn a_file_turns_up_where_there_was_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("b/c/spec.yaml");
    let (seen, waker) = follow(deep.clone());
    fs::create_dir_all(deep.parent().unwrap()).unwrap();
    fs::write(&deep, "1").unwrap();
    assert_eq!(next(&seen).as_deref(), Some("1"));
    fs::remove_dir_all(dir.path().join("b")).unwrap();
    assert_eq!(next(&seen), None);
    fs::create_dir_all(deep.parent().unwrap()).unwrap();
    fs::write(&deep, "2").unwrap();
    assert_eq!(next(&seen).as_deref(), Some("2"));
    waker.wake();
}

#[test]
fn links_to_links_are_followed() {
    let mut volume = Volume::new("1");
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    symlink(volume.file(), at("middle")).unwrap();
    symlink("middle", at("first")).unwrap();
    let (seen, waker) = follow(at("first"));
    volume.swap("2");
    assert_eq!(next(&seen).as_deref(), Some("2"));
    fs::write(at("other"), "3").unwrap();
    symlink("other", at("new")).unwrap();
    fs::rename(at("new"), at("middle")).unwrap();
    assert_eq!(next(&seen).as_deref(), Some("3"));
    waker.wake();
}

#[test]
fn a_waker_used_before_it_is_quiet_takes_no_event_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "1").unwrap();
    let waker = Waker::new().unwrap();
    let mut watch = Watch::new(waker.clone());
    watch.arm(std::slice::from_ref(&path)).unwrap();
    loop {
        fs::write(&path, "2").unwrap();
        let waker = waker.clone();
        let late = thread::spawn(move || {
            thread::sleep(QUIET / 4);
            waker.wake();
        });
        let first = watch.wait();
        late.join().unwrap();
        if first == Woken::Waker {
            break;
        }
        // The other thread was late: once more.
        assert_eq!(watch.wait(), Woken::Waker);
    }
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(watch.wait()));
    assert_eq!(end.recv_timeout(SOON), Ok(Woken::Files));
}

#[test]
fn what_does_not_matter_wakes_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a"), "1").unwrap();
    let waker = Waker::new().unwrap();
    let mut watch = Watch::new(waker.clone());
    watch.arm(&[at("a")]).unwrap();
    fs::write(at("b"), "1").unwrap();
    fs::rename(at("b"), at("c")).unwrap();
    waker.wake();
    assert_eq!(watch.wait(), Woken::Waker);
    assert!(!watch.take_events(), "other names do not count");
    fs::write(at("a"), "2").unwrap();
    assert_eq!(watch.wait(), Woken::Files);
}

#[test]
fn what_does_not_matter_is_no_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a"), "1").unwrap();
    let mut watch = Watch::new(Waker::new().unwrap());
    watch.arm(&[at("a")]).unwrap();
    fs::write(at("a"), "2").unwrap();
    let other = at("b");
    let began = Instant::now();
    let noise = thread::spawn(move || {
        while began.elapsed() < QUIET / 2 {
            fs::write(&other, "noise").unwrap();
        }
    });
    assert_eq!(watch.wait(), Woken::Files);
    assert!(began.elapsed() >= QUIET, "{:?}", began.elapsed());
    noise.join().unwrap();
}

#[test]
fn a_constant_stream_does_not_put_the_look_off_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "0").unwrap();
    let (seen, waker) = follow(path.clone());
    let started = Instant::now();
    let mut version = 0;
    while seen.try_recv().is_err() {
        version += 1;
        fs::write(&path, version.to_string()).unwrap();
        assert!(started.elapsed() < SOON + PATIENCE, "it never looked");
        thread::yield_now();
    }
    waker.wake();
}

#[test]
fn a_directory_is_watched_for_every_name_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(Waker::new().unwrap());
    watch.arm(&[dir.path().to_owned()]).unwrap();
    fs::write(dir.path().join("ANY"), "1").unwrap();
    assert_eq!(watch.wait(), Woken::Files);
}

#[test]
fn a_directory_further_up_that_is_swapped_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (top, content) in [("live", "1"), ("next", "2")] {
        fs::create_dir_all(at(top).join("conf/d")).unwrap();
        fs::write(at(top).join("conf/d/spec.yaml"), content).unwrap();
    }
    let (seen, waker) = follow(at("live/conf/d/spec.yaml"));
    fs::rename(at("live"), at("old")).unwrap();
    assert_eq!(next(&seen), None);
    fs::rename(at("next"), at("live")).unwrap();
    assert_eq!(next(&seen).as_deref(), Some("2"));
    waker.wake();
}

#[test]
fn a_queue_that_ran_over_is_a_reason_to_look() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a"), "1").unwrap();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: u32 = limit.trim().parse().unwrap();
    let mut watch = Watch::new(Waker::new().unwrap());
    watch.arm(&[at("a")]).unwrap();
    // None of these matters; two of a kind in a row would count as one, so they take turns.
    for turn in 0..=limit / 2 {
        let (from, to) = if turn % 2 == 0 {
            ("b", "c")
        } else {
            ("c", "b")
        };
        if turn == 0 {
            fs::write(at("b"), "").unwrap();
        }
        fs::rename(at(from), at(to)).unwrap();
    }
    // This one finds no room any more.
    fs::write(at("a"), "2").unwrap();
    assert_eq!(watch.wait(), Woken::Files);
}

#[test]
fn a_directory_that_comes_and_goes_while_it_is_being_armed_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b/c/spec.yaml");
    let parent = path.parent().unwrap();
    let mut watch = Watch::new(Waker::new().unwrap());
    for round in 0..300 {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    fs::create_dir_all(parent).unwrap();
                    fs::remove_dir_all(dir.path().join("b")).unwrap();
                }
            });
            watch.arm(std::slice::from_ref(&path)).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        fs::create_dir_all(parent).unwrap();
        fs::write(&path, "1").unwrap();
        let told = watch.happened.is_some() || watch.take_events();
        assert!(told, "round {round}: {:?}", watch.names);
        fs::remove_dir_all(dir.path().join("b")).unwrap();
    }
}

/// How often this thread has gone to sleep.
fn sleeps(thread: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?;
    let line = status
        .lines()
        .find(|line| line.starts_with("voluntary_ctxt_switches:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn without_an_event_nobody_wakes() {
    let volume = Volume::new("1");
    let path = volume.file();
    let waker = Waker::new().unwrap();
    let mut watch = Watch::new(waker.clone());
    watch.arm(&[path]).unwrap();
    let (sender, ids) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        sender.send(nix::unistd::gettid().to_string()).unwrap();
        ended.send(watch.wait()).unwrap();
    });
    let id = ids.recv_timeout(SOON).unwrap();
    let began = Instant::now();
    loop {
        let before = sleeps(&id).unwrap();
        let early = end.recv_timeout(3 * QUIET);
        assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
        // The first time it may still have been on its way to sleep.
        if sleeps(&id).unwrap() == before {
            break;
        }
        assert!(began.elapsed() < SOON, "it does not come to rest");
    }
    waker.wake();
    assert_eq!(end.recv_timeout(SOON), Ok(Woken::Waker));
}
