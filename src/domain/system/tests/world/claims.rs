//! Claims that are answered as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{World, secs};
use crate::domain::claim::{News, Refusal, RunKey, Term};
use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::{Once, Process};
use crate::domain::time::Mono;

/// What becomes of a claim.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told {
    /// It may run; asked to stop and killed so many seconds from then on.
    Granted(f64, f64),
    /// It may go on so long.
    Renewed(f64, f64),
    Lost,
    Done,
    TooLong,
    Denied,
}

/// By the name of the Lease, one list a claim; then all are granted for long.
#[derive(Debug, Default)]
pub(super) struct Claims {
    scripts: BTreeMap<String, VecDeque<Vec<(f64, Told)>>>,
    leases: BTreeMap<RunId, Arc<str>>,
    /// Something is claimed here.
    any: bool,
    /// Of the claim that is granted.
    kill_at: Option<Mono>,
    /// What broke a promise.
    broken: Vec<String>,
}

/// Who runs once in these tests.
const NAME: &str = "migrate-0";

impl World {
    /// The next claim of this Lease is answered so, each after so many seconds.
    pub(crate) fn claim(mut self, lease: &str, told: &[(f64, Told)]) -> Self {
        let scripts = self.claims.scripts.entry(lease.to_owned()).or_default();
        scripts.push_back(told.to_vec());
        self
    }

    pub(super) fn claimed(&mut self, run: RunId, once: &Once) {
        self.say(&format!("claim {}", once.lease));
        self.claims.any = true;
        self.claims.leases.insert(run, Arc::clone(&once.lease));
        let scripts = self.claims.scripts.get_mut(&*once.lease);
        let script = scripts.and_then(VecDeque::pop_front);
        let script = script.unwrap_or_else(|| vec![(0.0, Told::Granted(1e5, 1e5))]);
        for (after, told) in script {
            let at = self.now + secs(after);
            let term = |stop, kill| Term {
                stop_at: at + secs(stop),
                kill_at: at + secs(kill),
            };
            let news = match told {
                Told::Granted(stop, kill) => News::Granted(term(stop, kill)),
                Told::Renewed(stop, kill) => News::Renewed(term(stop, kill)),
                Told::Lost => News::Lost,
                Told::Done => News::Done,
                Told::TooLong => News::Refused(Refusal::TooLong {
                    holder: Some("web-2".into()),
                }),
                Told::Denied => News::Refused(Refusal::Denied("leases are forbidden".to_owned())),
            };
            self.schedule(at, Event::Claim { run, news });
        }
    }

    /// Before an event: nobody runs who may not.
    pub(super) fn watch_claims(&mut self, event: &Event) {
        let runs = self.children.values().any(|child| child.name == NAME);
        let over = |kill_at: Option<Mono>| kill_at.is_none_or(|kill_at| kill_at < self.now);
        if runs && self.claims.any && over(self.claims.kill_at) {
            self.claims
                .broken
                .push(format!("it runs at {:?}", self.now));
        }
        if let Event::Claim { run, news } = event
            && self.claims.leases.contains_key(run)
        {
            match news {
                News::Granted(term) | News::Renewed(term) => {
                    self.claims.kill_at = Some(term.kill_at);
                }
                News::Done | News::Refused(_) => {
                    self.claims.leases.remove(run);
                }
                News::Lost | News::Recorded | News::Unrecorded => {}
            }
        }
    }

    /// What broke a promise, and the claims that nobody ended.
    pub(crate) fn broken_claims(&self) -> (&[String], usize) {
        (&self.claims.broken, self.claims.leases.len())
    }

    pub(super) fn claim_over(&mut self, run: RunId, success: Option<bool>) {
        if self.children.values().any(|child| child.name == NAME) {
            self.claims
                .broken
                .push("it runs when its claim ends".to_owned());
        }
        self.claims.kill_at = None;
        let lease = self.claims.leases.remove(&run);
        let lease = lease.expect("a claim ends once, and only one that was made");
        let how = match success {
            Some(true) => "ended well",
            Some(false) => "ended",
            None => "withdrawn",
        };
        self.say(&format!("claim {lease} {how}"));
        if success.is_some() {
            let news = News::Recorded;
            self.soon(Duration::ZERO, Event::Claim { run, news });
        }
    }
}

impl Process {
    /// It runs once over all pods, by this Lease.
    pub(crate) fn once(mut self, lease: &str) -> Self {
        self.once = Some(Arc::new(Once {
            set: "shop".into(),
            lease: lease.into(),
            key: RunKey::given("1"),
        }));
        self
    }
}
