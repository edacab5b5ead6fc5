//! Files that a spec names: `valueFrom.file`, `envFrom`. Read whole, bounded, never waited for when they are no files.
#![expect(
    clippy::disallowed_methods,
    reason = "the edge: reads the files that a spec names"
)]

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::domain::plan::host::{FileContent, FileError, FileRequest, Files};

/// A file may have at most so many bytes, as a Secret may.
const LIMIT: u64 = 1024 * 1024;

/// Reads everything that is asked for.
pub fn read_files(requests: Vec<FileRequest>) -> Files {
    requests
        .into_iter()
        .map(|request| {
            let answer = match &request {
                FileRequest::File(path) => read_file(path).map(FileContent::File),
                FileRequest::Directory(path) => read_directory(path),
            };
            (request, answer)
        })
        .collect()
}

/// A file of the system; empty when there is none. One that is there and cannot be read is an error: who is who would
/// be a guess.
pub fn read_or_empty(path: &str) -> Result<Vec<u8>, String> {
    match read_file(Path::new(path)) {
        Ok(content) => Ok(content),
        Err(FileError::Missing) => Ok(Vec::new()),
        Err(FileError::Failed(why)) => Err(format!("failed to read {path}: {why}")),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, FileError> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(FileError::Failed("it is no regular file".to_owned()));
    }
    let mut content = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut content)
        .map_err(failed)?;
    if content.len() as u64 > LIMIT {
        return Err(FileError::Failed(format!("it has over {LIMIT} bytes")));
    }
    Ok(content)
}

/// One entry a regular file, links followed; `..data` and its like, which Kubernetes makes in volumes, are left out.
fn read_directory(path: &Path) -> Result<FileContent, FileError> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b"..");
        let is_file = std::fs::metadata(entry.path()).is_ok_and(|found| found.is_file());
        if hidden || !is_file {
            continue;
        }
        let content = read_file(&entry.path()).map_err(|error| match error {
            FileError::Missing => FileError::Missing,
            FileError::Failed(why) => {
                FileError::Failed(format!("{}: {why}", name.to_string_lossy()))
            }
        })?;
        entries.push((name, content));
    }
    entries.sort();
    Ok(FileContent::Directory(entries))
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn failed(error: std::io::Error) -> FileError {
    if error.kind() == std::io::ErrorKind::NotFound {
        FileError::Missing
    } else {
        FileError::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_mounted_secret_is_read_key_by_key() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("..2026");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("token"), "s3cret\n").unwrap();
        std::os::unix::fs::symlink("..2026", dir.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/token", dir.path().join("token")).unwrap();
        let request = FileRequest::Directory(dir.path().to_owned());
        let read = read_files(vec![request.clone()]);
        let expected = FileContent::Directory(vec![("token".into(), b"s3cret\n".to_vec())]);
        assert_eq!(read[&request], Ok(expected));
    }

    #[test]
    fn what_is_no_file_is_said_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let paths: Vec<PathBuf> = vec![dir.path().join("missing"), fifo, dir.path().to_owned()];
        let requests: Vec<_> = paths.into_iter().map(FileRequest::File).collect();
        let read = read_files(requests.clone());
        assert_eq!(read[&requests[0]], Err(FileError::Missing));
        for request in &requests[1..] {
            assert!(
                matches!(&read[request], Err(FileError::Failed(_))),
                "{request:?}"
            );
        }
    }
}
