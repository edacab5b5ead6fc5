//! Everything effects ask for beside children and logs, put together.

use std::sync::Arc;
use std::time::Duration;

use super::loader::Orders;
use crate::cluster::Teller;
use crate::domain::id::RunId;
use crate::domain::plan::Request;
use crate::ports::{Notice, Notices, Requests, Specs, StateFiles};
use crate::probe;
use crate::state::State;

/// The adapters.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) requests: probe::Client,
    pub(super) state: State,
    /// `None`: there is no spec (`--` mode).
    pub(super) specs: Option<Orders>,
    /// `None`: nothing of Kubernetes is followed, and so there is nobody to tell.
    pub(super) notices: Option<Teller>,
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
}

impl Notices for Outside {
    fn notice(&mut self, notice: Notice) {
        if let Some(notices) = &self.notices {
            notices.tell(notice);
        }
    }
}
