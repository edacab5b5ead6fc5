//! Events of Kubernetes (events.k8s.io/v1) about the Pod and the ProcessSet. Few, bounded in memory and in rate, and of
//! no consequence: what cannot be written is dropped.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use self::ledger::{Ledger, Write};
use super::access::{Access, Identity, LIMIT, Pod};
use super::pause::{Pause, sleep, spread, within};
use super::report::WRITE_PER_POD;
use super::trouble::{Kind, Told, Trouble};
use super::watcher::Seen;
use super::{Wiring, micro_time};
use crate::ports::{Level, Notice};

mod ledger;

/// Who says it.
const CONTROLLER: &str = "podinit.dev/podinit";
/// Who wrote it.
const MANAGER: &str = "podinit-events";
/// Longest note that the API server takes, in bytes.
const NOTE: usize = 1024;
/// Longest name of who says it, in bytes.
const INSTANCE: usize = 128;
/// Longest name of an Event without what makes it unique, in bytes.
const PREFIX: usize = 220;
/// For the last ones.
const LAST: Duration = Duration::from_millis(300);
/// So many notices wait to be taken; more are dropped.
const QUEUE: usize = 256;

/// What an Event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The pod that podinit is in.
    Pod,
    /// The ProcessSet that it follows: what the holder of its Lease says.
    Set,
}

/// Writes what comes until podinit leaves.
pub(super) struct Writer<'a> {
    api: Api<Event>,
    pod: &'a Pod,
    container: &'a str,
    set: watch::Receiver<Seen>,
    wiring: &'a Wiring,
    ledger: Ledger,
    /// Of new ones, and of those that are counted up: these are two rights.
    told: [Told; 2],
}

impl<'a> Writer<'a> {
    /// `None`: who we are is not known.
    pub(super) fn new(
        access: &Access,
        me: &'a Identity,
        set: watch::Receiver<Seen>,
        wiring: &'a Wiring,
    ) -> Option<Writer<'a>> {
        let pod = me.pod.as_ref()?;
        Some(Writer {
            api: Api::namespaced(access.client.clone(), &pod.namespace),
            pod,
            container: &me.container,
            set,
            wiring,
            ledger: Ledger::new((wiring.clock)().mono),
            told: Default::default(),
        })
    }

    /// For ever. May be dropped at any time: what was taken from the queue and not written is lost but for `finish`.
    pub(super) async fn keep(&mut self, queue: &mut Queue) {
        let mut pause = Pause::new();
        // What happens to one pod may happen to all of them.
        let mut later = None;
        loop {
            let now = (self.wiring.clock)().mono;
            let due = self.ledger.deadline();
            if due.is_none() {
                later = None;
            }
            let pods = self.set.borrow().pods;
            let wait = due.map(|due| {
                let spread = || now + spread(WRITE_PER_POD, pods, self.wiring.clock);
                due.max(*later.get_or_insert_with(spread)).since(now)
            });
            tokio::select! {
                biased;
                taken = queue.0.recv() => match taken {
                    Some((about, notice)) => self.note(about, notice),
                    // Nobody is left to say anything.
                    None => std::future::pending().await,
                },
                () = until(wait) => {
                    if let Err(trouble) = self.write_next().await {
                        if trouble.kind == Kind::Forbidden {
                            self.ledger.drop_waiting();
                        }
                        sleep(pause.next(self.wiring.clock, trouble.retry())).await;
                    } else {
                        pause.reset();
                    }
                }
            }
        }
    }

    /// What is left, as far as that is possible in a moment.
    pub(super) async fn finish(&mut self, queue: &mut Queue) {
        while let Ok((about, notice)) = queue.0.try_recv() {
            self.note(about, notice);
        }
        let _ = within(LAST, async {
            while self.ledger.deadline().is_some() {
                if !matches!(self.write_next().await, Ok(true)) {
                    break;
                }
            }
            Ok(())
        })
        .await;
    }

    fn note(&mut self, about: About, notice: Notice) {
        self.ledger.note(about, notice, (self.wiring.clock)());
    }

    fn complain(&mut self, trouble: &Trouble, counts: bool) {
        if self.told[usize::from(counts)].is_news(trouble) {
            let advice = match trouble.kind {
                Kind::Forbidden => "; its Role needs create and patch of events (events.k8s.io)",
                Kind::NotFound | Kind::Conflict | Kind::Refused | Kind::Other => "",
            };
            let told = format!("Events cannot be written: {trouble}{advice}");
            self.wiring.say(Level::Info, told);
        }
    }

    /// True: something was written.
    async fn write_next(&mut self) -> Result<bool, Trouble> {
        let now = (self.wiring.clock)().mono;
        let Some(write) = self.ledger.next(now) else {
            return Ok(false);
        };
        let counts = write.name.is_some();
        let written = match &write.name {
            Some(name) => self.count_up(&write, name.clone()).await,
            None => self.make(&write).await,
        };
        match written {
            Ok(()) if self.told[usize::from(counts)].over() => {
                let told = "Events are written again".to_owned();
                self.wiring.say(Level::Info, told);
            }
            Ok(()) => {}
            Err(trouble) => {
                self.complain(&trouble, counts);
                if trouble.kind != Kind::Refused {
                    return Err(trouble);
                }
                // A policy, maybe: the others are not kept from being written.
                self.ledger.drop_one(&write);
            }
        }
        Ok(true)
    }

    async fn make(&mut self, write: &Write) -> Result<(), Trouble> {
        // The same again, should the answer be lost.
        let name = format!(
            "{}.{:x}.{:x}",
            cut(&self.pod.name, PREFIX),
            write.first.0,
            write.key.hash()
        );
        let event = self.event(write, &name);
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        match within(LIMIT, self.api.create(&params, &event)).await {
            // There by an answer that was lost.
            Ok(_) => {}
            Err(trouble) if trouble.kind == Kind::Conflict => {}
            Err(trouble) => return Err(trouble),
        }
        let now = (self.wiring.clock)().mono;
        self.ledger.written(write, name, now);
        Ok(())
    }

    async fn count_up(&mut self, write: &Write, name: String) -> Result<(), Trouble> {
        let body =
            json!({"series": {"count": write.count, "lastObservedTime": micro_time(write.last)}});
        let how = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(body);
        match within(LIMIT, self.api.patch(&name, &how, &patch)).await {
            Ok(_) => {
                let now = (self.wiring.clock)().mono;
                self.ledger.written(write, name, now);
                Ok(())
            }
            Err(trouble) if trouble.kind == Kind::NotFound => {
                self.ledger.gone(write);
                Ok(())
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn event(&self, write: &Write, name: &str) -> Event {
        let notice = &write.notice;
        let (pod, set) = (self.pod_reference(), self.set_reference());
        let (regarding, related) = match write.about {
            About::Pod => (pod, set),
            About::Set => (set, pod),
        };
        let kind = if notice.warning { "Warning" } else { "Normal" };
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.pod.namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: micro_time(write.first),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(cut(&self.pod.name, INSTANCE).to_owned()),
            action: Some(notice.action.to_owned()),
            reason: Some(notice.reason.to_owned()),
            regarding: Some(regarding),
            related: Some(related),
            note: Some(cut(&notice.note, NOTE).to_owned()),
            type_: Some(kind.to_owned()),
            series: (write.count > 1)
                .then(|| micro_time(write.last))
                .flatten()
                .map(|last| EventSeries {
                    count: i32::try_from(write.count).unwrap_or(i32::MAX),
                    last_observed_time: last,
                }),
            ..Event::default()
        }
    }

    fn pod_reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(self.pod.name.clone()),
            namespace: Some(self.pod.namespace.clone()),
            uid: Some(self.pod.uid.clone()),
            field_path: Some(format!("spec.containers{{{}}}", self.container)),
            ..ObjectReference::default()
        }
    }

    fn set_reference(&self) -> ObjectReference {
        let name = &self.wiring.name;
        let version = self.set.borrow().version.clone();
        ObjectReference {
            api_version: Some("podinit.dev/v1alpha1".to_owned()),
            kind: Some("ProcessSet".to_owned()),
            name: Some(name.name.clone()),
            namespace: Some(name.namespace.clone()),
            uid: version.map(|version| version.uid.to_string()),
            ..ObjectReference::default()
        }
    }
}

/// Passes notices on from wherever they come; never waits.
pub fn queue() -> (Teller, Queue) {
    let (sender, queue) = mpsc::channel(QUEUE);
    (Teller(sender), Queue(queue))
}

/// Notices on their way.
#[derive(Debug)]
pub struct Queue(mpsc::Receiver<(About, Notice)>);

/// Where notices begin their way.
#[derive(Debug, Clone)]
pub struct Teller(mpsc::Sender<(About, Notice)>);

impl Teller {
    /// About the pod. Dropped when too many wait.
    pub fn tell(&self, notice: Notice) {
        self.about(About::Pod, notice);
    }

    pub(super) fn about(&self, about: About, notice: Notice) {
        // Too many, or nobody is there.
        let _ = self.0.try_send((about, notice));
    }
}

async fn until(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// As much of it as fits, in whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests;
