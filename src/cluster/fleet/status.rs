//! Reports, folded, as the status of a ProcessSet. Pure.

use crate::domain::event::Refusal;
use crate::domain::rollout::{Fleet, Pod, Progress};
use crate::domain::time::Wall;
use crate::ports::Notice;
use crate::spec::v1alpha1::{
    Condition, ConditionStatus, Phase, PodCounts, ProcessReportStatus, ProcessSetStatus,
    RolloutStatus,
};

/// The pods of a set, counted.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) fleet: Fleet,
    degraded: u32,
    serving: u32,
}

impl Count {
    /// Counts a report; one of a pod that has ended does not count.
    pub(super) fn add(&mut self, uid: &str, report: &ProcessReportStatus, generation: i64) {
        if report.phase == Phase::Stopped {
            return;
        }
        let holds = |kind: &str| {
            let found = report.conditions.iter().find(|one| one.kind == kind);
            found.is_some_and(|one| one.status == ConditionStatus::True)
        };
        let reverted = report.conditions.iter().any(|one| {
            one.kind == "Accepted"
                && one.reason == "ProgressDeadlineExceeded"
                && one.observed_generation == Some(generation)
        });
        self.degraded += u32::from(holds("Degraded"));
        self.serving += u32::from(holds("Ready"));
        self.fleet.add(Pod {
            uid,
            acted: report.observed_generation == Some(generation),
            // In the middle of a change a pod may look ready that is not done with it.
            ready: holds("Ready") && !holds("Progressing"),
            reverted,
        });
    }
}

/// The status; conditions that did not change keep their time.
pub(super) fn status(
    generation: i64,
    count: &Count,
    (permille, progress, refused): (u32, Progress, Option<&Refusal>),
    before: Option<&ProcessSetStatus>,
    now: Wall,
) -> ProcessSetStatus {
    let fleet = &count.fleet;
    let (total, ready) = (fleet.pods(), count.serving);
    let refused = refused.filter(|refused| {
        let object = refused.origin.object.as_ref();
        object.is_some_and(|object| object.generation == generation)
    });
    let (accepted, accepted_reason, accepted_message) = match refused {
        Some(refused) => (false, refused.reason, refused.message.clone()),
        None => (true, "Valid", String::new()),
    };
    let (moving, moving_reason, moving_message) = how_it_goes(progress, fleet);
    let all_ready = total > 0 && ready == total;
    let ready_message = format!("{ready} of {total} pods are ready");
    let degraded = count.degraded > 0;
    let degraded_message = match count.degraded {
        0 => String::new(),
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
            admitted_permille: permille,
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
    let failed = told("Progressing", ConditionStatus::False)
        .filter(|one| one.reason == "ProgressDeadlineExceeded");
    let refused = refused.map(|one| {
        let problems = one.message.replace('\n', "; ");
        let note = format!("{}: {problems}", one.reason);
        notice("FailedUpdate", "Updating", note)
    });
    let degraded = degraded.map(|one| notice("Degraded", "Running", one.message));
    let failed = failed.map(|one| notice("ProgressDeadlineExceeded", "Updating", one.message));
    [refused, degraded, failed].into_iter().flatten().collect()
}

/// Whether a change is on its way, why, and in words.
fn how_it_goes(progress: Progress, fleet: &Fleet) -> (bool, &'static str, String) {
    let total = fleet.pods();
    match progress {
        Progress::Complete => (
            false,
            "Complete",
            format!("{total} pods run this generation"),
        ),
        Progress::Waiting { at_risk } => (
            true,
            "Updating",
            format!(
                "{} of {total} pods run this generation; {at_risk} are acting on it or are not ready",
                fleet.updated()
            ),
        ),
        Progress::Failed { reverted } => (
            false,
            "ProgressDeadlineExceeded",
            format!("{reverted} pods were not ready in time and went back to their last good spec"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            phase: Phase::Running,
            conditions: vec![
                condition("Ready", ready),
                condition("Progressing", progressing),
            ],
            ..ProcessReportStatus::default()
        }
    }

    fn count(reports: &[ProcessReportStatus]) -> Count {
        let mut count = Count::default();
        for (at, report) in reports.iter().enumerate() {
            count.add(&format!("uid-{at}"), report, 2);
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
        let told = (200, Progress::Waiting { at_risk: 1 }, None);
        let status = status(2, &count, told, None, Wall(0));
        let pods = status.pods.unwrap();
        assert_eq!((pods.total, pods.updated, pods.ready), (3, 2, 3));
        assert_eq!(pods.summary, "3/3");
        assert_eq!(count.fleet.ready(), 2, "one is in the middle of the change");
        assert_eq!(status.rollout.unwrap().admitted_permille, 200);
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
        let first = status(2, &count, (1000, Progress::Complete, None), None, Wall(0));
        let later = Wall(60_000_000);
        let again = status(
            2,
            &count,
            (1000, Progress::Complete, None),
            Some(&first),
            later,
        );
        assert_eq!(first, again);
        let failed = Progress::Failed { reverted: 1 };
        let other = status(2, &count, (1000, failed, None), Some(&first), later);
        assert_eq!(other.conditions[1].reason, "ProgressDeadlineExceeded");
        assert_eq!(
            other.conditions[1].last_transition_time,
            first.conditions[1].last_transition_time
        );
    }
}
