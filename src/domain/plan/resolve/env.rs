//! Environments. Later layers win over earlier ones:
//!
//! 1. podinit's own environment, or with `envPolicy: Clean` six variables of it; never its own wiring, nor that of its own
//!    supervisor (`NOTIFY_SOCKET` and so on);
//! 2. HOME, USER and LOGNAME of the user, when `runAsUser` is given;
//! 3. `PODINIT_PROCESS`, `PODINIT_INSTANCE_INDEX`, `PODINIT_DEADLINE_FILE`, with a `portBase` `PORT`, with a notify probe
//!    `NOTIFY_SOCKET` and `WATCHDOG_USEC`: no later layer changes these;
//! 4. the set's `envFrom`, then its `env`;
//! 5. the process's `envFrom`, then its `env`.
//!
//! `$(VAR)` in a value of `env` sees all layers before it and the entries before it in its own list, as in a Pod; values
//! from files are not expanded. `$(VAR)` in a command, of a process or of a hook, sees the whole environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use super::super::host::HostView;
use super::c_string;
use super::expand::expand;
use super::identity::User;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::EnvPolicy;

/// What is left of podinit's own environment with `envPolicy: Clean`.
const CLEAN: [&str; 6] = ["PATH", "HOME", "USER", "LOGNAME", "TZ", "LANG"];

/// A variable of podinit's own wiring. Every name that begins with `PODINIT_` is (so that no token of a later version
/// leaks), but not those that Kubernetes makes for a Service named podinit.
pub fn is_wiring(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"PODINIT_") else {
        return false;
    };
    !(rest == b"PORT" || rest.starts_with(b"PORT_") || rest.starts_with(b"SERVICE_"))
}

/// A variable of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// From a file: as it is.
    Given {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// From the spec: with `$(VAR)`.
    Template {
        /// Its name.
        name: Vec<u8>,
        /// Its value before expansion.
        text: Vec<u8>,
    },
}

impl Item {
    pub(super) fn name(&self) -> &[u8] {
        match self {
            Item::Given { name, .. } | Item::Template { name, .. } => name,
        }
    }
}

/// Leaves out what a file must not set, with a warning. (The spec itself is refused for it.)
pub(super) fn without_wiring(
    items: Vec<Item>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Vec<Item> {
    let (wiring, rest): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| is_wiring(item.name()));
    problems.extend(wiring.iter().map(|item| {
        let name = String::from_utf8_lossy(item.name());
        Problem::warning(
            path.clone(),
            format!("`{name}` is left out: it belongs to podinit's own wiring"),
        )
    }));
    rest
}

/// An environment in the making, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Vars {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    fixed: BTreeSet<Vec<u8>>,
}

impl Vars {
    /// What is inherited.
    pub(super) fn inherited(policy: EnvPolicy, host: &HostView) -> Self {
        let mut vars = Vars::default();
        for (name, value) in &host.env {
            let listed = || CLEAN.iter().any(|known| name == known);
            let name = name.as_encoded_bytes();
            // Whoever supervises podinit is not to be told of its children.
            let supervised = [&b"NOTIFY_SOCKET"[..], b"WATCHDOG_USEC", b"WATCHDOG_PID"];
            if !is_wiring(name)
                && !supervised.contains(&name)
                && (policy == EnvPolicy::Inherit || listed())
            {
                vars.set(name, value.as_encoded_bytes().to_vec());
            }
        }
        vars
    }

    /// HOME, USER and LOGNAME follow the user. A user without an entry has no name, and `/` as home.
    pub(super) fn follow(&mut self, user: &User) {
        self.set(b"HOME", user.home.clone().into_bytes());
        for name in [&b"USER"[..], b"LOGNAME"] {
            match &user.name {
                Some(user) => self.set(name, user.clone().into_bytes()),
                None => drop(self.values.remove(name)),
            }
        }
    }

    /// Sets what no later layer changes.
    pub(super) fn fix(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.values.insert(name.into(), value.into());
        self.fixed.insert(name.into());
    }

    /// Puts a layer on top.
    pub(super) fn apply(&mut self, layer: &[Item]) {
        for item in layer {
            match item {
                Item::Given { name, value } => self.set(name, value.clone()),
                Item::Template { name, text } => {
                    let value = self.expand(text);
                    self.set(name, value);
                }
            }
        }
    }

    /// Expands `$(VAR)`.
    pub(super) fn expand(&self, text: &[u8]) -> Vec<u8> {
        expand(text, |name| self.values.get(name).map(Vec::as_slice))
    }

    /// As execve wants it, sorted by name.
    pub(super) fn to_env(&self) -> Vec<CString> {
        self.values
            .iter()
            .map(|(name, value)| c_string([name, &b"="[..], value].concat()))
            .collect()
    }

    fn set(&mut self, name: &[u8], value: Vec<u8>) {
        if !self.fixed.contains(name) {
            self.values.insert(name.to_vec(), value);
        }
    }
}
