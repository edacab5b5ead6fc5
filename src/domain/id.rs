//! Names of things: a process of the plan, an instance of it, one run.

use std::fmt;
use std::sync::Arc;

/// A process's place in the plan ([`crate::domain::plan::Plan::processes`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

impl ProcessId {
    /// As an index into a list with one entry a process.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One replica of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// Whose replica.
    pub process: ProcessId,
    /// Which, from 0.
    pub index: u32,
}

/// One child, from its spawn to its session being empty, or one HTTP call of a hook. Never used twice in podinit's life,
/// so a late message about an old run can be told from one about the present run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.0)
    }
}

/// What logs and reports call an instance: its process's name, and `NAME-INDEX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// The process's name.
    pub process: Arc<str>,
    /// `NAME-INDEX`; the name alone for init processes and hooks, which have no replicas.
    pub instance: Arc<str>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.instance)
    }
}
