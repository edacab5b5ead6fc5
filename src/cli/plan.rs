//! `podinit plan [FILE]`: the order of the start, and how the stop goes at worst, drawn.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::ValueEnum;

use super::{Surroundings, check, exit};
use crate::config::{self, Source};

mod drawing;
mod json;
mod mermaid;
mod scale;
mod svg;
mod text;

use drawing::Drawing;

/// The arguments of `podinit plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to draw; `-` is standard input. Without one: $PODINIT_CONFIG, /etc/podinit/processset.yaml, ./processset.yaml
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// The form of the output
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    pub output: Output,

    /// The pod's terminationGracePeriodSeconds [default: the file's own, else 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86400))]
    pub grace: Option<u32>,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a terminal: 100 columns of ASCII.
    Text,
    /// For programs: one JSON object.
    Json,
    /// Markdown with a flowchart and a Gantt chart, which GitHub and GitLab draw.
    Mermaid,
    /// A picture that stands for itself.
    Svg,
}

/// Draws the file; [`exit::SPEC`] if it is invalid or missing. What does not fit is drawn as well.
pub fn run(
    args: &Args,
    surroundings: &Surroundings,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let variable = surroundings.variable(config::CONFIG_VARIABLE);
    let source = match &args.file {
        Some(file) => Source::new(Some(file), None),
        None => Source::new(None, variable),
    };
    let checked = check::check(&source, surroundings);
    let set = checked.loaded.as_ref().and_then(|all| all.set.as_ref());
    let Some(set) = set.filter(|_| checked.is_valid()) else {
        match args.output {
            Output::Json => json::write_invalid(&checked.problems, out)?,
            // What is drawn goes to standard output, and often into a file.
            Output::Text | Output::Mermaid | Output::Svg => check::write_problems(&checked, err)?,
        }
        return Ok(exit::SPEC);
    };
    let drawing = Drawing::of(set, args.grace);
    match args.output {
        Output::Json => json::write(&drawing, &checked.problems, out)?,
        Output::Text => out.write_all(text::draw(&drawing).as_bytes())?,
        Output::Mermaid => out.write_all(mermaid::draw(&drawing).as_bytes())?,
        Output::Svg => out.write_all(svg::draw(&drawing).as_bytes())?,
    }
    Ok(exit::OK)
}
