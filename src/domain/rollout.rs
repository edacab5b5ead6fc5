//! How a fleet of pods takes a change that stops runs: never many of them at once. Pure.
//!
//! Pods are spread over a thousand *buckets* by the hash of their uid. The holder of the set's Lease says how many buckets
//! may act (`status.rollout.admittedPermille`); a pod acts once its own is among them. The holder folds the pods' reports
//! into counters ([`Fleet`]) and raises that number as far as [`Fleet::limit`] allows: pods in admitted buckets that are
//! not known to have acted *and* to be ready are at risk, because each of them may be in the middle of it, and there are
//! never more than max(1, floor(maxUnavailable x pods)) of them when it raises.
//!
//! - The number only grows: what was admitted may have been acted on. Of another generation it begins at 0.
//! - Buckets without pods cost nothing and are passed over; the last step goes to 1000.
//! - *A bucket is the unit.* One that has more pods than the limit is admitted alone, and only when no other pod is at risk:
//!   the set goes on, and so many pods act at once. That takes a limit below the size of a bucket, so for example 5,000
//!   pods (five in a bucket on average, some 15 in the biggest one) with a limit of fewer than that.
//! - Pods that acted and fell over later count as at risk, so they hold the others up, but they are not undone.
//! - A pod that started with the new spec counts as one that acted: while many of a set's new pods do not get ready, the
//!   old ones are left alone.
//! - After one pod went back (it was not ready by the progress deadline) nothing is raised until the spec changes, also once
//!   that pod is gone.
//! - A pod that refuses the spec (it is invalid for it, or of another revision) does not act on it, so it is not at risk.
//! - A podinit that ended under the new spec while its Pod is still there is at risk: the kubelet may start it again, and it may
//!   have been the spec that ended it.
//! - What was complete once stays so, though a pod falls over later, until a pod turns up that has not acted.
//! - Reports are late, never early: a pod says that it acted and that it is ready in one report, so a pod whose report is
//!   old counts as at risk. A pod that comes to life after the count with an old spec (its API server was away) and an
//!   admitted bucket is not in it: so many more can act at once.

use super::hash::fnv1a;

#[cfg(test)]
mod tests;

/// So many buckets, so many thousandths.
pub const BUCKETS: u16 = 1000;

/// The bucket of a pod, 0 to 999: FNV-1a (64 bits) of its uid modulo 1000. Pods of all versions agree on it.
pub fn bucket(uid: &str) -> u16 {
    (fnv1a(&[uid]) % u64::from(BUCKETS)) as u16
}

/// May this pod act, when so many thousandths are admitted?
pub fn admitted(uid: &str, permille: u32) -> bool {
    u32::from(bucket(uid)) < permille
}

/// The `maxUnavailable` of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxUnavailable {
    /// So many pods.
    Count(u32),
    /// A share of the pods, in percent.
    Percent(u32),
}

/// What a pod's report says about one generation of the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pod<'a> {
    /// Whose report it is.
    pub uid: &'a str,
    /// It runs this generation: it acted on the change, or started with it, or nothing had to be done.
    pub acted: bool,
    /// It is ready, by the same report.
    pub ready: bool,
    /// It acted, was not ready by the progress deadline, and went back.
    pub reverted: bool,
    /// It does not take this generation.
    pub refuses: bool,
}

/// What was known of a rollout before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// So many thousandths were admitted.
    pub permille: u32,
    /// It was complete.
    pub complete: bool,
    /// Pods went back.
    pub failed: bool,
}

/// The reports of a set's pods, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Pods of each bucket that did not both act and get ready.
    unsettled: Box<[u32]>,
    /// Those of them that acted: at risk whether their bucket is admitted or not.
    unready: Box<[u32]>,
    pods: u32,
    ready: u32,
    updated: u32,
    reverted: u32,
    refusing: u32,
}

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// How many thousandths may act from now on.
    pub permille: u16,
    /// Why not more.
    pub progress: Progress,
}

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every pod that takes it acted, and all were ready then.
    Complete,
    /// So many pods may be acting, or acted and are not ready.
    Waiting {
        /// How many.
        at_risk: u32,
    },
    /// Pods went back to their last good spec: nothing is raised any more.
    Failed {
        /// How many.
        reverted: u32,
    },
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Fleet {
    /// Without pods.
    pub fn new() -> Self {
        let none = || vec![0; usize::from(BUCKETS)].into_boxed_slice();
        Fleet {
            unsettled: none(),
            unready: none(),
            pods: 0,
            ready: 0,
            updated: 0,
            reverted: 0,
            refusing: 0,
        }
    }

    /// Counts a pod.
    pub fn add(&mut self, pod: Pod<'_>) {
        let bucket = usize::from(bucket(pod.uid));
        self.pods += 1;
        self.ready += u32::from(pod.ready);
        self.updated += u32::from(pod.acted);
        self.reverted += u32::from(pod.reverted);
        self.refusing += u32::from(pod.refuses);
        self.unsettled[bucket] += u32::from(!(pod.refuses || pod.acted && pod.ready));
        self.unready[bucket] += u32::from(pod.acted && !pod.ready);
    }

    /// Counts a podinit that acted and has ended: no pod that runs, but one that is at risk.
    pub fn add_ended(&mut self, uid: &str) {
        let bucket = usize::from(bucket(uid));
        self.unsettled[bucket] += 1;
        self.unready[bucket] += 1;
    }

    /// All pods.
    pub fn pods(&self) -> u32 {
        self.pods
    }

    /// Ready ones.
    pub fn ready(&self) -> u32 {
        self.ready
    }

    /// Those that run this generation.
    pub fn updated(&self) -> u32 {
        self.updated
    }

    /// Those that do not take it.
    pub fn refusing(&self) -> u32 {
        self.refusing
    }

    /// How many may be at risk: at least one.
    pub fn limit(&self, max: MaxUnavailable) -> u32 {
        match max {
            MaxUnavailable::Count(count) => count.max(1),
            MaxUnavailable::Percent(percent) => {
                let share = u64::from(self.pods) * u64::from(percent.min(100)) / 100;
                (share as u32).max(1)
            }
        }
    }

    /// How many thousandths to admit after so many were, and how it goes.
    pub fn admit(&self, before: Before, max: MaxUnavailable) -> Admission {
        let current = before.permille.min(u32::from(BUCKETS)) as u16;
        let at_risk = self.at_risk(current);
        let all = self.updated + self.refusing == self.pods;
        let progress = match self.reverted {
            0 if !before.failed && all && (at_risk == 0 || before.complete) => Progress::Complete,
            0 if !before.failed => Progress::Waiting { at_risk },
            reverted => Progress::Failed { reverted },
        };
        let permille = match progress {
            // Without a report nothing is known, so nothing is risked.
            _ if self.pods == 0 => current,
            Progress::Failed { .. } => current,
            Progress::Complete | Progress::Waiting { .. } => {
                self.raised(current, at_risk, self.limit(max))
            }
        };
        let progress = match progress {
            Progress::Waiting { .. } => Progress::Waiting {
                at_risk: self.at_risk(permille),
            },
            same @ (Progress::Complete | Progress::Failed { .. }) => same,
        };
        Admission { permille, progress }
    }

    /// Pods that may be acting or acted and are not ready, when so many thousandths are admitted.
    pub fn at_risk(&self, permille: u16) -> u32 {
        let (inside, outside) = (
            &self.unsettled[..usize::from(permille)],
            &self.unready[usize::from(permille)..],
        );
        inside.iter().chain(outside).sum()
    }

    fn raised(&self, current: u16, mut at_risk: u32, limit: u32) -> u16 {
        let mut permille = current;
        let mut alone = at_risk == 0;
        for bucket in usize::from(current)..usize::from(BUCKETS) {
            // Those that acted already are counted.
            let more = self.unsettled[bucket] - self.unready[bucket];
            let fits = at_risk + more <= limit;
            if more > 0 && !fits && !alone {
                break;
            }
            at_risk += more;
            alone &= more == 0;
            permille += 1;
        }
        permille
    }
}
