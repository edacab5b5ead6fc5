//! Users and groups from `/etc/passwd` and `/etc/group`, read by us. Never NSS: in a static binary it would load
//! whatever the image has, and ask the network.

use std::io;
use std::path::{Path, PathBuf};

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Login names of those who have it as a supplementary group.
    pub members: Vec<String>,
}

/// A file that is there and could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read `{path}`")]
pub struct UsersError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// All users, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passwd(Vec<User>);

impl Passwd {
    /// Reads a file as passwd(5). A missing file has no users; a line that is malformed is skipped.
    pub fn load(path: &Path) -> Result<Passwd, UsersError> {
        Ok(Passwd::parse(&read(path)?))
    }

    /// Reads its text.
    pub fn parse(text: &str) -> Passwd {
        Passwd(text.lines().filter_map(user_of).collect())
    }

    /// The first user of this name.
    pub fn by_name(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.name == name)
    }

    /// The first user with this id.
    pub fn by_uid(&self, uid: u32) -> Option<&User> {
        self.0.iter().find(|user| user.uid == uid)
    }

    /// All names, to suggest one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|user| user.name.as_str())
    }
}

/// All groups, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(Vec<Group>);

impl Groups {
    /// Reads a file as group(5). A missing file has no groups; a line that is malformed is skipped.
    pub fn load(path: &Path) -> Result<Groups, UsersError> {
        Ok(Groups::parse(&read(path)?))
    }

    /// Reads its text.
    pub fn parse(text: &str) -> Groups {
        Groups(text.lines().filter_map(group_of).collect())
    }

    /// The first group of this name.
    pub fn by_name(&self, name: &str) -> Option<&Group> {
        self.0.iter().find(|group| group.name == name)
    }

    /// The groups that a login as this user would have besides its primary one: sorted, each once.
    pub fn supplementary(&self, user: &str) -> Vec<u32> {
        let mut gids: Vec<u32> = self
            .0
            .iter()
            .filter(|group| group.members.iter().any(|member| member == user))
            .map(|group| group.gid)
            .collect();
        gids.sort_unstable();
        gids.dedup();
        gids
    }

    /// All names, to suggest one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|group| group.name.as_str())
    }
}

/// Names need not be UTF-8; what is not is no name that a spec could ask for.
#[expect(clippy::disallowed_methods, reason = "the edge")]
fn read(path: &Path) -> Result<String, UsersError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(UsersError {
            path: path.to_owned(),
            source,
        }),
    }
}

/// `name:password:uid:gid:comment:home:shell`.
fn user_of(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = name_of(fields.next()?)?;
    let (uid, gid) = (fields.nth(1)?, fields.next()?);
    let home = fields.nth(1)?;
    Some(User {
        name,
        uid: id_of(uid)?,
        gid: id_of(gid)?,
        home: if home.is_empty() { "/" } else { home }.to_owned(),
    })
}

/// `name:password:gid:member,member`.
fn group_of(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = name_of(fields.next()?)?;
    let gid = id_of(fields.nth(1)?)?;
    let members = fields.next()?.trim_end().split(',');
    Some(Group {
        name,
        gid,
        members: members
            .filter(|m| !m.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// `+` and `-` begin lines for NIS, `#` what some take for a comment.
fn name_of(field: &str) -> Option<String> {
    let refused = field.is_empty() || field.starts_with(['+', '-', '#']);
    (!refused).then(|| field.to_owned())
}

/// The highest number means "unchanged" to the kernel, so it is nobody's.
fn id_of(field: &str) -> Option<u32> {
    if !field.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    field.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
# a comment
+nis
broken
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
negative:x:-1:5::/:
huge:x:4294967295:5::/:
alias:x:33:44::/:
homeless:x:7:7:::
short:x:8:8
";

    const GROUP: &str = "\
root:x:0:
redis:x:101:www-data,app
video:x:44:app
bad:x:x:app
redis2:x:101:www-data
www-data:x:33:
noend:x:5
";

    #[test]
    fn users_are_found_by_name_and_by_id() {
        let passwd = Passwd::parse(PASSWD);
        let www = passwd.by_name("www-data").expect("it is there");
        assert_eq!((www.uid, www.gid, www.home.as_str()), (33, 33, "/var/www"));
        assert_eq!(passwd.by_uid(33), Some(www));
        assert_eq!(
            passwd.by_name("homeless").map(|u| u.home.as_str()),
            Some("/")
        );
        for name in ["broken", "+nis", "negative", "huge", "short", "nobody"] {
            assert_eq!(passwd.by_name(name), None, "{name}");
        }
        assert_eq!(passwd.names().count(), 4);
    }

    #[test]
    fn supplementary_groups_are_those_that_list_the_user() {
        let groups = Groups::parse(GROUP);
        assert_eq!(groups.supplementary("www-data"), [101]);
        assert_eq!(groups.supplementary("app"), [44, 101]);
        assert_eq!(groups.supplementary("root"), [] as [u32; 0]);
        assert_eq!(groups.by_name("www-data").map(|g| g.gid), Some(33));
        assert_eq!(groups.by_name("bad"), None);
        assert_eq!(groups.by_name("noend"), None);
    }

    #[test]
    fn a_missing_file_has_nobody() {
        let missing = Path::new("/nonexistent/passwd");
        assert_eq!(Passwd::load(missing).expect("empty"), Passwd::default());
        assert_eq!(Groups::load(missing).expect("empty"), Groups::default());
        assert!(Passwd::load(Path::new("/proc/self")).is_err());
    }

    #[test]
    fn the_real_files_are_read() {
        let passwd = Passwd::load(Path::new("/etc/passwd")).expect("readable");
        assert_eq!(passwd.by_uid(0).map(|u| u.name.as_str()), Some("root"));
    }
}
