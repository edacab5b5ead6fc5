//! Follows one ProcessSet: its metadata is watched, and a version that is new is read whole.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, PartialObjectMeta};
use kube::core::Request as ApiRequest;
use kube::core::params::GetParams;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource as _, ResourceExt as _};
use serde::Deserialize;
use tokio::sync::watch::Sender;

use super::access::{Access, LIMIT};
use super::pause::{Pause, sleep};
use super::trouble::{Kind, Told, Trouble};
use super::{News, Wiring};
use crate::domain::plan::ObjectVersion;
use crate::ports::{Level, Object};
use crate::spec::units::IntOrPercent;
use crate::spec::v1alpha1::{ProcessSet, ProcessSetStatus, Rollout};

/// The server ends a watch after this time, and another one begins.
const WATCH: u32 = 240;
/// It is dead when it has not said anything for so long.
const DEAD: Duration = Duration::from_secs(WATCH as u64 + 15);

type Metadata = PartialObjectMeta<ProcessSet>;

/// What was read last, for those who look after the fleet.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Which version; `None`: nothing was read yet.
    pub(super) version: Option<ObjectVersion>,
    /// How many pods may act at the same time.
    pub(super) max_unavailable: IntOrPercent,
    /// How many thousandths of the pods may act on this version.
    pub(super) admitted: u32,
    /// Its status.
    pub(super) status: Option<ProcessSetStatus>,
    name: String,
}

impl Default for Seen {
    fn default() -> Self {
        Seen {
            version: None,
            max_unavailable: IntOrPercent::Percent(25),
            admitted: 0,
            status: None,
            name: String::new(),
        }
    }
}

impl Seen {
    /// What goes with the set belongs to it.
    pub(super) fn owner(&self) -> Option<OwnerReference> {
        let version = self.version.as_ref()?;
        Some(OwnerReference {
            api_version: "podinit.dev/v1alpha1".to_owned(),
            kind: "ProcessSet".to_owned(),
            name: self.name.clone(),
            uid: version.uid.to_string(),
            ..OwnerReference::default()
        })
    }
}

/// Until podinit leaves.
pub(super) async fn follow(access: &Access, seen: Sender<Seen>, wiring: &Wiring) {
    let mut follower = Follower {
        access,
        seen,
        wiring,
        last: None,
        told: Told::default(),
        pause: Pause::new(),
        there: None,
    };
    loop {
        follower.watch().await;
        sleep(follower.pause.next(wiring.clock)).await;
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
    access: &'a Access,
    seen: Sender<Seen>,
    wiring: &'a Wiring,
    /// The version that was read last.
    last: Option<ObjectVersion>,
    told: Told,
    pause: Pause,
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
        let mut stream = pin!(watcher(api, config));
        let mut listing = true;
        let mut seen = false;
        loop {
            let limit = if listing { LIMIT } else { DEAD };
            let Some(event) = next(limit, stream.next()).await else {
                return self.trouble(&Trouble::silent(limit));
            };
            match event {
                Some(Ok(Event::Init)) => {
                    listing = true;
                    seen = false;
                }
                Some(Ok(Event::InitApply(metadata) | Event::Apply(metadata))) => {
                    seen = true;
                    if !self.look(&metadata).await {
                        return;
                    }
                }
                Some(Ok(Event::InitDone)) => {
                    listing = false;
                    if seen {
                        self.well();
                    } else {
                        self.absent();
                    }
                }
                Some(Ok(Event::Delete(_))) => self.absent(),
                Some(Err(error)) => return self.trouble(&of(&error)),
                None => return,
            }
        }
    }

    /// Something about it changed; false: it could not be read.
    async fn look(&mut self, metadata: &Metadata) -> bool {
        let version = ObjectVersion {
            uid: metadata.uid().unwrap_or_default().into(),
            generation: metadata.meta().generation.unwrap_or_default(),
        };
        self.there = Some(true);
        // Until the pod has taken it, the status says when its turn comes.
        let settled = self.wiring.snapshots.borrow().spec.origin.object == self.last;
        if self.last.as_ref() == Some(&version) && settled {
            return true;
        }
        match self.read().await {
            Ok(object) => {
                self.well();
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

    async fn read(&self) -> Result<Object, Trouble> {
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
        self.seen.send_replace(Seen {
            version: Some(version.clone()),
            max_unavailable: head.spec.rollout.max_unavailable,
            admitted: rollout.map_or(0, |rollout| rollout.admitted_permille),
            status,
            name: name.name.clone(),
        });
        Ok(Object {
            name: name.clone(),
            version,
            json: json.into(),
        })
    }

    /// It is not there. What runs goes on.
    fn absent(&mut self) {
        let news = self.there != Some(false);
        self.there = Some(false);
        self.well();
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
            Kind::Conflict | Kind::Other => "",
        };
        let told = format!("{what} cannot be followed: {trouble}{advice}");
        if self.told.is_news(trouble) {
            self.wiring.say(Level::Warn, told.clone());
        }
        if self.last.is_none() {
            (self.wiring.news)(News::Nothing(told));
        }
    }
}

/// A server that says nothing more is found out by time only.
async fn next<T>(limit: Duration, event: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, event).await.ok()
}

fn of(error: &watcher::Error) -> Trouble {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Trouble::of(error),
        watcher::Error::WatchError(status) => Trouble::of(&kube::Error::Api(status.clone())),
        watcher::Error::NoResourceVersion => Trouble::other(error.to_string()),
    }
}
