//! What podinit is here: its user, its rights, its streams.

#![expect(clippy::disallowed_methods, reason = "the edge reads /proc")]

use std::io::IsTerminal;

use nix::unistd::{getegid, geteuid, getgroups};

/// The facts about podinit itself that a plan is resolved against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// What it may do.
    pub capabilities: Capabilities,
    /// stdin is a terminal.
    pub stdin_is_terminal: bool,
    /// stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// It is process 1 of its PID namespace.
    pub is_pid1: bool,
}

/// The effective capabilities that running children as another user needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// CAP_SETUID.
    pub setuid: bool,
    /// CAP_SETGID.
    pub setgid: bool,
    /// CAP_KILL.
    pub kill: bool,
    /// CAP_SYS_NICE.
    pub sys_nice: bool,
    /// CAP_SYS_RESOURCE.
    pub sys_resource: bool,
}

impl Host {
    /// Reads them.
    pub fn read() -> Host {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Host {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            groups: own_groups(),
            capabilities: Capabilities::parse(&status),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            is_pid1: std::process::id() == 1,
        }
    }
}

/// A name that nobody else has: from the kernel, else from the clock.
pub fn unique() -> String {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    uuid.map_or_else(
        |_| format!("{}", super::clock::now().mono.as_nanos()),
        |uuid| uuid.trim_end().to_owned(),
    )
}

impl Capabilities {
    /// From the text of `/proc/PID/status`; none when the line is missing.
    pub fn parse(status: &str) -> Capabilities {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0);
        // Numbers of capability(7).
        let has = |number: u32| mask >> number & 1 == 1;
        Capabilities {
            kill: has(5),
            setgid: has(6),
            setuid: has(7),
            sys_nice: has(23),
            sys_resource: has(24),
        }
    }
}

/// podinit's supplementary groups.
pub(super) fn own_groups() -> Vec<u32> {
    getgroups()
        .unwrap_or_default()
        .into_iter()
        .map(nix::unistd::Gid::as_raw)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_bits() {
        let all = Capabilities {
            setuid: true,
            setgid: true,
            kill: true,
            ..Capabilities::default()
        };
        assert_eq!(
            Capabilities::parse("Name:\tx\nCapEff:\t00000000a80425fb\n"),
            all
        );
        assert_eq!(
            Capabilities::parse("CapEff:\t0000000000000020\n"),
            Capabilities {
                kill: true,
                ..Capabilities::default()
            }
        );
        assert_eq!(Capabilities::parse(""), Capabilities::default());
        assert_eq!(Capabilities::parse("CapEff:\tx\n"), Capabilities::default());
    }

    #[test]
    fn we_are_somebody() {
        let host = Host::read();
        assert_eq!(host.uid, geteuid().as_raw());
        assert!(!host.is_pid1);
    }
}
