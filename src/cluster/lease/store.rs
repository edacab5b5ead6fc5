//! One Lease at the API server: records in, records out, each call under a limit.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};

use crate::cluster::micro_time;
use crate::domain::election::{Action, Event, Record, Timing};
use crate::domain::time::Wall;

/// How many pods the set has.
const PODS: &str = "podinit.dev/pods";
/// For what the holder runs.
const KEY: &str = "podinit.dev/run-key";
/// For what it has succeeded, oldest first, separated by spaces.
const SUCCEEDED: &str = "podinit.dev/succeeded";

/// No call takes longer, whatever the times of the Lease.
const LONGEST: Duration = Duration::from_secs(5);

/// Which Lease, and what it gets when it has to be made.
#[derive(Debug, Clone)]
pub struct Place {
    /// The pod's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Labels of one that is made.
    pub labels: Vec<(String, String)>,
}

/// What became of a call.
#[derive(Debug)]
pub enum Answer {
    /// An answer that means something.
    Event(Event),
    /// Forbidden. Nothing was written.
    Denied(String),
    /// Anything else: a write may have been applied.
    Failed(String),
}

/// The way to one Lease.
#[derive(Clone)]
pub struct Store {
    api: Api<Lease>,
    place: Arc<Place>,
    limit: Duration,
    /// The whole object as it was seen last: what others wrote into it is kept.
    seen: Option<Box<Lease>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The way to the Lease at `place`. No call takes so long that a holder has not time for three.
    pub fn new(client: Client, place: Place, timing: Timing) -> Self {
        let limit = timing.renew.saturating_sub(timing.retry) / 3;
        Store {
            api: Api::namespaced(client, &place.namespace),
            place: Arc::new(place),
            limit: limit.min(LONGEST),
            seen: None,
        }
    }

    /// `NAMESPACE/NAME`, for people.
    pub fn name(&self) -> String {
        format!("{}/{}", self.place.namespace, self.place.name)
    }

    /// Makes the call that an action is. `Nothing` is none, and fails.
    pub async fn perform(&mut self, action: Action) -> Answer {
        let limit = self.limit;
        match tokio::time::timeout(limit, self.call(action)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Failed(format!("no answer in {limit:?}")),
        }
    }

    async fn call(&mut self, action: Action) -> Answer {
        let name = &self.place.name;
        let how = PostParams::default();
        let stored = match action {
            Action::Nothing => return Answer::Failed("no request".to_owned()),
            Action::Read => match self.api.get(name).await {
                Ok(lease) => return self.read(lease),
                // By its code: a server without this API, and whoever stands before a server, gives no reason.
                Err(Error::Api(status)) if status.code == 404 => {
                    self.seen = None;
                    return Answer::Event(Event::Read(None));
                }
                Err(error) => Err(error),
            },
            Action::Create(record) => {
                let lease = written(self.made(), &record);
                self.api.create(&how, &lease).await
            }
            Action::Update(record, version) => {
                let known = self
                    .seen
                    .as_deref()
                    .filter(|lease| lease.metadata.resource_version.as_deref() == Some(&*version));
                // Not known any more: it is read again before it is written.
                let Some(known) = known else {
                    return Answer::Event(Event::Conflict);
                };
                let lease = written(known.clone(), &record);
                self.api.replace(name, &how, &lease).await
            }
        };
        match stored {
            Ok(lease) => {
                let version = lease.metadata.resource_version.clone();
                self.seen = Some(Box::new(lease));
                Answer::Event(Event::Written(version.unwrap_or_default().into()))
            }
            Err(error) => failed(error),
        }
    }

    fn read(&mut self, lease: Lease) -> Answer {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let record = record(&lease);
        self.seen = Some(Box::new(lease));
        Answer::Event(Event::Read(Some((record, version.into()))))
    }

    /// One that is not there yet. It belongs to nobody: with the ProcessSet as its owner it would be taken away while somebody
    /// holds it, when the set is deleted and made again.
    fn made(&self) -> Lease {
        let Place {
            namespace,
            name,
            labels,
        } = &*self.place;
        Lease {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.clone()),
                labels: (!labels.is_empty()).then(|| labels.iter().cloned().collect()),
                ..ObjectMeta::default()
            },
            spec: None,
        }
    }
}

fn failed(error: Error) -> Answer {
    match error {
        // 404: deleted since it was read, or no such namespace; reading tells which.
        Error::Api(status) if [404, 409].contains(&status.code) => Answer::Event(Event::Conflict),
        Error::Api(status) if status.code == 401 || status.code == 403 => {
            Answer::Denied(status.message.clone())
        }
        Error::Api(status) => Answer::Failed(format!("{}: {}", status.code, status.message)),
        error => Answer::Failed(error.to_string()),
    }
}

fn wall(time: Option<&MicroTime>) -> Wall {
    Wall(time.map_or(0, |time| time.0.as_microsecond()))
}

/// What a Lease means to us.
fn record(lease: &Lease) -> Record {
    let absent = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&absent);
    let note = |name: &str| {
        let notes = lease.metadata.annotations.as_ref()?;
        notes.get(name).map(String::as_str)
    };
    let seconds = spec.lease_duration_seconds.unwrap_or(0);
    Record {
        holder: spec.holder_identity.as_deref().unwrap_or("").into(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        acquired: wall(spec.acquire_time.as_ref()),
        renewed: wall(spec.renew_time.as_ref()),
        transitions: u32::try_from(spec.lease_transitions.unwrap_or(0)).unwrap_or(0),
        pods: note(PODS).and_then(|pods| pods.parse().ok()),
        key: note(KEY).map(Into::into),
        succeeded: note(SUCCEEDED)
            .unwrap_or("")
            .split_ascii_whitespace()
            .map(Into::into)
            .collect(),
    }
}

/// A Lease with this record; the rest of it stays as it is.
fn written(mut lease: Lease, record: &Record) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(record.holder.to_string());
    spec.lease_duration_seconds = Some(record.duration.as_secs().clamp(1, 86_400) as i32);
    spec.acquire_time = micro_time(record.acquired);
    spec.renew_time = micro_time(record.renewed);
    spec.lease_transitions = Some(i32::try_from(record.transitions).unwrap_or(i32::MAX));
    let mut notes = lease.metadata.annotations.take().unwrap_or_default();
    let mut note = |name: &str, value: Option<String>| match value {
        Some(value) => notes.insert(name.to_owned(), value),
        None => notes.remove(name),
    };
    note(PODS, record.pods.map(|pods| pods.to_string()));
    note(KEY, record.key.as_deref().map(str::to_owned));
    let succeeded = record.succeeded.join(" ");
    note(SUCCEEDED, (!succeeded.is_empty()).then_some(succeeded));
    lease.metadata.annotations = (!notes.is_empty()).then_some(notes);
    lease
}
