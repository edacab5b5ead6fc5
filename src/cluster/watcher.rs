//! Follows one ProcessSet: its metadata is watched, and a version that is new is read whole.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use kube::api::{Api, PartialObjectMeta};
use kube::core::Request as ApiRequest;
use kube::core::params::GetParams;
use kube::runtime::watcher::{self, Event, watcher};
use serde::Deserialize;
use tokio::sync::watch::Sender;

use super::access::Access;
use super::fleet::before;
use super::pause::{Pause, Retry, sleep, spread};
use super::trouble::{GONE, Kind, Told, Trouble};
use super::{News, Wiring};
use crate::domain::plan::ObjectVersion;
use crate::domain::snapshot::SpecView;
use crate::ports::{Level, Object};
use crate::spec::units::IntOrPercent;
use crate::spec::v1alpha1::{ProcessSet, ProcessSetStatus, Rollout};

/// The server ends a watch after this time, and another one begins.
const WATCH: u32 = 240;
/// A watch that the server took and did not end within this time works.
const SETTLED: Duration = Duration::from_secs(1);

/// A fleet that is told of a change reads it over so much time for each pod.
pub(super) const READ_PER_POD: Duration = Duration::from_millis(1);

type Metadata = PartialObjectMeta<ProcessSet>;

/// What was read last, for those who look after the fleet.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Which version; `None`: nothing was read yet.
    pub(super) version: Option<ObjectVersion>,
    /// The first one that was read. A podinit that waits with it began with another spec, and may be late.
    pub(super) first: Option<ObjectVersion>,
    /// One that was read while this pod had no report, so that it was in no count.
    pub(super) uncounted: Option<ObjectVersion>,
    /// How many pods may act at the same time.
    pub(super) max_unavailable: IntOrPercent,
    /// How many parts of a billion may act on this version.
    pub(super) admitted: u32,
    /// And which pods beside them, by uid.
    pub(super) admitted_pods: Arc<[String]>,
    /// How many pods it has.
    pub(super) pods: u32,
}

impl Default for Seen {
    fn default() -> Self {
        Seen {
            version: None,
            first: None,
            uncounted: None,
            max_unavailable: IntOrPercent::Percent(25),
            admitted: 0,
            admitted_pods: Arc::default(),
            pods: 0,
        }
    }
}

impl Seen {
    /// Which version this pod takes later than others may have: their turns were given without it, so it acts when it is
    /// named only.
    pub(super) fn late(&self, spec: &SpecView) -> Option<ObjectVersion> {
        let waits = spec.waits.clone()?;
        let mut known = [&self.first, &self.uncounted].into_iter().flatten();
        let is_late = spec.late || known.any(|one| *one == waits);
        is_late.then_some(waits)
    }
}

/// What metadata say of the version; the API server leaves neither out.
pub(super) fn version_of(metadata: &ObjectMeta) -> ObjectVersion {
    ObjectVersion {
        uid: metadata.uid.clone().unwrap_or_default().into(),
        generation: metadata.generation.unwrap_or_default(),
    }
}

/// Until podinit leaves. `reported`: whether this pod has a report.
pub(super) async fn follow(
    access: &Access,
    seen: Sender<Seen>,
    wiring: &Wiring,
    reported: &AtomicBool,
) {
    let mut follower = Follower {
        reported,
        uncounted: None,
        access,
        seen,
        wiring,
        last: None,
        told: Told::default(),
        pause: Pause::new(),
        retry: Retry::Soon,
        there: None,
    };
    loop {
        follower.retry = Retry::Soon;
        follower.watch().await;
        let (pause, retry) = (&mut follower.pause, follower.retry);
        sleep(pause.next(wiring.clock, retry)).await;
    }
}

#[derive(Deserialize)]
struct Head {
    metadata: Version,
    #[serde(default)]
    spec: Spec,
    // Its own business, and no reason not to follow the spec.
    #[serde(default)]
    status: serde_json::Value,
}

#[derive(Deserialize, Default)]
struct Spec {
    #[serde(default)]
    rollout: Rollout,
}

#[derive(Deserialize)]
struct Version {
    uid: Arc<str>,
    generation: i64,
}

struct Follower<'a> {
    reported: &'a AtomicBool,
    /// The last one that was heard of while there was no report. It may be read a while later.
    uncounted: Option<ObjectVersion>,
    access: &'a Access,
    seen: Sender<Seen>,
    wiring: &'a Wiring,
    /// The version that was read last.
    last: Option<ObjectVersion>,
    told: Told,
    pause: Pause,
    /// How soon to try again.
    retry: Retry,
    /// Whether the object is there, once that is known.
    there: Option<bool>,
}

impl Follower<'_> {
    /// One watch with its list; ends with the first thing that goes wrong.
    async fn watch(&mut self) {
        let name = &self.wiring.name;
        let api: Api<Metadata> = Api::namespaced(self.access.client.clone(), &name.namespace);
        let config = watcher::Config::default()
            .fields(&format!("metadata.name={}", name.name))
            .timeout(WATCH);
        let path = ProcessSet::url_path(&(), Some(&name.namespace));
        let mut stream = pin!(watcher(api, config));
        let mut listed = false;
        let mut settled = false;
        let mut seen = false;
        loop {
            let event = tokio::select! {
                event = stream.next() => event,
                () = sleep(SETTLED), if listed && !settled => {
                    // That a list succeeds does not say that a watch does.
                    settled = self.access.watches(&path);
                    if settled {
                        self.well();
                    }
                    continue;
                }
            };
            match event {
                Some(Ok(Event::Init)) => seen = false,
                Some(Ok(Event::InitApply(metadata) | Event::Apply(metadata))) => {
                    seen = true;
                    if !self.look(&metadata).await {
                        return;
                    }
                }
                Some(Ok(Event::InitDone)) => {
                    listed = true;
                    if !seen {
                        self.absent();
                    }
                }
                Some(Ok(Event::Delete(_))) => self.absent(),
                // The server has forgotten the version that the watch would begin with: a new list says how things are.
                Some(Err(watcher::Error::WatchError(status))) if status.code == GONE => return,
                Some(Err(error)) => return self.trouble(&Trouble::of_watch(&error)),
                None => return,
            }
        }
    }

    /// Something about it changed; false: it could not be read.
    async fn look(&mut self, metadata: &Metadata) -> bool {
        let version = version_of(metadata.meta());
        self.there = Some(true);
        // Until the pod has taken it, the status says when its turn comes.
        let settled = {
            let spec = &self.wiring.snapshots.borrow().spec;
            let refused = spec.refused.as_ref();
            let refused = refused.is_some_and(|refused| refused.origin.object == self.last);
            spec.waits.is_none() && (refused || spec.origin.object == self.last)
        };
        if self.last.as_ref() == Some(&version) && settled {
            return true;
        }
        self.note_uncounted(&version);
        let pods = self.seen.borrow().pods;
        sleep(spread(READ_PER_POD, pods, self.wiring.clock)).await;
        match self.read().await {
            Ok(object) => {
                if self.last.as_ref() != Some(&object.version) {
                    self.last = Some(object.version.clone());
                    (self.wiring.news)(News::Found(object));
                }
                true
            }
            Err(trouble) => {
                self.trouble(&trouble);
                false
            }
        }
    }

    /// A new version, while there is no report.
    fn note_uncounted(&mut self, version: &ObjectVersion) {
        if self.last.as_ref() != Some(version) && !self.reported.load(Relaxed) {
            self.uncounted = Some(version.clone());
        }
    }

    async fn read(&mut self) -> Result<Object, Trouble> {
        let name = &self.wiring.name;
        let url = ProcessSet::url_path(&(), Some(&name.namespace));
        let request = ApiRequest::new(url)
            .get(&name.name, &GetParams::default())
            .map_err(|error| Trouble::other(error.to_string()))?;
        let answer = self.access.get(request).await?;
        let json = String::from_utf8(answer.into_body())
            .map_err(|_| Trouble::other("the answer is no text"))?;
        let head: Head = serde_json::from_str(&json)
            .map_err(|error| Trouble::other(format!("the answer is no ProcessSet: {error}")))?;
        let version = ObjectVersion {
            uid: head.metadata.uid,
            generation: head.metadata.generation,
        };
        let status: Option<ProcessSetStatus> = serde_json::from_value(head.status).ok();
        let rollout = status.as_ref().and_then(|status| status.rollout.as_ref());
        let rollout = rollout.filter(|rollout| rollout.generation == version.generation);
        let failed = before(status.as_ref(), version.generation).failed;
        let pods = status.as_ref().and_then(|status| status.pods.as_ref());
        // A newer one perhaps than was heard of.
        self.note_uncounted(&version);
        let first = self.seen.borrow().first.clone();
        self.seen.send_replace(Seen {
            version: Some(version.clone()),
            first: first.or_else(|| Some(version.clone())),
            uncounted: self.uncounted.clone(),
            max_unavailable: head.spec.rollout.max_unavailable,
            admitted: rollout.map_or(0, |rollout| rollout.admitted_parts_per_billion),
            admitted_pods: rollout
                .map_or_else(Arc::default, |rollout| rollout.admitted_pods.clone().into()),
            pods: pods.map_or(0, |pods| pods.total),
        });
        Ok(Object {
            name: name.clone(),
            version,
            json: json.into(),
            failed,
        })
    }

    /// It is not there. What runs goes on.
    fn absent(&mut self) {
        let news = self.there != Some(false);
        self.there = Some(false);
        if !news {
            return;
        }
        let what = self.wiring.name.what();
        if self.last.take().is_some() {
            let told = format!("{what} was deleted: what runs goes on");
            self.wiring.say(Level::Warn, told);
        } else {
            (self.wiring.news)(News::Nothing(format!("{what} does not exist yet")));
        }
    }

    fn well(&mut self) {
        self.pause.reset();
        if self.told.over() {
            let told = format!("{} is followed again", self.wiring.name.what());
            self.wiring.say(Level::Info, told);
        }
    }

    fn trouble(&mut self, trouble: &Trouble) {
        let what = self.wiring.name.what();
        let advice = match trouble.kind {
            Kind::Forbidden => {
                "; its Role needs get, list and watch of processsets with this resourceName"
            }
            Kind::NotFound => "; is the CustomResourceDefinition installed?",
            Kind::Conflict | Kind::Refused | Kind::Other => "",
        };
        let told = format!("{what} cannot be followed: {trouble}{advice}");
        self.retry = trouble.retry();
        let news = self.told.is_news(trouble);
        if news {
            self.wiring.say(Level::Warn, told.clone());
        }
        if news && self.last.is_none() {
            (self.wiring.news)(News::Nothing(told));
        }
    }
}

#[cfg(test)]
mod tests;
