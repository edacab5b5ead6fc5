//! Claims of what runs once over all pods, on their way to the Kubernetes API. Where a spec is from a file the link to that
//! API is made by the first claim, so that nobody else pays for it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::cluster::{Cluster, Order, Orders};
use crate::domain::claim::{News, Refusal};
use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::Once;
use crate::ports::{self, Message};

/// Makes the link.
pub(super) type Start = Box<dyn FnOnce() -> io::Result<Cluster>>;

/// Where the link is put once it is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Cluster>>>);

impl Slot {
    pub(super) fn put(&self, cluster: Cluster) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cluster);
    }

    pub(super) fn take(&self) -> Option<Cluster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The adapter.
pub(super) struct Claims {
    pub(super) orders: Orders,
    /// `None`: the link is there, or could not be made.
    pub(super) start: Option<Start>,
    pub(super) slot: Slot,
    pub(super) mailbox: mpsc::Sender<Message>,
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

impl Claims {
    fn order(&self, order: Order) -> Result<(), ()> {
        self.orders.send(order).map_err(|_| ())
    }
}

impl ports::Claims for Claims {
    fn claim(&mut self, run: RunId, once: Arc<Once>) {
        let begun = match self.start.take().map(|start| start()) {
            Some(Ok(cluster)) => {
                self.slot.put(cluster);
                Ok(())
            }
            Some(Err(error)) => Err(format!(
                "failed to start the thread of the Kubernetes API: {error}"
            )),
            None => Ok(()),
        };
        let ordered = begun.and_then(|()| {
            let gone = |()| "the link to the Kubernetes API is gone".to_owned();
            self.order(Order::Claim { run, once }).map_err(gone)
        });
        if let Err(why) = ordered {
            let news = News::Refused(Refusal::Denied(why));
            // Its room is for many more messages than an engine has init processes that run.
            let _ = self.mailbox.try_send(Event::Claim { run, news }.into());
        }
    }

    fn ended(&mut self, run: RunId, success: bool) {
        // Gone: the Lease ends by itself.
        let _ = self.order(Order::Ended { run, success });
    }

    fn withdraw(&mut self, run: RunId) {
        let _ = self.order(Order::Withdraw { run });
    }
}
