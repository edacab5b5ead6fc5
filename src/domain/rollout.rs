//! How a fleet of pods takes a change that stops runs: never many of them at once. Pure.
//!
//! Each pod has its *part*: a number from 0 to a billion by the hash of its uid. The holder of the set's Lease says how many
//! parts may act (`status.rollout.admittedPartsPerBillion`); a pod acts once its own is among them. The holder folds the
//! pods' reports ([`Fleet`]) and raises that number as far as [`Fleet::limit`] allows: pods with admitted parts that are
//! not known to have acted *and* to be ready are at risk, because each of them may be in the middle of it, and there are
//! never more than max(1, floor(maxUnavailable x pods that do not leave)) of them when it raises.
//!
//! - The number only grows: what was admitted may have been acted on. Of another generation it begins at 0.
//! - Parts without pods cost nothing and are passed over; the last step goes to all of them.
//! - Pods that share a part act together. Of 20 pods two share one once in five million sets; where more of them share one
//!   than the limit, they go alone, when no other pod is at risk.
//! - A pod that is not ready and has not acted (it is in the middle of an older change, say, or never got ready) is down as
//!   well: while it is, so many fewer ready ones may act. It has nothing to lose itself, so it goes first, whatever its part:
//!   such pods are named (`admittedPods`), as many as the limit allows to act at a time.
//! - Where an older generation was on its way, nothing is raised for a new one at first: pods that are in the middle of the
//!   older one have time to say so.
//! - Who is leaving acts on nothing any more: it is waited for by nobody, and is no part of what maxUnavailable is a share of.
//! - Pods that acted and fell over later count as at risk, so they hold the others up, but they are not undone.
//! - A pod that started with the new spec counts as one that acted: while many of a set's new pods do not get ready, the
//!   old ones are left alone.
//! - After one pod went back (it was not ready by the progress deadline) nothing is raised until the spec changes, also once
//!   that pod is gone.
//! - A pod that refuses the spec (it is invalid for it, or of another revision) does not act on it, so it is not at risk.
//! - A podinit that ended under the new spec before that had proved itself is at risk while its Pod is there: the kubelet may
//!   start it again, and it may have been the spec that ended it.
//! - What was complete once stays so, though a pod falls over later, until a pod turns up that has not acted.
//! - Reports are late, never early: a pod says that it acted and that it is ready in one report, so a pod whose report is
//!   old counts as at risk.
//! - A pod that comes to a generation late (it refused it at first, or its container began with another spec while the API
//!   server was away) is in no count that raised the parts: it says so in its report, and acts when it is named. So does one
//!   that had no report yet when it first saw the generation.

use super::hash::fnv1a;

#[cfg(test)]
mod tests;

/// So many pods are named at a time.
pub const NAMED: usize = 64;

/// So many pods that hold a rollout up are told by name.
pub const SHOWN: usize = 3;

/// All parts.
pub const PARTS: u32 = 1_000_000_000;

/// The part of a pod: FNV-1a (64 bits) of its uid modulo [`PARTS`]. Pods of all versions agree on it.
pub fn part(uid: &str) -> u32 {
    (fnv1a(&[uid]) % u64::from(PARTS)) as u32
}

/// May this pod act, when so many parts are admitted?
pub fn admitted(uid: &str, parts: u32) -> bool {
    part(uid) < parts
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
    /// Whose report it is: its uid.
    pub uid: &'a str,
    /// What people call it.
    pub name: &'a str,
    /// It came to this generation late, and acts on it by name only.
    pub late: bool,
    /// It runs this generation: it acted on the change, or started with it, or nothing had to be done.
    pub acted: bool,
    /// It is ready, by the same report.
    pub ready: bool,
    /// It acted, was not ready by the progress deadline, and went back.
    pub reverted: bool,
    /// It does not take this generation.
    pub refuses: bool,
    /// It has begun to stop.
    pub leaves: bool,
}

/// What was known of a rollout before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// So many parts were admitted.
    pub parts: u32,
    /// And these pods, by uid.
    pub pods: Vec<String>,
    /// It was complete.
    pub complete: bool,
    /// Pods went back.
    pub failed: bool,
    /// An older generation was on its way: pods may be in the middle of that, and not have said so yet.
    pub settling: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    /// `None`: it comes late.
    part: Option<u32>,
    ready: bool,
    uid: String,
    name: String,
}

impl Waiting {
    /// May it act, when so many parts and these pods are admitted?
    fn may_act(&self, parts: u32, named: &[String]) -> bool {
        self.part.is_some_and(|part| part < parts) || named.contains(&self.uid)
    }
}

/// The reports of a set's pods, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Pods that have not acted.
    waiting: Vec<Waiting>,
    /// Pods that acted and are not ready: at risk whether they are admitted or not.
    unready: u32,
    /// Some of them, by name.
    fallen: Vec<String>,
    pods: u32,
    leaving: u32,
    ready: u32,
    updated: u32,
    reverted: u32,
    refusing: u32,
    /// Of those that do not leave: they run it, or do not take it.
    done: u32,
}

/// How it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// How many parts may act from now on.
    pub parts: u32,
    /// And which pods whatever their part, by uid: at most [`NAMED`].
    pub pods: Vec<String>,
    /// Why not more.
    pub progress: Progress,
}

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every pod that takes it acted, and all were ready then.
    Complete,
    /// So many pods may be acting, or are not ready.
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

impl Fleet {
    /// Counts a pod.
    pub fn add(&mut self, pod: Pod<'_>) {
        self.count(pod, part(pod.uid));
    }

    fn count(&mut self, pod: Pod<'_>, part: u32) {
        self.pods += 1;
        self.ready += u32::from(pod.ready);
        self.updated += u32::from(pod.acted);
        self.reverted += u32::from(pod.reverted);
        self.refusing += u32::from(pod.refuses);
        self.leaving += u32::from(pod.leaves);
        self.done += u32::from(!pod.leaves && (pod.acted || pod.refuses));
        match pod {
            Pod { refuses: true, .. } | Pod { leaves: true, .. } => {}
            Pod { acted: true, .. } if pod.ready => {}
            Pod { acted: true, .. } => self.add_ended(pod.name),
            Pod { ready, uid, .. } => self.waiting.push(Waiting {
                part: Some(part).filter(|_| !pod.late),
                ready,
                uid: uid.to_owned(),
                name: pod.name.to_owned(),
            }),
        }
    }

    /// Counts a podinit that acted and is at its end, by what it acted on perhaps: no pod that runs, but one that is at risk.
    pub fn add_ended(&mut self, name: &str) {
        self.unready += 1;
        if self.fallen.len() < SHOWN {
            self.fallen.push(name.to_owned());
        }
    }

    /// All pods.
    pub fn pods(&self) -> u32 {
        self.pods
    }

    /// Those that do not leave.
    fn staying(&self) -> u32 {
        self.pods - self.leaving
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
                let share = u64::from(self.staying()) * u64::from(percent.min(100)) / 100;
                (share as u32).max(1)
            }
        }
    }

    /// How many parts to admit after so many were, which pods beside them, and how it goes.
    pub fn admit(&self, before: &Before, max: MaxUnavailable) -> Admission {
        let parts = before.parts.min(PARTS);
        let waits = |uid: &&String| self.waiting.iter().any(|one| one.uid == **uid);
        let named: Vec<String> = before.pods.iter().filter(waits).cloned().collect();
        let at_risk = self.at_risk(parts, &named);
        let all = match self.staying() {
            // The last ones are on their way out.
            0 => self.updated + self.refusing == self.pods && self.pods > 0,
            staying => self.done == staying,
        };
        let progress = match self.reverted {
            0 if !before.failed && all && (at_risk == 0 || before.complete) => Progress::Complete,
            0 if !before.failed => Progress::Waiting { at_risk },
            reverted => Progress::Failed { reverted },
        };
        let (parts, pods) = match progress {
            // Without a report nothing is known, so nothing is risked.
            _ if self.pods == 0 => (parts, named),
            Progress::Failed { .. } => (parts, named),
            Progress::Waiting { .. } if before.settling => (parts, named),
            Progress::Complete | Progress::Waiting { .. } => {
                self.raised(parts, named, self.limit(max))
            }
        };
        let progress = match progress {
            Progress::Waiting { .. } => Progress::Waiting {
                at_risk: self.at_risk(parts, &pods),
            },
            same @ (Progress::Complete | Progress::Failed { .. }) => same,
        };
        Admission {
            parts,
            pods,
            progress,
        }
    }

    /// Pods that are not ready, and those that may be acting, when so many parts, and these pods, are admitted.
    pub fn at_risk(&self, parts: u32, named: &[String]) -> u32 {
        self.unready + self.may_be_down(parts, named).count() as u32
    }

    /// The first of those, by name: at most [`SHOWN`].
    pub fn who(&self, parts: u32, named: &[String]) -> Vec<&str> {
        let waiting = self.may_be_down(parts, named).map(|one| &one.name);
        let all = self.fallen.iter().chain(waiting);
        all.map(String::as_str).take(SHOWN).collect()
    }

    fn may_be_down(&self, parts: u32, named: &[String]) -> impl Iterator<Item = &Waiting> {
        let waiting = self.waiting.iter();
        waiting.filter(move |one| !one.ready || one.may_act(parts, named))
    }

    /// Names those who have nothing to lose, then those who come late; then goes up to the part of the first pod that has to
    /// wait.
    fn raised(&self, parts: u32, mut named: Vec<String>, limit: u32) -> (u32, Vec<String>) {
        let mut waiting: Vec<&Waiting> = self.waiting.iter().collect();
        waiting.sort_unstable();
        let acts = waiting.iter().filter(|one| one.may_act(parts, &named));
        let mut acting = self.unready + acts.count() as u32;
        let fits = |now: u32, more: u32| more == 0 || now == 0 || now + more <= limit;
        for one in &waiting {
            if !fits(acting, 1) || named.len() >= NAMED {
                break;
            }
            if !one.ready && !one.may_act(parts, &named) {
                named.push(one.uid.clone());
                acting += 1;
            }
        }
        let mut down = self.at_risk(parts, &named);
        for one in &waiting {
            if !fits(acting, 1) || !fits(down, 1) || named.len() >= NAMED {
                break;
            }
            if one.part.is_none() && !one.may_act(parts, &named) {
                named.push(one.uid.clone());
                acting += 1;
                down += 1;
            }
        }
        waiting.retain(|one| one.part.is_some_and(|part| part >= parts));
        for sharing in waiting.chunk_by(|one, next| one.part == next.part) {
            let new = || sharing.iter().filter(|one| !named.contains(&one.uid));
            let more_acting = new().count() as u32;
            let more_down = new().filter(|one| one.ready).count() as u32;
            if !fits(acting, more_acting) || !fits(down, more_down) {
                return (sharing[0].part.unwrap_or(parts), named);
            }
            acting += more_acting;
            down += more_down;
        }
        (PARTS, named)
    }
}
