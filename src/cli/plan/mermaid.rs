//! The drawing as Markdown with two Mermaid diagrams: a flowchart for the start, a Gantt chart for the stop.

use std::fmt::Write as _;
use std::time::Duration;

use super::drawing::{Drawing, StageLine, condition};
use super::scale;
use crate::domain::shutdown::outline::StageKind;

/// Draws it.
pub(super) fn draw(drawing: &Drawing) -> String {
    format!(
        "The start:\n\n```mermaid\n{}```\n\nThe stop in {}s, when nobody ends by itself. The longest chain: {}.\n\n```mermaid\n{}```\n",
        flowchart(drawing),
        drawing.fit.grace.seconds(),
        drawing.verdict(),
        gantt(drawing)
    )
}

/// A process is `p0`, a sidecar `s0` and so on: its name may be a word of Mermaid's.
fn flowchart(drawing: &Drawing) -> String {
    let mut out = "flowchart LR\n".to_owned();
    if !drawing.sidecars.is_empty() {
        out.push_str("  subgraph w0 [\"sidecars\"]\n");
        for (at, sidecar) in drawing.sidecars.iter().enumerate() {
            let _ = writeln!(out, "    s{at}{{{{\"{}\"}}}}", sidecar.name);
        }
        out.push_str("  end\n");
    }
    for wave in 1..=drawing.waves {
        let _ = writeln!(out, "  subgraph w{wave} [\"{wave}\"]");
        for (at, start) in drawing.starts.iter().enumerate() {
            if start.wave == wave {
                let times = match start.replicas {
                    1 => String::new(),
                    replicas => format!(" x{replicas}"),
                };
                let (open, close) = if start.init { ("([", "])") } else { ("[", "]") };
                let _ = writeln!(out, "    p{at}{open}\"{}{times}\"{close}", start.name);
            }
        }
        out.push_str("  end\n");
    }
    let mut edges = Vec::new();
    for (at, start) in drawing.starts.iter().enumerate() {
        for wait in &start.waits {
            let line = if wait.optional { "-.->" } else { "-->" };
            let label = condition(wait);
            let _ = writeln!(out, "  p{} {line}|\"{label}\"| p{at}", wait.on);
            edges.push((wait.on, at));
        }
    }
    if !drawing.sidecars.is_empty() && drawing.waves > 0 {
        out.push_str("  w0 ==> w1\n");
    }
    // The others wait for all init processes: the waves say so.
    let inits = drawing.starts.iter().filter(|start| start.init);
    if let Some(last) = inits.map(|start| start.wave).max()
        && last < drawing.waves
    {
        let _ = writeln!(out, "  w{last} ==> w{}", last + 1);
    }
    let longest: Vec<String> = (edges.iter().enumerate())
        .filter(|(_, edge)| drawing.way.windows(2).any(|two| two == [edge.0, edge.1]))
        .map(|(at, _)| at.to_string())
        .collect();
    if !longest.is_empty() {
        let _ = writeln!(out, "  linkStyle {} stroke-width:4px", longest.join(","));
    }
    out
}

/// Times are milliseconds since the Unix epoch, shown as seconds since it.
fn gantt(drawing: &Drawing) -> String {
    let at = &drawing.fit.timeline.deadlines;
    let whole = at.end.since(at.t0);
    let mut out = "gantt\n  dateFormat x\n  axisFormat %s\n".to_owned();
    let step = scale::step(whole, 20).as_secs().max(1);
    let _ = writeln!(out, "  tickInterval {step}second");
    out.push_str("  section stages\n");
    for line in &drawing.stages {
        // A word in front of each name: some names are words of Mermaid's.
        let name = drawing.fit.timeline.outline.name(line.stage);
        let label = match line.kind {
            StageKind::SetHook => format!("hook {name}"),
            StageKind::Drain => name.to_owned(),
            StageKind::PreStop => format!("preStop {name}"),
            StageKind::Stop => format!("stop {name}"),
        };
        let _ = writeln!(
            out,
            "  {label}{} :{}{}, {}ms",
            if line.bar.is_cut() { " (cut)" } else { "" },
            tag(line),
            line.bar.start.as_millis(),
            line.bar.end.saturating_sub(line.bar.start).as_millis()
        );
    }
    let millis = |time: Duration| time.as_millis();
    let (kill, finish) = (at.budget(), at.finish_by.since(at.t_kill));
    let tail = at.end.since(at.finish_by);
    let _ = writeln!(out, "  section podinit");
    let _ = writeln!(out, "  finish :{}, {}ms", millis(kill), millis(finish));
    let _ = writeln!(
        out,
        "  tail :done, {}, {}ms",
        millis(kill + finish),
        millis(tail)
    );
    let _ = writeln!(
        out,
        "  SIGKILL by podinit :milestone, {}, 0ms",
        millis(kill)
    );
    let _ = writeln!(
        out,
        "  SIGKILL by the kubelet :milestone, {}, 0ms",
        millis(whole)
    );
    out
}

fn tag(line: &StageLine) -> &'static str {
    match (line.longest, line.bar.is_cut()) {
        (true, _) => "crit, ",
        (false, true) => "active, ",
        (false, false) => "",
    }
}
