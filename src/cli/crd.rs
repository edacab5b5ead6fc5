//! `podinit crd`: the CustomResourceDefinitions, made from the types.

use std::io::{self, Write};

use super::exit;
use crate::spec::{schema, yaml};

/// The arguments of `podinit crd`: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Each CRD with the name of the file it is committed as.
pub fn files() -> io::Result<[(&'static str, String); 2]> {
    let written = |crd| yaml::to_string(&crd).map_err(io::Error::other);
    Ok([
        (
            "podinit.dev_processsets.yaml",
            written(schema::process_set_crd())?,
        ),
        (
            "podinit.dev_processreports.yaml",
            written(schema::process_report_crd())?,
        ),
    ])
}

/// Prints both CRDs as YAML documents, ready for `kubectl apply --server-side -f -`.
pub fn run(_: &Args, out: &mut dyn Write) -> io::Result<u8> {
    for (_, crd) in files()? {
        write!(out, "---\n{crd}")?;
    }
    Ok(exit::OK)
}
