//! The edge as the engine sees it: one trait for each adapter that has a fake.

use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::event::Event;
use crate::domain::exit::SpawnFailure;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::{Launch, LogRule, ObjectVersion, Once, Request, SignalTarget};
use crate::domain::signal::Signal;

/// Read ends of a run's log pipes, shared by the table and the logs thread. A pipe may have no end of file: what closes
/// it is [`Logs::close`].
#[derive(Debug, Clone)]
pub struct LogPipes {
    /// Of its standard output.
    pub stdout: Arc<OwnedFd>,
    /// Of its standard error.
    pub stderr: Arc<OwnedFd>,
}

/// Where a child's standard streams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// stdin from /dev/null, stdout and stderr into log pipes.
    Logged,
    /// podinit's own, and its terminal where it has one.
    Inherited,
    /// stdin from /dev/null, stdout and stderr into one pipe that the table reads: the first 1 KiB of it is told as
    /// `Said`, the rest is read and forgotten.
    Kept,
}

/// The one owner of every child: spawns, signals and reaps.
pub trait Children {
    /// Starts a child without waiting for its exec. `Spawned` or `SpawnFailed` follows as an event; a failure before
    /// the fork is returned at once, and no event follows.
    fn spawn(
        &mut self,
        run: RunId,
        launch: &Launch,
        stdio: Stdio,
    ) -> Result<Option<LogPipes>, SpawnFailure>;

    /// Sends a signal to a run. Says whether there was anybody to send it to.
    fn signal(&mut self, run: RunId, signal: Signal, target: SignalTarget) -> bool;

    /// Sends a signal to every child that is no run, and remembers it for those that turn up later. `Childless` follows
    /// as an event once no child is left.
    fn end_orphans(&mut self, signal: Signal);

    /// Listens on the abstract Unix socket of this name (without the `@`); a message from a process of a run's session
    /// follows as `Notified`, whatever else arrives is dropped. Not listening yet for runs of which `Spawned` was told.
    fn listen_notify(&mut self, socket: &str) -> std::io::Result<()>;

    /// Waits until something happened, then appends at least one event. Cancel-safe: nothing is lost when it is dropped.
    /// Signals to podinit itself come before exits, exits in the order of reaping.
    fn wait(&mut self, events: &mut Vec<Event>) -> impl Future<Output = ()>;
}

/// Requests of probes and hooks, made elsewhere.
pub trait Requests {
    /// Asks a server; `Responded` follows as an event within the timeout. Does not wait.
    fn ask(&mut self, run: RunId, request: Arc<Request>, timeout: Duration);
}

/// Files that tell the processes of a stop, such as `draining`.
pub trait StateFiles {
    /// Writes a file of the state directory, at once as a whole. Does not wait, and failing changes nothing.
    fn write(&mut self, name: String, content: String);
}

/// The name of a ProcessSet in the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectName {
    /// In words: `ProcessSet NAMESPACE/NAME`.
    pub fn what(&self) -> String {
        format!("ProcessSet {}/{}", self.namespace, self.name)
    }
}

/// A version of a ProcessSet as the API server gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which.
    pub name: ObjectName,
    /// Which version.
    pub version: ObjectVersion,
    /// The whole object.
    pub json: Arc<str>,
    /// Its status says that pods went back from it.
    pub failed: bool,
}

impl Object {
    /// In words.
    pub fn what(&self) -> Arc<str> {
        self.name.what().into()
    }
}

/// The source of the spec.
pub trait Specs {
    /// Looks whether the spec has changed. Does not wait; what is found comes as an event.
    fn reload(&mut self);

    /// Notes that this version is tried out, and whether the pod was ready until then. Does not wait.
    fn try_out(&mut self, version: ObjectVersion, was_ready: bool);

    /// Looks no more. Does not wait.
    fn unfollow(&mut self);
}

/// Something that people are told who look after the pod, by an Event of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Somebody may have to do something about it.
    pub warning: bool,
    /// One word in CamelCase for why, as `kubectl describe` shows it.
    pub reason: &'static str,
    /// One word in CamelCase for what podinit was doing.
    pub action: &'static str,
    /// The instance it is about; `None`: the whole set.
    pub about: Option<Arc<Label>>,
    /// In words.
    pub note: String,
}

/// Who may run what runs in one pod of a set at a time.
pub trait Claims {
    /// Asks for it. Does not wait; what comes of it are `Claim` events.
    fn claim(&mut self, run: RunId, once: Arc<Once>);

    /// The run that was claimed has ended, with all its processes.
    fn ended(&mut self, run: RunId, success: bool);

    /// It is not wanted any more, and nothing runs.
    fn withdraw(&mut self, run: RunId);
}

/// Who tells people.
pub trait Notices {
    /// Passes it on. Does not wait, and promises nothing.
    fn notice(&mut self, notice: Notice);
}

/// Everything effects ask for beside children and logs.
pub trait Outside: Requests + StateFiles + Specs + Claims + Notices {}

impl<T: Requests + StateFiles + Specs + Claims + Notices> Outside for T {}

/// What comes in through the engine's mailbox.
#[derive(Debug)]
pub struct Message {
    /// What happened; `None`: the sender only wants to know that the engine takes messages.
    pub event: Option<Event>,
    /// Answered once the event was dealt with.
    pub taken: Option<oneshot::Sender<()>>,
}

impl From<Event> for Message {
    fn from(event: Event) -> Self {
        Message {
            event: Some(event),
            taken: None,
        }
    }
}

impl Message {
    /// A message and what becomes ready once it was dealt with; an error there means that the engine is gone.
    pub fn awaited(event: Option<Event>) -> (Message, oneshot::Receiver<()>) {
        let (taken, answer) = oneshot::channel();
        let taken = Some(taken);
        (Message { event, taken }, answer)
    }
}

/// How much a record matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The usual course.
    Info,
    /// Something a person may want to know.
    Warn,
    /// Something failed.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        })
    }
}

/// A value of a record's field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// JSON already; not for people, so `Text` leaves it out.
    Json(String),
}

/// A log record of podinit's own. Printed in JSON as `{"time", "level", "source": "podinit", "process", "instance",
/// "message", fields..}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// How much it matters.
    pub level: Level,
    /// Whom it is about.
    pub label: Option<Arc<Label>>,
    /// A sentence without a full stop.
    pub message: String,
    /// What a machine would want, under lowerCamelCase names.
    pub fields: Vec<(&'static str, Value)>,
    /// More for people: lines that follow in `Text`, and are left out elsewhere.
    pub lines: Vec<String>,
}

/// Where output goes. None of these blocks the caller.
pub trait Logs {
    /// Takes over the read ends of a new run's pipes.
    fn open(&self, run: RunId, label: &Arc<Label>, rule: &Arc<LogRule>, pipes: LogPipes);

    /// What a run writes is logged by another rule from now on.
    fn relog(&self, run: RunId, label: &Arc<Label>, rule: &Arc<LogRule>);

    /// The run's session is empty: what the pipes hold is read, then they are closed.
    fn close(&self, run: RunId);

    /// Writes a record of our own.
    fn record(&self, record: Record);

    /// What was asked above may have waited for this: it is done now.
    fn flush(&self);

    /// From now on no child waits for our output: `Block` means `DropOldest`. For the time after the last deadline.
    fn stop_blocking(&self);

    /// The last lines an instance wrote, over all its runs, oldest first, in at most `bytes` bytes.
    fn last_lines(&self, label: &Label, bytes: usize) -> Vec<String>;

    /// Reads what the pipes hold and writes everything out, for at most `limit`. Lines that could not be written are
    /// counted. Nothing is accepted afterwards.
    fn finish(&self, limit: Duration);
}
