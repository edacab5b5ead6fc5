//! Where a spec comes from, and the files it names. Yields bytes and their origin, not meaning.
#![expect(clippy::disallowed_methods, reason = "an adapter: it reads files")]

mod files;
mod source;

pub use files::{read_files, read_or_empty};
pub use source::{Document, MAX_BYTES, Source, SourceError};
