//! A spec's text: from a file, from standard input, or from where one is looked for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where a spec is looked for when nobody says where it is, after `$PODINIT_CONFIG`.
const PLACES: [&str; 2] = ["/etc/podinit/processset.yaml", "processset.yaml"];

/// The variable that names the file.
const VARIABLE: &str = "PODINIT_CONFIG";

/// A spec may have at most so many bytes: etcd takes no more.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Where a spec is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In this file.
    File(PathBuf),
    /// On standard input.
    Stdin,
    /// `$PODINIT_CONFIG`, else /etc/podinit/processset.yaml, else ./processset.yaml.
    Search,
}

/// A spec's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text.
    pub text: String,
    /// What messages call it.
    pub origin: String,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nobody named a file and none is where one is looked for.
    #[error(
        "no ProcessSet found: {VARIABLE} is not set, and neither {} nor ./{} is there; name one with -f FILE",
        PLACES[0],
        PLACES[1]
    )]
    NotFound,
    /// It could not be opened or read.
    #[error("{origin}: {reason}")]
    Unreadable {
        /// What it is called.
        origin: String,
        /// What went wrong.
        reason: String,
    },
}

impl Source {
    /// From the value of `-f`: `-` is standard input, nothing is a search.
    pub fn from_flag(file: Option<PathBuf>) -> Source {
        match file {
            None => Source::Search,
            Some(file) if file == Path::new("-") => Source::Stdin,
            Some(file) => Source::File(file),
        }
    }

    /// Reads it. Relative paths are relative to `dir`. Only a read of standard input waits.
    pub fn read(
        &self,
        environment: &[(OsString, OsString)],
        dir: &Path,
    ) -> Result<Document, SourceError> {
        match self {
            Source::File(path) => read_file(path, dir),
            Source::Stdin => read_text(std::io::stdin().lock(), "<stdin>"),
            Source::Search => search(environment, dir),
        }
    }
}

fn search(environment: &[(OsString, OsString)], dir: &Path) -> Result<Document, SourceError> {
    let named = environment
        .iter()
        .find(|(name, value)| name == OsStr::new(VARIABLE) && !value.is_empty());
    if let Some((_, path)) = named {
        return read_file(Path::new(path), dir);
    }
    PLACES
        .iter()
        .map(Path::new)
        // What is there but cannot be read is an error, not a reason to look on.
        .find(|path| dir.join(path).symlink_metadata().is_ok())
        .map_or(Err(SourceError::NotFound), |path| read_file(path, dir))
}

fn read_file(path: &Path, dir: &Path) -> Result<Document, SourceError> {
    let origin = path.display().to_string();
    let unreadable = |reason: String| SourceError::Unreadable {
        origin: origin.clone(),
        reason,
    };
    // Not waiting for the other end of a FIFO, nor becoming a terminal's session.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(dir.join(path))
        .map_err(|error| unreadable(format!("failed to open it: {}", plain(&error))))?;
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(format!("failed to look at it: {}", plain(&error))))?;
    if metadata.is_dir() {
        return Err(unreadable(
            "it is a directory; name the file in it".to_owned(),
        ));
    }
    if !metadata.is_file() {
        return Err(unreadable(
            "it is no regular file; use -f - to read a pipe".to_owned(),
        ));
    }
    read_text(file, &origin)
}

fn read_text(reader: impl Read, origin: &str) -> Result<Document, SourceError> {
    let unreadable = |reason: String| SourceError::Unreadable {
        origin: origin.to_owned(),
        reason,
    };
    let mut bytes = Vec::new();
    reader
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("failed to read it: {}", plain(&error))))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!(
            "it has over {MAX_BYTES} bytes, more than a ProcessSet may have"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..at]).count();
        unreadable(format!("line {line}: not UTF-8 at byte {at}"))
    })?;
    Ok(Document {
        text,
        origin: origin.to_owned(),
    })
}

/// The error without its number, which means nothing to most.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_places() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("processset.yaml"), "place").unwrap();
        std::fs::write(dir.path().join("mine.yaml"), "mine").unwrap();
        let environment = [(OsString::from(VARIABLE), OsString::from("mine.yaml"))];
        let read = |environment: &[_]| Source::Search.read(environment, dir.path()).unwrap().text;
        assert_eq!(read(&environment), "mine");
        assert_eq!(read(&[]), "place");
        let missing = [(OsString::from(VARIABLE), OsString::from("gone.yaml"))];
        let error = Source::Search.read(&missing, dir.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "gone.yaml: failed to open it: No such file or directory"
        );
    }

    #[test]
    fn none_anywhere_says_where_it_looked() {
        let dir = tempfile::tempdir().unwrap();
        let error = Source::Search.read(&[], dir.path()).unwrap_err();
        assert!(error.to_string().contains("-f FILE"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_have_a_place() {
        let error = read_text(&b"one\ntwo \xff"[..], "x").unwrap_err();
        assert_eq!(error.to_string(), "x: line 2: not UTF-8 at byte 8");
    }
}
