//! The tables of `docs/changes.md`, made from the table of what a change of each field does.

use std::fmt::Write as _;

use podinit::cli::explain::words;
use podinit::domain::plan::diff::table::{Effect, entries};

/// The text with this between its marks.
pub fn put(text: &str, name: &str, table: &str) -> String {
    let (open, close) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let (before, rest) = text.split_once(&open).unwrap();
    let (_, after) = rest.split_once(&close).unwrap();
    format!("{before}{open}{table}{close}{after}")
}

/// What the words mean.
pub fn legend() -> String {
    let mut out = "| what happens | |\n|---|---|\n".to_owned();
    for effect in Effect::ALL {
        let _ = writeln!(out, "| {effect} | {} |", effect.meaning());
    }
    out
}

/// All fields.
pub fn fields() -> String {
    let mut out = "| field | what happens | fleet | |\n|---|---|---|---|\n".to_owned();
    for entry in entries() {
        let row = entry.row;
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            entry.path,
            words(&entry),
            row.turn,
            row.note
        );
    }
    out
}
