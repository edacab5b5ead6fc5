//! The control socket: where it is, how podinit takes it, and how a command finds it.
//!
//! Whoever holds the lock file beside it owns the path: a socket that is found there then is one of the dead, and is
//! replaced. The lock file itself stays, as removing it would let two of them have it.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, setsockopt,
    socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::time::TimeVal;

/// Its name in a directory.
const NAME: &str = "podinit.sock";
/// Where it is unless told otherwise, when podinit may write there.
const DIRECTORY: &str = "/run/podinit";
/// How a directory of a user's own begins.
const PREFIX: &str = "podinit-";
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// What is said of a path that works for nobody.
const ADVICE: &str = "set PODINIT_SOCKET to a path in a directory that podinit can write to";

/// Where the control socket may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At the path of `PODINIT_SOCKET`, and nowhere else.
    Given(PathBuf),
    /// In /run/podinit, else in a directory of our own under this one.
    Search {
        /// `$TMPDIR`, else /tmp.
        tmp: PathBuf,
    },
}

/// One path, and what its directory is like.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    path: PathBuf,
    /// The directory is ours alone, or it is not used: anybody may write to the one above it.
    private: bool,
}

impl Spot {
    /// In a directory of this user's own.
    fn of(tmp: &Path, uid: u32) -> Spot {
        Spot {
            path: tmp.join(format!("{PREFIX}{uid}")).join(NAME),
            private: true,
        }
    }
}

impl Place {
    fn spots(&self, uid: u32) -> Vec<Spot> {
        match self {
            Place::Given(path) => vec![Spot {
                path: path.clone(),
                private: false,
            }],
            Place::Search { tmp } => vec![
                Spot {
                    path: Path::new(DIRECTORY).join(NAME),
                    private: false,
                },
                Spot::of(tmp, uid),
            ],
        }
    }

    /// It was asked for by name.
    pub fn is_given(&self) -> bool {
        matches!(self, Place::Given(_))
    }
}

/// Why there is no control socket, or none that answers.
#[derive(Debug)]
pub struct SocketError {
    path: PathBuf,
    action: &'static str,
    source: io::Error,
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SocketError {
            path,
            action,
            source,
        } = self;
        write!(f, "failed to {action} `{}`: {source}", path.display())
    }
}

impl std::error::Error for SocketError {}

impl SocketError {
    /// Nobody can make it there: the next place is tried.
    fn is_about_the_place(&self) -> bool {
        matches!(
            self.source.kind(),
            ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotADirectory
                | ErrorKind::StorageFull
        )
    }

    /// The error in one line, with what to do.
    pub fn with_advice(&self) -> String {
        format!("{self}; {ADVICE}")
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> SocketError {
    move |source| SocketError {
        path: path.to_owned(),
        action,
        source,
    }
}

/// A socket that is ours. Dropping it removes it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: UnixListener,
    _lock: Flock<File>,
}

impl Socket {
    /// Takes the first place that can be had. One that another podinit has is not passed over: a command would find that
    /// one first.
    pub fn take(place: &Place, uid: u32) -> Result<Socket, SocketError> {
        let spots = place.spots(uid);
        let (last, before) = spots
            .split_last()
            .expect("a place has one spot at least: `spots`");
        for spot in before {
            match take(spot, uid) {
                Err(error) if error.is_about_the_place() => {}
                taken => return taken,
            }
        }
        take(last, uid)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another descriptor of the same socket.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn take(spot: &Spot, uid: u32) -> Result<Socket, SocketError> {
    let path = &spot.path;
    if let Some(directory) = path.parent() {
        let mode = if spot.private { 0o700 } else { 0o755 };
        match DirBuilder::new().mode(mode).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed("make directory", directory)(error));
            }
            _ => {}
        }
        if spot.private {
            check_private(directory, uid)?;
        }
    }
    let lock = lock(path)?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            let error = io::Error::other("there is something that is no socket");
            return Err(failed("take the control socket", path)(error));
        }
        Err(_) => {}
    }
    let fresh = beside(path, "new");
    let _ = std::fs::remove_file(&fresh);
    let listener = listen(&fresh).map_err(failed("make the control socket", path))?;
    std::fs::rename(&fresh, path).map_err(failed("make the control socket", path))?;
    Ok(Socket {
        path: path.clone(),
        listener,
        _lock: lock,
    })
}

/// A socket that has its mode before it has a name: to change it by its name would change whatever somebody else has put
/// there meanwhile.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let kind = SockType::Stream;
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    nix::sys::socket::listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(socket))
}

/// `podinit.sock.lock`, and so on.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<Flock<File>, SocketError> {
    let name = beside(path, "lock");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(&name)
        .map_err(failed("open", &name))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        let error = match errno {
            nix::errno::Errno::EWOULDBLOCK => io::Error::other("another podinit has it"),
            errno => errno.into(),
        };
        failed("take the control socket", path)(error)
    })
}

/// Nobody else can have put anything there.
fn check_private(directory: &Path, uid: u32) -> Result<(), SocketError> {
    let refuse = |why: String| {
        let error = io::Error::other(why);
        Err(failed("trust directory", directory)(error))
    };
    let found =
        std::fs::symlink_metadata(directory).map_err(failed("look at directory", directory))?;
    let mode = found.mode() & 0o7777;
    if !found.is_dir() {
        return refuse("it is none".to_owned());
    }
    if found.uid() != uid {
        return refuse(format!("it belongs to user {}, not {uid}", found.uid()));
    }
    if mode & 0o077 != 0 {
        return refuse(format!("its mode is {mode:04o}, wider than 0700"));
    }
    Ok(())
}

/// Connects to the podinit of this container. `limit` holds for the connect, and later for each read and write.
pub fn reach(place: &Place, uid: u32, limit: Duration) -> Result<UnixStream, Unreachable> {
    let mut errors = Vec::new();
    for spot in place.spots(uid) {
        match connect_to(&spot, place.is_given(), uid, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => errors.push(error),
        }
    }
    if let (Place::Search { tmp }, 0) = (place, uid)
        && let Some(owner) = other_owner(tmp)
    {
        // As its owner would do it, with the same distrust.
        match connect_to(&Spot::of(tmp, owner), false, owner, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => errors.push(error),
        }
    }
    Err(Unreachable(errors))
}

/// Whose podinit root may mean when it has none itself: that of process 1, else that of the only user who has a directory
/// for one. Of two, one may have been made to be found.
#[expect(clippy::disallowed_methods, reason = "the edge looks at files")]
fn other_owner(tmp: &Path) -> Option<u32> {
    let mut owners: Vec<u32> = Vec::new();
    for entry in std::fs::read_dir(tmp).ok()?.flatten() {
        let name = entry.file_name();
        let uid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(uid) = uid.and_then(|text| {
            text.parse()
                .ok()
                .filter(|uid: &u32| uid.to_string() == text)
        }) else {
            continue;
        };
        // Not a link: this does not follow any.
        let is_his = (entry.metadata()).is_ok_and(|found| found.is_dir() && found.uid() == uid);
        if is_his && uid != 0 {
            owners.push(uid);
        }
    }
    let of_process_1 = std::fs::metadata("/proc/1").map(|found| found.uid());
    let of_process_1 = of_process_1.ok().filter(|uid| owners.contains(uid));
    of_process_1.or(match owners[..] {
        [only] => Some(only),
        _ => None,
    })
}

/// No podinit answers, and where one was looked for.
#[derive(Debug)]
pub struct Unreachable(Vec<SocketError>);

impl Unreachable {
    /// Somebody listens, and did not take the connection in time.
    pub fn is_busy(&self) -> bool {
        let mut kinds = self.0.iter().map(|error| error.source.kind());
        kinds.any(|kind| kind == ErrorKind::WouldBlock)
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_absent = |error: &&SocketError| {
            matches!(
                error.source.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
            )
        };
        if self.is_busy() {
            return f.write_str("podinit is there and takes no connection; see its log");
        }
        // One that is there and cannot be used says more than one that is not there.
        if let Some(error) = self.0.iter().find(|error| !is_absent(error)) {
            return write!(
                f,
                "{error}; use the user that podinit runs as, and the same PODINIT_SOCKET"
            );
        }
        let paths: Vec<String> = self
            .0
            .iter()
            .map(|error| format!("`{}`", error.path.display()))
            .collect();
        write!(
            f,
            "no podinit answers at {}; run it in podinit's own container, with the same PODINIT_SOCKET{}",
            paths.join(" or "),
            if paths.len() > 1 { " and TMPDIR" } else { "" }
        )
    }
}

impl std::error::Error for Unreachable {}

fn connect_to(
    spot: &Spot,
    given: bool,
    uid: u32,
    limit: Duration,
) -> Result<UnixStream, SocketError> {
    let path = &spot.path;
    if let (true, Some(directory)) = (spot.private, path.parent()) {
        check_private(directory, uid)?;
    }
    let wrong = |why: &str| failed("use the control socket", path)(io::Error::other(why));
    let stream = open(path, limit).map_err(failed("connect to", path))?;
    let peer = getsockopt(&stream, sockopt::PeerCredentials)
        .map_err(|errno| failed("connect to", path)(errno.into()))?;
    if peer.uid() != uid && peer.uid() != 0 && uid != 0 {
        return Err(wrong("whoever listens there is another user"));
    }
    // A volume may be shared by containers that have a podinit each.
    if peer.pid() == 0 && !given {
        return Err(wrong("it belongs to a podinit of another container"));
    }
    Ok(stream)
}

fn open(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // Also for the connect, which waits while the other side has no room.
    let limit = TimeVal::new(limit.as_secs() as i64, limit.subsec_micros().into());
    setsockopt(&socket, sockopt::SendTimeout, &limit)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &limit)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests;
