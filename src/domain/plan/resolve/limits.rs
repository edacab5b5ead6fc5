//! Resource limits and priorities. What podinit could not set is refused before anything starts.

use super::super::Rlimit;
use super::super::host::HostView;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::units::RlimitValue;
use crate::spec::v1alpha1::{self as spec, Command, Rlimits};

/// `RLIMIT_NICE`: 20 less the lowest nice value.
const RLIMIT_NICE: u32 = 13;
/// `RLIMIT_NOFILE`.
const RLIMIT_NOFILE: u32 = 7;

/// What to do about what only the first user namespace could give.
const OUTSIDE: &str = "podinit is in a user namespace, where that capability does not count: leave it out, or run the container in the host's (hostUsers, no rootless mode)";

/// The limits that are given: their names in the spec and their Linux numbers (x86-64 and aarch64 agree).
pub(in super::super) fn given(rlimits: &Rlimits) -> Vec<(&'static str, u32, spec::Rlimit)> {
    [
        ("as", 9, rlimits.address_space),
        ("core", 4, rlimits.core),
        ("cpu", 0, rlimits.cpu),
        ("data", 2, rlimits.data),
        ("fsize", 1, rlimits.fsize),
        ("memlock", 8, rlimits.memlock),
        ("msgqueue", 12, rlimits.msgqueue),
        ("nofile", 7, rlimits.nofile),
        ("nproc", 6, rlimits.nproc),
        ("rtprio", 14, rlimits.rtprio),
        ("sigpending", 11, rlimits.sigpending),
        ("stack", 3, rlimits.stack),
    ]
    .into_iter()
    .filter_map(|(name, resource, limit)| Some((name, resource, limit?)))
    .collect()
}

/// The limits of a process. A side that is left out is podinit's own, lowered where the other side asks for it.
pub(super) fn rlimits(
    rlimits: &Rlimits,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Vec<Rlimit> {
    let mut all = Vec::new();
    for (name, resource, limit) in given(rlimits) {
        let path = path.key("rlimits").key(name);
        let own = host.rlimits.iter().find(|own| own.resource == resource);
        // The kernel takes no more, from nobody; ours may be from before that was lowered.
        let most = host.nr_open.filter(|_| resource == RLIMIT_NOFILE);
        let most = most.unwrap_or(u64::MAX);
        let own_hard = own.map_or(u64::MAX, |own| raw(own.hard)).min(most);
        let hard = limit.hard.map_or(own_hard, number);
        let soft = match limit.soft {
            Some(soft) => number(soft),
            None => own.map_or(hard, |own| raw(own.soft)).min(hard),
        };
        let may_raise = host.can.sys_resource && !host.in_user_namespace;
        if hard > most {
            problems.push(too_many(path.key("hard"), hard, most));
        } else if hard > own_hard && !may_raise {
            problems.push(too_high(path.key("hard"), (hard, own_hard), host));
        } else if soft > most && limit.hard.is_none() {
            problems.push(too_many(path.key("soft"), soft, most));
        } else if soft > hard && limit.hard.is_none() {
            problems.push(too_high(path.key("soft"), (soft, own_hard), host));
        }
        all.push(Rlimit {
            resource,
            soft: finite(soft),
            hard: finite(hard),
        });
    }
    all
}

fn too_many(path: FieldPath, wanted: u64, most: u64) -> Problem {
    let message = format!(
        "{} is over {most}, the most open files that the kernel allows a process (/proc/sys/fs/nr_open)",
        number_text(wanted)
    );
    let help = format!("write {most} or less, or raise the node's fs.nr_open");
    Problem::error(path, message).help(help)
}

fn too_high(path: FieldPath, (wanted, own): (u64, u64), host: &HostView) -> Problem {
    let help = if host.in_user_namespace {
        "raise the container's limit: podinit is in a user namespace, where no capability gives more"
    } else {
        "raise the container's limit, or give the container the capability SYS_RESOURCE and write the hard limit too"
    };
    Problem::error(
        path,
        format!(
            "{} is over podinit's own hard limit of {}",
            number_text(wanted),
            number_text(own)
        ),
    )
    .help(help)
}

/// Nice value and OOM score: both may be raised by anybody, lowered only with a capability.
pub(super) fn check_priorities(
    command: Command<'_>,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) {
    let counts = |has: bool| has && !host.in_user_namespace;
    let outside = |has: bool| (has && host.in_user_namespace).then(|| OUTSIDE.to_owned());
    let allowed = host.rlimits.iter().find(|own| own.resource == RLIMIT_NICE);
    let lowest = allowed.map_or(20, |own| {
        20_i64.saturating_sub_unsigned(raw(own.soft).min(40))
    });
    match command.nice {
        Some(nice)
            if nice < host.nice && i64::from(nice) < lowest && !counts(host.can.sys_nice) =>
        {
            let message = format!(
                "{nice} is below podinit's own nice value of {}, which needs the capability SYS_NICE",
                host.nice
            );
            let help = outside(host.can.sys_nice);
            problems.push(Problem::error(path.key("nice"), message).maybe_help(help));
        }
        _ => {}
    }
    match command.oom_score_adj {
        Some(score) if score < host.oom_score_adj && !counts(host.can.sys_resource) => {
            let message = format!(
                "{score} is below podinit's own value of {}, which needs the capability SYS_RESOURCE",
                host.oom_score_adj
            );
            let help = outside(host.can.sys_resource);
            problems.push(Problem::error(path.key("oomScoreAdj"), message).maybe_help(help));
        }
        _ => {}
    }
}

/// As the kernel counts: infinity is the highest number.
pub(in super::super) fn number(value: RlimitValue) -> u64 {
    match value {
        RlimitValue::Value(value) => value,
        RlimitValue::Unlimited => u64::MAX,
    }
}

fn raw(value: Option<u64>) -> u64 {
    value.unwrap_or(u64::MAX)
}

fn finite(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

fn number_text(value: u64) -> String {
    finite(value).map_or_else(|| "unlimited".to_owned(), |value| value.to_string())
}
