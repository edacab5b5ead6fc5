//! Everything effects ask for beside children and logs, put together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::claims::Claims;
use super::loader::Orders;
use crate::cluster::Teller;
use crate::domain::id::RunId;
use crate::domain::plan::{ObjectVersion, Once, Request};
use crate::ports::{self, Message, Notice, Notices, Requests, Specs, StateFiles};
use crate::probe;
use crate::state::State;

/// The adapters.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) requests: probe::Client,
    pub(super) state: State,
    /// `None`: there is no spec (`--` mode).
    pub(super) specs: Option<Orders>,
    /// `None`: there is no spec (`--` mode), and so nothing to claim.
    pub(super) claims: Option<Claims>,
    /// `None`: nothing of Kubernetes is followed, and so there is nobody to tell.
    pub(super) notices: Option<Teller>,
}

impl Outside {
    /// With nothing but the two that always are there.
    pub(super) fn new(mailbox: mpsc::Sender<Message>, state: State) -> Outside {
        Outside {
            requests: probe::Client::new(mailbox),
            state,
            specs: None,
            claims: None,
            notices: None,
        }
    }
}

impl Requests for Outside {
    fn ask(&mut self, run: RunId, request: Arc<Request>, timeout: Duration) {
        self.requests.ask(run, request, timeout);
    }
}

impl StateFiles for Outside {
    fn write(&mut self, name: String, content: String) {
        self.state.write(name, content);
    }
}

impl Specs for Outside {
    fn reload(&mut self) {
        if let Some(specs) = &self.specs {
            specs.reload();
        }
    }

    fn try_out(&mut self, version: ObjectVersion, was_ready: bool) {
        if let Some(specs) = &self.specs {
            specs.try_out(version, was_ready);
        }
    }

    fn unfollow(&mut self) {
        if let Some(specs) = &self.specs {
            specs.unfollow();
        }
    }
}

impl Notices for Outside {
    fn notice(&mut self, notice: Notice) {
        if let Some(notices) = &self.notices {
            notices.tell(notice);
        }
    }
}

impl ports::Claims for Outside {
    fn claim(&mut self, run: RunId, once: Arc<Once>) {
        if let Some(claims) = &mut self.claims {
            claims.claim(run, once);
        }
    }

    fn ended(&mut self, run: RunId, success: bool) {
        if let Some(claims) = &mut self.claims {
            claims.ended(run, success);
        }
    }

    fn withdraw(&mut self, run: RunId) {
        if let Some(claims) = &mut self.claims {
            claims.withdraw(run);
        }
    }
}
