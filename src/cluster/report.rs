//! The ProcessReport of this pod and container: what one podinit observed, written when that changes.
//!
//! Written soon after a transition, never often, never in a queue: what is written is how things are by then. Nobody waits
//! for it but, shortly, the end of podinit.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::sync::watch;

pub(super) use self::status::SETTLED;
use self::status::{Extra, status};
use super::access::{Access, Identity, LIMIT, Pod};
use super::pause::{Pause, part, sleep, spread, within};
use super::trouble::{Kind, Told, Trouble};
use super::watcher::Seen;
use super::{News, Wiring};
use crate::domain::plan::ObjectVersion;
use crate::domain::snapshot::Snapshot;
use crate::ports::Level;
use crate::spec::v1alpha1::{ProcessReport, ProcessReportStatus};

mod status;
#[cfg(test)]
mod tests;

/// From a transition to its write: what happens together is written together.
const SOON: Duration = Duration::from_millis(500);
/// Between two writes, at least.
const SELDOM: Duration = Duration::from_secs(2);
/// And a fleet writes over so much time for each pod.
pub(super) const WRITE_PER_POD: Duration = Duration::from_millis(4);
/// For the last write.
const LAST: Duration = Duration::from_millis(400);

/// Who wrote it, for server-side apply.
const MANAGER: &str = "podinit";

/// Writes it until podinit leaves; `reported` gets whether one is there.
pub(super) async fn keep(
    access: &Access,
    me: &Identity,
    seen: watch::Receiver<Seen>,
    wiring: &Wiring,
    reported: &AtomicBool,
) {
    let Some(mut writer) = Writer::new(access, me, wiring, reported) else {
        wiring.say(
            Level::Warn,
            "no ProcessReport is written: the pod's name and uid are not known (POD_NAME, POD_UID)"
                .to_owned(),
        );
        return;
    };
    let mut snapshots = wiring.snapshots.clone();
    let mut told = Told::default();
    let mut pause = Pause::new();
    let later = || spread(WRITE_PER_POD, seen.borrow().pods, wiring.clock);
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let late = seen.borrow().late(&snapshot.spec);
        if snapshot.loaded {
            match writer.write(&snapshot, late.as_ref()).await {
                Ok(written) => {
                    pause.reset();
                    if told.over() {
                        wiring.say(Level::Info, "the ProcessReport is written again".to_owned());
                    }
                    if written {
                        sleep(jittered(SELDOM, wiring)).await;
                    }
                }
                Err(trouble) => {
                    complain(&mut told, &trouble, wiring);
                    sleep(pause.next(wiring.clock, trouble.retry()) + later()).await;
                    continue;
                }
            }
        }
        if snapshots.changed().await.is_err() {
            return;
        }
        sleep(jittered(SOON, wiring) + later()).await;
    }
}

/// Tells at once which version has proved itself; needs no API server.
pub(super) async fn proofs(wiring: &Wiring) {
    let mut snapshots = wiring.snapshots.clone();
    let mut last = None;
    loop {
        let good = {
            let spec = &snapshots.borrow_and_update().spec;
            spec.origin.object.clone().filter(|_| spec.good)
        };
        if let Some(version) = good.clone().filter(|_| good != last) {
            (wiring.news)(News::Good(version));
            last = good;
        }
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// One write before podinit leaves, if there is something to say.
pub(super) async fn last_words(
    access: &Access,
    me: &Identity,
    wiring: &Wiring,
    reported: &AtomicBool,
) {
    let Some(mut writer) = Writer::new(access, me, wiring, reported) else {
        return;
    };
    // It was made before, or it is not made any more.
    writer.made = true;
    let mut snapshot = Snapshot::clone(&wiring.snapshots.borrow());
    snapshot.gone = true;
    if snapshot.loaded {
        // Too late is too late.
        let _ = within(LAST, async { Ok(writer.write(&snapshot, None).await) }).await;
    }
}

fn complain(told: &mut Told, trouble: &Trouble, wiring: &Wiring) {
    if told.is_news(trouble) {
        let advice = match trouble.kind {
            Kind::Forbidden => {
                "; its Role needs create and patch of processreports and patch of processreports/status: without them no pod acts on a change that stops processes"
            }
            Kind::NotFound => "; is the CustomResourceDefinition installed?",
            Kind::Conflict | Kind::Refused | Kind::Other => "",
        };
        let told = format!("the ProcessReport cannot be written: {trouble}{advice}");
        wiring.say(Level::Warn, told);
    }
}

/// A fleet does not write all at once.
fn jittered(time: Duration, wiring: &Wiring) -> Duration {
    time + part(wiring.clock, time)
}

struct Writer<'a> {
    api: Api<ProcessReport>,
    pod: &'a Pod,
    container: &'a str,
    name: String,
    wiring: &'a Wiring,
    made: bool,
    /// What was written last.
    last: Option<ProcessReportStatus>,
    /// Whether that is how it is there: a write without an answer may have been one.
    is_there: bool,
    /// Gets whether there is a report.
    reported: &'a AtomicBool,
}

impl<'a> Writer<'a> {
    fn new(
        access: &Access,
        me: &'a Identity,
        wiring: &'a Wiring,
        reported: &'a AtomicBool,
    ) -> Option<Writer<'a>> {
        let pod = me.pod.as_ref()?;
        Some(Writer {
            api: Api::namespaced(access.client.clone(), &pod.namespace),
            name: format!("{}.{}", pod.name, me.container),
            pod,
            container: &me.container,
            wiring,
            made: false,
            last: None,
            is_there: false,
            reported,
        })
    }

    /// True if something was written.
    async fn write(
        &mut self,
        snapshot: &Snapshot,
        late: Option<&ObjectVersion>,
    ) -> Result<bool, Trouble> {
        let extra = Extra {
            pod: &self.pod.name,
            container: self.container,
            process_set: &self.wiring.name.name,
            late: late.map(|late| late.generation),
            now: (self.wiring.clock)().wall,
        };
        let status = status(snapshot, self.last.as_ref(), &extra);
        if self.is_there && self.last.as_ref() == Some(&status) {
            return Ok(false);
        }
        if !self.made {
            if snapshot.stopping.is_some() {
                return Ok(false);
            }
            self.make().await?;
            self.made = true;
        }
        let body = json!({
            "apiVersion": "podinit.dev/v1alpha1",
            "kind": "ProcessReport",
            "status": &status,
        });
        let how = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(body);
        let written = self.api.patch_status(&self.name, &how, &patch);
        self.is_there = false;
        match within(LIMIT, written).await {
            Ok(_) => {
                self.last = Some(status);
                self.is_there = true;
                self.reported.store(true, Relaxed);
                Ok(true)
            }
            Err(trouble) => {
                // Whoever removed it gets it again.
                if trouble.kind == Kind::NotFound {
                    self.made = false;
                    self.reported.store(false, Relaxed);
                }
                Err(trouble)
            }
        }
    }

    /// The object itself; it goes with its Pod.
    async fn make(&self) -> Result<(), Trouble> {
        let body = json!({
            "apiVersion": "podinit.dev/v1alpha1",
            "kind": "ProcessReport",
            "metadata": {
                "name": &self.name,
                "labels": {"podinit.dev/processset": &self.wiring.name.name},
                "ownerReferences": [{
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": &self.pod.name,
                    "uid": &self.pod.uid,
                }],
            },
        });
        let how = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(body);
        within(LIMIT, self.api.patch(&self.name, &how, &patch)).await?;
        Ok(())
    }
}
