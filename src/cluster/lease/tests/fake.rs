//! An API server that knows one Lease and can fail in several ways, and a clock that goes with tokio's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::drive::{Clock, Note};
use super::super::store::{Place, Store};
use crate::domain::election::Timing;
use crate::domain::time::{Mono, Now, Wall};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    Well,
    /// Never.
    Silent,
    /// It does what it is asked for, and the answer is lost.
    Forgetful,
    /// With so many as a status, to everything.
    Refusing(u16),
    /// With so many as a status, to writes.
    ReadOnly(u16),
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) lease: Option<Value>,
    pub(crate) mood: Mood,
    /// Of whom it does not hear anything: the field manager of `user-agent` stands for the contender.
    pub(crate) deaf_to: Option<&'static str>,
    pub(crate) calls: Vec<String>,
    pub(crate) versions: u64,
}

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct Fake(pub(crate) Arc<Mutex<State>>);

impl Fake {
    pub(crate) fn new() -> Self {
        Fake(Arc::new(Mutex::new(State {
            lease: None,
            mood: Mood::Well,
            deaf_to: None,
            calls: Vec::new(),
            versions: 40,
        })))
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn lease(&self) -> Value {
        self.0.lock().unwrap().lease.clone().unwrap_or_default()
    }

    pub(crate) fn holder(&self) -> String {
        let lease = self.lease();
        lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    }

    /// Methods so far; forgotten then.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// The way there for the contender `who`.
    pub(crate) fn store(&self, who: &'static str, timing: Timing) -> Store {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.serve(who, request).await) }
        });
        let place = Place {
            namespace: "shop".to_owned(),
            name: "shop-podinit".to_owned(),
            labels: vec![("app".to_owned(), "shop".to_owned())],
        };
        Store::new(Client::new(service, "shop"), place, timing)
    }

    async fn serve(&self, who: &'static str, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let (mood, deaf_to) = {
            let state = self.0.lock().unwrap();
            (state.mood, state.deaf_to)
        };
        let writes = parts.method != Method::GET;
        match mood {
            Mood::Silent => return std::future::pending().await,
            _ if deaf_to == Some(who) => return std::future::pending().await,
            Mood::Refusing(code) => return status(code),
            Mood::ReadOnly(code) if writes => return status(code),
            Mood::Well | Mood::Forgetful | Mood::ReadOnly(_) => {}
        }
        tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>())
            .await
            .unwrap_err();
        let base = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
        let answer = {
            let mut state = self.0.lock().unwrap();
            state.calls.push(parts.method.to_string());
            match (parts.method, parts.uri.path().strip_prefix(base)) {
                (Method::GET, Some("/shop-podinit")) => state
                    .lease
                    .clone()
                    .map_or(status(404), |lease| answer(&lease)),
                (Method::POST, Some("")) if state.lease.is_some() => status(409),
                (Method::POST, Some("")) => state.store(&body),
                (Method::PUT, Some("/shop-podinit")) => {
                    let sent: Value = serde_json::from_slice(&body).unwrap();
                    let version = &sent["metadata"]["resourceVersion"];
                    match &state.lease {
                        None => status(404),
                        Some(lease) if lease["metadata"]["resourceVersion"] != *version => {
                            status(409)
                        }
                        Some(_) => state.store(&body),
                    }
                }
                other => panic!("{other:?}"),
            }
        };
        if mood == Mood::Forgetful {
            return std::future::pending().await;
        }
        answer
    }
}

impl State {
    fn store(&mut self, body: &[u8]) -> Response<Body> {
        let mut lease: Value = serde_json::from_slice(body).unwrap();
        self.versions += 1;
        lease["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        self.lease = Some(lease.clone());
        answer(&lease)
    }
}

fn answer(lease: &Value) -> Response<Body> {
    Response::new(Body::from(lease.to_string().into_bytes()))
}

fn status(code: u16) -> Response<Body> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("leases.coordination.k8s.io: {reason}"),
    });
    let mut response = Response::new(Body::from(body.to_string().into_bytes()));
    *response.status_mut() = code.try_into().unwrap();
    response
}

/// tokio's clock, which tests pause; the wall clock stands with it.
pub(crate) fn clock() -> Clock {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    Arc::new(|| {
        let now = Instant::now().into_std();
        let start = START.get_or_init(|| now.checked_sub(Duration::from_secs(60)).unwrap());
        let since = now.saturating_duration_since(*start);
        Now {
            mono: Mono::ZERO + since,
            wall: Wall(1_800_000_000_000_000 + since.as_micros() as i64),
        }
    })
}

/// Records as they come.
pub(crate) fn notes() -> (Note, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    let note = Arc::new(move |record: crate::ports::Record| {
        kept.lock()
            .unwrap()
            .push(format!("{} {}", record.level, record.message));
    });
    (note, heard)
}
