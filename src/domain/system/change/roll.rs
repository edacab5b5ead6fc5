//! Replaces what is out of date, within each process's updateStrategy, and stops what is wanted no more. A Serving run is
//! stopped only once the pod was unready for the time of the drain, unless an instance in excess has taken over.

use std::sync::Arc;

use super::super::{Stage, System};
use super::PROOF;
use crate::domain::fact::Fact;
use crate::domain::id::ProcessId;
use crate::domain::plan::diff::serves;
use crate::domain::plan::{Kind, Plan, Process};
use crate::domain::process::machine::Machine;
use crate::domain::process::phase::PhaseKind;
use crate::domain::time::{Mono, Now};

/// What is left to do about a process.
#[derive(Debug, Default)]
struct Left {
    /// Something.
    any: bool,
    /// A Serving run has to be stopped, or the next one is not available yet.
    serving: bool,
    /// It waits for the drain.
    drain: bool,
    /// Something was done.
    acted: bool,
}

impl System {
    /// Goes on with a change; true when it did something.
    pub(in crate::domain::system) fn roll(&mut self, now: Now) -> bool {
        self.note_progress(now);
        if self.changes.work.is_none() {
            self.note_good(now);
            return false;
        }
        let Some(plan) = self.plan.clone() else {
            return false;
        };
        let mut left = Left::default();
        for (at, process) in plan.processes.iter().enumerate() {
            if process.kind == Kind::Service {
                self.roll_process(ProcessId(at as u32), &plan, &mut left, now);
            }
        }
        if left.drain && self.begin_drain(&plan, now) {
            return true;
        }
        if let Some(work) = &mut self.changes.work
            && !left.serving
            && work.drained_at.take().is_some()
        {
            self.view.mark_all();
        }
        if left.any {
            return left.acted;
        }
        self.finish_work(now)
    }

    /// The pod is unready from now on; true if the drain is over at once.
    fn begin_drain(&mut self, plan: &Plan, now: Now) -> bool {
        let Some(work) = &mut self.changes.work else {
            return false;
        };
        if work.drained_at.is_some() {
            return false;
        }
        work.drained_at = Some(now.mono + plan.shutdown.drain);
        self.view.mark_all();
        self.arm_change(now);
        plan.shutdown.drain.is_zero()
    }

    /// Nobody has to be stopped any more: once what was started is up, the change is done.
    fn finish_work(&mut self, now: Now) -> bool {
        let up = self.touched_are_up();
        let Some(work) = &mut self.changes.work else {
            return false;
        };
        let began = work.began;
        let untidy = !std::mem::replace(&mut work.tidied, true);
        if up {
            self.changes.work = None;
            let took = now.mono.since(began);
            self.shared.outbox.facts.push(Fact::ChangeDone { took });
            self.view.mark_all();
        }
        if untidy {
            self.tidy();
        }
        self.arm_change(now);
        up || untidy
    }

    /// Once the pod is ready under it, a spec is a good one.
    fn note_good(&mut self, now: Now) {
        // Only a fleet asks; and this is looked at in every step of a set that is not ready.
        let asked =
            (self.changes.written.as_ref()).is_some_and(|plan| plan.origin.object.is_some());
        if !asked || self.changes.is_proven || self.stage != Stage::Main {
            return;
        }
        let known = self.changes.proven_at;
        if !(self.pod_is_ready() && self.touched_are_up()) {
            self.changes.proven_at = Mono::NEVER;
            if known != Mono::NEVER {
                self.arm_change(now);
            }
        } else if known == Mono::NEVER {
            self.changes.proven_at = now.mono + PROOF;
            self.arm_change(now);
        } else if known <= now.mono {
            self.changes.proven_at = Mono::NEVER;
            self.changes.is_proven = true;
            self.view.mark_all();
            self.changes.good.clone_from(&self.changes.written);
            self.changes.on_trial = None;
            self.changes.fell = false;
            self.arm_change(now);
        }
    }

    /// What the change started is available, whether it serves or not, and so is what it gave other probes, by what those
    /// have found: until then a readiness probe that never passes would pass for a good one.
    fn touched_are_up(&self) -> bool {
        let processes = self.plan.iter().flat_map(|plan| &plan.processes);
        processes.enumerate().all(|(at, process)| {
            process.kind != Kind::Service || self.is_up(ProcessId(at as u32), process)
        })
    }

    /// It need not be seen, or it is.
    pub(super) fn is_up(&self, process_id: ProcessId, process: &Process) -> bool {
        let has = |names: &[Arc<str>]| names.binary_search(&process.name).is_ok();
        let probed = has(&self.changes.probed);
        let touched = probed || has(&self.changes.touched);
        let count = self.board.count(process_id);
        let found = |at: u32| self.units[at as usize].machine.probes_have_found();
        !touched
            || (count.available() == count.desired
                && (!probed || self.board.wanted(process_id).all(found)))
    }

    fn roll_process(&mut self, process: ProcessId, plan: &Plan, left: &mut Left, now: Now) {
        let rule = plan.process(process);
        let units = self.board.units(process);
        let spare = units.start + rule.desired;
        let leaving = spare + rule.update.surge;
        let serves = self.serves(process, plan);
        for at in leaving.min(units.end)..units.end {
            self.retire(at, serves, left, now);
        }
        let outdated: Vec<u32> = (self.board.wanted(process))
            .filter(|at| self.units[*at as usize].old.is_some())
            .collect();
        left.any |= !outdated.is_empty();
        left.serving |= serves && !outdated.is_empty();
        if outdated.is_empty() || !rule.update.recreate {
            self.start_held(process, left, now);
            self.begin_ended_anew(process, left, now);
        }
        if rule.update.recreate {
            self.recreate(&outdated, serves, left, now);
        } else if !outdated.is_empty() {
            self.replace_some(process, (plan, serves), &outdated, left, now);
        }
        if outdated.is_empty() {
            let back = self.board.count(process).available() == rule.desired;
            for at in spare..leaving.min(units.end) {
                let over = self.units[at as usize].machine.is_over();
                if back && !over {
                    // Those it stood in for are back: nobody is missing while it goes.
                    self.retire(at, false, left, now);
                }
                left.any |= !over;
            }
        }
    }

    /// Requests reach it now, or reach what still runs of it.
    fn serves(&self, process: ProcessId, plan: &Plan) -> bool {
        let mut units = self.board.units(process);
        let old = |at: u32| self.units[at as usize].old.as_ref();
        serves(plan.process(process))
            || units.any(|at| old(at).is_some_and(|(plan, id)| serves(plan.process(id.process))))
    }

    /// Wanted no more: stopped once it may be.
    fn retire(&mut self, at: u32, serves: bool, left: &mut Left, now: Now) {
        let unit = &self.units[at as usize];
        if unit.machine.is_over() {
            return;
        }
        left.any = true;
        left.serving |= serves;
        if unit.machine.is_retired() {
            return;
        }
        if serves && !unit.machine.is_resting() && !self.is_drained(now) {
            left.drain = true;
            return;
        }
        self.with_unit(at, now, Machine::retire);
        left.acted = true;
    }

    fn is_drained(&self, now: Now) -> bool {
        let drained = (self.changes.work.as_ref()).and_then(|work| work.drained_at);
        drained.is_some_and(|at| at <= now.mono)
    }

    /// Those whose run of the older spec ended for good while they waited for their turn.
    fn begin_ended_anew(&mut self, process: ProcessId, left: &mut Left, now: Now) {
        for at in self.board.wanted(process) {
            if std::mem::take(&mut self.units[at as usize].ended_old) {
                self.with_unit(at, now, Machine::replace);
                self.forgive();
                left.any = true;
                left.acted = true;
            }
        }
    }

    /// Those that made room for others to go first have their turn.
    fn start_held(&mut self, process: ProcessId, left: &mut Left, now: Now) {
        for at in self.board.wanted(process) {
            let machine = &self.units[at as usize].machine;
            // Whoever is on the way there has not ended yet.
            left.any |= machine.is_replaced();
            if machine.phase().kind() == PhaseKind::Waiting && self.board.is_open(process) {
                self.with_unit(at, now, Machine::start);
                left.acted = true;
            }
        }
    }

    /// All old ones are stopped before the first new one starts.
    fn recreate(&mut self, outdated: &[u32], serves: bool, left: &mut Left, now: Now) {
        let ask: Vec<u32> = (outdated.iter().copied())
            .filter(|at| !self.units[*at as usize].machine.is_replaced())
            .collect();
        if ask.is_empty() {
            return;
        }
        if serves && !self.is_drained(now) {
            left.drain = true;
            return;
        }
        for at in ask {
            self.with_unit(at, now, Machine::replace_later);
            left.acted = true;
        }
    }

    /// As many as may be down are replaced; first those that are not available anyway.
    fn replace_some(
        &mut self,
        process: ProcessId,
        (plan, serves): (&Plan, bool),
        outdated: &[u32],
        left: &mut Left,
        now: Now,
    ) {
        let rule = plan.process(process);
        let spares = self.call_spares(process, plan, left, now);
        let available = |system: &System, at: u32| system.units[at as usize].machine.is_available();
        let ask: Vec<u32> = (outdated.iter().copied())
            .filter(|at| !self.units[*at as usize].machine.is_replaced())
            .collect();
        // With an instance in excess nobody need be missing, and a Serving one that has taken over spares the drain.
        let covered = serves && rule.update.surge > 0;
        let down = if covered {
            0
        } else {
            rule.update.max_unavailable
        };
        let there = self.board.count(process).available() + spares;
        let mut room = (there + down).saturating_sub(rule.desired);
        for at in ask {
            if available(self, at) {
                if room == 0 {
                    continue;
                }
                if serves && !covered && !self.is_drained(now) {
                    left.drain = true;
                    return;
                }
                room -= 1;
            }
            self.with_unit(at, now, Machine::replace);
            left.acted = true;
        }
    }

    /// Brings up the instances in excess; says how many of them are available.
    fn call_spares(&mut self, process: ProcessId, plan: &Plan, left: &mut Left, now: Now) -> u32 {
        let rule = plan.process(process);
        let units = self.board.units(process);
        let spare = units.start + rule.desired;
        let mut available = 0;
        for at in spare..(spare + rule.update.surge).min(units.end) {
            let machine = &self.units[at as usize].machine;
            if machine.is_retired() && machine.is_over() && self.board.is_open(process) {
                self.with_unit(at, now, Machine::recall);
                left.acted = true;
            }
            available += u32::from(self.units[at as usize].machine.is_available());
        }
        available
    }
}
