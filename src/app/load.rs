//! From a document to a plan.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

use super::seat::Seat;
use crate::config::{self, Text};
use crate::domain::event::LoadFailure;
use crate::domain::plan::host::{FileRequest, HostView};
use crate::domain::plan::resolve::{command_plan, files_needed, resolve};
use crate::domain::plan::{Origin, Plan, revision};
use crate::ports::Object;
use crate::spec::{self, Loaded, Problem};

/// The spec is invalid or missing.
pub(super) const INVALID: u8 = 65;

/// A spec as one of its sources has it.
#[derive(Debug, Clone)]
pub(super) enum Document {
    /// From a file.
    Text(Text),
    /// From the API server.
    Object(Object),
}

impl Document {
    pub(super) fn origin(&self) -> Origin {
        match self {
            Document::Text(text) => Origin {
                what: text.origin.as_str().into(),
                object: None,
            },
            Document::Object(object) => Origin {
                what: object.what(),
                object: Some(object.version.clone()),
            },
        }
    }
}

/// What became of a document.
#[derive(Debug)]
pub(super) struct Reading {
    /// The plan with warnings, or why there is none.
    pub(super) plan: Result<(Plan, Vec<Problem>), Rejected>,
    /// The files that it depends on, beside its own.
    pub(super) paths: Vec<PathBuf>,
    /// The same for the same text and the same content of those files.
    pub(super) print: u64,
}

/// Why a document is no plan.
#[derive(Debug, Clone)]
pub(super) struct Rejected {
    /// In one word.
    pub(super) reason: &'static str,
    /// Whole; several lines where there are several problems.
    pub(super) message: String,
}

impl Rejected {
    pub(super) fn invalid(message: String) -> Rejected {
        Rejected {
            reason: "Invalid",
            message,
        }
    }
}

/// The plan of one command.
pub(super) fn command(argv: Vec<OsString>, seat: &Seat) -> Result<Plan, LoadFailure> {
    // It runs as podinit itself: nobody has to be looked up.
    command_plan(argv, &seat.view(&[], &[])).map_err(|problems| LoadFailure {
        code: INVALID,
        message: told(&problems),
    })
}

/// Looks at a document. This reads files.
pub(super) fn read(document: &Document, seat: &Seat) -> Reading {
    let mut print = DefaultHasher::new();
    let mut paths = Vec::new();
    let plan = plan_of(document, seat, &mut paths, &mut print);
    Reading {
        plan,
        paths,
        print: print.finish(),
    }
}

fn plan_of(
    document: &Document,
    seat: &Seat,
    paths: &mut Vec<PathBuf>,
    print: &mut DefaultHasher,
) -> Result<(Plan, Vec<Problem>), Rejected> {
    let environment = seat.text_environment();
    let loaded = match document {
        Document::Text(text) => {
            text.text.hash(print);
            spec::load(&text.text, &text.origin, &environment)
        }
        Document::Object(object) => {
            object.json.hash(print);
            spec::load_object(&object.json, &object.what(), &environment)
        }
    };
    let Some(process_set) = &loaded.set else {
        return Err(Rejected::invalid(told(&loaded.problems)));
    };
    let pod = seat.text_variable(revision::VARIABLE);
    if let Err(message) = revision::check(process_set.spec.revision.as_deref(), pod) {
        return Err(Rejected {
            reason: revision::MISMATCH,
            message,
        });
    }
    let passwd = config::read_or_empty("/etc/passwd").map_err(Rejected::invalid)?;
    let group = config::read_or_empty("/etc/group").map_err(Rejected::invalid)?;
    let mut host = seat.view(&passwd, &group);
    read_files(
        &mut host,
        files_needed(&process_set.spec, &seat.start_dir),
        paths,
        print,
    );
    let (mut plan, warnings) = resolve(process_set, &host)
        .map_err(|problems| Rejected::invalid(told(&placed(&loaded, problems))))?;
    plan.origin = document.origin();
    let mut all = loaded.problems.clone();
    all.extend(placed(&loaded, warnings));
    Ok((plan, all))
}

fn read_files(
    host: &mut HostView,
    needed: Vec<FileRequest>,
    paths: &mut Vec<PathBuf>,
    print: &mut DefaultHasher,
) {
    paths.extend(needed.iter().map(|request| match request {
        FileRequest::File(path) | FileRequest::Directory(path) => path.clone(),
    }));
    host.files = config::read_files(needed);
    let _ = write!(Print(print), "{:?}", host.files);
}

/// Takes the print of what is written into it.
struct Print<'a>(&'a mut DefaultHasher);

impl fmt::Write for Print<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn placed(loaded: &Loaded, problems: Vec<Problem>) -> Vec<Problem> {
    let problems = problems.into_iter();
    problems.map(|problem| loaded.placed(problem)).collect()
}

/// All problems, one a line.
pub(super) fn told(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
