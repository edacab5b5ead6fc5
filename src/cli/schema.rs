//! `podinit schema`: the JSON schema of a ProcessSet, for editors.

use std::io::{self, Write};

use super::exit;
use crate::spec::schema;

/// The arguments of `podinit schema`: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// The schema as text.
pub fn text() -> io::Result<String> {
    let mut text = serde_json::to_string_pretty(&schema::json_schema())?;
    text.push('\n');
    Ok(text)
}

/// Prints the schema.
pub fn run(_: &Args, out: &mut dyn Write) -> io::Result<u8> {
    out.write_all(text()?.as_bytes())?;
    Ok(exit::OK)
}
