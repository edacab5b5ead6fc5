//! What is drawn, whatever the form: sidecars, waves with their conditions, and the stages of the stop in words and times.

use std::time::Duration;

use crate::domain::id::ProcessId;
use crate::domain::plan::Condition;
use crate::domain::plan::graph::{Cause, StartGraph};
use crate::domain::plan::resolve::sidecar_probe;
use crate::domain::shutdown::fit::{Fit, Grace};
use crate::domain::shutdown::outline::StageKind;
use crate::domain::shutdown::table::seconds;
use crate::domain::shutdown::timeline::{Bar, Timeline};
use crate::spec::v1alpha1::{self as wire, ProcessSet};

/// A plan, ready to be drawn.
#[derive(Debug)]
pub(super) struct Drawing {
    /// The name of the set.
    pub(super) name: String,
    /// What is waited for before the first wave.
    pub(super) sidecars: Vec<Beside>,
    /// Enabled processes, in the order of the waves.
    pub(super) starts: Vec<Start>,
    /// How many waves there are.
    pub(super) waves: usize,
    /// The longest way through the waves, as places in `starts`.
    pub(super) way: Vec<usize>,
    /// The stop.
    pub(super) fit: Fit,
    /// Its stages in the order in which they begin.
    pub(super) stages: Vec<StageLine>,
}

/// A sidecar.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) name: String,
    /// For so long it is waited for; `None`: not at all.
    pub(super) limit: Option<Duration>,
    /// The set starts without it.
    pub(super) or_start: bool,
    /// It is told to quit when the set ends by itself.
    pub(super) quits: bool,
}

impl Beside {
    fn of(sidecar: &wire::Sidecar) -> Beside {
        let limit = sidecar_probe(sidecar).map(|probe| {
            let checks = u64::from(probe.period_seconds) * u64::from(probe.failure_threshold);
            Duration::from_secs(u64::from(probe.initial_delay_seconds) + checks)
        });
        Beside {
            name: sidecar.name.clone(),
            limit,
            or_start: sidecar.on_timeout == wire::OnTimeout::Start,
            quits: sidecar.quit == wire::QuitPolicy::OnCompletion,
        }
    }

    /// `ready within 60s, else exit 69`.
    pub(super) fn in_words(&self) -> String {
        let mut words = match (self.limit, self.or_start) {
            (None, _) => "not waited for".to_owned(),
            (Some(limit), false) => format!("ready within {}s, else exit 69", seconds(limit)),
            (Some(limit), true) => format!("ready within {}s or not", seconds(limit)),
        };
        if self.quits {
            words.push_str("; quits when the set ended by itself");
        }
        words
    }
}

/// A process at the start.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) name: String,
    pub(super) init: bool,
    pub(super) replicas: u32,
    /// Its wave, from 1.
    pub(super) wave: usize,
    pub(super) on_the_way: bool,
    pub(super) waits: Vec<Wait>,
}

/// What it waits for.
#[derive(Debug)]
pub(super) struct Wait {
    /// A place in `starts`.
    pub(super) on: usize,
    pub(super) condition: Condition,
    pub(super) optional: bool,
    pub(super) cause: Cause,
}

/// A stage of the stop.
#[derive(Debug)]
pub(super) struct StageLine {
    /// Its place in the outline.
    pub(super) stage: usize,
    pub(super) label: String,
    pub(super) kind: StageKind,
    pub(super) bar: Bar,
    /// Its own limit; `None`: all that is left.
    pub(super) limit: Option<Duration>,
    pub(super) longest: bool,
}

impl Drawing {
    pub(super) fn of(set: &ProcessSet, grace: Option<u32>) -> Drawing {
        let spec = &set.spec;
        let graph = StartGraph::of(spec).with_priorities();
        let waves = graph.waves();
        let order: Vec<ProcessId> = waves.iter().flatten().copied().collect();
        let mut place = vec![0; order.len()];
        for (at, process) in order.iter().enumerate() {
            place[process.index()] = at;
        }
        let way = graph.longest_way();
        let mut starts = Vec::new();
        for (wave, processes) in waves.iter().enumerate() {
            for process in processes {
                let node = graph.node(*process);
                starts.push(Start {
                    name: node.name.to_owned(),
                    init: node.init,
                    replicas: if node.init {
                        1
                    } else {
                        spec.processes[node.at].replicas
                    },
                    wave: wave + 1,
                    on_the_way: way.contains(process),
                    waits: (graph.edges(*process).into_iter())
                        .map(|(on, edge)| Wait {
                            on: place[on.index()],
                            condition: edge.condition,
                            optional: edge.optional,
                            cause: edge.cause,
                        })
                        .collect(),
                });
            }
        }
        let fit = Fit::of(spec, grace);
        Drawing {
            name: set.metadata.name.clone().unwrap_or_default(),
            sidecars: spec.sidecars.iter().map(Beside::of).collect(),
            starts,
            waves: waves.len(),
            way: way.iter().map(|process| place[process.index()]).collect(),
            stages: stages(&fit.timeline),
            fit,
        }
    }

    /// `after redis Ready, php-fpm Started if it is there`; nothing when it waits for nobody.
    pub(super) fn waits_in_words(&self, start: &Start) -> String {
        let words: Vec<String> = start
            .waits
            .iter()
            .map(|wait| format!("{} {}", self.starts[wait.on].name, condition(wait)))
            .collect();
        if words.is_empty() {
            return String::new();
        }
        format!("after {}", words.join(", "))
    }

    /// The longest way, such as `migrate > redis > web`.
    pub(super) fn way_in_words(&self) -> String {
        let names: Vec<&str> = (self.way.iter())
            .map(|at| self.starts[*at].name.as_str())
            .collect();
        names.join(" > ")
    }

    /// Where the grace period is from.
    pub(super) fn source(&self) -> &'static str {
        match self.fit.grace {
            Grace::Asked(_) => "--grace",
            Grace::Spec(_) => "spec.terminationGracePeriodSeconds",
            Grace::Default => "default",
        }
    }

    /// Whether it fits, in a sentence.
    pub(super) fn verdict(&self) -> String {
        let timeline = &self.fit.timeline;
        let budget = seconds(timeline.deadlines.budget());
        if timeline.longest.is_empty() {
            return "nothing takes time".to_owned();
        }
        let chain = self.fit.chain();
        let sum = if timeline.longest.len() > 1 {
            format!("{chain} = {}s", seconds(timeline.needed))
        } else {
            chain
        };
        if timeline.fits {
            return format!("{sum}, which fits into {budget}s");
        }
        let enough = (self.fit.enough())
            .map(|enough| format!("; a grace period of {enough}s would do"))
            .unwrap_or_default();
        format!("{sum}, which does not fit into {budget}s{enough}")
    }
}

fn stages(timeline: &Timeline) -> Vec<StageLine> {
    let outline = &timeline.outline;
    let line = |stage: usize| StageLine {
        stage,
        label: outline.label(stage),
        kind: outline.steps[stage].kind,
        bar: timeline.bars[stage],
        limit: outline.stages[stage].limit,
        longest: timeline.longest.contains(&stage),
    };
    timeline.by_start().into_iter().map(line).collect()
}

/// `Ready`, `Ready (optional)`.
pub(super) fn condition(wait: &Wait) -> String {
    let name = condition_name(wait.condition);
    // What the order of lists and priorities makes is never more than an order.
    match (wait.optional, wait.cause) {
        (true, Cause::DependsOn { .. }) => format!("{name} (optional)"),
        (true, Cause::InitOrder | Cause::Priority) | (false, _) => name.to_owned(),
    }
}

/// As a spec writes it.
pub(super) fn condition_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "Started",
        Condition::Ready => "Ready",
        Condition::Completed => "Completed",
        Condition::Exited => "Exited",
    }
}

/// A text of at most `width` characters; what is longer loses its middle.
pub(super) fn fitted(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let keep = width.saturating_sub(2);
    let head: String = text.chars().take(keep - keep / 2).collect();
    let tail: String = text.chars().skip(length - keep / 2).collect();
    format!("{head}..{tail}")
}

/// The lines of a paragraph, broken at spaces.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
