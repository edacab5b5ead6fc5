//! The link to the Kubernetes API, wired.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::claims::{Claims, Slot, Start};
use super::loader::Orders;
use crate::cluster::{self, Cluster, News, Surroundings, Teller, Wiring};
use crate::config::Source;
use crate::domain::snapshot::Snapshot;
use crate::ports::{Logs, Message, ObjectName};
use crate::sys::clock;

/// For its last words.
pub(super) const LAST: Duration = Duration::from_millis(500);

/// What it is to follow, and who we are.
#[derive(Debug)]
pub(super) struct Link {
    name: Option<ObjectName>,
    surroundings: Surroundings,
}

/// What the environment says of the pod, and the set that is followed if one is.
pub(super) fn wanted(source: &Source, environment: &[(OsString, OsString)]) -> Link {
    let text = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted)?;
        let value = found.1.to_str()?.to_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    Link {
        name: match source {
            Source::Object { name, .. } => Some(name.clone()),
            _ => None,
        },
        surroundings: Surroundings {
            pod: text("PODINIT_POD_NAME").or_else(|| text("POD_NAME")),
            uid: text("PODINIT_POD_UID").or_else(|| text("POD_UID")),
            namespace: text("PODINIT_POD_NAMESPACE").or_else(|| text("POD_NAMESPACE")),
            container: text("PODINIT_CONTAINER"),
        },
    }
}

/// What the engine gets of the link, and how it is made.
pub(super) struct Wired {
    pub(super) claims: Claims,
    /// Only where a set is followed.
    pub(super) notices: Option<Teller>,
    /// To be called once the engine is there; `None`: the first claim does.
    pub(super) connect: Option<Start>,
    pub(super) slot: Slot,
}

/// Wires it to the loader, the engine and its snapshots.
pub(super) fn wire<L: Logs + Send + Sync + 'static>(
    link: Link,
    (orders, mailbox, snapshots): (
        &Orders,
        &mpsc::Sender<Message>,
        &watch::Receiver<Arc<Snapshot>>,
    ),
    logs: &Arc<L>,
) -> Wired {
    let follows = link.name.is_some();
    let (wishes, desk) = cluster::desk();
    let (teller, queue) = cluster::queue();
    let (found, logs) = (orders.clone(), Arc::clone(logs));
    let wiring = Wiring {
        follows,
        name: link.name.unwrap_or_else(|| ObjectName {
            namespace: String::new(),
            name: String::new(),
        }),
        surroundings: link.surroundings,
        snapshots: snapshots.clone(),
        mailbox: mailbox.clone(),
        news: Box::new(move |news| match news {
            News::Found(object) => found.found(object),
            News::Nothing(why) => found.nothing(why),
            News::Good(version) => found.good(version),
        }),
        notices: (teller.clone(), queue.into()),
        desk: desk.into(),
        note: Arc::new(move |record| logs.record(record)),
        clock: clock::now,
    };
    let connect: Start = Box::new(move || Cluster::start(wiring));
    let (now, later) = if follows {
        (Some(connect), None)
    } else {
        (None, Some(connect))
    };
    let slot = Slot::default();
    Wired {
        claims: Claims {
            orders: wishes,
            start: later,
            slot: slot.clone(),
            mailbox: mailbox.clone(),
        },
        notices: follows.then_some(teller),
        connect: now,
        slot,
    }
}
