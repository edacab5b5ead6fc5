//! `podinit explain-changes [PATH...]`: what a change of each field does to a set that runs.

use std::io::{self, Write};

use serde::Serialize;

use super::check::Output;
use super::exit;
use crate::domain::plan::diff::table::{Entry, entries, explain, fields};
use crate::spec::nearest;

/// The arguments of `podinit explain-changes`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Fields, such as spec.processes[].command or spec.hooks, each with those below it [default: all]
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,

    /// The form of the output
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    pub output: Output,
}

const AFTER_HELP: &str = "\
WHAT HAPPENS: restart: the runs of the process are replaced, as its updateStrategy says; in place: it holds at once, and no \
run is touched; comes or goes: a process is started or stopped; next start: it holds from the next start of the \
container on; nothing; refused: such a spec is not taken.
FLEET: whether a pod with a ProcessSet of the API server waits for its turn among the pods of the set.

Exit codes: 0; 64 usage, also when there is no such field.";

/// Prints what there is to say; [`exit::USAGE`] if one of the fields does not exist.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mut found = Vec::new();
    for path in &args.paths {
        let some = explain(path);
        if some.is_empty() {
            let hint = meant(path).map(|path| format!(": did you mean `{path}`?"));
            let hint = hint.unwrap_or_default();
            writeln!(err, "podinit: a ProcessSet has no field `{path}`{hint}")?;
            return Ok(exit::USAGE);
        }
        found.extend(some);
    }
    if args.paths.is_empty() {
        found = entries();
    }
    match args.output {
        Output::Text => write_text(&found, out)?,
        Output::Json => write_json(&found, out)?,
    }
    Ok(exit::OK)
}

/// The path that was probably meant.
fn meant(path: &str) -> Option<String> {
    let whole = format!("spec.{path}");
    if !path.is_empty() && !explain(&whole).is_empty() {
        return Some(whole);
    }
    let known = fields();
    nearest(path, known.iter().map(String::as_str)).map(str::to_owned)
}

fn write_text(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let rows = entries.iter().map(|entry| {
        let row = entry.row;
        [
            entry.path.clone(),
            words(entry),
            row.turn.to_string(),
            row.note.to_owned(),
        ]
    });
    let head = ["FIELD", "WHAT HAPPENS", "FLEET", "NOTE"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let [first, second, third] = [0, 1, 2].map(width);
    for [path, what, turn, note] in &rows {
        let line = format!("{path:first$}  {what:second$}  {turn:third$}  {note}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// What happens, as in the documentation.
pub fn words(entry: &Entry) -> String {
    let effects: Vec<String> = entry.row.effects.iter().map(ToString::to_string).collect();
    effects.join(", ")
}

#[derive(Serialize)]
struct Document<'a> {
    fields: Vec<Field<'a>>,
}

#[derive(Serialize)]
struct Field<'a> {
    path: &'a str,
    effects: Vec<&'static str>,
    fleet: &'static str,
    /// As the record of a change calls it.
    told: &'static [&'static str],
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'static str,
}

fn write_json(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let fields = entries.iter().map(Field::of).collect();
    serde_json::to_writer_pretty(&mut *out, &Document { fields })?;
    writeln!(out)
}

impl<'a> Field<'a> {
    fn of(Entry { path, row }: &'a Entry) -> Field<'a> {
        Field {
            path,
            effects: row.effects.iter().map(|effect| effect.word()).collect(),
            fleet: row.turn.word(),
            told: row.told,
            note: row.note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(arguments: &[&str]) -> (u8, String, String) {
        let arguments = ["podinit", "explain-changes"].iter().chain(arguments);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = super::super::run(
            arguments.map(Into::into),
            &super::super::Surroundings::default(),
            &mut out,
            &mut err,
        );
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(out), text(err))
    }

    #[test]
    fn some_fields() {
        let (code, out, err) = printed(&["spec.processes[0].command", "spec.shutdown.drain"]);
        assert_eq!((code, err.as_str()), (exit::OK, ""));
        assert_eq!(
            out,
            "FIELD                     WHAT HAPPENS  FLEET    NOTE\n\
             spec.processes[].command  restart       waits\n\
             spec.shutdown.drain       in place      at once\n"
        );
    }

    #[test]
    fn all_fields_for_programs() {
        let (code, out, _) = printed(&["-o", "json"]);
        assert_eq!(code, exit::OK);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        let all = document["fields"].as_array().unwrap();
        assert_eq!(all.len(), entries().len());
        let command = all
            .iter()
            .find(|one| one["path"] == "spec.processes[].args");
        assert_eq!(
            command,
            Some(&serde_json::json!({
                "path": "spec.processes[].args",
                "effects": ["restart"],
                "fleet": "waits",
                "told": ["command"],
            }))
        );
    }

    #[test]
    fn a_field_that_does_not_exist() {
        for (path, hint) in [
            (
                "spec.processes[].comand",
                ": did you mean `spec.processes[].command`?",
            ),
            (
                "spec.processes.comand",
                ": did you mean `spec.processes[].command`?",
            ),
            (
                "processes.command",
                ": did you mean `spec.processes.command`?",
            ),
            ("nonsense", ""),
            ("", ""),
        ] {
            let (code, out, err) = printed(&["spec.hooks", path]);
            assert_eq!((code, out.as_str()), (exit::USAGE, ""));
            assert_eq!(
                err,
                format!("podinit: a ProcessSet has no field `{path}`{hint}\n")
            );
        }
    }
}
