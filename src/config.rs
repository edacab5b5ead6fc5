//! Where a spec comes from, and the files it names. Yields bytes and their origin, not meaning.
#![expect(
    clippy::disallowed_methods,
    reason = "an adapter: it reads files"
)]

mod files;

pub use files::{read_files, read_or_empty};
