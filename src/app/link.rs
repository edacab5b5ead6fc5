//! The link to the Kubernetes API, wired.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::loader::Orders;
use crate::cluster::{Cluster, News, Queue, Surroundings, Teller, Wiring};
use crate::config::Source;
use crate::domain::snapshot::Snapshot;
use crate::ports::{Logs, Message, ObjectName};
use crate::sys::clock;

/// For its last words.
pub(super) const LAST: Duration = Duration::from_millis(500);

/// What it is to follow, and who we are.
#[derive(Debug)]
pub(super) struct Link {
    name: ObjectName,
    surroundings: Surroundings,
}

/// `None`: the spec is from a file, and nothing needs the API.
pub(super) fn wanted(source: &Source, environment: &[(OsString, OsString)]) -> Option<Link> {
    let Source::Object { name, .. } = source else {
        return None;
    };
    let text = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted)?;
        let value = found.1.to_str()?.to_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    Some(Link {
        name: name.clone(),
        surroundings: Surroundings {
            pod: text("PODINIT_POD_NAME").or_else(|| text("POD_NAME")),
            uid: text("PODINIT_POD_UID").or_else(|| text("POD_UID")),
            namespace: text("PODINIT_POD_NAMESPACE").or_else(|| text("POD_NAMESPACE")),
            container: text("PODINIT_CONTAINER"),
        },
    })
}

pub(super) fn start(
    link: Link,
    orders: Orders,
    (mailbox, snapshots): (mpsc::Sender<Message>, watch::Receiver<Arc<Snapshot>>),
    (teller, queue): (Teller, Queue),
    logs: Arc<impl Logs + Send + Sync + 'static>,
) -> io::Result<Cluster> {
    Cluster::start(Wiring {
        name: link.name,
        surroundings: link.surroundings,
        snapshots,
        mailbox,
        news: Box::new(move |news| match news {
            News::Found(object) => orders.found(object),
            News::Nothing(why) => orders.nothing(why),
            News::Good(version) => orders.good(version),
        }),
        notices: (teller, queue.into()),
        note: Arc::new(move |record| logs.record(record)),
        clock: clock::now,
    })
}
