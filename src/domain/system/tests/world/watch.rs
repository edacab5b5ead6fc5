//! A closer look: what runs is of which spec, and whether the pod was unready before somebody was stopped.

use super::World;
use crate::domain::id::RunId;
use crate::domain::plan::Traffic;
use crate::domain::time::Mono;

/// A stop signal: whose, whether it served, how many may be in excess, when, and since when the pod was unready.
pub(crate) type Stopped = (String, Traffic, u32, Mono, Option<Mono>);

impl World {
    /// Notes whether the pod is ready after each step. Takes time.
    pub(crate) fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    pub(super) fn watch(&mut self) {
        if !self.watched {
            return;
        }
        let ready = self.snapshot().ready;
        if ready {
            self.unready_since = None;
        } else {
            self.unready_since.get_or_insert(self.now);
        }
    }

    /// Before a stop of the set: who is stopped.
    pub(super) fn note_stopped(&mut self, run: RunId, name: &str) {
        let (Some(plan), None) = (&self.system.plan, &self.system.stop) else {
            return;
        };
        let mut units = self.system.units.iter();
        let Some(unit) = units.find(|unit| unit.machine.live_run() == Some(run)) else {
            return;
        };
        let (of, id) = match &unit.old {
            Some((of, id)) => (of, *id),
            None => (plan, unit.id),
        };
        let traffic = of.process(id.process).traffic;
        let surge = plan.process(unit.id.process).update.surge;
        let stopped = (
            name.to_owned(),
            traffic,
            surge,
            self.now,
            self.unready_since,
        );
        self.seen.stopped.push(stopped);
    }

    /// What the leader of an instance was begun as; `None`: it has none.
    pub(crate) fn running(&self, name: &str) -> Option<String> {
        let mut children = self.children.values();
        let child = children.find(|child| child.leader && child.name == name)?;
        Some(child.program.clone())
    }

    /// The instances that have a leader.
    pub(crate) fn alive(&self) -> Vec<String> {
        let leaders = self.children.values().filter(|child| child.leader);
        leaders.map(|child| child.name.clone()).collect()
    }
}
