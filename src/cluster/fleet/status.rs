//! Reports, folded, as the status of a ProcessSet. Pure.

use crate::cluster::report::SETTLED;
use crate::domain::event::Refusal;
use crate::domain::plan::{ObjectVersion, revision};
use crate::domain::rollout::{Admission, Before, Fleet, Pod, Progress, SHOWN};
use crate::domain::time::Wall;
use crate::ports::Notice;
use crate::spec::v1alpha1::{
    Condition, ConditionStatus, Phase, PodCounts, ProcessReportStatus, ProcessSetStatus,
    RolloutStatus,
};

/// Why a rollout does not go on, in the word of a Deployment.
const FAILED: &str = "ProgressDeadlineExceeded";
/// Why it need not.
const COMPLETE: &str = "Complete";

/// The pods of a set, counted.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) fleet: Fleet,
    /// A pod runs the spec of a set that had this one's name before.
    pub(super) made_anew: bool,
    degraded: u32,
    serving: u32,
}

impl Count {
    /// Counts a report; one of a pod that has ended counts only for what may become of it.
    pub(super) fn add(&mut self, uid: &str, report: &ProcessReportStatus, version: &ObjectVersion) {
        // A set that is made anew under an old name begins with the same generations.
        let other = report
            .observed_uid
            .as_deref()
            .is_some_and(|uid| uid != &*version.uid);
        self.made_anew |= other;
        let is_this = |generation| !other && generation == Some(version.generation);
        let acted = is_this(report.observed_generation);
        // What it refuses may be of another set than what it runs.
        let refused_uid = report.refused_uid.as_deref();
        let refuses_this = |generation| {
            generation == Some(version.generation)
                && refused_uid.map_or(!other, |uid| uid == &*version.uid)
        };
        let find = |kind: &str| report.conditions.iter().find(|one| one.kind == kind);
        let holds = |kind| find(kind).is_some_and(|one| one.status == ConditionStatus::True);
        let leaves = matches!(
            report.phase,
            Phase::Draining | Phase::Stopping | Phase::Stopped
        );
        let proven = find("Progressing").is_some_and(|one| one.reason == SETTLED);
        if leaves && acted && !proven {
            self.fleet.add_ended(&report.pod);
        }
        if report.phase == Phase::Stopped {
            return;
        }
        let refused = find("Accepted").filter(|one| {
            one.status == ConditionStatus::False && refuses_this(one.observed_generation)
        });
        // Who was not ready before either says nothing about the spec.
        let failures = [Refusal::PROGRESS_DEADLINE, Refusal::CONTAINER_ENDED];
        let reverted = refused.is_some_and(|one| failures.contains(&one.reason.as_str()));
        self.degraded += u32::from(holds("Degraded"));
        self.serving += u32::from(holds("Ready"));
        self.fleet.add(Pod {
            uid,
            name: &report.pod,
            late: report.late_for == Some(version.generation),
            acted,
            // In the middle of a change a pod may look ready that is not done with it.
            ready: holds("Ready") && !holds("Progressing"),
            reverted,
            refuses: refused.is_some() && !reverted && !acted,
            leaves,
        });
    }
}

/// What the status says of the rollout of this generation.
pub(in crate::cluster) fn before(status: Option<&ProcessSetStatus>, generation: i64) -> Before {
    let Some((status, known)) = status.and_then(|status| Some((status, status.rollout.as_ref()?)))
    else {
        // Of a set that was made anew perhaps, while its pods were in the middle of a change of the one before.
        return Before {
            settling: true,
            ..Before::default()
        };
    };
    let rollout = Some(known).filter(|rollout| rollout.generation == generation);
    // Who acted on the older one has said so together with whether it is ready.
    let pods = status.pods.as_ref();
    let all_acted = pods.is_some_and(|pods| pods.total > 0 && pods.updated == pods.total);
    let mut conditions = status.conditions.iter();
    let progressing = conditions.find(|one| one.kind == "Progressing");
    let says = |reason: &str| {
        progressing
            .is_some_and(|one| one.reason == reason && one.observed_generation == Some(generation))
    };
    Before {
        parts: rollout.map_or(0, |rollout| rollout.admitted_parts_per_billion),
        pods: rollout.map_or_else(Vec::new, |rollout| rollout.admitted_pods.clone()),
        settling: rollout.is_none()
            && !all_acted
            && progressing.is_some_and(|one| one.reason != COMPLETE),
        complete: says(COMPLETE),
        failed: says(FAILED),
    }
}

/// The status; conditions that did not change keep their time.
pub(super) fn status(
    generation: i64,
    count: &Count,
    (admission, refused): (&Admission, Option<&Refusal>),
    before: Option<&ProcessSetStatus>,
    now: Wall,
) -> ProcessSetStatus {
    let fleet = &count.fleet;
    let (total, ready) = (fleet.pods(), count.serving);
    let refused = refused.filter(|refused| {
        let object = refused.origin.object.as_ref();
        // Another revision, or one that was not ready before either, is that pod's matter, as long as others take it.
        let own = [revision::MISMATCH, Refusal::WAS_NOT_READY];
        let only_here = own.contains(&refused.reason) && fleet.updated() > 0;
        object.is_some_and(|object| object.generation == generation) && !only_here
    });
    let (accepted, accepted_reason, accepted_message) = match refused {
        Some(refused) => (false, refused.reason, refused.message.clone()),
        None => (true, "Valid", String::new()),
    };
    let (moving, moving_reason, moving_message) = how_it_goes(admission, fleet);
    let all_ready = total > 0 && ready == total;
    let ready_message = format!("{ready} of {total} pods are ready");
    let degraded = count.degraded > 0;
    let degraded_message = match count.degraded {
        0 => String::new(),
        1 => "in 1 pod a process failed for good".to_owned(),
        pods => format!("in {pods} pods a process failed for good"),
    };
    let short = |text: String| text.chars().take(4096).collect::<String>();
    let conditions = [
        (
            "Accepted",
            accepted,
            accepted_reason,
            short(accepted_message),
        ),
        ("Progressing", moving, moving_reason, moving_message),
        (
            "Ready",
            all_ready,
            if all_ready { "AllReady" } else { "NotReady" },
            ready_message,
        ),
        (
            "Degraded",
            degraded,
            if degraded {
                "ProcessFailed"
            } else {
                "AsExpected"
            },
            degraded_message,
        ),
    ];
    let written = |(kind, holds, reason, message): (&str, bool, &str, String)| {
        condition(generation, (kind, holds), (reason, message), before, now)
    };
    let conditions = conditions.map(written);
    ProcessSetStatus {
        observed_generation: Some(generation),
        pods: Some(PodCounts {
            total,
            updated: fleet.updated(),
            ready,
            degraded: count.degraded,
            summary: format!("{ready}/{total}"),
        }),
        rollout: Some(RolloutStatus {
            generation,
            admitted_parts_per_billion: admission.parts,
            admitted_pods: admission.pods.clone(),
        }),
        conditions: conditions.to_vec(),
    }
}

fn condition(
    generation: i64,
    (kind, holds): (&str, bool),
    (reason, message): (&str, String),
    before: Option<&ProcessSetStatus>,
    now: Wall,
) -> Condition {
    let status = if holds {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    let known = before.and_then(|before| {
        let mut known = before.conditions.iter();
        known.find(|known| known.kind == kind && known.status == status)
    });
    let time = known.map(|known| known.last_transition_time.clone());
    Condition {
        kind: kind.to_owned(),
        status,
        observed_generation: Some(generation),
        last_transition_time: time.unwrap_or_else(|| super::super::rfc3339(now)),
        reason: reason.to_owned(),
        message,
    }
}

/// What has become true, or is so no more, between two of them.
pub(super) fn notices(before: Option<&ProcessSetStatus>, after: &ProcessSetStatus) -> Vec<Notice> {
    let find = |status: &ProcessSetStatus, kind: &str| {
        let mut all = status.conditions.iter();
        all.find(|one| one.kind == kind).cloned()
    };
    let told = |kind: &str, status: ConditionStatus| {
        let now = find(after, kind).filter(|now| now.status == status)?;
        let known = before.and_then(|before| find(before, kind));
        known
            .is_none_or(|known| known.status != now.status || known.reason != now.reason)
            .then_some(now)
    };
    let notice = |reason, action, note| Notice {
        warning: true,
        reason,
        action,
        about: None,
        note,
    };
    let refused = told("Accepted", ConditionStatus::False);
    let degraded = told("Degraded", ConditionStatus::True);
    let failed = told("Progressing", ConditionStatus::False).filter(|one| one.reason == FAILED);
    let refused = refused.map(|one| {
        let problems = one.message.replace('\n', "; ");
        let note = format!("{}: {problems}", one.reason);
        notice("FailedUpdate", "Updating", note)
    });
    let degraded = degraded.map(|one| notice("Degraded", "Running", one.message));
    let failed = failed.map(|one| notice(FAILED, "Updating", one.message));
    [refused, degraded, failed].into_iter().flatten().collect()
}

/// Whether a change is on its way, why, and in words.
fn how_it_goes(admission: &Admission, fleet: &Fleet) -> (bool, &'static str, String) {
    let total = fleet.pods();
    match admission.progress {
        Progress::Complete => match (fleet.updated(), fleet.refusing()) {
            (0, 1..) => (false, "Refused", "no pod takes this generation".to_owned()),
            (updated, 0) => (
                false,
                COMPLETE,
                format!("{updated} pods run this generation"),
            ),
            (updated, refusing) => (
                false,
                COMPLETE,
                format!("{updated} of {total} pods run this generation; {refusing} do not take it"),
            ),
        },
        Progress::Waiting { .. } if total == 0 => {
            (true, "Updating", "no pod has reported".to_owned())
        }
        Progress::Waiting { at_risk } => {
            let mut who = fleet.who(admission.parts, &admission.pods).join(", ");
            if at_risk > SHOWN as u32 {
                who += ", ...";
            }
            let who = if who.is_empty() {
                who
            } else {
                format!(" ({who})")
            };
            let updated = fleet.updated();
            let told = format!(
                "{updated} of {total} pods run this generation; acting on it, or not ready: {at_risk}{who}"
            );
            (true, "Updating", told)
        }
        Progress::Failed { reverted } => {
            let who = match reverted {
                0 => "pods that are gone by now".to_owned(),
                reverted => format!("{reverted} pods"),
            };
            (
                false,
                FAILED,
                format!("{who} were not ready in time and went back to their last good spec"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rollout::{MaxUnavailable, PARTS};

    fn report(generation: i64, ready: bool, progressing: bool) -> ProcessReportStatus {
        let condition = |kind: &str, holds: bool| Condition {
            kind: kind.to_owned(),
            status: if holds {
                ConditionStatus::True
            } else {
                ConditionStatus::False
            },
            observed_generation: Some(generation),
            last_transition_time: String::new(),
            reason: "X".to_owned(),
            message: String::new(),
        };
        ProcessReportStatus {
            observed_generation: Some(generation),
            observed_uid: Some("u".to_owned()),
            phase: Phase::Running,
            conditions: vec![
                condition("Ready", ready),
                condition("Progressing", progressing),
            ],
            ..ProcessReportStatus::default()
        }
    }

    fn version() -> ObjectVersion {
        ObjectVersion {
            uid: "u".into(),
            generation: 2,
        }
    }

    const COUNT: MaxUnavailable = MaxUnavailable::Count(1);

    fn at_its_end(progress: Progress) -> Admission {
        Admission {
            parts: PARTS,
            pods: Vec::new(),
            progress,
        }
    }

    fn count(reports: &[ProcessReportStatus]) -> Count {
        let mut count = Count::default();
        for (at, report) in reports.iter().enumerate() {
            count.add(&format!("uid-{at}"), report, &version());
        }
        count
    }

    #[test]
    fn pods_are_counted_and_those_that_ended_are_not() {
        let mut gone = report(1, false, false);
        gone.phase = Phase::Stopped;
        let count = count(&[
            report(1, true, false),
            report(2, true, true),
            report(2, true, false),
            gone,
        ]);
        let admission = Admission {
            parts: 200,
            pods: vec!["uid-7".to_owned()],
            progress: Progress::Waiting { at_risk: 1 },
        };
        let status = status(2, &count, (&admission, None), None, Wall(0));
        let pods = status.pods.unwrap();
        assert_eq!((pods.total, pods.updated, pods.ready), (3, 2, 3));
        assert_eq!(pods.summary, "3/3");
        assert_eq!(count.fleet.ready(), 2, "one is in the middle of the change");
        let rollout = status.rollout.unwrap();
        assert_eq!(rollout.admitted_parts_per_billion, 200);
        assert_eq!(rollout.admitted_pods, ["uid-7"]);
        let told: Vec<String> = (status.conditions.iter())
            .map(|one| format!("{} {:?} {}", one.kind, one.status, one.reason))
            .collect();
        assert_eq!(
            told,
            [
                "Accepted True Valid",
                "Progressing True Updating",
                "Ready True AllReady",
                "Degraded False AsExpected"
            ]
        );
    }

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let count = count(&[report(2, true, false)]);
        let first = status(
            2,
            &count,
            (&at_its_end(Progress::Complete), None),
            None,
            Wall(0),
        );
        let later = Wall(60_000_000);
        let again = status(
            2,
            &count,
            (&at_its_end(Progress::Complete), None),
            Some(&first),
            later,
        );
        assert_eq!(first, again);
        let failed = Progress::Failed { reverted: 1 };
        let other = status(2, &count, (&at_its_end(failed), None), Some(&first), later);
        assert_eq!(other.conditions[1].reason, "ProgressDeadlineExceeded");
        assert_eq!(
            other.conditions[1].last_transition_time,
            first.conditions[1].last_transition_time
        );
    }

    #[test]
    fn a_rollout_is_remembered_for_its_generation() {
        let reports = [report(2, true, false), report(1, true, false)];
        let failed = Progress::Failed { reverted: 1 };
        let told = (&at_its_end(failed), None);
        let status = |reports| status(2, &count(reports), told, None, Wall(0));
        let all_acted = status(&reports[..1]);
        assert!(!before(Some(&all_acted), 3).settling, "nobody acts");
        let status = status(&reports);
        let known = before(Some(&status), 2);
        assert_eq!(
            (known.parts, known.failed, known.complete),
            (PARTS, true, false)
        );
        let next = Before {
            settling: true,
            ..Before::default()
        };
        assert_eq!(before(Some(&status), 3), next);
        assert_eq!(before(None, 2), next);
    }

    #[test]
    fn a_report_of_another_set_of_the_same_name_says_nothing_of_this_one() {
        let mut other = report(2, true, false);
        other.observed_uid = Some("v".to_owned());
        let count = count(&[other, report(2, true, false)]);
        assert_eq!((count.fleet.pods(), count.fleet.updated()), (2, 1));
    }

    #[test]
    fn who_ended_under_the_new_spec_is_at_risk() {
        let mut ended = report(2, false, false);
        ended.phase = Phase::Stopped;
        let mut earlier = report(1, false, false);
        earlier.phase = Phase::Stopped;
        let count = count(&[ended, earlier, report(1, true, false)]);
        assert_eq!((count.fleet.pods(), count.fleet.at_risk(0, &[])), (1, 1));
    }

    #[test]
    fn who_ended_or_leaves_after_it_had_proved_the_new_spec_is_not() {
        for (phase, pods) in [(Phase::Stopped, 0), (Phase::Draining, 1)] {
            let mut ended = report(2, false, false);
            ended.phase = phase;
            let mut conditions = ended.conditions.iter_mut();
            let progressing = conditions.find(|one| one.kind == "Progressing").unwrap();
            progressing.reason = SETTLED.to_owned();
            let count = count(&[ended]);
            assert_eq!((count.fleet.pods(), count.fleet.at_risk(0, &[])), (pods, 0));
        }
    }

    fn refusing(reason: &str, uid: Option<&str>) -> ProcessReportStatus {
        let mut report = report(1, false, false);
        report.refused_uid = uid.map(str::to_owned);
        report.conditions.push(Condition {
            kind: "Accepted".to_owned(),
            status: ConditionStatus::False,
            observed_generation: Some(2),
            last_transition_time: String::new(),
            reason: reason.to_owned(),
            message: String::new(),
        });
        report
    }

    #[test]
    fn what_a_pod_refuses_may_be_of_another_set_than_what_it_runs() {
        let mut back = refusing(Refusal::PROGRESS_DEADLINE, Some("u"));
        back.observed_uid = Some("v".to_owned());
        let failed = |report: ProcessReportStatus| {
            let admission = count(&[report]).fleet.admit(&Before::default(), COUNT);
            matches!(admission.progress, Progress::Failed { .. })
        };
        assert!(failed(back));
        assert!(!failed(refusing(Refusal::PROGRESS_DEADLINE, Some("v"))));
    }

    #[test]
    fn who_was_not_ready_before_either_fails_no_rollout_and_holds_nobody_up() {
        let broken = refusing(Refusal::WAS_NOT_READY, Some("u"));
        let count = count(&[broken, report(2, true, false)]);
        let admission = count.fleet.admit(&Before::default(), COUNT);
        assert_eq!(admission.progress, Progress::Complete);
    }

    #[test]
    fn another_revision_is_the_matter_of_those_pods() {
        let mut old = report(1, true, false);
        old.conditions.push(Condition {
            kind: "Accepted".to_owned(),
            status: ConditionStatus::False,
            observed_generation: Some(2),
            last_transition_time: String::new(),
            reason: "RevisionMismatch".to_owned(),
            message: "another revision".to_owned(),
        });
        // The generation that it refuses, said of this set.
        let count = count(&[old.clone(), report(2, true, false)]);
        assert_eq!(
            (count.fleet.refusing(), count.fleet.at_risk(PARTS, &[])),
            (1, 0)
        );
    }
}
