//! The claims of the pod's init processes that run once over all pods, side by side.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::Wiring;
use super::access::{Access, Identity};
use super::claim::{Command, claim};
use super::fleet::identity;
use super::lease::store::{Place, Store};
use super::pause::{sleep, within};
use super::watcher::Seen;
use crate::domain::claim::{Config, News, Refusal, RunKey, TIMING};
use crate::domain::event::Event;
use crate::domain::hash::fnv1a;
use crate::domain::id::RunId;
use crate::domain::plan::Once;

/// So long a pod waits for others before it gives up.
const PATIENCE: Duration = Duration::from_mins(10);
/// To write down what became of the last ones.
const LAST: Duration = Duration::from_millis(400);
/// Commands of a claim: its run ended, or it is withdrawn.
const COMMANDS: usize = 2;

/// What the engine wants.
#[derive(Debug)]
pub enum Order {
    /// To run this.
    Claim {
        /// Names the claim.
        run: RunId,
        /// What.
        once: Arc<Once>,
    },
    /// That run has ended.
    Ended {
        /// Which.
        run: RunId,
        /// It needs not be run again.
        success: bool,
    },
    /// Nothing was run.
    Withdraw {
        /// Which.
        run: RunId,
    },
}

/// Where orders go. None is lost: an engine has few.
pub type Orders = mpsc::UnboundedSender<Order>;

/// Orders on their way, and the claims that were not over when the thread had to begin anew; true: granted.
#[derive(Debug)]
pub struct Desk {
    orders: mpsc::UnboundedReceiver<Order>,
    open: Mutex<BTreeMap<RunId, bool>>,
}

/// Both ends.
pub fn desk() -> (Orders, Desk) {
    let (sender, orders) = mpsc::unbounded_channel();
    let open = Mutex::default();
    (sender, Desk { orders, open })
}

type Told = (RunId, News);

/// The claims.
pub(super) struct Claims<'a> {
    access: &'a Access,
    me: &'a Identity,
    set: watch::Receiver<Seen>,
    wiring: &'a Wiring,
    commands: BTreeMap<RunId, mpsc::Sender<Command>>,
    work: FuturesUnordered<LocalBoxFuture<'a, RunId>>,
    tell: mpsc::UnboundedSender<Told>,
    told: mpsc::UnboundedReceiver<Told>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(
        access: &'a Access,
        me: &'a Identity,
        set: watch::Receiver<Seen>,
        wiring: &'a Wiring,
    ) -> Claims<'a> {
        let (tell, told) = mpsc::unbounded_channel();
        Claims {
            access,
            me,
            set,
            wiring,
            commands: BTreeMap::new(),
            work: FuturesUnordered::new(),
            tell,
            told,
        }
    }

    /// For ever.
    pub(super) async fn keep(&mut self, desk: &mut Desk) {
        abandon(
            desk,
            self.wiring,
            "internal error in the link to the Kubernetes API",
        )
        .await;
        loop {
            tokio::select! {
                order = desk.orders.recv() => match order {
                    Some(order) => self.take(order, desk),
                    // The engine is gone.
                    None => std::future::pending().await,
                },
                Some(run) = self.work.next() => {
                    self.commands.remove(&run);
                }
                Some((run, news)) = self.told.recv() => tell(desk, self.wiring, run, news).await,
            }
        }
    }

    /// What became of the last runs is written down, as far as that is possible in a moment.
    pub(super) async fn finish(&mut self, desk: &mut Desk) {
        while let Ok(order) = desk.orders.try_recv() {
            self.take(order, desk);
        }
        // Nobody waits for one any more. What runs still, stuck perhaps, keeps its Lease.
        self.commands.clear();
        let all = async {
            while self.work.next().await.is_some() {}
            Ok(())
        };
        // Too late is too late: the Lease ends by itself.
        let _ = within(LAST, all).await;
    }

    fn take(&mut self, order: Order, desk: &Desk) {
        match order {
            Order::Claim { run, once } => self.begin(run, &once, desk),
            Order::Ended { run, success } => self.command(run, Command::Ended { success }, desk),
            Order::Withdraw { run } => self.command(run, Command::Withdraw, desk),
        }
    }

    fn command(&mut self, run: RunId, command: Command, desk: &Desk) {
        open(desk).remove(&run);
        if let Some(commands) = self.commands.get(&run) {
            // Over already.
            let _ = commands.try_send(command);
        }
    }

    fn begin(&mut self, run: RunId, once: &Once, desk: &Desk) {
        open(desk).insert(run, false);
        let Some(pod) = &self.me.pod else {
            let why = "the pod's name and uid are not known (POD_NAME, POD_UID)".to_owned();
            // It is our own end.
            let _ = self.tell.send((run, News::Refused(Refusal::Denied(why))));
            return;
        };
        let followed = self.wiring.follows.then_some(&self.wiring.name.namespace);
        let place = Place {
            namespace: followed.unwrap_or(&pod.namespace).clone(),
            name: once.lease.to_string(),
            labels: vec![("podinit.dev/processset".to_owned(), once.set.to_string())],
        };
        let clock = self.wiring.clock;
        let identity = identity(pod, &self.me.container);
        let noise = fnv1a(&[&identity, "/", &once.lease]);
        let mut config = Config {
            seed: clock().mono.as_nanos() ^ noise,
            identity,
            timing: TIMING,
            key: once.key.clone(),
            patience: Some(PATIENCE),
        };
        let store = Store::new(self.access.client.clone(), place, TIMING);
        let (commands, mut taken) = mpsc::channel(COMMANDS);
        let (tell, note) = (self.tell.clone(), Arc::clone(&self.wiring.note));
        let told = move |news| {
            // It is our own end.
            let _ = tell.send((run, news));
        };
        self.commands.insert(run, commands);
        let set = self.wiring.follows.then(|| self.set.clone());
        self.work.push(Box::pin(async move {
            if let Some(set) = set {
                match in_its_set(set, &config, &mut taken).await {
                    Ok(key) => config.key = key,
                    Err(None) => return run,
                    Err(Some(refusal)) => {
                        told(News::Refused(refusal));
                        return run;
                    }
                }
            }
            claim(store, config, Arc::new(clock), taken, told, note).await;
            run
        }));
    }
}

/// The key in the set that is followed, once the API server has said which that is. `Err(None)`: it is withdrawn.
async fn in_its_set(
    mut set: watch::Receiver<Seen>,
    config: &Config,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<RunKey, Option<Refusal>> {
    let known = async {
        let seen = set.wait_for(|seen| seen.version.is_some()).await;
        seen.ok().and_then(|seen| seen.version.clone())
    };
    tokio::select! {
        version = known => version.map(|version| config.key.in_set(&version.uid)).ok_or(None),
        _ = commands.recv() => Err(None),
        () = sleep(PATIENCE) => Err(Some(Refusal::TooLong { holder: None })),
    }
}

/// Nothing can be claimed: says so to whoever tries. For ever.
pub(super) async fn refuse(desk: &mut Desk, wiring: &Wiring, why: &str) {
    abandon(desk, wiring, why).await;
    while let Some(order) = desk.orders.recv().await {
        if let Order::Claim { run, .. } = order {
            let news = News::Refused(Refusal::Denied(why.to_owned()));
            tell(desk, wiring, run, news).await;
        }
    }
    std::future::pending::<()>().await;
}

/// Nobody looks after the claims of an earlier life of this thread any more.
async fn abandon(desk: &mut Desk, wiring: &Wiring, why: &str) {
    let left = std::mem::take(&mut *open(desk));
    for (run, granted) in left {
        let news = if granted {
            News::Lost
        } else {
            News::Refused(Refusal::Denied(why.to_owned()))
        };
        tell(desk, wiring, run, news).await;
    }
}

async fn tell(desk: &Desk, wiring: &Wiring, run: RunId, news: News) {
    match &news {
        News::Granted(_) => {
            open(desk).insert(run, true);
        }
        News::Renewed(_) | News::Lost => {}
        News::Done | News::Refused(_) | News::Recorded | News::Unrecorded => {
            open(desk).remove(&run);
        }
    }
    // Closed: podinit is leaving.
    let _ = wiring.mailbox.send(Event::Claim { run, news }.into()).await;
}

fn open(desk: &Desk) -> std::sync::MutexGuard<'_, BTreeMap<RunId, bool>> {
    // Nothing is left half done under this lock.
    desk.open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{Fake, refused, run};

    #[test]
    fn claims_of_a_life_that_ended_badly_are_lost_or_refused() {
        run(async {
            let mut fake = Fake::new(|_| refused(403, "nobody asks"));
            let (_orders, mut desk) = desk();
            open(&desk).insert(RunId(1), true);
            open(&desk).insert(RunId(2), false);
            abandon(&mut desk, &fake.wiring, "internal error").await;
            let mut told = Vec::new();
            while let Some(message) = fake.message() {
                if let Some(Event::Claim { run, news }) = message.event {
                    told.push((run, news));
                }
            }
            let why = Refusal::Denied("internal error".to_owned());
            let expected = [(RunId(1), News::Lost), (RunId(2), News::Refused(why))];
            assert_eq!(told, expected);
            assert!(open(&desk).is_empty());
        });
    }
}
