//! Whether parts of two plans say the same, apart from what they have from where they belong.
//!
//! Probes and hooks that run commands have the environment, the directory and the user of their process, and hooks its
//! logging: where these differ, that is told once, and not as another probe and another hook.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Check, Hook, HookAction, InstanceHooks, Launch, LogRule, Probe};

/// The same environment, apart from what follows the user.
pub(super) fn env(old: &Launch, new: &Launch) -> bool {
    const OF_THE_USER: [&[u8]; 3] = [b"HOME=", b"USER=", b"LOGNAME="];
    if old.identity == new.identity {
        return old.env == new.env;
    }
    let own = |var: &&CString| {
        let mut names = OF_THE_USER.iter();
        !names.any(|name| var.to_bytes().starts_with(name))
    };
    let (old, new) = (old.env.iter(), new.env.iter());
    old.filter(own).eq(new.filter(own))
}

/// The same probe, or none in both.
pub(super) fn maybe(old: Option<&Probe>, new: Option<&Probe>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => probe(old, new),
        (None, None) => true,
        _ => false,
    }
}

pub(super) fn probe(old: &Probe, new: &Probe) -> bool {
    let rest = |probe: &Probe| Probe {
        check: Check::Notify,
        ..probe.clone()
    };
    let check = match (&old.check, &new.check) {
        (Check::Exec { launch: old, .. }, Check::Exec { launch: new, .. }) => old.argv == new.argv,
        (old, new) => old == new,
    };
    check && rest(old) == rest(new)
}

pub(super) fn hooks(old: &InstanceHooks, new: &InstanceHooks) -> bool {
    let all = |hooks: &InstanceHooks| {
        [
            hooks.pre_start.clone(),
            hooks.post_start.clone(),
            hooks.pre_stop.clone(),
            hooks.post_stop.clone(),
        ]
    };
    let mut pairs = all(old).into_iter().zip(all(new));
    pairs.all(|(old, new)| match (old, new) {
        (Some(old), Some(new)) => hook(&old, &new),
        (None, None) => true,
        _ => false,
    })
}

/// The lists of hooks of two sets, each with its counterpart.
pub(super) fn lists_of_hooks(old: [&Vec<Arc<Hook>>; 2], new: [&Vec<Arc<Hook>>; 2]) -> bool {
    let same = |(old, new): (&Vec<Arc<Hook>>, &Vec<Arc<Hook>>)| {
        old.len() == new.len() && old.iter().zip(new).all(|(old, new)| hook(old, new))
    };
    old.into_iter().zip(new).all(same)
}

fn hook(old: &Hook, new: &Hook) -> bool {
    let rest = |hook: &Hook| Hook {
        action: HookAction::Sleep(Duration::ZERO),
        ..hook.clone()
    };
    let action = match (&old.action, &new.action) {
        (HookAction::Exec { launch: old, .. }, HookAction::Exec { launch: new, .. }) => {
            old.argv == new.argv
        }
        (old, new) => old == new,
    };
    action && rest(old) == rest(new)
}

/// The environment of the hooks of a set, which have one.
pub(super) fn env_of<'a>(mut hooks: impl Iterator<Item = &'a Arc<Hook>>) -> Option<&'a [CString]> {
    hooks.find_map(|hook| match &hook.action {
        HookAction::Exec { launch, .. } => Some(&launch.env[..]),
        HookAction::Request(_) | HookAction::Sleep(_) => None,
    })
}

/// How the output of the hooks of a set is logged.
pub(super) fn log_of<'a>(mut hooks: impl Iterator<Item = &'a Arc<Hook>>) -> Option<&'a LogRule> {
    hooks.find_map(|hook| match &hook.action {
        HookAction::Exec { log, .. } => Some(&**log),
        HookAction::Request(_) | HookAction::Sleep(_) => None,
    })
}
