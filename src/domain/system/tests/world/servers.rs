//! Servers that answer as told, and sidecars, which are servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Set, World, secs};
use crate::domain::event::Event;
use crate::domain::fact::Fact;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::{Check, HttpMethod, HttpRequest, OnTimeout, Probe, Request, Sidecar};

/// How servers answer. By default at once, and that all is well.
#[derive(Debug, Default)]
pub(super) struct Servers {
    up: BTreeMap<String, fn(f64) -> bool>,
    up_from: BTreeMap<String, f64>,
    silent: BTreeSet<String>,
}

impl Servers {
    fn answer(&self, name: &str, seconds: f64) -> Option<Result<(), String>> {
        if self.silent.contains(name) {
            return None;
        }
        let up = self.up.get(name).is_none_or(|up| up(seconds));
        let up = up && self.up_from.get(name).is_none_or(|from| seconds >= *from);
        Some(up.then_some(()).ok_or_else(|| "refused".to_owned()))
    }
}

impl World {
    /// The server of this name answers as told by the time in seconds.
    pub(crate) fn server(mut self, name: &str, up: fn(f64) -> bool) -> Self {
        self.servers.up.insert(name.to_owned(), up);
        self
    }

    /// The server of this name refuses until then.
    pub(crate) fn server_from(mut self, name: &str, seconds: f64) -> Self {
        self.servers.up_from.insert(name.to_owned(), seconds);
        self
    }

    /// The server of this name, or at this path, takes requests and never answers.
    pub(crate) fn silent(mut self, name: &str) -> Self {
        self.servers.silent.insert(name.to_owned());
        self
    }

    pub(super) fn answer(&mut self, run: RunId, request: &Request) {
        let seconds = self.now.as_nanos() as f64 / 1e9;
        let name = match request {
            Request::Http(http) => {
                let method = match http.method {
                    HttpMethod::Get => "GET",
                    HttpMethod::Post => {
                        self.seen.posts.push((http.path.clone(), self.now));
                        "POST"
                    }
                };
                self.say(&format!("{method} {}", http.path));
                &http.path
            }
            Request::Tcp { host, .. } => host,
            Request::Grpc { .. } | Request::FastCgi { .. } => "",
        };
        if let Some(result) = self.servers.answer(name, seconds) {
            self.soon(Duration::ZERO, Event::Responded { run, result });
        }
    }

    pub(super) fn tell_of_sidecars(&mut self, fact: &Fact) {
        let line = match fact {
            Fact::SidecarReady { label, .. } => format!("sidecar {label} ready"),
            Fact::SidecarStillWaiting { label, why } => {
                format!("still waits for sidecar {label}: {why:?}")
            }
            Fact::SidecarTimedOut {
                label, then, why, ..
            } => format!("sidecar {label} not ready, {then:?}: {why}"),
            Fact::SidecarQuit {
                label,
                failure: None,
            } => format!("sidecar {label} quits"),
            Fact::SidecarQuit {
                label,
                failure: Some(why),
            } => format!("sidecar {label} quits or not: {why}"),
            Fact::SidecarIsNative { label } => format!("sidecar {label} is native"),
            _ => return,
        };
        self.say(&line);
    }
}

impl Set {
    pub(crate) fn sidecars(mut self, sidecars: Vec<Sidecar>) -> Self {
        self.plan.sidecars = sidecars.into_iter().map(Arc::new).collect();
        self
    }
}

/// A sidecar that is asked five times, a second apart, at the server of its name; told to quit at the path of its name.
pub(crate) fn sidecar(name: &str) -> Sidecar {
    let name: Arc<str> = name.into();
    let request = Request::Tcp {
        host: name.to_string(),
        port: 1,
    };
    Sidecar {
        label: Arc::new(Label {
            process: Arc::clone(&name),
            instance: Arc::clone(&name),
        }),
        probe: Some(Arc::new(Probe {
            check: Check::Request(Arc::new(request)),
            initial_delay: Duration::ZERO,
            timeout: secs(1.0),
            period: secs(1.0),
            success_threshold: 1,
            failure_threshold: 5,
            grace: None,
        })),
        on_timeout: OnTimeout::Fail,
        quit: Some(Arc::new(Request::Http(HttpRequest {
            method: HttpMethod::Post,
            https: false,
            host: "127.0.0.1".to_owned(),
            port: 1,
            path: format!("/{name}"),
            headers: Vec::new(),
        }))),
    }
}

impl Sidecar {
    /// The set starts without it.
    pub(crate) fn or_start(mut self) -> Self {
        self.on_timeout = OnTimeout::Start;
        self
    }

    /// It is never told to quit.
    pub(crate) fn left_alone(mut self) -> Self {
        self.quit = None;
        self
    }

    /// With another probe.
    pub(crate) fn asked(mut self, change: impl FnOnce(&mut Probe)) -> Self {
        if let Some(probe) = &mut self.probe {
            change(Arc::make_mut(probe));
        }
        self
    }
}
