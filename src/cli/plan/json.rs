//! The drawing for programs. Documented in docs/plan.md; keys are only ever added.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::drawing::{Beside, Drawing, StageLine, Start, condition_name};
use crate::domain::plan::Traffic;
use crate::domain::plan::graph::Cause;
use crate::domain::shutdown::outline::StageKind;
use crate::spec::Problem;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan<'a> {
    valid: bool,
    problems: &'a [Problem],
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<StartPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<StopPart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartPart<'a> {
    sidecars: Vec<SidecarPart<'a>>,
    waves: Vec<Vec<&'a str>>,
    longest: Vec<&'a str>,
    processes: Vec<ProcessPart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SidecarPart<'a> {
    name: &'a str,
    limit_seconds: Option<f64>,
    on_timeout: &'static str,
    quit: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessPart<'a> {
    name: &'a str,
    init: bool,
    replicas: u32,
    wave: usize,
    after: Vec<AfterPart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AfterPart<'a> {
    name: &'a str,
    condition: &'static str,
    optional: bool,
    because: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StopPart<'a> {
    grace_period_seconds: u32,
    source: &'static str,
    kill_seconds: f64,
    finish_seconds: f64,
    tail_seconds: f64,
    at_once: bool,
    fits: bool,
    needed_seconds: f64,
    enough_grace_period_seconds: Option<u32>,
    longest: Vec<usize>,
    stages: Vec<StagePart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StagePart<'a> {
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<&'static str>,
    after: Vec<usize>,
    limit_seconds: Option<f64>,
    claim_seconds: f64,
    start_seconds: f64,
    end_seconds: f64,
    cut: bool,
}

/// A spec that is invalid.
pub(super) fn write_invalid(problems: &[Problem], out: &mut dyn Write) -> io::Result<()> {
    let plan = Plan {
        valid: false,
        problems,
        name: None,
        start: None,
        stop: None,
    };
    serde_json::to_writer_pretty(&mut *out, &plan)?;
    writeln!(out)
}

/// Writes it.
pub(super) fn write(
    drawing: &Drawing,
    problems: &[Problem],
    out: &mut dyn Write,
) -> io::Result<()> {
    let names = |places: &[usize]| -> Vec<&str> {
        let name = |at: &usize| drawing.starts[*at].name.as_str();
        places.iter().map(name).collect()
    };
    let wave = |wave: usize| -> Vec<&str> {
        let members = drawing.starts.iter().filter(|start| start.wave == wave);
        members.map(|start| start.name.as_str()).collect()
    };
    let start = StartPart {
        sidecars: drawing.sidecars.iter().map(sidecar).collect(),
        waves: (1..=drawing.waves).map(wave).collect(),
        longest: names(&drawing.way),
        processes: (drawing.starts.iter())
            .map(|start| process(drawing, start))
            .collect(),
    };
    let plan = Plan {
        valid: true,
        problems,
        name: Some(&drawing.name),
        start: Some(start),
        stop: Some(stop(drawing)),
    };
    serde_json::to_writer_pretty(&mut *out, &plan)?;
    writeln!(out)
}

fn sidecar(sidecar: &Beside) -> SidecarPart<'_> {
    SidecarPart {
        name: &sidecar.name,
        limit_seconds: sidecar.limit.map(number),
        on_timeout: if sidecar.or_start { "Start" } else { "Fail" },
        quit: if sidecar.quits {
            "OnCompletion"
        } else {
            "Never"
        },
    }
}

fn process<'a>(drawing: &'a Drawing, start: &'a Start) -> ProcessPart<'a> {
    let after = start.waits.iter().map(|wait| AfterPart {
        name: &drawing.starts[wait.on].name,
        condition: condition_name(wait.condition),
        optional: wait.optional,
        because: match wait.cause {
            Cause::DependsOn { .. } => "dependsOn",
            Cause::InitOrder => "order",
            Cause::Priority => "priority",
        },
    });
    ProcessPart {
        name: &start.name,
        init: start.init,
        replicas: start.replicas,
        wave: start.wave,
        after: after.collect(),
    }
}

fn stop(drawing: &Drawing) -> StopPart<'_> {
    let timeline = &drawing.fit.timeline;
    let at = &timeline.deadlines;
    // Stages are listed in the order in which they begin, so places are translated.
    let place = |stage: usize| drawing.stages.iter().position(|line| line.stage == stage);
    StopPart {
        grace_period_seconds: drawing.fit.grace.seconds(),
        source: drawing.source(),
        kill_seconds: number(at.budget()),
        finish_seconds: number(at.finish_by.since(at.t_kill)),
        tail_seconds: number(at.end.since(at.finish_by)),
        at_once: timeline.at_once,
        fits: timeline.fits,
        needed_seconds: number(timeline.needed),
        enough_grace_period_seconds: drawing.fit.enough(),
        longest: timeline.longest.iter().copied().filter_map(place).collect(),
        stages: (drawing.stages.iter())
            .map(|line| stage(drawing, line, &place))
            .collect(),
    }
}

fn stage<'a>(
    drawing: &'a Drawing,
    line: &StageLine,
    place: &dyn Fn(usize) -> Option<usize>,
) -> StagePart<'a> {
    let outline = &drawing.fit.timeline.outline;
    let after = &outline.stages[line.stage].after;
    let traffic = || match drawing.fit.parts.members[outline.steps[line.stage].at].traffic {
        Traffic::Serving => "Serving",
        Traffic::Background => "Background",
    };
    StagePart {
        kind: match line.kind {
            StageKind::SetHook => "SetHook",
            StageKind::Drain => "Drain",
            StageKind::PreStop => "PreStop",
            StageKind::Stop => "Stop",
        },
        name: outline.name(line.stage),
        traffic: match line.kind {
            StageKind::PreStop | StageKind::Stop => Some(traffic()),
            StageKind::SetHook | StageKind::Drain => None,
        },
        after: after.iter().copied().filter_map(place).collect(),
        limit_seconds: line.limit.map(number),
        claim_seconds: number(line.bar.claim),
        start_seconds: number(line.bar.start),
        end_seconds: number(line.bar.end),
        cut: line.bar.is_cut(),
    }
}

/// Seconds with three decimals.
fn number(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
