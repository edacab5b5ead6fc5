//! `podinit check [FILE...]`: everything that is wrong with ProcessSet files.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::ValueEnum;
use serde::Serialize;

use super::{Surroundings, exit};
use crate::{
    config::{self, Source},
    domain::{plan::validate::validate, shutdown::fit::Fit},
    spec::{Loaded, Problem, load, problem::excerpt},
};

/// The arguments of `podinit check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to check; `-` is standard input. Without one: $PODINIT_CONFIG, /etc/podinit/processset.yaml, ./processset.yaml
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The form of the output
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    pub output: Output,

    /// The pod's terminationGracePeriodSeconds: it is an error when the stop asks for more [default: a warning, against
    /// the file's own, else 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86400))]
    pub grace: Option<u32>,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people: each problem with its line.
    Text,
    /// For programs: one JSON object.
    Json,
}

/// What became of one file.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) file: String,
    pub(super) text: String,
    pub(super) loaded: Option<Loaded>,
    pub(super) problems: Vec<Problem>,
}

impl Checked {
    pub(super) fn is_valid(&self) -> bool {
        !self.problems.iter().any(Problem::is_error)
    }

    /// Whether the stop of a valid set fits.
    fn check_stop(&mut self, grace: Option<u32>) {
        if !self.is_valid() {
            return;
        }
        let Some(loaded) = &self.loaded else { return };
        let Some(set) = &loaded.set else { return };
        if let Some(problem) = Fit::of(&set.spec, grace).problem(&set.spec) {
            self.problems.push(loaded.placed(problem));
            self.problems.sort_by_key(|problem| problem.position);
        }
    }
}

/// Checks the files; [`exit::SPEC`] if one of them is invalid or missing.
pub fn run(args: &Args, surroundings: &Surroundings, out: &mut dyn Write) -> io::Result<u8> {
    let variable = surroundings.variable(config::CONFIG_VARIABLE);
    let sources: Vec<Source> = if args.files.is_empty() {
        vec![Source::new(None, variable)]
    } else {
        args.files
            .iter()
            .map(|file| Source::new(Some(file), None))
            .collect()
    };
    let checked: Vec<Checked> = sources
        .iter()
        .map(|source| {
            let mut checked = check(source, surroundings);
            checked.check_stop(args.grace);
            checked
        })
        .collect();
    match args.output {
        Output::Text => write_text(&checked, out)?,
        Output::Json => write_json(&checked, out)?,
    }
    Ok(if checked.iter().all(Checked::is_valid) {
        exit::OK
    } else {
        exit::SPEC
    })
}

/// Everything that is wrong with one file, whatever the grace period.
pub(super) fn check(source: &Source, surroundings: &Surroundings) -> Checked {
    match config::read(source, &surroundings.directory) {
        Ok(read) => {
            let mut loaded = load(&read.text, &read.origin, &surroundings.environment);
            let mut problems = std::mem::take(&mut loaded.problems);
            if let Some(set) = &loaded.set {
                let found = validate(&set.spec).into_iter();
                problems.extend(found.map(|problem| loaded.placed(problem)));
                problems.sort_by_key(|problem| problem.position);
            }
            Checked {
                file: read.origin,
                text: read.text,
                loaded: Some(loaded),
                problems,
            }
        }
        Err(error) => Checked {
            file: error.origin().to_owned(),
            text: String::new(),
            loaded: None,
            problems: vec![error.to_problem()],
        },
    }
}

/// The problems of a file, each with its line.
pub(super) fn write_problems(file: &Checked, out: &mut dyn Write) -> io::Result<()> {
    for problem in &file.problems {
        writeln!(out, "{}", excerpt(problem, &file.text))?;
    }
    Ok(())
}

fn write_text(checked: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    for file in checked {
        write_problems(file, out)?;
        let set = file.loaded.as_ref().and_then(|loaded| loaded.set.as_ref());
        if let Some(set) = set.filter(|_| file.is_valid()) {
            let spec = &set.spec;
            let parts: Vec<String> = [
                (spec.init_processes.len(), "init process"),
                (spec.processes.len(), "process"),
                (spec.cron_processes.len(), "cron process"),
                (spec.sidecars.len(), "sidecar"),
            ]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, noun)| counted(count, noun))
            .collect();
            let name = set.metadata.name.as_deref().unwrap_or_default();
            writeln!(
                out,
                "{}: valid: {name} with {}",
                file.file,
                parts.join(", ")
            )?;
        } else if !file.file.is_empty() {
            let errors = file
                .problems
                .iter()
                .filter(|problem| problem.is_error())
                .count();
            writeln!(out, "{}: {}", file.file, counted(errors, "error"))?;
        }
    }
    Ok(())
}

/// `1 process`, `2 processes`.
fn counted(count: usize, noun: &str) -> String {
    match (count, noun.ends_with('s')) {
        (1, _) => format!("1 {noun}"),
        (_, true) => format!("{count} {noun}es"),
        (_, false) => format!("{count} {noun}s"),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    files: Vec<FileReport<'a>>,
}

#[derive(Serialize)]
struct FileReport<'a> {
    file: &'a str,
    valid: bool,
    problems: &'a [Problem],
}

fn write_json(checked: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    let files = checked.iter().map(|file| FileReport {
        file: &file.file,
        valid: file.is_valid(),
        problems: &file.problems,
    });
    serde_json::to_writer_pretty(
        &mut *out,
        &Report {
            files: files.collect(),
        },
    )?;
    writeln!(out)
}
