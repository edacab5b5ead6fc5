//! Whether the claims of a stop fit the grace period, in words: for `podinit check` and `podinit plan`.
//!
//! Not a part of `validate`: podinit itself knows its real grace period when it stops, and says then what was shortened.

use std::time::Duration;

use super::outline::{Parts, StageKind, post_stop};
use super::table::seconds;
use super::timeline::{Timeline, Times, claim};
use crate::domain::plan::resolve::tail;
use crate::spec::problem::{FieldPath, Problem, Severity};
use crate::spec::v1alpha1::ProcessSetSpec;

/// What a Pod has that says nothing.
pub const DEFAULT_GRACE: u32 = 30;
/// The longest grace period of the spec.
pub const MAX_GRACE: u32 = 86400;
/// So many stages of a chain are named.
const NAMED: usize = 12;

/// A grace period and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grace {
    /// `--grace`.
    Asked(u32),
    /// `spec.terminationGracePeriodSeconds`.
    Spec(u32),
    /// [`DEFAULT_GRACE`].
    Default,
}

impl Grace {
    /// The one asked about, else the spec's, else that of a Pod that says nothing.
    pub fn of(spec: &ProcessSetSpec, asked: Option<u32>) -> Grace {
        match (asked, spec.termination_grace_period_seconds) {
            (Some(asked), _) => Grace::Asked(asked),
            (None, Some(written)) => Grace::Spec(written),
            (None, None) => Grace::Default,
        }
    }

    /// In seconds.
    pub fn seconds(self) -> u32 {
        match self {
            Grace::Asked(seconds) | Grace::Spec(seconds) => seconds,
            Grace::Default => DEFAULT_GRACE,
        }
    }

    fn in_words(self) -> String {
        match self {
            Grace::Asked(seconds) => format!("--grace {seconds}"),
            Grace::Spec(seconds) => format!("terminationGracePeriodSeconds {seconds}"),
            Grace::Default => format!("the {DEFAULT_GRACE}s of a Pod that says nothing"),
        }
    }
}

/// The worst case of a stop of this spec in Kubernetes.
#[derive(Debug, Clone)]
pub struct Fit {
    /// What the spec says about its stop.
    pub parts: Parts,
    /// The grace period.
    pub grace: Grace,
    /// The worst case.
    pub timeline: Timeline,
    times: Times,
}

impl Fit {
    /// Works it out. The spec has to be valid.
    pub fn of(spec: &ProcessSetSpec, asked: Option<u32>) -> Fit {
        let parts = Parts::of(spec, true);
        let grace = Grace::of(spec, asked);
        let times = Times {
            grace: Duration::from_secs(grace.seconds().into()),
            tail: tail(spec),
            post_stop: post_stop(spec),
        };
        Fit {
            timeline: Timeline::new(&parts, &times),
            parts,
            grace,
            times,
        }
    }

    /// What does not fit: an error if a grace period was asked about, else a warning.
    pub fn problem(&self, spec: &ProcessSetSpec) -> Option<Problem> {
        if let Some(written) = spec.shutdown.drain
            && written.to_std() > self.times.grace
        {
            // `validate` has compared it with the spec's own.
            let known = matches!(self.grace, Grace::Spec(_));
            return (!known).then(|| self.drain_over_grace(&written.to_string()));
        }
        if self.timeline.fits {
            return None;
        }
        let budget = self.timeline.deadlines.budget();
        let message = format!(
            "the longest chain of the stop needs {}s: {}, but {} leaves {}s",
            seconds(self.timeline.needed),
            self.chain(),
            self.grace.in_words(),
            seconds(budget),
        );
        let largest = self.largest();
        let path = match (self.grace, largest) {
            (Grace::Spec(_), _) | (_, None) => {
                FieldPath::spec().key("terminationGracePeriodSeconds")
            }
            (_, Some(stage)) => self.path(stage),
        };
        let help = self.help(largest, spec.shutdown.drain.is_none());
        Some(self.new_problem(path, message).maybe_help(help))
    }

    /// The whole chain is named here too: a drain that is only just short enough would lead to the next error.
    fn drain_over_grace(&self, written: &str) -> Problem {
        let path = FieldPath::spec().key("shutdown").key("drain");
        let message = format!("{written} is over {}", self.grace.in_words());
        if self.timeline.at_once || self.timeline.fits {
            return self.new_problem(path, message);
        }
        let needed = seconds(self.timeline.needed);
        let chain = self.chain();
        let message = format!("{message}; the longest chain of the stop needs {needed}s: {chain}");
        let help = self.help(self.largest(), false);
        self.new_problem(path, message).maybe_help(help)
    }

    fn new_problem(&self, path: FieldPath, message: String) -> Problem {
        Problem {
            severity: match self.grace {
                Grace::Asked(_) => Severity::Error,
                Grace::Spec(_) | Grace::Default => Severity::Warning,
            },
            ..Problem::error(path, message)
        }
    }

    /// `drain 5s + nginx 10s + php-fpm 20s`.
    pub fn chain(&self) -> String {
        let timeline = &self.timeline;
        let claim = |at: usize| claim(&timeline.outline.stages[at]);
        let named = match timeline.longest.len() {
            all if all <= NAMED => all,
            _ => NAMED - 1,
        };
        let (named, rest) = timeline.longest.split_at(named);
        let mut words: Vec<String> = (named.iter())
            .map(|at| format!("{} {}s", timeline.outline.label(*at), seconds(claim(*at))))
            .collect();
        if !rest.is_empty() {
            let sum: Duration = rest.iter().map(|at| claim(*at)).sum();
            words.push(format!("{} more {}s", rest.len(), seconds(sum)));
        }
        words.join(" + ")
    }

    /// The stage of the longest chain with the largest written claim.
    fn largest(&self) -> Option<usize> {
        let stages = &self.timeline.outline.stages;
        let written = self.timeline.longest.iter().copied().rev();
        written
            .filter(|at| stages[*at].limit.is_some())
            .max_by_key(|at| claim(&stages[*at]))
    }

    fn path(&self, stage: usize) -> FieldPath {
        let step = self.timeline.outline.steps[stage];
        let spec = FieldPath::spec();
        let process = || {
            let place = self.parts.places[step.at];
            FieldPath::spec().key("processes").index(place)
        };
        match step.kind {
            StageKind::SetHook => spec.key("hooks").key("preStop").index(step.at),
            StageKind::Drain => spec.key("shutdown").key("drain"),
            StageKind::PreStop => process().key("lifecycle").key("preStop"),
            StageKind::Stop => process().key("terminationGracePeriodSeconds"),
        }
    }

    fn help(&self, largest: Option<usize>, default_drain: bool) -> Option<String> {
        let raise = self.enough().map(|enough| {
            let field = match self.grace {
                Grace::Spec(_) => "it",
                Grace::Asked(_) | Grace::Default => "the pod's terminationGracePeriodSeconds",
            };
            format!("raise {field} to at least {enough}")
        });
        let lower = largest.map(|stage| {
            let kind = self.timeline.outline.steps[stage].kind;
            let what = match kind {
                StageKind::Drain => "shutdown.drain".to_owned(),
                StageKind::SetHook | StageKind::PreStop => {
                    format!("the timeout of {}", self.timeline.outline.label(stage))
                }
                StageKind::Stop => format!(
                    "terminationGracePeriodSeconds of `{}`",
                    self.timeline.outline.name(stage)
                ),
            };
            let claim = claim(&self.timeline.outline.stages[stage]);
            let by_default = if kind == StageKind::Drain && default_drain {
                " by default"
            } else {
                ""
            };
            format!("lower {what}, which is {}s{by_default}", seconds(claim))
        });
        match (raise, lower) {
            (Some(raise), Some(lower)) => Some(format!("{raise}, or {lower}")),
            (raise, lower) => raise.or(lower),
        }
    }

    /// The least grace period over 2 s in which everybody gets what they ask for.
    pub fn enough(&self) -> Option<u32> {
        let fits = |grace: u32| {
            let times = Times {
                grace: Duration::from_secs(grace.into()),
                ..self.times
            };
            Timeline::new(&self.parts, &times).fits
        };
        // Up to 2 s there is no order, so that a longer period can fit less: nobody is told to go there.
        fits(MAX_GRACE).then(|| {
            let (mut low, mut high) = (2, MAX_GRACE);
            while high - low > 1 {
                let middle = u32::midpoint(low, high);
                if fits(middle) {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            high
        })
    }
}

#[cfg(test)]
mod tests;
