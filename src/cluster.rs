//! The link to the Kubernetes API, on a thread of its own: the ProcessSet that is followed, the own Pod's deadline, the
//! ProcessReport. Nothing that happens here, or does not, touches a process: it brings events and reads snapshots.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use self::access::{Access, Identity};
use crate::domain::plan::ObjectVersion;
use crate::domain::snapshot::Snapshot;
use crate::domain::time::{Now, Wall};
use crate::ports::{Level, Message, Object, ObjectName, Record};

mod access;
pub mod claim;
mod claims;
mod events;
#[cfg(test)]
mod fake;
mod fleet;
mod guard;
pub mod lease;
mod pause;
mod pod;
mod report;
mod tls;
mod trouble;
mod watcher;

pub use access::{Surroundings, own_namespace};
pub use claims::{Desk, Order, Orders, desk};
pub use events::{Queue, Teller, queue};

/// Enough for TLS and JSON.
const STACK: usize = 1 << 20;

/// What there is to know about the ProcessSet.
#[derive(Debug, Clone)]
pub enum News {
    /// A version of it was read.
    Found(Object),
    /// There is none, or it cannot be read; in words.
    Nothing(String),
    /// The pod was ready under this version.
    Good(ObjectVersion),
}

/// What it is given once.
pub struct Wiring {
    /// The ProcessSet that is followed.
    pub name: ObjectName,
    /// It is followed: read, watched, reported. Else only claims are made, for a set from a file.
    pub follows: bool,
    /// Who we are, as far as the environment says.
    pub surroundings: Surroundings,
    /// What the set looks like.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// To the engine.
    pub mailbox: mpsc::Sender<Message>,
    /// Takes what is found out about the ProcessSet.
    pub news: Box<dyn Fn(News) + Send + Sync>,
    /// What is to become an Event.
    pub notices: (Teller, tokio::sync::Mutex<Queue>),
    /// What is claimed.
    pub desk: tokio::sync::Mutex<Desk>,
    /// Takes records of our own.
    pub note: Arc<dyn Fn(Record) + Send + Sync>,
    /// The clock.
    pub clock: fn() -> Now,
}

impl fmt::Debug for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring")
            .field("name", &self.name)
            .field("surroundings", &self.surroundings)
            .finish_non_exhaustive()
    }
}

impl Wiring {
    fn say(&self, level: Level, message: String) {
        (self.note)(Record {
            level,
            label: None,
            message,
            fields: Vec::new(),
            lines: Vec::new(),
        });
    }
}

/// The thread.
#[derive(Debug)]
pub struct Cluster {
    ended: Receiver<()>,
    leave: watch::Sender<bool>,
}

impl Cluster {
    /// Starts it.
    pub fn start(wiring: Wiring) -> std::io::Result<Cluster> {
        let (done, ended) = sync_channel(1);
        let (leave, left) = watch::channel(false);
        std::thread::Builder::new()
            .name("cluster".to_owned())
            .stack_size(STACK)
            .spawn(move || run(&wiring, &left, &done))?;
        Ok(Cluster { ended, leave })
    }

    /// Lets it say its last words, for at most `limit`.
    pub fn finish(self, limit: Duration) {
        self.leave.send_replace(true);
        // Late or gone: nobody waits for it.
        let _ = self.ended.recv_timeout(limit);
    }
}

/// Begins anew after a panic, until podinit leaves.
#[expect(
    clippy::disallowed_methods,
    reason = "after a panic nobody else is on this thread"
)]
fn run(wiring: &Wiring, left: &watch::Receiver<bool>, done: &SyncSender<()>) {
    let mut pause = pause::Pause::new();
    loop {
        let life = catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(live(wiring, left.clone())),
                Err(error) => wiring.say(
                    Level::Error,
                    format!("the Kubernetes API cannot be used: {error}"),
                ),
            }
        }));
        if life.is_ok() || *left.borrow() {
            break;
        }
        wiring.say(
            Level::Error,
            "internal error in the link to the Kubernetes API: it begins anew".to_owned(),
        );
        std::thread::sleep(pause.next(wiring.clock, pause::Retry::Soon));
    }
    let _ = done.try_send(());
}

/// Everything at the same time, until podinit leaves.
async fn live(wiring: &Wiring, mut left: watch::Receiver<bool>) {
    let gone = async {
        // An error: whoever could say so is gone.
        let _ = left.wait_for(|left| *left).await;
    };
    let mut desk = wiring.desk.lock().await;
    let access = match Access::incluster() {
        Ok(access) => access,
        Err(why) => {
            let told = format!("the Kubernetes API cannot be used: {why}");
            wiring.say(Level::Warn, told.clone());
            (wiring.news)(News::Nothing(told.clone()));
            return tokio::select! {
                () = gone => {}
                () = claims::refuse(&mut desk, wiring, &told) => {}
            };
        }
    };
    let me = Identity::find(&wiring.surroundings);
    let (sender, seen) = watch::channel(watcher::Seen::default());
    let mut claims = claims::Claims::new(&access, &me, seen.clone(), wiring);
    if !wiring.follows {
        tokio::select! {
            () = gone => {}
            () = claims.keep(&mut desk) => {}
        }
        return claims.finish(&mut desk).await;
    }
    let mut queue = wiring.notices.1.lock().await;
    let mut events = events::Writer::new(&access, &me, seen.clone(), wiring);
    let reported = AtomicBool::new(false);
    let work = async {
        tokio::join!(
            watcher::follow(&access, sender, wiring, &reported),
            fleet::turns(&me, seen.clone(), wiring),
            fleet::lead(&access, &me, seen.clone(), wiring),
            pod::follow(&access, &me, wiring),
            pod::natives(&access, &me, wiring),
            report::keep(&access, &me, seen, wiring, &reported),
            report::proofs(wiring),
            claims.keep(&mut desk),
            async {
                if let Some(events) = &mut events {
                    events.keep(&mut queue).await;
                }
            },
        )
    };
    tokio::select! {
        () = gone => {}
        _ = work => {}
    }
    tokio::join!(
        report::last_words(&access, &me, wiring, &reported),
        claims.finish(&mut desk),
        async {
            if let Some(events) = &mut events {
                events.finish(&mut queue).await;
            }
        }
    );
}

/// A time as the API has it, with its microseconds.
fn micro_time(at: Wall) -> Option<MicroTime> {
    Timestamp::from_microsecond(at.0).ok().map(MicroTime)
}

/// A time as the API has it.
fn rfc3339(at: Wall) -> String {
    let seconds = jiff::Timestamp::from_second(at.0.div_euclid(1_000_000));
    seconds.unwrap_or_default().to_string()
}
