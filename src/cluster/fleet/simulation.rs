//! A fleet of 5,000 pods of one set: each with the code that writes its report, takes its turn, asks for the Lease and
//! tells Events, against an API server that counts. The clock is tokio's, and paused. What a pod's engine would do is a few lines
//! here: it is unready for a while once its turn has come.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use hyper::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::cluster::pause::{part, spread};
use crate::cluster::watcher::READ_PER_POD;
use crate::cluster::{Surroundings, events, report};
use crate::domain::plan::ObjectVersion;
use crate::domain::snapshot::Snapshot;
use crate::domain::time::{Mono, Now, Wall};
use crate::ports::{Message, Notice, ObjectName};

const PODS: usize = 5000;
/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(5);

thread_local! {
    static START: Instant = Instant::now();
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Of each pod: they differ by less than a millisecond, as clocks do, and that is what jitter is made of.
fn clock() -> Now {
    let calls = CALLS.get() + 1;
    CALLS.set(calls);
    let since = START.with(Instant::elapsed);
    let noise = Duration::from_nanos(calls.wrapping_mul(0x9E37_79B9) % 1_000_000);
    Now {
        mono: Mono::ZERO + Duration::from_secs(3600) + since + noise,
        wall: Wall(1_800_000_000_000_000 + since.as_micros() as i64),
    }
}

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    NewReport,
    Report,
    Status,
    Lease,
    Event,
    ReadLease,
    ListReports,
    ReadSet,
}

impl Kind {
    const WRITES: [Kind; 5] = [
        Kind::NewReport,
        Kind::Report,
        Kind::Status,
        Kind::Lease,
        Kind::Event,
    ];
}

struct Server {
    generation: i64,
    version: u64,
    status: Value,
    reports: BTreeMap<String, (Value, Value)>,
    lease: Option<Value>,
    /// Its resourceVersion, as a watch tells it.
    told: watch::Sender<u64>,
    asked: Vec<(Duration, Kind)>,
}

type Shared = Arc<Mutex<Server>>;

impl Server {
    fn new() -> Server {
        let mut server = Server {
            generation: 0,
            version: 1,
            status: Value::Null,
            reports: BTreeMap::new(),
            lease: None,
            told: watch::channel(0).0,
            asked: Vec::new(),
        };
        server.apply();
        server
    }

    fn note(&mut self, kind: Kind) {
        self.asked.push((START.with(Instant::elapsed), kind));
    }

    /// Somebody applies a change of the spec.
    fn apply(&mut self) {
        self.generation += 1;
        self.tell();
    }

    fn tell(&mut self) {
        self.version += 1;
        self.told.send_replace(self.version);
    }

    /// What a pod reads of the set.
    fn read(&mut self, seen: &mut Seen) {
        self.note(Kind::ReadSet);
        let number = |pointer: &str| {
            let value = self.status.pointer(pointer).and_then(Value::as_u64);
            value.unwrap_or(0) as u32
        };
        let current = number("/rollout/generation") == self.generation as u32;
        seen.version = Some(of(self.generation));
        seen.admitted = if current {
            number("/rollout/admittedPartsPerBillion")
        } else {
            0
        };
        seen.pods = number("/pods/total");
    }

    fn serve(&mut self, method: &Method, path: &str, query: &str, body: &[u8]) -> (u16, String) {
        let sent: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let (_, place) = path.split_once("/namespaces/shop/").unwrap();
        let words: Vec<&str> = place.split('/').collect();
        match (method.as_str(), &words[..]) {
            ("GET", ["processreports"]) => {
                self.note(Kind::ListReports);
                (200, self.list(query))
            }
            ("PATCH", ["processreports", name]) => {
                self.note(Kind::NewReport);
                let known = self.reports.entry((*name).to_owned()).or_default();
                known.0 = sent["metadata"].clone();
                (200, object(known))
            }
            ("PATCH", ["processreports", name, "status"]) => {
                self.note(Kind::Report);
                let known = self.reports.get_mut(*name).unwrap();
                known.1 = sent["status"].clone();
                (200, object(known))
            }
            ("GET", ["processsets", "shop"]) => {
                self.note(Kind::ReadSet);
                (200, self.set())
            }
            ("PATCH", ["processsets", "shop", "status"]) => {
                self.note(Kind::Status);
                if sent["metadata"]["resourceVersion"].as_str() != Some(&self.version.to_string()) {
                    return (409, refusal(409));
                }
                self.status = sent["status"].clone();
                self.tell();
                (200, self.set())
            }
            ("POST", ["events"]) => {
                self.note(Kind::Event);
                (201, sent.to_string())
            }
            (verb, ["leases", ..]) => self.lease(verb, sent),
            other => panic!("{other:?}"),
        }
    }

    fn lease(&mut self, verb: &str, mut sent: Value) -> (u16, String) {
        self.note(if verb == "GET" {
            Kind::ReadLease
        } else {
            Kind::Lease
        });
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        match (verb, &self.lease) {
            ("GET", Some(lease)) => return (200, lease.to_string()),
            ("GET" | "PUT", None) => return (404, refusal(404)),
            ("POST", Some(_)) => return (409, refusal(409)),
            ("PUT", Some(lease)) if version(lease) != version(&sent) => return (409, refusal(409)),
            _ => {}
        }
        self.version += 1;
        sent["metadata"]["resourceVersion"] = json!(format!("lease-{}", self.version));
        let answer = sent.to_string();
        self.lease = Some(sent);
        (200, answer)
    }

    fn set(&self) -> String {
        let metadata = json!({"name": "shop", "namespace": "shop", "uid": "set", "generation": self.generation,
            "resourceVersion": self.version.to_string()});
        json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "metadata": metadata, "spec": {},
            "status": self.status})
        .to_string()
    }

    fn list(&self, query: &str) -> String {
        let value = |name: &str| {
            let mut all = query.split('&').filter_map(|part| part.split_once('='));
            all.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let limit: usize = value("limit").unwrap().parse().unwrap();
        let from = value("continue").unwrap_or_default().to_owned();
        let mut rest = self.reports.range(from..);
        let mut items = String::new();
        for (_, report) in rest.by_ref().take(limit) {
            let comma = if items.is_empty() { "" } else { "," };
            write!(items, "{comma}{}", object(report)).unwrap();
        }
        let next = rest.next().map_or("", |(name, _)| name);
        format!(
            r#"{{"apiVersion":"podinit.dev/v1alpha1","kind":"ProcessReportList","metadata":{{"continue":"{next}"}},"items":[{items}]}}"#
        )
    }

    /// So many of these since an instant: the most in a second, in all.
    fn rate(&self, since: Duration, kinds: &[Kind]) -> (usize, usize) {
        let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
        for (at, kind) in &self.asked {
            if let Some(at) = at.checked_sub(since).filter(|_| kinds.contains(kind)) {
                *seconds.entry(at.as_secs()).or_default() += 1;
            }
        }
        let most = seconds.values().copied().max().unwrap_or(0);
        (most, seconds.values().sum())
    }
}

fn of(generation: i64) -> ObjectVersion {
    ObjectVersion {
        uid: "set".into(),
        generation,
    }
}

fn object((metadata, status): &(Value, Value)) -> String {
    format!(
        r#"{{"apiVersion":"podinit.dev/v1alpha1","kind":"ProcessReport","metadata":{metadata},"status":{status}}}"#
    )
}

fn refusal(code: u16) -> String {
    json!({"kind": "Status", "status": "Failure", "code": code, "message": "no",
        "reason": if code == 404 { "NotFound" } else { "Conflict" }})
    .to_string()
}

fn client(server: &Shared) -> Client {
    let server = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            sleep(ANSWER).await;
            let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
            let answer = server
                .lock()
                .unwrap()
                .serve(&head.method, path, query, &body);
            let mut response = Response::new(Body::from(answer.1.into_bytes()));
            *response.status_mut() = answer.0.try_into().unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    Client::new(service, "shop")
}

/// One pod, from its start on.
async fn pod(number: usize, access: Access, server: Shared) {
    sleep(Duration::from_millis(20) * number as u32).await;
    let (knows, seen) = watch::channel(Seen::default());
    let (sender, snapshots) = watch::channel(Arc::new(settled(1)));
    let (mailbox, taken) = mpsc::channel(16);
    let (teller, queue) = events::queue();
    let wiring = Wiring {
        name: ObjectName {
            namespace: "shop".to_owned(),
            name: "shop".to_owned(),
        },
        follows: true,
        desk: crate::cluster::desk().1.into(),
        surroundings: Surroundings::default(),
        snapshots,
        mailbox,
        news: Box::new(drop),
        notices: (teller, queue.into()),
        note: Arc::new(drop),
        clock,
    };
    let me = Identity {
        pod: Some(Pod {
            namespace: "shop".to_owned(),
            name: format!("shop-{number}"),
            uid: format!(
                "3c1a{:04x}-0000-4000-8000-{:012x}",
                number * 7919 % 65_536,
                number
            ),
        }),
        container: "main".to_owned(),
    };
    let mut events = events::Writer::new(&access, &me, seen.clone(), &wiring).unwrap();
    let mut queue = wiring.notices.1.lock().await;
    let reported = AtomicBool::new(false);
    tokio::join!(
        turns(&me, seen.clone(), &wiring),
        lead(&access, &me, seen.clone(), &wiring),
        report::keep(&access, &me, seen.clone(), &wiring, &reported),
        events.keep(&mut queue),
        engine(&sender, taken, seen.clone(), &wiring),
        follow(&server, &knows, &wiring, &reported),
    );
}

fn settled(generation: i64) -> Snapshot {
    let mut snapshot = Snapshot {
        loaded: true,
        started: true,
        ready: true,
        ..Snapshot::default()
    };
    snapshot.spec.origin.object = Some(of(generation));
    snapshot.spec.good = true;
    snapshot
}

/// As `watcher::follow`: a new generation is read, and whatever changes while a change waits for its turn.
async fn follow(
    server: &Shared,
    knows: &watch::Sender<Seen>,
    wiring: &Wiring,
    reported: &AtomicBool,
) {
    let mut told = server.lock().unwrap().told.subscribe();
    loop {
        told.borrow_and_update();
        let generation = server.lock().unwrap().generation;
        let newer = knows.borrow().version != Some(of(generation));
        let uncounted = newer && !reported.load(Relaxed);
        if newer || wiring.snapshots.borrow().spec.waits.is_some() {
            let pods = knows.borrow().pods;
            sleep(spread(READ_PER_POD, pods, clock)).await;
            knows.send_modify(|seen| {
                server.lock().unwrap().read(seen);
                if uncounted {
                    seen.uncounted.clone_from(&seen.version);
                }
            });
        }
        told.changed().await.unwrap();
    }
}

/// A change waits for its turn; then the pod drains, restarts and gets ready, which takes 8 to 16 s.
async fn engine(
    snapshots: &watch::Sender<Arc<Snapshot>>,
    mut mailbox: mpsc::Receiver<Message>,
    mut seen: watch::Receiver<Seen>,
    wiring: &Wiring,
) {
    let mut generation = 1;
    loop {
        let newest = seen.wait_for(|seen| {
            let version = seen.version.as_ref();
            version.is_some_and(|version| version.generation != generation)
        });
        generation = newest.await.unwrap().version.as_ref().unwrap().generation;
        snapshots.send_modify(|snapshot| {
            Arc::make_mut(snapshot).spec.waits = Some(of(generation));
        });
        let admitted = mailbox.recv().await;
        let admitted = admitted.and_then(|message| message.event);
        assert!(
            matches!(admitted, Some(Event::Admitted { .. })),
            "{admitted:?}"
        );
        let mut snapshot = settled(generation);
        snapshot.ready = false;
        (snapshot.spec.changing, snapshot.spec.good) = (true, false);
        snapshots.send_replace(Arc::new(snapshot));
        wiring.notices.0.tell(Notice {
            warning: false,
            reason: "Updating",
            action: "Updating",
            about: None,
            note: "the spec changed".to_owned(),
        });
        let restart = Duration::from_secs(8);
        sleep(restart + part(clock, restart)).await;
        snapshots.send_replace(Arc::new(settled(generation)));
    }
}

async fn until(limit: Duration, holds: impl Fn() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "not in {limit:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn five_thousand_pods_do_not_write_all_at_once() {
    let server: Shared = Arc::new(Mutex::new(Server::new()));
    let access = Access::of(client(&server));
    for number in 0..PODS {
        #[expect(clippy::disallowed_methods, reason = "a pod of a test")]
        tokio::spawn(pod(number, access.clone(), server.clone()));
    }
    let progress = |server: &Shared| {
        let server = server.lock().unwrap();
        let told = |pointer: &str| server.status.pointer(pointer).cloned();
        let all = |pointer: &str| told(pointer) == Some(json!(PODS));
        let reason = told("/conditions/1/reason") == Some(json!("Complete"));
        let generation = told("/observedGeneration") == Some(json!(server.generation));
        generation && reason && all("/pods/total") && all("/pods/updated") && all("/pods/ready")
    };
    until(Duration::from_secs(900), || progress(&server)).await;
    // Looks come ever more seldom.
    sleep(Duration::from_secs(600)).await;
    let now = || START.with(Instant::elapsed);
    let quiet = now();
    sleep(Duration::from_secs(600)).await;
    let idle = {
        let server = server.lock().unwrap();
        let count = |kind| server.rate(quiet, &[kind]).1;
        assert_eq!(
            count(Kind::Report) + count(Kind::Status) + count(Kind::Event),
            0
        );
        (
            count(Kind::Lease),
            count(Kind::ReadLease),
            count(Kind::ListReports),
        )
    };
    let applied = now();
    server.lock().unwrap().apply();
    until(Duration::from_secs(1800), || progress(&server)).await;
    let took = now().saturating_sub(applied);
    let server = server.lock().unwrap();
    let (most, all) = server.rate(applied, &Kind::WRITES);
    let mean = all as f64 / took.as_secs_f64();
    println!("idle in 10 min: {idle:?} writes and reads of the Lease, pages of reports");
    println!("done after {took:?}: {all} writes, {mean:.0} in a second on average, {most} at most");
    for kind in [
        Kind::Report,
        Kind::Status,
        Kind::Lease,
        Kind::Event,
        Kind::ReadLease,
        Kind::ListReports,
        Kind::ReadSet,
    ] {
        let (most, all) = server.rate(applied, &[kind]);
        println!("{kind:?}: {all}, at most {most} in a second");
    }
    let reports = server.rate(applied, &[Kind::Report]).1;
    assert!(reports <= 4 * PODS, "{reports}");
    assert!(most < 500, "{most} writes in a second");
}
