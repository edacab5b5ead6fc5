//! Where the spec comes from: a file, standard input, or the places that are looked at without being told.
//!
//! Yields the text and what it is called; what it means is the business of [`crate::spec`]. Nothing that stands in the
//! place of the file can block or exhaust podinit: it is opened without waiting, must be a regular file, and is read up
//! to a limit.

pub mod cache;
mod files;
pub mod watch;

use std::{
    fs::{File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub use files::{read_files, read_or_empty};

use crate::spec::{
    FieldPath, Problem,
    yaml::{MAX_BYTES, position_of},
};

/// Where to look when nothing is said, in this order.
pub const DEFAULT_PATHS: [&str; 2] = ["/etc/podinit/processset.yaml", "processset.yaml"];
/// The variable that names the file when no argument does.
pub const CONFIG_VARIABLE: &str = "PODINIT_CONFIG";

/// Where the spec is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In this file.
    File(PathBuf),
    /// On standard input, up to its end.
    Stdin,
    /// In the first of [`DEFAULT_PATHS`] that exists.
    Search,
    /// In the API server.
    Object {
        /// Which ProcessSet.
        name: ObjectName,
        /// The file to begin with when the API server has nothing to say and no good spec is known.
        fallback: Option<PathBuf>,
    },
}

impl Source {
    /// What a FILE argument means (`-` is standard input), or without one what [`CONFIG_VARIABLE`] means.
    pub fn new(file: Option<&Path>, variable: Option<&str>) -> Self {
        match (file, variable) {
            (Some(file), _) if file == Path::new("-") => Self::Stdin,
            (Some(file), _) => Self::File(file.to_owned()),
            (None, Some(file)) if !file.is_empty() => Self::File(file.into()),
            (None, _) => Self::Search,
        }
    }
}

pub use crate::ports::ObjectName;

/// A text and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// What it is called in messages: the file as it was named, or `<stdin>`.
    pub origin: String,
    /// The file, absolute if the base was; `None` for standard input.
    pub path: Option<PathBuf>,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file that was named is not there.
    #[error("no such file")]
    Missing {
        /// The file.
        origin: String,
    },
    /// None of the places that are looked at without being told has a file.
    #[error("no ProcessSet found: looked at {}", looked.join(", "))]
    NoneFound {
        /// The places.
        looked: Vec<String>,
    },
    /// It is no regular file.
    #[error("expected a file, found {found}")]
    NotAFile {
        /// The file.
        origin: String,
        /// What it is.
        found: &'static str,
    },
    /// It is longer than any spec.
    #[error("more than {MAX_BYTES} bytes; a ProcessSet is smaller")]
    TooLarge {
        /// The file.
        origin: String,
    },
    /// It is no text.
    #[error("not UTF-8: invalid byte at offset {offset} (line {line})")]
    NotUtf8 {
        /// The file.
        origin: String,
        /// The offset of the first invalid byte, from 0.
        offset: usize,
        /// The line of it, from 1.
        line: u32,
    },
    /// It cannot be read.
    #[error("failed to read it: {source}")]
    Io {
        /// The file.
        origin: String,
        /// Why.
        source: io::Error,
    },
}

impl ReadError {
    /// What the text would be called.
    pub fn origin(&self) -> &str {
        match self {
            Self::NoneFound { .. } => "",
            Self::Missing { origin }
            | Self::NotAFile { origin, .. }
            | Self::TooLarge { origin }
            | Self::NotUtf8 { origin, .. }
            | Self::Io { origin, .. } => origin,
        }
    }

    /// As a problem, to be reported beside those of other files.
    pub fn to_problem(&self) -> Problem {
        let help = match self {
            Self::NoneFound { .. } => Some(format!(
                "name a file with -f FILE or {CONFIG_VARIABLE}, or mount one at {}",
                DEFAULT_PATHS[0]
            )),
            Self::NotAFile {
                found: "a directory",
                ..
            } => Some("name the file in it".to_owned()),
            Self::NotAFile { .. } => Some("pipe it in and name it `-`".to_owned()),
            Self::NotUtf8 { offset: 0, .. } => Some("save it as UTF-8".to_owned()),
            Self::Missing { .. }
            | Self::TooLarge { .. }
            | Self::NotUtf8 { .. }
            | Self::Io { .. } => None,
        };
        Problem::error(FieldPath::ROOT, self.to_string())
            .of(self.origin())
            .maybe_help(help)
    }
}

/// Reads the text. `base` is what relative paths start from: the directory podinit was started in.
pub fn read(source: &Source, base: &Path) -> Result<Text, ReadError> {
    match source {
        Source::Stdin => {
            let origin = "<stdin>".to_owned();
            let bytes = read_limited(io::stdin().lock(), &origin)?;
            Ok(Text {
                text: utf8(bytes, &origin)?,
                origin,
                path: None,
            })
        }
        Source::File(path) => read_file(path, base),
        Source::Object { name, .. } => Err(ReadError::Missing {
            origin: name.what(),
        }),
        Source::Search => {
            for path in DEFAULT_PATHS {
                match read_file(Path::new(path), base) {
                    Err(ReadError::Missing { .. }) => {}
                    found => return found,
                }
            }
            let looked = |path: &&str| base.join(path).display().to_string();
            let mut looked: Vec<String> = DEFAULT_PATHS.iter().map(looked).collect();
            looked.insert(0, format!("${CONFIG_VARIABLE} (not set)"));
            Err(ReadError::NoneFound { looked })
        }
    }
}

fn read_file(path: &Path, base: &Path) -> Result<Text, ReadError> {
    let origin = path.display().to_string();
    let path = base.join(path);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ReadError::Missing {
            origin: origin.clone(),
        },
        _ => ReadError::Io {
            origin: origin.clone(),
            source,
        },
    };
    let file = open_now(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if let Some(found) = no_file(metadata.file_type()) {
        return Err(ReadError::NotAFile { origin, found });
    }
    if metadata.len() > MAX_BYTES as u64 {
        return Err(ReadError::TooLarge { origin });
    }
    let bytes = read_limited(file, &origin)?;
    Ok(Text {
        text: utf8(bytes, &origin)?,
        origin,
        path: Some(path),
    })
}

/// Opens for reading without waiting: not for the writer of a pipe, not for a terminal.
fn open_now(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

fn no_file(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else {
        Some("something else")
    }
}

/// Reads up to the limit: the size that was looked at may be out of date, and a pipe has none.
fn read_limited(reader: impl Read, origin: &str) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| ReadError::Io {
            origin: origin.to_owned(),
            source,
        })?;
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge {
            origin: origin.to_owned(),
        });
    }
    Ok(bytes)
}

fn utf8(bytes: Vec<u8>, origin: &str) -> Result<String, ReadError> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(&error.as_bytes()[..offset]);
        let line = position_of(&valid, offset).line;
        ReadError::NotUtf8 {
            origin: origin.to_owned(),
            offset,
            line,
        }
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests are at the edge")]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use super::*;

    fn why(path: &str, base: &Path) -> String {
        let source = Source::new(Some(Path::new(path)), None);
        read(&source, base).unwrap_err().to_problem().to_string()
    }

    #[test]
    fn the_source_is_the_argument_then_the_variable_then_the_search() {
        let file = |path: &str| Source::File(path.into());
        for (argument, variable, expected) in [
            (Some("a.yaml"), Some("b.yaml"), file("a.yaml")),
            (Some("-"), Some("b.yaml"), Source::Stdin),
            (None, Some("b.yaml"), file("b.yaml")),
            (None, Some(""), Source::Search),
            (None, None, Source::Search),
        ] {
            assert_eq!(Source::new(argument.map(Path::new), variable), expected);
        }
    }

    #[test]
    fn a_file_is_read_and_named_as_it_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("processset.yaml"), "\u{feff}a: 1\n").unwrap();
        std::os::unix::fs::symlink("processset.yaml", dir.path().join("link.yaml")).unwrap();
        for name in ["processset.yaml", "link.yaml"] {
            let text = read(&Source::File(name.into()), dir.path()).unwrap();
            assert_eq!(text.origin, name);
            assert_eq!(text.path, Some(dir.path().join(name)));
            assert_eq!(text.text, "\u{feff}a: 1\n");
        }
        if !Path::new(DEFAULT_PATHS[0]).exists() {
            assert_eq!(
                read(&Source::Search, dir.path()).unwrap().origin,
                "processset.yaml"
            );
        }
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("dir")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let big = File::create(at("big")).unwrap();
        big.set_len(50 << 20).unwrap();
        fs::write(at("latin1"), b"a: 1\nb: caf\xe9\n").unwrap();
        fs::write(at("utf16"), b"\xff\xfea\0").unwrap();
        for (name, expected) in [
            ("missing", "missing: no such file"),
            (
                "dir",
                "dir: expected a file, found a directory\n  help: name the file in it",
            ),
            (
                "pipe",
                "pipe: expected a file, found a named pipe\n  help: pipe it in and name it `-`",
            ),
            (
                "socket",
                "socket: failed to read it: No such device or address (os error 6)",
            ),
            (
                "/dev/zero",
                "/dev/zero: expected a file, found a device\n  help: pipe it in and name it `-`",
            ),
            (
                "big",
                "big: more than 1048576 bytes; a ProcessSet is smaller",
            ),
            (
                "latin1",
                "latin1: not UTF-8: invalid byte at offset 11 (line 2)",
            ),
            (
                "utf16",
                "utf16: not UTF-8: invalid byte at offset 0 (line 1)\n  help: save it as UTF-8",
            ),
        ] {
            assert_eq!(why(name, dir.path()), expected);
        }
    }

    #[test]
    fn a_search_that_finds_nothing_says_where_it_looked() {
        let dir = tempfile::tempdir().unwrap();
        if Path::new(DEFAULT_PATHS[0]).exists() {
            return;
        }
        let problem = read(&Source::Search, dir.path())
            .unwrap_err()
            .to_problem()
            .to_string();
        assert_eq!(
            problem,
            format!(
                "no ProcessSet found: looked at $PODINIT_CONFIG (not set), /etc/podinit/processset.yaml, {}/processset.yaml\n  \
                 help: name a file with -f FILE or PODINIT_CONFIG, or mount one at /etc/podinit/processset.yaml",
                dir.path().display()
            )
        );
    }
}
