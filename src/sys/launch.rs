//! Turns a launch into the orders of a child: everything is looked up and laid out before the fork.

use std::ffi::{CStr, CString, c_char, c_long, c_uint};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::domain::plan::{Identity, Launch, Rlimit};

use super::after_fork::{Orders, Place};
use super::call::Pid;

/// Where commands are looked up when the environment has no PATH: what Docker and containerd give a container.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What every child gets of podinit's own start.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) pid: Pid,
    pub(super) start_dir: OwnedFd,
    pub(super) nofile: Rlimit,
    /// Our own supplementary groups, sorted.
    pub(super) groups: Vec<u32>,
    /// Signals that are not default here.
    pub(super) signals: Vec<c_long>,
}

/// The memory that the orders point to. Lives until the fork has returned.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    launch: &'a Launch,
    base: &'a Base,
    /// Owns what `candidates` points to.
    _paths: Vec<CString>,
    candidates: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    rlimits: Vec<(c_uint, libc::rlimit64)>,
    oom_score_adj: Option<String>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(launch: &'a Launch, base: &'a Base) -> Self {
        let paths = paths_of(launch);
        Prepared {
            launch,
            base,
            candidates: paths.iter().map(|path| path.as_ptr()).collect(),
            _paths: paths,
            argv: with_null(&launch.argv),
            envp: with_null(&launch.env),
            rlimits: rlimits_of(&launch.rlimits, base.nofile),
            oom_score_adj: launch.oom_score_adj.map(|score| score.to_string()),
        }
    }

    pub(super) fn orders(
        &self,
        status: RawFd,
        place: Place,
        stdio: Option<[RawFd; 3]>,
    ) -> Orders<'_> {
        let launch = self.launch;
        let absolute = |dir: &CString| dir.as_bytes().starts_with(b"/");
        Orders {
            status,
            parent: self.base.pid,
            place,
            oom_score_adj: self.oom_score_adj.as_ref().map(String::as_bytes),
            rlimits: &self.rlimits,
            nice: launch.nice,
            umask: launch.umask,
            groups: launch
                .identity
                .as_ref()
                .and_then(|identity| self.groups_to_set(identity)),
            ids: launch.identity.as_ref().map(|id| (id.uid, id.gid)),
            no_new_privs: launch.no_new_privs,
            start_dir: (!launch.dir.as_ref().is_some_and(absolute))
                .then(|| self.base.start_dir.as_raw_fd()),
            dir: launch.dir.as_ref().map_or(ptr::null(), |dir| dir.as_ptr()),
            stdio,
            signals: &self.base.signals,
            candidates: &self.candidates,
            argv: self.argv.as_ptr(),
            envp: self.envp.as_ptr(),
        }
    }

    /// Without CAP_SETGID even the groups one has already are refused; so they are not set then.
    fn groups_to_set(&self, identity: &'a Identity) -> Option<&'a [u32]> {
        let mut wanted = identity.groups.clone();
        wanted.sort_unstable();
        wanted.dedup();
        (wanted != self.base.groups).then_some(identity.groups.as_slice())
    }
}

fn with_null(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([ptr::null()])
        .collect()
}

/// Where the command may be: itself when it has a `/`, else in each directory of PATH. An empty entry is the child's
/// working directory.
fn paths_of(launch: &Launch) -> Vec<CString> {
    let Some(command) = launch.argv.first().filter(|c| !c.is_empty()) else {
        return Vec::new();
    };
    if command.as_bytes().contains(&b'/') {
        return vec![command.clone()];
    }
    path_of(&launch.env)
        .split(|byte| *byte == b':')
        .filter_map(|dir| join(dir, command))
        .collect()
}

fn path_of(env: &[CString]) -> &[u8] {
    env.iter()
        .find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="))
        .unwrap_or(DEFAULT_PATH)
}

fn join(dir: &[u8], command: &CStr) -> Option<CString> {
    let slash: &[u8] = if dir.is_empty() { b"./" } else { b"/" };
    CString::new([dir, slash, command.to_bytes()].concat()).ok()
}

/// Those that were asked for; the limit of open files as it was before we raised our own, unless it is among them.
fn rlimits_of(wanted: &[Rlimit], nofile: Rlimit) -> Vec<(c_uint, libc::rlimit64)> {
    let given = wanted.iter().any(|limit| limit.resource == nofile.resource);
    let own = (!given).then_some(nofile);
    let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM64_INFINITY);
    own.iter()
        .chain(wanted)
        .map(|limit| {
            let raw = libc::rlimit64 {
                rlim_cur: value(limit.soft),
                rlim_max: value(limit.hard),
            };
            (limit.resource, raw)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(command: &CStr, env: &[&CStr]) -> Launch {
        Launch {
            argv: vec![command.to_owned()],
            env: env.iter().map(|&entry| entry.to_owned()).collect(),
            ..Launch::default()
        }
    }

    fn paths(command: &CStr, env: &[&CStr]) -> Vec<String> {
        paths_of(&launch(command, env))
            .into_iter()
            .map(|path| path.into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_command_is_looked_up_in_the_path_of_its_own_environment() {
        assert_eq!(
            paths(c"php", &[c"A=1", c"PATH=/a:/b::/c/"]),
            ["/a/php", "/b/php", "./php", "/c//php"]
        );
        assert_eq!(paths(c"php", &[c"PATH="]), ["./php"]);
        assert_eq!(paths(c"php", &[]).len(), 6);
        assert_eq!(paths(c"./php", &[c"PATH=/a"]), ["./php"]);
        assert_eq!(paths(c"/a/php", &[]), ["/a/php"]);
        assert!(paths(c"", &[]).is_empty());
    }

    #[test]
    fn the_limit_of_open_files_is_given_back_unless_one_is_asked_for() {
        let own = Rlimit {
            resource: libc::RLIMIT_NOFILE,
            soft: Some(1024),
            hard: None,
        };
        let wanted = Rlimit {
            soft: Some(5),
            hard: Some(6),
            ..own
        };
        let shape = |limits: &[Rlimit]| -> Vec<(u64, u64)> {
            rlimits_of(limits, own)
                .iter()
                .map(|(_, limit)| (limit.rlim_cur, limit.rlim_max))
                .collect()
        };
        assert_eq!(shape(&[]), [(1024, u64::MAX)]);
        assert_eq!(shape(&[wanted]), [(5, 6)]);
    }
}
