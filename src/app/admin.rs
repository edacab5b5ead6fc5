//! The admin port, the readiness file and the control socket: taken before anything is spawned.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};

use crate::domain::snapshot::Snapshot;
use crate::http::address::Address;
use crate::http::socket::{Place, Socket};
use crate::http::{self, Admin, Wanted};
use crate::ports::{Level, Logs, Message, Record, Value};

/// What of these there is to be.
#[derive(Debug)]
pub struct Options {
    /// The admin port.
    pub address: Address,
    /// The file that is there while the pod is ready.
    pub readiness_file: Option<PathBuf>,
    /// The control socket.
    pub socket: Place,
}

/// Takes all of them. What is not to be had is a warning, or where the pod would not work without it a failure.
pub(super) fn take(
    options: Options,
    uid: u32,
    in_kubernetes: bool,
    logs: &impl Logs,
) -> anyhow::Result<Wanted> {
    let address = options.address;
    let admin = match address.listen() {
        Ok(listener) => listener,
        Err(error) => {
            let told = format!(
                "failed to listen on {address} for the admin port: {error}; give another address with --admin-addr or PODINIT_ADMIN_ADDR, or `off`"
            );
            anyhow::ensure!(!in_kubernetes, told);
            logs.record(warning(told));
            None
        }
    };
    if let (true, Some(listener)) = (address.is_any_port(), &admin) {
        let at = listener
            .local_addr()
            .context("failed to learn the admin port")?;
        logs.record(Record {
            level: Level::Info,
            label: None,
            message: format!("the admin port is {at}"),
            fields: vec![("address", Value::Text(at.to_string()))],
            lines: Vec::new(),
        });
    }
    let control = match Socket::take(&options.socket, uid) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let told = error.with_advice();
            anyhow::ensure!(!options.socket.is_given(), told);
            logs.record(warning(format!("there is no control socket: {told}")));
            None
        }
    };
    Ok(Wanted {
        admin,
        control,
        readiness_file: options.readiness_file,
    })
}

/// Starts the threads, if there is anything for them to do.
pub(super) fn start(
    wanted: Wanted,
    uid: u32,
    logs: Arc<impl Logs + Send + Sync + 'static>,
    (mailbox, seen): (mpsc::Sender<Message>, watch::Receiver<Arc<Snapshot>>),
) -> anyhow::Result<Option<Admin>> {
    if wanted.is_nothing() {
        return Ok(None);
    }
    let note = Arc::new(move |record| logs.record(record));
    let admin = http::start(wanted, uid, seen, mailbox, note)
        .context("failed to start the admin thread")?;
    Ok(Some(admin))
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
