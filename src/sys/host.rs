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
    /// Its user namespace is not the first one, in which alone some capabilities count.
    pub in_user_namespace: bool,
    /// The highest limit of open files that the kernel takes.
    pub nr_open: Option<u64>,
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
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        Host {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            groups: own_groups(),
            capabilities: Capabilities::parse(&status),
            in_user_namespace: !maps_all(&read("/proc/self/uid_map")),
            nr_open: read("/proc/sys/fs/nr_open").trim().parse().ok(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            is_pid1: std::process::id() == 1,
        }
    }
}

/// The text of `/proc/PID/uid_map` has every id as itself, as in the first user namespace; also without such a file, as
/// then the kernel has no others.
fn maps_all(map: &str) -> bool {
    map.is_empty() || map.split_whitespace().eq(["0", "0", "4294967295"])
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
    fn a_user_namespace_shows_in_its_map() {
        assert!(maps_all("         0          0 4294967295\n"));
        assert!(maps_all(""));
        for map in [
            "         0       1000          1\n",
            "         0          0      65536\n",
            "         0          0 4294967294\n",
            "         0     100000      65536\n     65536          0          1\n",
        ] {
            assert!(!maps_all(map), "{map}");
        }
    }

    #[test]
    fn we_are_somebody() {
        let host = Host::read();
        assert_eq!(host.uid, geteuid().as_raw());
        assert!(!host.is_pid1);
        assert!(host.nr_open.is_some_and(|most| most >= 1024));
    }
}
