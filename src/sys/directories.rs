//! The directories that a plan wants before anything starts.
//!
//! Made with all that is missing above them. The work is bounded: nothing below a directory is touched, however full it
//! is. Links are not followed to be changed: what a link leads to has its own mode and owner.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::domain::plan::Directory;

/// Something that is not as it was asked for, and is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which directory.
    pub path: PathBuf,
    /// In words.
    pub message: String,
}

/// A directory that could not be made as it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} directory `{path}`")]
pub struct DirectoryError {
    /// What was attempted.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// The mode of a directory that is made without one being asked for, whatever the umask.
const MODE: u32 = 0o755;

/// Makes a directory, sets its mode if one is asked for, and as root its owner, where these differ. What it has to make
/// above it gets the same owner, else nobody but root could use it. A read-only file system is left as it is, with a
/// note.
pub fn make(directory: &Directory) -> Result<Vec<Note>, DirectoryError> {
    let path = Path::new(&directory.path);
    let mut notes = Vec::new();
    let is_root = nix::unistd::geteuid().is_root();
    let outcome = make_all(path, directory, is_root, &mut notes);
    match outcome {
        Err(error) if error.source.raw_os_error() == Some(libc::EROFS) => {
            notes.push(Note {
                path: error.path,
                message: format!("read-only file system: did not {} it", error.action),
            });
            Ok(notes)
        }
        Err(error) => Err(error),
        Ok(()) => Ok(notes),
    }
}

fn make_all(
    path: &Path,
    directory: &Directory,
    is_root: bool,
    notes: &mut Vec<Note>,
) -> Result<(), DirectoryError> {
    let mut missing: Vec<&Path> = path
        .ancestors()
        .take_while(|above| !above.is_dir())
        .collect();
    let mut is_new = false;
    while let Some(next) = missing.pop() {
        match std::fs::create_dir(next) {
            Ok(()) if next == path => is_new = true,
            Ok(()) => own(&open(next)?, next, directory, is_root)?,
            // Somebody else was faster; whatever it is, it is looked at below.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && next.is_dir() => {}
            Err(source) => return Err(failure("make", next)(source)),
        }
    }

    let found = std::fs::symlink_metadata(path).map_err(failure("look at", path))?;
    if found.is_symlink() {
        if directory.mode.is_some() || directory.uid.is_some() || directory.gid.is_some() {
            notes.push(Note {
                path: path.to_owned(),
                message: "is a link: mode and owner are left as they are".to_owned(),
            });
        }
        return Ok(());
    }
    if is_root {
        // The owner first: changing it clears bits of the mode.
        own(&open(path)?, path, directory, is_root)?;
    }
    // What was there may be 0700 or 1777 for a reason: it keeps its mode unless another one is written.
    let mode = directory.mode.or(is_new.then_some(MODE));
    match mode.map(|mode| mode & 0o7777) {
        Some(mode) if mode != mode_bits(&found) || is_root => {
            set_mode(path, mode, &found, is_root, notes)
        }
        _ => Ok(()),
    }
}

/// Only a directory, and no link that somebody has just put in its place.
fn open(path: &Path) -> Result<File, DirectoryError> {
    File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY)
        .open(path)
        .map_err(failure("open", path))
}

fn own(
    opened: &File,
    path: &Path,
    directory: &Directory,
    is_root: bool,
) -> Result<(), DirectoryError> {
    if !is_root {
        return Ok(());
    }
    let found = opened.metadata().map_err(failure("look at", path))?;
    let uid = directory.uid.filter(|uid| *uid != found.uid());
    let gid = directory.gid.filter(|gid| *gid != found.gid());
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchown(opened, uid, gid).map_err(failure("change the owner of", path))
}

fn set_mode(
    path: &Path,
    mode: u32,
    found: &Metadata,
    is_root: bool,
    notes: &mut Vec<Note>,
) -> Result<(), DirectoryError> {
    let opened = open(path)?;
    let now = mode_bits(&opened.metadata().map_err(failure("look at", path))?);
    if now == mode {
        return Ok(());
    }
    match opened.set_permissions(Permissions::from_mode(mode)) {
        Ok(()) => Ok(()),
        // A mounted volume is often root's, and we are not: as with the owner, that is how it is.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) && !is_root => {
            let owner = found.uid();
            notes.push(Note {
                path: path.to_owned(),
                message: format!("belongs to user {owner}: its mode stays {now:04o}"),
            });
            Ok(())
        }
        Err(source) => Err(failure("set the mode of", path)(source)),
    }
}

fn mode_bits(found: &Metadata) -> u32 {
    found.mode() & 0o7777
}

fn failure(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DirectoryError {
    move |source| DirectoryError {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the edge")]
mod tests {
    use super::*;

    fn wanted(path: &Path, mode: Option<u32>) -> Directory {
        Directory {
            path: path.to_str().expect("UTF-8").to_owned(),
            mode,
            uid: None,
            gid: None,
        }
    }

    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it is there").mode() & 0o7777
    }

    #[test]
    fn it_is_made_with_all_above_it_and_its_mode_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        assert_eq!(make(&wanted(&path, Some(0o2777))).unwrap(), []);
        assert_eq!(mode_of(&path), 0o2777);
        // Again changes nothing; another mode does.
        assert_eq!(make(&wanted(&path, None)).unwrap(), []);
        assert_eq!(mode_of(&path), 0o2777);
        assert_eq!(make(&wanted(&path, Some(0o700))).unwrap(), []);
        assert_eq!(mode_of(&path), 0o700);
    }

    #[test]
    fn without_a_mode_it_is_made_0755_and_left_as_it_is_when_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        assert_eq!(make(&wanted(&path, None)).unwrap(), []);
        assert_eq!(mode_of(&path), 0o755);
        for mode in [0o700, 0o1777] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(make(&wanted(&path, None)).unwrap(), []);
            assert_eq!(mode_of(&path), mode);
        }
    }

    #[test]
    fn a_link_stays_as_it_is_and_so_does_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let (data, link) = (dir.path().join("data"), dir.path().join("storage"));
        std::fs::create_dir(&data).unwrap();
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o711)).unwrap();
        std::os::unix::fs::symlink(&data, &link).unwrap();
        assert_eq!(make(&wanted(&link, Some(0o777))).unwrap().len(), 1);
        assert_eq!(mode_of(&data), 0o711);
        // But it is used as a way.
        make(&wanted(&link.join("logs"), None)).unwrap();
        assert!(data.join("logs").is_dir());
    }

    #[test]
    fn a_file_or_a_dangling_link_in_the_way_is_a_failure_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = make(&wanted(&file.join("a"), None)).unwrap_err();
        assert_eq!(error.path, file, "{error}");
        assert_eq!(make(&wanted(&file, None)).unwrap_err().path, file);

        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/nonexistent/x", &link).unwrap();
        assert_eq!(make(&wanted(&link, None)).unwrap_err().path, link);
    }

    #[test]
    fn as_root_the_owner_is_set_where_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let directory = Directory {
            uid: Some(4242),
            gid: Some(4343),
            ..wanted(&path, Some(0o2775))
        };
        make(&directory).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        if nix::unistd::geteuid().is_root() {
            assert_eq!((found.uid(), found.gid()), (4242, 4343));
            assert_eq!(
                mode_of(&path),
                0o2775,
                "chown clears setgid: mode comes last"
            );
            let above = std::fs::metadata(path.parent().unwrap()).unwrap();
            assert_eq!(above.uid(), 4242);
        }
    }

    #[test]
    fn what_a_file_system_refuses_otherwise_is_a_failure() {
        // A read-only one is among the tests on real processes, which may mount.
        assert!(make(&wanted(Path::new("/proc/podinit/x"), None)).is_err());
    }
}
