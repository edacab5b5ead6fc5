//! Follows one ProcessSet: its metadata is watched, and a version that is new is read whole.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::{Api, PartialObjectMeta};
use kube::core::Request as ApiRequest;
use kube::core::params::GetParams;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource as _, ResourceExt as _};
use serde::Deserialize;

use super::access::Access;
use super::pause::{Pause, Retry, sleep};
use super::trouble::{GONE, Kind, Told, Trouble};
use super::{News, Wiring};
use crate::domain::plan::ObjectVersion;
use crate::ports::{Level, Object};
use crate::spec::v1alpha1::ProcessSet;

/// The server ends a watch after this time, and another one begins.
const WATCH: u32 = 240;
/// A watch that the server took and did not end within this time works.
const SETTLED: Duration = Duration::from_secs(1);

type Metadata = PartialObjectMeta<ProcessSet>;

/// Until podinit leaves.
pub(super) async fn follow(access: &Access, wiring: &Wiring) {
    let mut follower = Follower {
        access,
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
}

#[derive(Deserialize)]
struct Version {
    uid: Arc<str>,
    generation: i64,
}

struct Follower<'a> {
    access: &'a Access,
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
        if self.last.as_ref() == Some(&version) {
            return true;
        }
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
        Ok(Object {
            name: name.clone(),
            version: ObjectVersion {
                uid: head.metadata.uid,
                generation: head.metadata.generation,
            },
            json: json.into(),
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
            Kind::Conflict | Kind::Other => "",
        };
        let told = format!("{what} cannot be followed: {trouble}{advice}");
        self.retry = trouble.retry();
        if self.told.is_news(trouble) {
            self.wiring.say(Level::Warn, told.clone());
            if self.last.is_none() {
                (self.wiring.news)(News::Nothing(told));
            }
        }
    }
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

#[cfg(test)]
mod tests;
