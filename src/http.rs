//! The admin port and the control socket, on a thread of their own (`admin`), and the readiness file, on another one
//! (`ready-file`).
//!
//! The threads read published snapshots, and `admin` sends messages into the engine's mailbox; they share nothing else
//! with the core, and no child depends on them. They sleep while nothing happens. A panic on one is caught, and it begins
//! anew with the same listeners.
//!
//! [`address`] and [`socket`] take what is listened on, `serve` has the connections, `routes` says who answers, `health`
//! makes the answers, `ready_file` keeps the file.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::domain::snapshot::Snapshot;
use crate::ports::{Level, Message, Record};

pub mod address;
mod health;
mod ready_file;
mod routes;
mod serve;
pub mod socket;
#[cfg(test)]
mod tests;

/// Small: its tasks are few and shallow.
const STACK: usize = 512 * 1024;

/// Between a failure of a thread and its next start; doubled with each, up to the second one.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Takes records about what does not work.
pub type Note = Arc<dyn Fn(Record) + Send + Sync>;

/// What the threads are to do.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The admin port.
    pub admin: Option<TcpListener>,
    /// The control socket.
    pub control: Option<socket::Socket>,
    /// The readiness file.
    pub readiness_file: Option<PathBuf>,
}

impl Wanted {
    /// Nothing: no thread is needed.
    pub fn is_nothing(&self) -> bool {
        self.admin.is_none() && self.control.is_none() && self.readiness_file.is_none()
    }
}

/// What the threads have. Dropping it removes the socket and the readiness file, for which it waits a moment at most; the
/// thread `admin` ends with podinit.
#[derive(Debug)]
pub struct Admin {
    _control: Option<socket::Socket>,
    _readiness_file: Option<ready_file::Keeper>,
}

/// What the thread works with; each start of it takes duplicates.
struct Post {
    admin: Option<TcpListener>,
    control: Option<UnixListener>,
    uid: u32,
    context: routes::Context,
}

/// Starts the threads that there is something to do for.
pub fn start(
    wanted: Wanted,
    uid: u32,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    mailbox: mpsc::Sender<Message>,
    note: Note,
) -> io::Result<Admin> {
    let Wanted {
        admin,
        control,
        readiness_file,
    } = wanted;
    let readiness_file = readiness_file
        .map(|path| ready_file::Keeper::start(path, snapshots.clone(), Arc::clone(&note)))
        .transpose()?;
    let listener = control.as_ref().map(socket::Socket::listener);
    let post = Post {
        admin,
        control: listener.transpose()?,
        uid,
        context: routes::Context { snapshots, mailbox },
    };
    // For tokio. Duplicates share it.
    if let Some(listener) = &post.admin {
        listener.set_nonblocking(true)?;
    }
    if let Some(listener) = &post.control {
        listener.set_nonblocking(true)?;
    }
    if post.admin.is_some() || post.control.is_some() {
        std::thread::Builder::new()
            .name("admin".to_owned())
            .stack_size(STACK)
            .spawn(move || keep_running("admin", &note, || run(&post)))?;
    }
    Ok(Admin {
        _control: control,
        _readiness_file: readiness_file,
    })
}

/// A thread: starts again whatever ends it too early.
fn keep_running(name: &str, note: &Note, run: impl Fn() -> io::Result<()>) {
    let mut pause = PAUSE;
    loop {
        let why = match catch_unwind(AssertUnwindSafe(&run)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "internal error".to_owned(),
        };
        note(warning(format!("the {name} thread starts again: {why}")));
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn run(post: &Post) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let admin = match &post.admin {
            Some(listener) => Some(tokio::net::TcpListener::from_std(listener.try_clone()?)?),
            None => None,
        };
        let control = match &post.control {
            Some(listener) => Some(tokio::net::UnixListener::from_std(listener.try_clone()?)?),
            None => None,
        };
        let admin = async {
            if let Some(listener) = admin {
                serve::tcp(listener, routes::admin(post.context.clone())).await;
            }
        };
        let control = async {
            if let Some(listener) = control {
                serve::unix(listener, post.uid, routes::control(post.context.clone())).await;
            }
        };
        tokio::join!(admin, control);
        Ok(())
    })
}

fn warning(message: String) -> Record {
    Record {
        level: Level::Warn,
        label: None,
        message,
        fields: Vec::new(),
        lines: Vec::new(),
    }
}
