//! The last good spec of the API server, kept in the state directory: a container that is restarted begins with it while
//! the API server is away, and after it ended under another one that had not proved itself ([`tried`]).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use nix::unistd::geteuid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ObjectName;
use crate::domain::plan::ObjectVersion;
use crate::ports::Object;

/// Its name in the state directory.
const NAME: &str = "processset.json";
/// While it is being written.
const NEW: &str = "processset.json.new";
/// The version that the pod is under, and that has not proved itself.
const TRIED: &str = "tried.json";
/// The last good version, while the pod is back under it because others have gone back.
const REFUGE: &str = "refuge.json";
/// More than any ProcessSet with what is around it: as a string in JSON it may be twice as long.
const LIMIT: u64 = 8 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    namespace: String,
    name: String,
    uid: Arc<str>,
    generation: i64,
    /// The object as the API server gave it.
    object: String,
    /// Of `object`: what was cut short or edited is no good spec.
    print: u64,
}

/// Keeps an object, at once as a whole.
pub fn write(directory: &Path, object: &Object) -> io::Result<()> {
    let kept = Kept {
        namespace: object.name.namespace.clone(),
        name: object.name.name.clone(),
        uid: Arc::clone(&object.version.uid),
        generation: object.version.generation,
        object: object.json.to_string(),
        print: print(&object.json),
    };
    let text = serde_json::to_vec(&kept)?;
    if text.len() as u64 > LIMIT {
        let why = format!("it has more than {LIMIT} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    replace(directory, NAME, &text)
}

/// Puts a file in its place, at once as a whole.
fn replace(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let new = directory.join(NEW);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, directory.join(name))
}

/// The object of this name that was kept; `None`: there is none. An error says what is wrong with it.
pub fn read(directory: &Path, name: &ObjectName) -> Result<Option<Object>, String> {
    read_as(directory, name, geteuid().as_raw())
}

/// The directory may be a volume that all processes of the pod write to, and what is in the file says which commands run
/// as podinit's own user: only that user's word counts.
fn read_as(directory: &Path, name: &ObjectName, user: u32) -> Result<Option<Object>, String> {
    let Some(text) = open(&directory.join(NAME), user)? else {
        return Ok(None);
    };
    let kept: Kept =
        serde_json::from_slice(&text).map_err(|error| format!("it is damaged: {error}"))?;
    if print(&kept.object) != kept.print {
        return Err("it is damaged".to_owned());
    }
    if (&kept.namespace, &kept.name) != (&name.namespace, &name.name) {
        return Err(format!("it is of {}/{}", kept.namespace, kept.name));
    }
    Ok(Some(Object {
        name: name.clone(),
        version: ObjectVersion {
            uid: kept.uid,
            generation: kept.generation,
        },
        json: kept.object.into(),
        failed: false,
    }))
}

/// What is in a file of this user's; `None`: there is none.
fn open(path: &Path, user: u32) -> Result<Option<Vec<u8>>, String> {
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let found = file.metadata().map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if found.uid() != user {
        return Err("it belongs to another user".to_owned());
    }
    if found.mode() & 0o002 != 0 {
        return Err("anybody may write to it".to_owned());
    }
    let mut text = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LIMIT {
        return Err(format!("it has more than {LIMIT} bytes"));
    }
    Ok(Some(text))
}

/// A version that the pod was under when podinit ended, and that had not proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which.
    pub version: ObjectVersion,
    /// The pod was ready until it took it, in the same life of the container.
    pub was_ready: bool,
}

/// Notes that the pod is under this version now.
pub fn try_out(directory: &Path, tried: &Tried) -> io::Result<()> {
    let Tried { version, was_ready } = tried;
    let text = serde_json::to_vec(&(&version.uid, version.generation, was_ready))?;
    replace(directory, TRIED, &text)
}

/// Notes that the pod begins with this version, its last good one, though there is a newer one.
pub fn take_refuge(directory: &Path, version: &ObjectVersion) -> io::Result<()> {
    let text = serde_json::to_vec(&(&version.uid, version.generation))?;
    replace(directory, REFUGE, &text)
}

/// What was tried when podinit ended, if there is such a note. What cannot be read is none.
pub fn tried(directory: &Path) -> Option<Tried> {
    let (uid, generation, was_ready) = noted(directory, TRIED)?;
    let version = ObjectVersion { uid, generation };
    Some(Tried { version, was_ready })
}

/// The last good version, if podinit ended under it before the pod was ready, when it had begun with it though there was a
/// newer one.
pub fn refuge(directory: &Path) -> Option<ObjectVersion> {
    let (uid, generation) = noted(directory, REFUGE)?;
    Some(ObjectVersion { uid, generation })
}

fn noted<T: DeserializeOwned>(directory: &Path, name: &str) -> Option<T> {
    let text = open(&directory.join(name), geteuid().as_raw()).ok()??;
    serde_json::from_slice(&text).ok()
}

/// This version has proved itself, whether it can be kept or not. Of another one it still holds that it did not.
pub fn prove(directory: &Path, version: &ObjectVersion) -> io::Result<()> {
    let tried = tried(directory).map(|tried| tried.version);
    for (name, noted) in [(TRIED, tried), (REFUGE, refuge(directory))] {
        if noted.as_ref() == Some(version) {
            std::fs::remove_file(directory.join(name))?;
        }
    }
    Ok(())
}

/// FNV-1a: it finds damage, it keeps nobody out.
fn print(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests are at the edge")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn name(name: &str) -> ObjectName {
        ObjectName {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn object() -> Object {
        Object {
            name: name("web"),
            version: ObjectVersion {
                uid: "u".into(),
                generation: 7,
            },
            json: "{\"kind\": \"ProcessSet\"}".into(),
            failed: false,
        }
    }

    #[test]
    fn a_version_that_has_proved_itself_is_on_trial_no_more_and_another_one_still_is() {
        let dir = tempfile::tempdir().unwrap();
        let version = |generation| ObjectVersion {
            uid: "u".into(),
            generation,
        };
        let tried_out = Tried {
            version: version(7),
            was_ready: true,
        };
        prove(dir.path(), &version(7)).unwrap();
        try_out(dir.path(), &tried_out).unwrap();
        prove(dir.path(), &version(6)).unwrap();
        assert_eq!(tried(dir.path()), Some(tried_out));
        take_refuge(dir.path(), &version(6)).unwrap();
        prove(dir.path(), &version(7)).unwrap();
        assert_eq!(tried(dir.path()), None);
        assert_eq!(refuge(dir.path()), Some(version(6)));
        prove(dir.path(), &version(6)).unwrap();
        assert_eq!(refuge(dir.path()), None);
    }

    #[test]
    fn what_was_kept_is_read_and_anything_else_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        assert_eq!(read(at, &name("web")), Ok(None));
        write(at, &object()).unwrap();
        write(at, &object()).unwrap();
        assert_eq!(read(at, &name("web")), Ok(Some(object())));
        assert_eq!(
            read(at, &name("other")),
            Err("it is of shop/web".to_owned())
        );
        let file = at.join(NAME);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 20]).unwrap();
        assert!(
            read(at, &name("web"))
                .unwrap_err()
                .starts_with("it is damaged")
        );
        let edited = String::from_utf8(whole)
            .unwrap()
            .replace("ProcessSet", "ProcessSex");
        fs::write(&file, edited).unwrap();
        assert_eq!(read(at, &name("web")), Err("it is damaged".to_owned()));
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");
        fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join(NEW)).unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join(NAME)).unwrap();
        assert!(read(dir.path(), &name("web")).is_err());
        write(dir.path(), &object()).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        assert_eq!(read(dir.path(), &name("web")), Ok(Some(object())));
    }

    #[test]
    fn where_nothing_can_be_written_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(write(&file.join("below"), &object()).is_err());
        assert!(write(&dir.path().join("made"), &object()).is_ok());
    }

    #[test]
    fn what_somebody_else_wrote_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        write(at, &object()).unwrap();
        let other = nix::unistd::geteuid().as_raw() + 1;
        let why = read_as(at, &name("web"), other).unwrap_err();
        assert!(why.contains("belongs to another user"), "{why}");
        let mode = fs::Permissions::from_mode(0o602);
        fs::set_permissions(at.join(NAME), mode).unwrap();
        let why = read(at, &name("web")).unwrap_err();
        assert!(why.contains("anybody may write to it"), "{why}");
    }

    #[test]
    fn what_is_too_large_or_no_file_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let file = File::create(at.join(NAME)).unwrap();
        file.set_len(LIMIT + 1).unwrap();
        let why = read(at, &name("web")).unwrap_err();
        assert!(why.contains("more than"), "{why}");
        fs::remove_file(at.join(NAME)).unwrap();
        nix::unistd::mkfifo(&at.join(NAME), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let why = read(at, &name("web")).unwrap_err();
        assert_eq!(why, "it is no regular file");
    }

    #[test]
    fn one_that_would_not_be_read_again_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &object()).unwrap();
        let mut large = object();
        large.json = "x".repeat(LIMIT as usize).into();
        assert!(write(dir.path(), &large).is_err());
        assert_eq!(read(dir.path(), &name("web")), Ok(Some(object())));
    }

    #[test]
    fn a_file_half_written_by_somebody_who_was_killed_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        write(at, &object()).unwrap();
        let whole = fs::read(at.join(NAME)).unwrap();
        fs::write(at.join(NEW), &whole[..whole.len() / 2]).unwrap();
        assert_eq!(read(at, &name("web")), Ok(Some(object())));
        write(at, &object()).unwrap();
        assert!(!at.join(NEW).exists());
        let mode = fs::metadata(at.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn what_was_tried_is_noted_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        assert_eq!(tried(at), None);
        write(at, &object()).unwrap();
        let newer = Tried {
            version: ObjectVersion {
                uid: "u".into(),
                generation: 8,
            },
            was_ready: false,
        };
        try_out(at, &newer).unwrap();
        assert_eq!(tried(at), Some(newer));
        assert_eq!(read(at, &name("web")), Ok(Some(object())));
        fs::write(at.join(TRIED), "nonsense").unwrap();
        assert_eq!(tried(at), None);
    }
}
