//! The own Pod: which of its containers Kubernetes ends by itself, if that matters, and its deadline. From the first
//! moment of a stop on it is read and watched. It says when the kubelet will kill, whoever shortened that, and it never
//! delays the stop: what comes in time counts.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::HeaderValue;
use http::header::{ACCEPT, DATE};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource as _;
use kube::api::{Api, PartialObjectMeta};
use kube::core::Request as ApiRequest;
use kube::core::params::GetParams;
use kube::runtime::watcher::{self, Event, watcher};
use serde::Deserialize;

use super::Wiring;
use super::access::{Access, Identity, Pod as Me};
use super::pause::{Pause, Retry, sleep, within};
use super::trouble::{Kind, Told, Trouble};
use crate::domain::event::Event as Fed;
use crate::domain::time::Mono;
use crate::ports::Level;

/// For the first answer.
const FIRST: Duration = Duration::from_secs(1);
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Waits for a stop, then follows the Pod until podinit leaves.
pub(super) async fn follow(access: &Access, me: &Identity, wiring: &Wiring) {
    let Some(pod) = &me.pod else { return };
    let mut snapshots = wiring.snapshots.clone();
    if (snapshots
        .wait_for(|snapshot| snapshot.stopping.is_some())
        .await)
        .is_err()
    {
        return;
    }
    let began = (wiring.clock)().mono;
    let mut told = Told::default();
    let mut pause = Pause::new();
    let (offset, deletion) = loop {
        match first(access, pod, wiring).await {
            Ok(answer) => break answer,
            Err(trouble) => {
                complain(&mut told, &trouble, "known", wiring);
                if matches!(trouble.kind, Kind::Forbidden | Kind::NotFound) {
                    return;
                }
                sleep(pause.next(wiring.clock, Retry::Soon)).await;
            }
        }
    };
    tell(wiring, began, &offset, &deletion).await;
    watch(access, pod, (wiring, began, offset)).await;
}

fn complain(told: &mut Told, trouble: &Trouble, what: &str, wiring: &Wiring) {
    if told.is_news(trouble) {
        let advice = match trouble.kind {
            Kind::Forbidden => "; its Role needs get, list and watch of pods",
            Kind::NotFound | Kind::Conflict | Kind::Refused | Kind::Other => "",
        };
        let told = format!("the pod's own deadline is not {what}: {trouble}{advice}");
        wiring.say(Level::Info, told);
    }
}

/// Asks once which containers are native sidecars, where some sidecar is to be told to quit: those need not be.
pub(super) async fn natives(access: &Access, me: &Identity, wiring: &Wiring) {
    let Some(pod) = &me.pod else { return };
    let mut snapshots = wiring.snapshots.clone();
    if snapshots.wait_for(|snapshot| snapshot.quits).await.is_err() {
        return;
    }
    let mut pause = Pause::new();
    let names = loop {
        match read_natives(access, pod).await {
            Ok(names) => break names,
            Err(trouble) if trouble.kind == Kind::Other => {
                sleep(pause.next(wiring.clock, Retry::Patiently)).await;
            }
            Err(trouble) => {
                let told = format!(
                    "which containers are native sidecars is not known: {trouble}; its Role needs get of pods"
                );
                return wiring.say(Level::Info, told);
            }
        }
    };
    if !names.is_empty() {
        // Closed: podinit is leaving.
        let _ = wiring
            .mailbox
            .send(Fed::NativeSidecars { names }.into())
            .await;
    }
}

/// Init containers with restartPolicy Always: the kubelet starts them before, and ends them after the others.
async fn read_natives(access: &Access, pod: &Me) -> Result<Vec<String>, Trouble> {
    let answer = access.get(own(pod)?).await?;
    let found: Containers = parsed(answer.body())?;
    let natives = found.spec.init_containers.into_iter();
    let natives = natives.filter(|one| one.restart_policy.as_deref() == Some("Always"));
    Ok(natives.map(|one| one.name).collect())
}

/// As much of a Pod as we want to know.
#[derive(Debug, Deserialize)]
struct Containers {
    spec: InitContainers,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitContainers {
    #[serde(default)]
    init_containers: Vec<InitContainer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitContainer {
    name: String,
    restart_policy: Option<String>,
}

/// A GET of the Pod.
fn own(pod: &Me) -> Result<http::Request<Vec<u8>>, Trouble> {
    ApiRequest::new(Pod::url_path(&(), Some(&pod.namespace)))
        .get(&pod.name, &GetParams::default())
        .map_err(|error| Trouble::other(error.to_string()))
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(body).map_err(|error| Trouble::other(error.to_string()))
}

#[derive(Debug, Default, Deserialize)]
struct Answer {
    metadata: Deletion,
}

/// When a Pod is to be gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deletion {
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<u64>,
}

/// Between our monotonic clock and the server's wall clock: the server's time at an instant of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offset {
    at: Mono,
    /// Seconds since 1970 at that instant: one more than the answer said, since it has whole seconds only.
    server: i64,
}

async fn first(access: &Access, pod: &Me, wiring: &Wiring) -> Result<(Offset, Deletion), Trouble> {
    let mut request = own(pod)?;
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static(METADATA));
    let answer = within(FIRST, async { Ok(access.get(request).await) }).await??;
    let at = (wiring.clock)().mono;
    let date = answer
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok());
    let server = date
        .and_then(seconds_of_date)
        .ok_or_else(|| Trouble::other("the answer has no Date"))?;
    let body: Answer = parsed(answer.body())?;
    let server = server + 1;
    Ok((Offset { at, server }, body.metadata))
}

async fn watch(access: &Access, pod: &Me, (wiring, began, offset): (&Wiring, Mono, Offset)) {
    let api: Api<PartialObjectMeta<Pod>> = Api::namespaced(access.client.clone(), &pod.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", pod.name));
    let mut stream = pin!(watcher(api, config));
    let (mut told, mut pause) = (Told::default(), Pause::new());
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                let metadata = pod.metadata;
                let deletion = Deletion {
                    deletion_timestamp: metadata.deletion_timestamp.map(|time| time.0.to_string()),
                    deletion_grace_period_seconds: metadata
                        .deletion_grace_period_seconds
                        .and_then(|seconds| u64::try_from(seconds).ok()),
                };
                tell(wiring, began, &offset, &deletion).await;
            }
            Ok(_) => {}
            Err(error) => {
                let trouble = Trouble::of_watch(&error);
                complain(&mut told, &trouble, "followed", wiring);
                sleep(pause.next(wiring.clock, trouble.retry())).await;
            }
        }
    }
}

async fn tell(wiring: &Wiring, began: Mono, offset: &Offset, deletion: &Deletion) {
    if let Some(end) = end_of(began, offset, deletion) {
        // Closed: podinit is leaving.
        let _ = wiring.mailbox.send(Fed::DeadlineKnown { end }.into()).await;
    }
}

/// When the kubelet kills, as far as the Pod says: the earlier one of its grace period from the beginning of the stop on,
/// and of its deletionTimestamp. `None`: it is not being deleted.
fn end_of(began: Mono, offset: &Offset, deletion: &Deletion) -> Option<Mono> {
    let grace = deletion.deletion_grace_period_seconds?;
    let by_grace = began + Duration::from_secs(grace);
    let text = deletion.deletion_timestamp.as_deref()?;
    let deadline: jiff::Timestamp = text.parse().ok()?;
    let left = deadline.as_second() - offset.server;
    let by_timestamp = match u64::try_from(left) {
        Ok(left) => offset.at + Duration::from_secs(left),
        Err(_) => offset.at - Duration::from_secs(left.unsigned_abs()),
    };
    Some(by_grace.min(by_timestamp))
}

/// Seconds since 1970 of a Date header.
fn seconds_of_date(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::ZERO + Duration::from_secs(seconds)
    }

    fn deletion(time: &str, grace: u64) -> Deletion {
        Deletion {
            deletion_timestamp: Some(time.to_owned()),
            deletion_grace_period_seconds: Some(grace),
        }
    }

    #[test]
    fn a_date_is_read() {
        assert_eq!(
            seconds_of_date("Sat, 28 Nov 2026 08:00:00 GMT"),
            Some(1_795_852_800)
        );
        assert_eq!(seconds_of_date("today"), None);
    }

    #[test]
    fn the_earlier_of_the_two_counts_and_a_clock_that_is_wrong_does_not_matter() {
        // The server said 08:00:00 at our 100th second: it may have been nearly 08:00:01.
        let offset = Offset {
            at: at(100),
            server: 1_795_852_801,
        };
        for (began, deletion, end) in [
            // A delete at t0: 30 s from then on, less the second that is not known.
            (100, deletion("2026-11-28T08:00:30Z", 30), Some(129)),
            // A preStop hook took 10 s before we were asked to stop.
            (100, deletion("2026-11-28T08:00:20Z", 30), Some(119)),
            // Shortened.
            (100, deletion("2026-11-28T08:00:05Z", 5), Some(104)),
            // Over already.
            (100, deletion("2026-11-28T07:59:50Z", 30), Some(89)),
            // Ours began long before the answer came.
            (80, deletion("2026-11-28T08:00:30Z", 30), Some(110)),
            (100, Deletion::default(), None),
            (100, deletion("nonsense", 30), None),
        ] {
            assert_eq!(
                end_of(at(began), &offset, &deletion),
                end.map(at),
                "{deletion:?}"
            );
        }
    }
}
