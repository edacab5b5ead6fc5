//! The machine, as a value: what resolving a spec needs to know about where it will run. The app looks it all up; nothing
//! here does.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::Rlimit;

/// All that a plan depends on beside its spec.
#[derive(Debug, Clone, Default)]
pub struct HostView {
    /// `KUBERNETES_SERVICE_HOST` is set.
    pub in_kubernetes: bool,
    /// Standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// podinit's own environment, in its own order.
    pub env: Vec<(OsString, OsString)>,
    /// The directory podinit was started in; absolute.
    pub start_dir: PathBuf,
    /// The directory with files about podinit, such as `draining`; absolute.
    pub state_dir: PathBuf,
    /// The abstract socket for the sd_notify protocol, without its `@`.
    pub notify_socket: String,
    /// podinit's user.
    pub uid: u32,
    /// podinit's group.
    pub gid: u32,
    /// podinit's supplementary groups.
    pub groups: Vec<u32>,
    /// What podinit may do.
    pub can: Capabilities,
    /// podinit is in a user namespace of its own. What the kernel asks the first one for (hard limits, nice value, OOM
    /// score), it refuses there whatever the capabilities.
    pub in_user_namespace: bool,
    /// No limit of open files is over this one, whatever the capabilities; `None`: not known.
    pub nr_open: Option<u64>,
    /// `/etc/passwd` ([`parse_passwd`]); empty when there is none.
    pub passwd: Vec<PasswdEntry>,
    /// `/etc/group` ([`parse_group`]); empty when there is none.
    pub group: Vec<GroupEntry>,
    /// podinit's own limits, as they were before it raised any: a side of a limit that the spec leaves out is inherited.
    pub rlimits: Vec<Rlimit>,
    /// podinit's own nice value.
    pub nice: i32,
    /// podinit's own OOM score adjustment.
    pub oom_score_adj: i32,
    /// An answer for each of [`files_needed`](super::resolve::files_needed).
    pub files: Files,
}

impl HostView {
    /// A variable of podinit's own environment.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.env
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_os_str())
    }
}

/// The effective capabilities that decide what a spec may ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `CAP_SETUID`.
    pub set_uid: bool,
    /// `CAP_SETGID`.
    pub set_gid: bool,
    /// `CAP_KILL`.
    pub kill: bool,
    /// `CAP_SYS_RESOURCE`: hard limits may be raised, the OOM score lowered.
    pub sys_resource: bool,
    /// `CAP_SYS_NICE`: the nice value may be lowered.
    pub sys_nice: bool,
}

impl Capabilities {
    /// All of them.
    pub const ALL: Self = Self {
        set_uid: true,
        set_gid: true,
        kill: true,
        sys_resource: true,
        sys_nice: true,
    };
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswdEntry {
    /// The user's name.
    pub name: String,
    /// The user's id.
    pub uid: u32,
    /// The user's primary group.
    pub gid: u32,
    /// The user's home directory.
    pub home: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    /// The group's name.
    pub name: String,
    /// The group's id.
    pub gid: u32,
    /// Names of users that have it as a supplementary group.
    pub members: Vec<String>,
}

/// Reads `/etc/passwd`. Lines that are none (comments, NIS markers, bad numbers, no UTF-8) are left out.
pub fn parse_passwd(text: &[u8]) -> Vec<PasswdEntry> {
    fields(text)
        .filter_map(|line| match line[..] {
            [name, _, uid, gid, _, home, ..] if !name.is_empty() => Some(PasswdEntry {
                name: name.to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: home.to_owned(),
            }),
            _ => None,
        })
        .collect()
}

/// Reads `/etc/group`; the same.
pub fn parse_group(text: &[u8]) -> Vec<GroupEntry> {
    fields(text)
        .filter_map(|line| match line[..] {
            [name, _, gid, members, ..] if !name.is_empty() => Some(GroupEntry {
                name: name.to_owned(),
                gid: gid.parse().ok()?,
                members: members
                    .split(',')
                    .filter(|member| !member.is_empty())
                    .map(str::to_owned)
                    .collect(),
            }),
            _ => None,
        })
        .collect()
}

fn fields(text: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(|line| line.trim_end_matches('\r').split(':').collect())
}

/// What a spec wants to be read before it can be resolved. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileRequest {
    /// The content of a file.
    File(PathBuf),
    /// The regular files of a directory (links followed), with their contents; what begins with `..` is left out, as in
    /// a mounted Secret.
    Directory(PathBuf),
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// Answers [`FileRequest::File`].
    File(Vec<u8>),
    /// Answers [`FileRequest::Directory`]: names and contents.
    Directory(Vec<(OsString, Vec<u8>)>),
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// It is not there.
    Missing,
    /// Anything else, in words, such as `Permission denied`.
    Failed(String),
}

/// What was read, by request.
pub type Files = BTreeMap<FileRequest, Result<FileContent, FileError>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_and_group_are_read_as_the_c_library_does() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n# no\n+::::::\nwww-data:x:33:33:www:/var/www:/bin/false\nbad:x:u:1::/:\n\xff:x:1:1::/:\n";
        let names: Vec<_> = parse_passwd(passwd)
            .into_iter()
            .map(|entry| (entry.name, entry.uid, entry.gid, entry.home))
            .collect();
        assert_eq!(
            names,
            [
                ("root".into(), 0, 0, "/root".into()),
                ("www-data".into(), 33, 33, "/var/www".to_owned())
            ]
        );
        let group = b"root:x:0:\nadm:x:4:syslog,www-data\nbroken\n";
        assert_eq!(
            parse_group(group),
            [
                GroupEntry {
                    name: "root".into(),
                    gid: 0,
                    members: vec![]
                },
                GroupEntry {
                    name: "adm".into(),
                    gid: 4,
                    members: vec!["syslog".into(), "www-data".into()]
                }
            ]
        );
    }
}
