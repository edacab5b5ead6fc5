//! What the holder of the set's Lease does for all its pods: folds their reports into the ProcessSet's status, and lets
//! them act on a change a few at a time.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use self::status::Count;
pub(super) use self::status::before;
use super::Wiring;
use super::access::{Access, Identity, LIMIT, Pod};
use super::events::About;
use super::lease::store::{Place, Store};
use super::lease::{Command, Held, hold};
use super::pause::{Pause, sleep, within};
use super::trouble::{Kind, Told, Trouble};
use super::watcher::{Seen, version_of};
use crate::domain::claim::set_lease_name;
use crate::domain::election::{Config, Field, Timing};
use crate::domain::event::Event;
use crate::domain::plan::ObjectVersion;
use crate::domain::rollout::{Before, MaxUnavailable, Progress, admitted};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Mono;
use crate::ports::Level;
use crate::spec::units::IntOrPercent;
use crate::spec::v1alpha1::{ProcessReport, ProcessSet, ProcessSetStatus};

#[cfg(test)]
mod simulation;
mod status;
#[cfg(test)]
mod tests;

/// Between two looks at the reports while a change is on its way, at least; ever longer while nothing changes.
const BUSY: Duration = Duration::from_secs(1);
/// And while none is: this first, then ever longer.
const QUIET: Duration = Duration::from_secs(10);
const QUIETEST: Duration = Duration::from_secs(60);
/// More for each pod: a big fleet is read rarely.
const BUSY_PER_POD: Duration = Duration::from_millis(4);
const QUIET_PER_POD: Duration = Duration::from_millis(20);
/// A report is no later than that, beside the time that all pods of a set are spread over.
const SETTLE: Duration = Duration::from_secs(5);
/// Reports in one answer. One of many processes that are unwell takes up to 30 KB, and an answer over 3 MiB is not read.
const PAGE: u32 = 64;
/// Who wrote the status, for server-side apply.
const MANAGER: &str = "podinit-status";

/// Tells the engine when this pod's turn has come.
pub(super) async fn turns(me: &Identity, mut seen: watch::Receiver<Seen>, wiring: &Wiring) {
    let uid = me.pod.as_ref().map_or("", |pod| &pod.uid);
    let mut said = false;
    let mut snapshots = wiring.snapshots.clone();
    let mut told = None;
    loop {
        let spec = snapshots.borrow_and_update().spec.clone();
        let waits = spec.waits.clone();
        if waits.is_none() {
            told = None;
        } else if uid.is_empty() && !said {
            said = true;
            let why = "the pod's name and uid are not known (POD_NAME, POD_UID), so its turn does not come";
            wiring.say(Level::Warn, why.to_owned());
        }
        let (version, may_act) = {
            let seen = seen.borrow_and_update();
            let named = || seen.admitted_pods.iter().any(|one| one == uid);
            let counted = seen.late(&spec).is_none();
            let may_act = (counted && admitted(uid, seen.admitted)) || named();
            (seen.version.clone(), may_act && !uid.is_empty())
        };
        let turn = waits.is_some() && waits == version && may_act;
        if let Some(object) = version.filter(|_| turn)
            && told.as_ref() != Some(&object)
        {
            told = Some(object.clone());
            let event = Event::Admitted { object };
            if wiring.mailbox.send(event.into()).await.is_err() {
                return;
            }
        }
        let changed = tokio::select! {
            changed = snapshots.changed() => changed,
            changed = seen.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Asks for the set's Lease, and does its work while it has it.
pub(super) async fn lead(
    access: &Access,
    me: &Identity,
    seen: watch::Receiver<Seen>,
    wiring: &Wiring,
) {
    let Some(pod) = &me.pod else { return };
    let mut first = seen.clone();
    // A set that is not there needs no holder.
    if first.wait_for(|seen| seen.version.is_some()).await.is_err() {
        return;
    }
    let name = &wiring.name;
    let place = Place {
        namespace: name.namespace.clone(),
        name: set_lease_name(&name.name),
        labels: vec![("podinit.dev/processset".to_owned(), name.name.clone())],
    };
    let config = Config {
        identity: identity(pod, &me.container),
        timing: Timing::SET,
        field: Field::Few {
            uid: pod.uid.as_str().into(),
        },
        seed: (wiring.clock)().mono.as_nanos(),
    };
    let clock = wiring.clock;
    let (commands, taken) = mpsc::channel(16);
    let (held, holds) = watch::channel(Held::default());
    let store = Store::new(access.client.clone(), place, Timing::SET);
    let note = Arc::clone(&wiring.note);
    let contender = hold(store, config, Arc::new(clock), taken, held, note);
    let leader = Leader {
        client: access.client.clone(),
        wiring,
        seen,
        holds,
        commands: commands.clone(),
        known: None,
        is_new: true,
        settled_at: Mono::ZERO,
    };
    tokio::join!(contender, leader.work(), tell_ready(wiring, commands));
}

pub(super) fn identity(pod: &Pod, container: &str) -> Arc<str> {
    format!("{}.{container}_{}", pod.name, pod.uid).into()
}

/// Ready pods ask for the Lease before others do, and it is given up at the first moment of a stop.
async fn tell_ready(wiring: &Wiring, commands: mpsc::Sender<Command>) {
    let mut snapshots = wiring.snapshots.clone();
    loop {
        let (ready, stopping) = {
            let snapshot = snapshots.borrow_and_update();
            (snapshot.ready, snapshot.stopping.is_some())
        };
        let command = if stopping {
            Command::Release
        } else {
            Command::Ready(ready)
        };
        if commands.send(command).await.is_err() || stopping || snapshots.changed().await.is_err() {
            return;
        }
    }
}

struct Leader<'a> {
    client: Client,
    wiring: &'a Wiring,
    seen: watch::Receiver<Seen>,
    holds: watch::Receiver<Held>,
    commands: mpsc::Sender<Command>,
    known: Option<Known>,
    /// It has not looked since the Lease became its own.
    is_new: bool,
    /// Until then pods that are in the middle of an older change may not have said so.
    settled_at: Mono,
}

/// The set's status as it is at the API server: read, or written last. Any other write makes a write after it fail: a
/// holder that stood still and does not know yet that it is none can change nothing.
struct Known {
    version: String,
    /// Of which set, and of its spec.
    of: ObjectVersion,
    status: Option<ProcessSetStatus>,
}

impl Known {
    /// Of a set whose spec is not looked at: it may be one of tomorrow's.
    fn of(mut set: DynamicObject) -> Known {
        Known {
            of: version_of(&set.metadata),
            version: set.metadata.resource_version.unwrap_or_default(),
            status: serde_json::from_value(set.data["status"].take()).ok(),
        }
    }
}

/// What came of a look at the reports.
#[derive(Debug, Default)]
struct Look {
    /// So many there are.
    pods: u32,
    /// Something is new: the next look is soon.
    changed: bool,
    /// A change of the spec is on its way.
    busy: bool,
    /// The status says all of it.
    is_told: bool,
}

impl Leader<'_> {
    async fn work(mut self) {
        let mut told = Told::default();
        let mut pause = Pause::new();
        let (mut busy_look, mut quiet) = (BUSY, QUIET);
        loop {
            let now = (self.wiring.clock)().mono;
            if !self.holds.borrow_and_update().holds(now) {
                self.known = None;
                self.is_new = true;
                if self.holds.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let wait = match self.look().await {
                Ok(Look {
                    pods,
                    changed,
                    busy,
                    is_told,
                }) => {
                    pause.reset();
                    if is_told && told.over() {
                        self.say(Level::Info, "the ProcessSet's status is written again");
                    }
                    // A pod that takes its time, or never gets ready, is not looked at all the time.
                    (busy_look, quiet) = if changed {
                        (BUSY, QUIET)
                    } else {
                        ((busy_look * 5 / 4).min(QUIET), (quiet * 2).min(QUIETEST))
                    };
                    if busy {
                        busy_look.max(BUSY_PER_POD * pods)
                    } else {
                        quiet.max(QUIET_PER_POD * pods)
                    }
                }
                Err(trouble) => {
                    if told.is_news(&trouble) {
                        let advice = advice(&trouble);
                        self.say(
                            Level::Warn,
                            &format!(
                                "the ProcessSet's status cannot be written: {trouble}{advice}"
                            ),
                        );
                    }
                    pause.next(self.wiring.clock, trouble.retry()).max(BUSY)
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = begins_to_wait(self.wiring.snapshots.clone()) => {}
                changed = self.seen.changed() => if changed.is_err() { return },
            }
        }
    }

    fn say(&self, level: Level, message: &str) {
        self.wiring.say(level, message.to_owned());
    }

    /// Folds the reports and writes what changed.
    async fn look(&mut self) -> Result<Look, Trouble> {
        let seen = self.seen.borrow_and_update().clone();
        let Some(version) = &seen.version else {
            return Ok(Look::default());
        };
        let count = self.count(version).await?;
        let pods = count.fleet.pods();
        // Closed: it is being given up.
        let _ = self.commands.send(Command::Pods(pods)).await;
        // A changed spec has another version: nothing could be written with the one that is known.
        let known = self.known.take();
        let known = known.filter(|known| &known.of == version);
        let known = match known {
            Some(known) => known,
            None => self.read().await?,
        };
        if &known.of != version {
            // The watch is behind: what it has not told of yet is not written over.
            return Ok(Look {
                pods,
                ..Look::default()
            });
        }
        let max = match seen.max_unavailable {
            IntOrPercent::Int(count) => MaxUnavailable::Count(count.into()),
            IntOrPercent::Percent(percent) => MaxUnavailable::Percent(percent.into()),
        };
        let now = (self.wiring.clock)();
        let mut before = status::before(known.status.as_ref(), version.generation);
        before.settling = self.settles(&before, &known, &count, now.mono);
        let admission = count.fleet.admit(&before, max);
        let progress = admission.progress;
        let spec = self.wiring.snapshots.borrow().spec.clone();
        let refused = spec.refused;
        let told = (&admission, refused.as_deref());
        let before = known.status.as_ref();
        let status = status::status(version.generation, &count, told, before, now.wall);
        let look = Look {
            pods,
            changed: false,
            // Where this pod waits, others do, and have not said so yet perhaps.
            busy: match progress {
                Progress::Waiting { .. } => true,
                Progress::Complete => spec.waits.is_some(),
                Progress::Failed { .. } => false,
            },
            is_told: false,
        };
        if before == Some(&status) {
            self.known = Some(known);
            return Ok(Look {
                is_told: true,
                ..look
            });
        }
        // What is not held any more by now is somebody else's to write.
        if !self.holds.borrow().holds(now.mono) {
            return Ok(look);
        }
        match self.write(&status, &known.version).await {
            Ok(written) => self.known = Some(written),
            // Something about it is newer: it is read before the next try, soon.
            Err(trouble) if trouble.kind == Kind::Conflict => {
                return Ok(Look {
                    changed: true,
                    busy: true,
                    ..look
                });
            }
            Err(trouble) => return Err(trouble),
        }
        for notice in status::notices(before, &status) {
            self.wiring.notices.0.about(About::Set, notice);
        }
        Ok(Look {
            changed: true,
            is_told: true,
            ..look
        })
    }

    /// Whether pods may be in the middle of an older change, and not have said so yet.
    fn settles(&mut self, before: &Before, known: &Known, count: &Count, now: Mono) -> bool {
        let rollout = known
            .status
            .as_ref()
            .and_then(|status| status.rollout.as_ref());
        let mut settles = before.settling && (rollout.is_some() || count.made_anew);
        // Where the last holder admitted nobody, it waited perhaps, and nobody but it knew for how long.
        let begun = rollout.is_some_and(|rollout| rollout.generation == known.of.generation);
        let nobody_yet = begun && before.parts == 0 && before.pods.is_empty() && !before.complete;
        settles |= std::mem::take(&mut self.is_new) && nobody_yet;
        if settles {
            self.settled_at = now + SETTLE + BUSY_PER_POD * count.fleet.pods();
        }
        settles || now < self.settled_at
    }

    fn sets(&self) -> Api<DynamicObject> {
        let kind = ApiResource::erase::<ProcessSet>(&());
        Api::namespaced_with(self.client.clone(), &self.wiring.name.namespace, &kind)
    }

    async fn read(&self) -> Result<Known, Trouble> {
        let set = within(LIMIT, self.sets().get(&self.wiring.name.name)).await?;
        Ok(Known::of(set))
    }

    /// One page after the other; no report is kept.
    async fn count(&self, version: &ObjectVersion) -> Result<Count, Trouble> {
        let name = &self.wiring.name;
        let api: Api<ProcessReport> = Api::namespaced(self.client.clone(), &name.namespace);
        let mut params = ListParams::default()
            .labels(&format!("podinit.dev/processset={}", name.name))
            .limit(PAGE);
        let mut count = Count::default();
        loop {
            let page = within(LIMIT, api.list(&params)).await?;
            for report in &page.items {
                let owner = report.owner_references().first();
                let uid = owner.map_or("", |owner| &owner.uid);
                if let Some(status) = &report.status {
                    count.add(uid, status, version);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(count),
            }
        }
    }

    async fn write(&self, status: &ProcessSetStatus, version: &str) -> Result<Known, Trouble> {
        let body = json!({
            "apiVersion": "podinit.dev/v1alpha1",
            "kind": "ProcessSet",
            "metadata": {"resourceVersion": version},
            "status": status,
        });
        let how = PatchParams::apply(MANAGER).force();
        let (sets, patch) = (self.sets(), Patch::Apply(body));
        let written = sets.patch_status(&self.wiring.name.name, &how, &patch);
        let written = within(LIMIT, written).await?;
        // Not as it is there: others may have conditions of their own in it.
        Ok(Known {
            of: version_of(&written.metadata),
            version: written.metadata.resource_version.unwrap_or_default(),
            status: Some(status.clone()),
        })
    }
}

/// Until this pod waits for its turn, after it did not: others that refused a spec as it did may wait now, too.
async fn begins_to_wait(mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    let mut waited = true;
    loop {
        let waits = snapshots.borrow_and_update().spec.waits.is_some();
        if waits && !waited {
            return;
        }
        waited = waits;
        if snapshots.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn advice(trouble: &Trouble) -> &'static str {
    match trouble.kind {
        Kind::Forbidden => {
            "; its Role needs list of processreports and patch of processsets/status: without them no pod acts on a change that stops processes"
        }
        Kind::NotFound | Kind::Conflict | Kind::Refused | Kind::Other => "",
    }
}
