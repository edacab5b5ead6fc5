//! How a stop goes when nobody ends by itself: each stage takes all it may have. `podinit plan` draws it, `podinit check`
//! says whether everybody gets what they ask for.

use std::time::Duration;

use super::deadline::{Deadlines, NO_ORDER};
use super::outline::{Outline, Parts};
use super::planner::{Reserves, Stage};
use crate::domain::time::Mono;

/// What a stage claims that has no limit of its own.
pub const ABSENT_CLAIM: Duration = Duration::from_secs(1);

/// The given times of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// G.
    pub grace: Duration,
    /// `shutdown.tail`.
    pub tail: Duration,
    /// The sum of the timeouts of the set's postStop hooks.
    pub post_stop: Duration,
}

impl Times {
    /// The instants of a stop at the start of the clock.
    pub fn deadlines(&self) -> Deadlines {
        Deadlines::new(Mono::ZERO, self.grace, self.tail, self.post_stop)
    }

    /// There is no time for order.
    pub fn at_once(&self) -> bool {
        self.grace <= NO_ORDER
    }
}

/// One stage of a stop in which nobody ends by itself. Times count from t0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// What it asks for.
    pub claim: Duration,
    /// When it begins.
    pub start: Duration,
    /// When it is cut: a hook is killed, the drain is over, a process gets KILL.
    pub end: Duration,
}

impl Bar {
    /// It gets less than it asks for.
    pub fn is_cut(&self) -> bool {
        self.end.saturating_sub(self.start) < self.claim
    }
}

/// The worst case of a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// What is to be done.
    pub outline: Outline,
    /// The instants, from the start of the clock.
    pub deadlines: Deadlines,
    /// One for each stage of the outline.
    pub bars: Vec<Bar>,
    /// The longest chain of claims, in its order; stages that claim nothing are left out.
    pub longest: Vec<usize>,
    /// What it takes.
    pub needed: Duration,
    /// It fits: everybody gets what they ask for.
    pub fits: bool,
    /// No drain, no hooks, no order: the grace period is too short.
    pub at_once: bool,
}

impl Timeline {
    /// The worst case of a set with these times.
    pub fn new(parts: &Parts, times: &Times) -> Timeline {
        let at_once = times.at_once();
        let outline = parts.outline(at_once);
        let deadlines = times.deadlines();
        let budget = deadlines.budget();
        let (longest, needed) = longest_chain(&outline.stages);
        Timeline {
            bars: worst_case(&outline.stages, budget),
            fits: needed <= budget,
            outline,
            deadlines,
            longest,
            needed,
            at_once,
        }
    }

    /// The stages in the order in which they begin.
    pub fn by_start(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.bars.len()).collect();
        order.sort_by_key(|at| (self.bars[*at].start, self.outline.steps[*at].kind));
        order
    }
}

/// What a stage asks for.
pub fn claim(stage: &Stage) -> Duration {
    if stage.gone {
        return Duration::ZERO;
    }
    stage.limit.unwrap_or(ABSENT_CLAIM)
}

/// When each stage begins and ends if nobody ends by itself and the stop has this budget.
pub fn worst_case(stages: &[Stage], budget: Duration) -> Vec<Bar> {
    let reserves = Reserves::plan(stages, budget);
    let t_kill = Mono::ZERO + budget;
    let mut bars: Vec<Bar> = Vec::with_capacity(stages.len());
    for (at, stage) in stages.iter().enumerate() {
        let before = stage.after.iter().map(|before| bars[*before].end);
        let start = before.max().unwrap_or_default();
        let own = if stage.gone {
            start
        } else {
            stage
                .limit
                .map_or(Duration::MAX, |limit| start.saturating_add(limit))
        };
        let latest = reserves.latest(at, t_kill).since(Mono::ZERO);
        bars.push(Bar {
            claim: claim(stage),
            start,
            end: own.min(latest).max(start),
        });
    }
    bars
}

/// The longest chain of claims and its sum. Of equal ones it is that of the stage that comes first.
pub fn longest_chain(stages: &[Stage]) -> (Vec<usize>, Duration) {
    // What each stage and all before it take, and who is before it on the way.
    let mut sums: Vec<Duration> = Vec::with_capacity(stages.len());
    let mut ways: Vec<Option<usize>> = Vec::with_capacity(stages.len());
    let mut last: Option<usize> = None;
    for (at, stage) in stages.iter().enumerate() {
        let mut way: Option<usize> = None;
        for before in &stage.after {
            if way.is_none_or(|way| sums[*before] > sums[way]) {
                way = Some(*before);
            }
        }
        let before = way.map_or(Duration::ZERO, |way| sums[way]);
        sums.push(before.saturating_add(claim(stage)));
        ways.push(way);
        if last.is_none_or(|last| sums[at] > sums[last]) {
            last = Some(at);
        }
    }
    let needed = last.map_or(Duration::ZERO, |last| sums[last]);
    let mut chain = Vec::new();
    let mut next = last;
    while let Some(at) = next {
        if !claim(&stages[at]).is_zero() {
            chain.push(at);
        }
        next = ways[at];
    }
    chain.reverse();
    (chain, needed)
}

#[cfg(test)]
mod tests;
