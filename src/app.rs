//! The composition root: the only place that knows every adapter. Puts podinit together, runs it, and words its end.

#![expect(
    clippy::disallowed_methods,
    reason = "the edge: the environment is read here, once"
)]

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};

use self::outside::Outside;
use crate::config::Source;
use crate::domain::event::Event;
use crate::domain::plan::LogFormat;
use crate::domain::snapshot::Snapshot;
use crate::domain::system::{self, Outcome, System};
use crate::engine::MAILBOX;
use crate::engine::execute::Executor;
use crate::engine::run::Engine;
use crate::logs;
use crate::ports::{Logs, Message, Record};
use crate::state::State;
use crate::sys::pid1::{self, Start};
use crate::sys::signals::SignalMode;
use crate::sys::table::Table;
use crate::sys::{clock, host::Host};

pub mod admin;
mod claims;
mod last_words;
mod link;
mod load;
mod loader;
mod outside;
mod seat;
mod silent;

/// podinit could not do its work.
const INTERNAL: u8 = 70;

/// What to run.
#[derive(Debug)]
pub enum Job {
    /// A ProcessSet.
    Set {
        /// Where it is.
        source: Source,
        /// Where the termination message goes; written only when the file exists.
        termination_log: PathBuf,
        /// How it is reached while it runs.
        admin: admin::Options,
    },
    /// One command, transparently; never empty.
    Command(Vec<OsString>),
}

/// Runs to the end; gives podinit's exit code.
pub fn run(job: Job) -> u8 {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let mode = match job {
        Job::Set { .. } => SignalMode::Set,
        Job::Command(_) => SignalMode::Command,
    };
    let message = match &job {
        Job::Set {
            termination_log, ..
        } => Some(termination_log.clone()),
        Job::Command(_) => None,
    };
    let result = pid1::init(mode)
        .map_err(anyhow::Error::from)
        .and_then(|start| match job {
            Job::Set {
                source,
                termination_log,
                admin,
            } => run_set(start, source, (&termination_log, admin), environment),
            Job::Command(argv) => run_command(start, argv, environment),
        });
    result.unwrap_or_else(|error| {
        let outcome = internal(format!("{error:#}"));
        last_words::complain(&outcome.reason);
        if let Some(path) = message {
            last_words::write(&path, &outcome, &[]);
        }
        outcome.code
    })
}

fn run_set(
    start: Start,
    source: Source,
    (termination_log, options): (&Path, admin::Options),
    environment: Vec<(OsString, OsString)>,
) -> anyhow::Result<u8> {
    let host = Host::read();
    let format = if host.stdout_is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let colour = host.stdout_is_terminal && std::env::var_os("NO_COLOR").is_none();
    let logs = logs::Pipeline::start(logs::Config {
        out: std::io::stdout().as_fd().try_clone_to_owned().ok(),
        err: std::io::stderr().as_fd().try_clone_to_owned().ok(),
        format,
        colour,
        clock: logs::wall_clock,
    })
    .context("failed to start the log threads")?;
    let logs = Arc::new(logs);
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let wanted = admin::take(
        options,
        host.uid,
        seat::in_kubernetes(&environment),
        logs.as_ref(),
    )?;
    let told = Arc::clone(&logs);
    let state = State::new(
        seat::state_dir(&environment, &start.path),
        Box::new(move |record| told.record(record)),
    );
    let link = link::wanted(&source, &environment);
    let seat = seat::Seat::new(&start, &host, environment);
    let terminal = host.stdin_is_terminal;
    let (orders, taken) =
        loader::orders().context("failed to get ready for changes of the spec")?;
    let (snapshots, seen) = watch::channel(Arc::default());
    let wired = link::wire(link, (&orders, &sender, &seen), &logs);
    let outside = Outside {
        specs: Some(orders),
        claims: Some(wired.claims),
        notices: wired.notices,
        ..Outside::new(sender.clone(), state)
    };
    let deferred = Arc::new(logs::Deferred::new(Arc::clone(&logs)));
    let mut running = engine(start, &deferred, mailbox, outside, terminal)?;
    let ends = (sender.clone(), seen);
    let admin = admin::start(wanted, host.uid, Arc::clone(&logs), ends)?;
    let follows = wired.connect.is_some();
    if let Some(connect) = wired.connect {
        let cluster = connect().context("failed to start the thread of the Kubernetes API")?;
        wired.slot.put(cluster);
    }
    if admin.is_some() || follows {
        running.0.publish_to(snapshots.clone());
    }
    loader::start((source, seat), taken, Arc::clone(&logs), sender)
        .context("failed to start the thread that loads the spec")?;
    let show = |snapshot| {
        snapshots.send_replace(snapshot);
    };
    let outcome = drive(running, deferred.as_ref(), show);
    // Inside the time that is left, however long the readiness file takes.
    drop(admin);
    if let Some(cluster) = wired.slot.take() {
        cluster.finish(link::LAST.min(outcome.until.since(clock::now().mono)));
    }
    let lines = outcome
        .about
        .as_ref()
        .map_or_else(Vec::new, |label| logs.last_lines(label, last_words::LIMIT));
    last_words::write(termination_log, &outcome, &lines);
    logs.finish(outcome.until.since(clock::now().mono));
    Ok(outcome.code)
}

fn run_command(
    start: Start,
    argv: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
) -> anyhow::Result<u8> {
    let host = Host::read();
    let terminal = host.stdin_is_terminal;
    let seat = seat::Seat::new(&start, &host, environment);
    let plan = match load::command(argv, &seat) {
        Ok(plan) => plan,
        Err(failure) => {
            last_words::complain(&failure.message);
            return Ok(failure.code);
        }
    };
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let logs = Arc::new(silent::Silent);
    let outside = Outside::new(sender, State::none());
    let mut running = engine(start, &logs, mailbox, outside, terminal)?;
    // Signals may be pending already: they are for the child.
    running.0.begin_with(Event::Loaded(Arc::new(plan)));
    let outcome = drive(running, logs.as_ref(), |_| {});
    // Its own codes 126 and 127 are its own business.
    if outcome.about.is_some() {
        last_words::complain(&outcome.reason);
    }
    Ok(outcome.code)
}

type Running<L> = (Engine<Table, L, Outside>, tokio::runtime::Runtime);

fn engine<L: Logs>(
    start: Start,
    logs: &Arc<L>,
    mailbox: mpsc::Receiver<Message>,
    outside: Outside,
    terminal: bool,
) -> anyhow::Result<Running<L>> {
    let runtime = event_loop().context("failed to start the event loop")?;
    let now = clock::now();
    let config = system::Config {
        seed: now.wall.0.unsigned_abs() ^ now.mono.as_nanos().rotate_left(32),
        terminal,
    };
    let system = System::new(config, now);
    let inside = runtime.enter();
    let table = Table::new(start).context("failed to get ready for children")?;
    drop(inside);
    let executor = Executor::new(table, Arc::clone(logs), outside);
    let engine = Engine::new(system, executor, mailbox, clock::now);
    Ok((engine, runtime))
}

/// The runtime of the engine.
fn event_loop() -> std::io::Result<tokio::runtime::Runtime> {
    // The library panics when it finds no descriptors for what it needs: they are looked for before.
    let spare = (0..4).map(|_| UnixStream::pair());
    drop(spare.collect::<std::io::Result<Vec<_>>>()?);
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

/// Runs the engine to its end. A panic in it ends the children, then us: 70; `show` is given what the set looks like then.
fn drive<L: Logs>(
    (mut engine, runtime): Running<L>,
    logs: &L,
    show: impl Fn(Arc<Snapshot>),
) -> Outcome {
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(engine.run())));
    ended.unwrap_or_else(|_| {
        show(Arc::new(Snapshot {
            stopping: Some("an internal error".into()),
            ..Snapshot::default()
        }));
        logs.record(Record {
            level: crate::ports::Level::Error,
            label: None,
            message: "internal error: ending all processes".to_owned(),
            fields: Vec::new(),
            lines: Vec::new(),
        });
        logs.flush();
        let ending = catch_unwind(AssertUnwindSafe(|| runtime.block_on(engine.emergency())));
        internal(match ending {
            Ok(()) => "internal error".to_owned(),
            Err(_) => "internal error, and another one while ending the processes".to_owned(),
        })
    })
}

/// podinit could not do its work.
fn internal(reason: String) -> Outcome {
    Outcome {
        code: INTERNAL,
        reason,
        about: None,
        report: None,
        until: clock::now().mono + Duration::from_secs(1),
    }
}

pub use crate::cluster::own_namespace;
