//! What a plan depends on beside its spec: who podinit is, where it stands, what it was given.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::domain::plan::Rlimit;
use crate::domain::plan::host::{Capabilities, HostView, parse_group, parse_passwd};
use crate::sys::host::Host;
use crate::sys::limits;
use crate::sys::pid1::Start;

/// Where files about podinit are: the variable, and the directory without it.
const STATE_DIR_VARIABLE: &str = "PODINIT_STATE_DIR";
const STATE_DIR: &str = "/run/podinit";

/// What a plan depends on beside its spec, as far as it is known before anything is read.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) start_dir: PathBuf,
    nofile: Rlimit,
    host: Host,
    pub(super) environment: Vec<(OsString, OsString)>,
    notify_socket: String,
}

impl Seat {
    pub(super) fn new(start: &Start, host: &Host, environment: Vec<(OsString, OsString)>) -> Seat {
        Seat {
            start_dir: start.path.clone(),
            nofile: start.nofile,
            host: host.clone(),
            environment,
            // Unguessable it need not be: a message counts only when it comes out of a run's session.
            notify_socket: format!("podinit/notify/{}", crate::sys::host::unique()),
        }
    }

    /// The environment as far as it is text: a variable that is none overrides no field.
    pub(super) fn text_environment(&self) -> Vec<(String, String)> {
        let all = self.environment.iter();
        all.filter_map(|(name, value)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        })
        .collect()
    }

    /// A variable that says something.
    pub(super) fn text_variable(&self, wanted: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(name, _)| name == wanted);
        found
            .and_then(|(_, value)| value.to_str())
            .filter(|value| !value.is_empty())
    }

    /// The directory with files about podinit.
    pub(super) fn state_dir(&self) -> PathBuf {
        state_dir(&self.environment, &self.start_dir)
    }

    /// Looks up the rest; this reads files.
    pub(super) fn view(&self, passwd: &[u8], group: &[u8]) -> HostView {
        let Host {
            uid,
            gid,
            groups,
            capabilities,
            in_user_namespace,
            nr_open,
            stdout_is_terminal,
            ..
        } = self.host.clone();
        HostView {
            in_kubernetes: in_kubernetes(&self.environment),
            stdout_is_terminal,
            state_dir: self.state_dir(),
            notify_socket: self.notify_socket.clone(),
            env: self.environment.clone(),
            start_dir: self.start_dir.clone(),
            uid,
            gid,
            groups,
            can: Capabilities {
                set_uid: capabilities.setuid,
                set_gid: capabilities.setgid,
                kill: capabilities.kill,
                sys_resource: capabilities.sys_resource,
                sys_nice: capabilities.sys_nice,
            },
            in_user_namespace,
            nr_open,
            passwd: parse_passwd(passwd),
            group: parse_group(group),
            rlimits: limits::own(self.nofile),
            nice: limits::nice(),
            oom_score_adj: limits::oom_score_adj(),
            files: BTreeMap::new(),
        }
    }
}

/// Whether podinit runs in a pod.
pub(super) fn in_kubernetes(environment: &[(OsString, OsString)]) -> bool {
    environment
        .iter()
        .any(|(name, _)| name == OsStr::new("KUBERNETES_SERVICE_HOST"))
}

/// The directory with files about podinit. A relative path starts where podinit was started, as that of its socket does.
pub(super) fn state_dir(environment: &[(OsString, OsString)], start_dir: &Path) -> PathBuf {
    let given = environment
        .iter()
        .find(|(name, value)| name == OsStr::new(STATE_DIR_VARIABLE) && !value.is_empty());
    start_dir.join(given.map_or(OsStr::new(STATE_DIR), |(_, value)| value.as_os_str()))
}
