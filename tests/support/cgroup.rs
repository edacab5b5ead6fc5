//! A control group for the length of a test.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests are at the edge"
)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{SOON, within};

const ROOT: &str = "/sys/fs/cgroup";

/// A control group for the length of a test; what is in it then goes back to where it came from.
#[derive(Debug)]
pub struct Cgroup {
    dir: PathBuf,
    parent: PathBuf,
    is_v1: bool,
}

impl Cgroup {
    /// For a controller, `pids`, `memory` or `cpu`.
    pub fn new(controller: &str, name: &str) -> Cgroup {
        let v1 = Path::new(ROOT).join(controller);
        let is_v1 = v1.is_dir();
        let parent = if is_v1 { v1 } else { PathBuf::from(ROOT) };
        if !is_v1 {
            let on = fs::write(
                parent.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
            on.unwrap_or_else(|error| {
                panic!("needs root and the cgroup controller {controller}: {error}")
            });
        }
        Cgroup::below(parent, name, is_v1)
    }

    /// For the freezer of cgroup v1, that holds what it has frozen even when it is killed.
    pub fn freezer(name: &str) -> Cgroup {
        let dir = Path::new(ROOT).join("freezer");
        assert!(
            dir.is_dir(),
            "needs the freezer of cgroup v1: mkdir {0} && mount -t cgroup -o freezer none {0}",
            dir.display()
        );
        Cgroup::below(dir, name, true)
    }

    fn below(parent: PathBuf, name: &str, is_v1: bool) -> Cgroup {
        let dir = parent.join(format!("podinit-test-{name}-{}", std::process::id()));
        fs::create_dir(&dir)
            .unwrap_or_else(|error| panic!("needs root: {}: {error}", dir.display()));
        Cgroup { dir, parent, is_v1 }
    }

    /// Words that put what follows them into the group.
    pub fn words(&self) -> [String; 4] {
        let procs = self.dir.join("cgroup.procs");
        let script = format!("echo $$ > {} && exec \"$@\"", procs.display());
        ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
    }

    pub fn add(&self, pid: i32) {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file))
            .unwrap()
            .trim()
            .to_owned()
    }

    pub fn limit_pids(&self, limit: &str) {
        fs::write(self.dir.join("pids.max"), limit).unwrap();
    }

    pub fn limit_memory(&self, bytes: u64) {
        let file = if self.is_v1 {
            "memory.limit_in_bytes"
        } else {
            "memory.max"
        };
        fs::write(self.dir.join(file), bytes.to_string()).unwrap();
    }

    /// Most of the CPU when others want it too: what is measured is the group, not what else the machine does.
    pub fn first_on_the_cpu(&self) {
        let (file, most) = if self.is_v1 {
            ("cpu.shares", "262144")
        } else {
            ("cpu.weight", "10000")
        };
        fs::write(self.dir.join(file), most).unwrap();
    }

    pub fn freeze(&self) {
        fs::write(self.dir.join("freezer.state"), "FROZEN").unwrap();
        within(SOON, "all of it to be frozen", || {
            (self.read("freezer.state") == "FROZEN").then_some(())
        });
    }

    pub fn thaw(&self) {
        fs::write(self.dir.join("freezer.state"), "THAWED").unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if self.dir.join("freezer.state").exists() {
            self.thaw();
        }
        // Nothing is kept from its test's failure message by a panic in here.
        for _ in 0..1000 {
            let Ok(inside) = fs::read_to_string(self.dir.join("cgroup.procs")) else {
                return;
            };
            for pid in inside.lines() {
                let _ = fs::write(self.parent.join("cgroup.procs"), pid);
            }
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
        }
    }
}
