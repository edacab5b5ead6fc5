//! From a source to a plan, on the thread `loader`: whatever hangs here (a mount, standard input) does not keep podinit
//! from its signals.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::{self, Source};
use crate::domain::event::{Event, LoadFailure, Refusal};
use crate::domain::plan::host::{Capabilities, HostView, parse_group, parse_passwd};
use crate::domain::plan::resolve::{command_plan, files_needed, resolve};
use crate::domain::plan::{Directory, Origin, Plan, Rlimit};
use crate::ports::{Level, Logs, Message, Record};
use crate::spec::{self, Problem};
use crate::state::State;
use crate::sys::host::Host;
use crate::sys::pid1::Start;
use crate::sys::{directories, limits};

/// podinit could not do its work.
const INTERNAL: u8 = 70;
/// The spec is invalid or missing.
const INVALID: u8 = 65;
/// Something that must be done before the first process failed.
const UNPREPARED: u8 = 76;

/// Where files about podinit are: the variable, and the directory without it.
const STATE_DIR_VARIABLE: &str = "PODINIT_STATE_DIR";
const STATE_DIR: &str = "/run/podinit";

/// What a plan depends on beside its spec, as far as it is known before anything is read.
#[derive(Debug)]
pub(super) struct Seat {
    start_dir: PathBuf,
    nofile: Rlimit,
    host: Host,
    environment: Vec<(OsString, OsString)>,
    notify_socket: String,
}

impl Seat {
    pub(super) fn new(start: &Start, host: &Host, environment: Vec<(OsString, OsString)>) -> Seat {
        Seat {
            start_dir: start.path.clone(),
            nofile: start.nofile,
            host: host.clone(),
            environment,
            // Unguessable it need not be: a message counts only when it comes out of a run's session.
            notify_socket: format!("podinit/notify/{}", crate::sys::host::unique()),
        }
    }

    /// Looks up the rest; this reads files.
    fn view(&self, passwd: &[u8], group: &[u8]) -> HostView {
        let Host {
            uid,
            gid,
            groups,
            capabilities,
            stdout_is_terminal,
            ..
        } = self.host.clone();
        HostView {
            in_kubernetes: in_kubernetes(&self.environment),
            stdout_is_terminal,
            state_dir: state_dir(&self.environment),
            notify_socket: self.notify_socket.clone(),
            env: self.environment.clone(),
            start_dir: self.start_dir.clone(),
            uid,
            gid,
            groups,
            can: Capabilities {
                set_uid: capabilities.setuid,
                set_gid: capabilities.setgid,
                kill: capabilities.kill,
                sys_resource: capabilities.sys_resource,
                sys_nice: capabilities.sys_nice,
            },
            passwd: parse_passwd(passwd),
            group: parse_group(group),
            rlimits: limits::own(self.nofile),
            nice: limits::nice(),
            oom_score_adj: limits::oom_score_adj(),
            files: BTreeMap::new(),
        }
    }
}

/// Whether podinit runs in a pod.
pub(super) fn in_kubernetes(environment: &[(OsString, OsString)]) -> bool {
    environment
        .iter()
        .any(|(name, _)| name == OsStr::new("KUBERNETES_SERVICE_HOST"))
}

/// The directory with files about podinit.
pub(super) fn state_dir(environment: &[(OsString, OsString)]) -> PathBuf {
    let given = environment
        .iter()
        .find(|(name, value)| name == OsStr::new(STATE_DIR_VARIABLE) && !value.is_empty());
    PathBuf::from(given.map_or(OsStr::new(STATE_DIR), |(_, value)| value.as_os_str()))
}

/// Who may ask the loader for something.
#[derive(Debug, Clone)]
pub(super) struct Orders(std::sync::mpsc::Sender<Order>);

impl Orders {
    /// Looks whether the spec has changed.
    pub(super) fn reload(&self) {
        // Gone: podinit is leaving.
        let _ = self.0.send(Order::Reload);
    }
}

/// Something the loader is asked for.
#[derive(Debug)]
pub(super) enum Order {
    Reload,
}

/// Where orders come from.
pub(super) type Taken = std::sync::mpsc::Receiver<Order>;

/// Two ends of a queue of orders.
pub(super) fn orders() -> (Orders, Taken) {
    let (sender, taken) = std::sync::mpsc::channel();
    (Orders(sender), taken)
}

/// Starts the thread: it sends what the set begins with, then each change.
pub(super) fn start<L: Logs + Send + Sync + 'static>(
    (source, seat): (Source, Seat),
    orders: Taken,
    logs: Arc<L>,
    mailbox: mpsc::Sender<Message>,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("loader".to_owned())
        .spawn(move || {
            let load = || load(&source, &seat, logs.as_ref(), true);
            let loaded = catch_unwind(AssertUnwindSafe(load));
            let event = match loaded {
                Ok(Ok(plan)) => Event::Loaded(Arc::new(plan)),
                Ok(Err(failure)) => Event::LoadFailed(failure),
                Err(_) => Event::LoadFailed(LoadFailure {
                    code: INTERNAL,
                    message: "internal error while loading the spec".to_owned(),
                }),
            };
            limits::give_memory_back();
            // Closed: podinit is leaving.
            let _ = mailbox.blocking_send(event.into());
            follow(&source, &seat, (&orders, &mailbox), logs.as_ref());
        })?;
    Ok(())
}

/// Sends each change, until podinit leaves.
fn follow(
    source: &Source,
    seat: &Seat,
    (orders, mailbox): (&Taken, &mpsc::Sender<Message>),
    logs: &impl Logs,
) {
    while let Ok(Order::Reload) = orders.recv() {
        let load = || load(source, seat, logs, false);
        let event = match catch_unwind(AssertUnwindSafe(load)) {
            Ok(Ok(plan)) => Event::Changed(Arc::new(plan)),
            Ok(Err(failure)) => refused(source, failure.message),
            Err(_) => refused(source, "internal error while loading the spec".to_owned()),
        };
        limits::give_memory_back();
        if mailbox.blocking_send(event.into()).is_err() {
            return;
        }
    }
}

fn refused(source: &Source, message: String) -> Event {
    Event::ChangeRefused {
        refusal: Refusal {
            origin: Origin {
                what: format!("{source:?}").into(),
                object: None,
            },
            reason: "Invalid",
            message,
        },
    }
}

/// The plan of one command.
pub(super) fn command(argv: Vec<OsString>, seat: &Seat) -> Result<Plan, LoadFailure> {
    // It runs as podinit itself: nobody has to be looked up.
    command_plan(argv, &seat.view(&[], &[])).map_err(|problems| invalid(told(&problems)))
}

fn invalid(message: String) -> LoadFailure {
    LoadFailure {
        code: INVALID,
        message,
    }
}

/// Reads the spec. `first`: the set has not begun; a later plan needs no directories.
fn load(source: &Source, seat: &Seat, logs: &impl Logs, first: bool) -> Result<Plan, LoadFailure> {
    if first {
        clear_state(seat, logs);
    }
    let document = config::read(source, &seat.start_dir)
        .map_err(|error| invalid(error.to_problem().to_string()))?;
    // A variable that is no text overrides no field.
    let environment: Vec<(String, String)> = seat
        .environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())))
        .collect();
    let loaded = spec::load(&document.text, &document.origin, &environment);
    let Some(process_set) = &loaded.set else {
        return Err(invalid(told(&loaded.problems)));
    };
    let place = |problems: Vec<Problem>| -> Vec<Problem> {
        problems
            .into_iter()
            .map(|problem| loaded.placed(problem))
            .collect()
    };
    let passwd = config::read_or_empty("/etc/passwd").map_err(invalid)?;
    let group = config::read_or_empty("/etc/group").map_err(invalid)?;
    let mut host = seat.view(&passwd, &group);
    let needed = files_needed(&process_set.spec, &host.start_dir);
    host.files = config::read_files(needed);
    let (mut plan, warnings) =
        resolve(process_set, &host).map_err(|problems| invalid(told(&place(problems))))?;
    for problem in loaded.problems.iter().chain(&place(warnings)) {
        logs.record(note(Level::Warn, problem.to_string()));
    }
    plan.origin.what = document.origin.as_str().into();
    if first {
        make(&plan.directories, logs)?;
    }
    Ok(plan)
}

fn clear_state(seat: &Seat, logs: &impl Logs) {
    let state = state_dir(&seat.environment);
    if let Err(error) = State::clear(&state) {
        logs.record(note(
            Level::Warn,
            format!(
                "failed to remove what an earlier podinit left in `{}`: {error}",
                state.display()
            ),
        ));
    }
}

fn make(wanted: &[Directory], logs: &impl Logs) -> Result<(), LoadFailure> {
    for directory in wanted {
        let notes = directories::make(directory).map_err(|error| LoadFailure {
            code: UNPREPARED,
            message: format!("{:#}", anyhow::Error::from(error)),
        })?;
        for told in notes {
            logs.record(note(
                Level::Info,
                format!("directory `{}`: {}", told.path.display(), told.message),
            ));
        }
    }
    Ok(())
}

fn note(level: Level, message: String) -> Record {
    Record {
        level,
        label: None,
        message,
        fields: Vec::new(),
        lines: Vec::new(),
    }
}

/// All problems, one a line.
fn told(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
