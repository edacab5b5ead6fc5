//! Who answers what. Every answer is plain text that ends in a newline.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, ORIGIN};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::health::{self, Verdict};
use crate::domain::event::Event;
use crate::domain::snapshot::Snapshot;
use crate::ports::Message;

/// An engine that needs longer to take a message is stuck; a full mailbox counts in.
const ALIVE_WITHIN: Duration = Duration::from_secs(1);

/// What is asked of the engine through the control socket is taken by then, or refused.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// What the answers are made of.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) mailbox: mpsc::Sender<Message>,
}

impl Context {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Puts a message into the engine's mailbox and waits until it was dealt with.
    async fn tell(&self, event: Option<Event>, within: Duration) -> Result<(), Unheard> {
        let (message, taken) = Message::awaited(event);
        let told = async {
            let sent = self.mailbox.send(message).await;
            sent.map_err(|_| Unheard::Gone)?;
            taken.await.map_err(|_| Unheard::Gone)
        };
        timeout(within, told).await.unwrap_or(Err(Unheard::Late))
    }
}

/// Why the engine did not take a message.
#[derive(Debug, Clone, Copy)]
enum Unheard {
    /// It has ended.
    Gone,
    /// Not in time.
    Late,
}

/// The admin port: tells, and changes nothing.
pub(super) fn admin(context: Context) -> Router {
    let routes = Router::new()
        .route("/startupz", get(startupz))
        .route("/readyz", get(readyz))
        .route("/livez", get(livez));
    finish(routes, context)
}

/// The control socket: only podinit's own user and root come here.
pub(super) fn control(context: Context) -> Router {
    let routes = Router::new()
        .route("/v1/prestop", post(prestop))
        // No browser has any business here, whoever let it in.
        .route_layer(middleware::from_fn(refuse_browsers));
    finish(routes, context)
}

fn finish(routes: Router<Context>, context: Context) -> Router {
    routes
        .fallback(async || text(StatusCode::NOT_FOUND, "no such path\n"))
        .method_not_allowed_fallback(async || {
            text(StatusCode::METHOD_NOT_ALLOWED, "no such method here\n")
        })
        .layer(middleware::from_fn(without_body))
        .with_state(context)
}

async fn startupz(State(context): State<Context>, RawQuery(query): RawQuery) -> Response {
    answer(health::startup(
        &context.snapshot(),
        is_verbose(query.as_deref()),
    ))
}

async fn readyz(State(context): State<Context>, RawQuery(query): RawQuery) -> Response {
    answer(health::ready(
        &context.snapshot(),
        is_verbose(query.as_deref()),
    ))
}

async fn livez(State(context): State<Context>, RawQuery(query): RawQuery) -> Response {
    let engine = match context.tell(None, ALIVE_WITHIN).await {
        Ok(()) => None,
        Err(Unheard::Late) => Some("it does not answer within 1 s"),
        Err(Unheard::Gone) => Some("it has ended"),
    };
    answer(health::live(
        engine,
        &context.snapshot(),
        is_verbose(query.as_deref()),
    ))
}

async fn prestop(State(context): State<Context>) -> Response {
    let event = Event::StopRequested {
        by: "podinit prestop",
    };
    match context.tell(Some(event), TAKEN_WITHIN).await {
        Ok(()) => text(StatusCode::OK, "stopping\n"),
        Err(Unheard::Late) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "podinit is too busy: it did not take the request within 5 s\n",
        ),
        Err(Unheard::Gone) => text(StatusCode::SERVICE_UNAVAILABLE, "podinit is leaving\n"),
    }
}

/// As Kubernetes does it: the parameter is there, whatever its value.
fn is_verbose(query: Option<&str>) -> bool {
    let mut parameters = query.into_iter().flat_map(|query| query.split('&'));
    parameters.any(|parameter| parameter.split('=').next() == Some("verbose"))
}

fn answer(verdict: Verdict) -> Response {
    let status = if verdict.passed {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, verdict.body).into_response()
}

fn text(status: StatusCode, body: &'static str) -> Response {
    (status, body).into_response()
}

/// Nothing here takes a body: one that comes is not read, and ends the connection.
async fn without_body(request: Request, next: Next) -> Response {
    let mut response = if request.body().is_end_stream() {
        next.run(request).await
    } else {
        let mut refused = text(StatusCode::PAYLOAD_TOO_LARGE, "no body is taken here\n");
        let close = HeaderValue::from_static("close");
        refused.headers_mut().insert(CONNECTION, close);
        refused
    };
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

async fn refuse_browsers(request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return text(
            StatusCode::FORBIDDEN,
            "requests of a browser are not taken\n",
        );
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_is_there_or_not() {
        for (query, verbose) in [
            (None, false),
            (Some(""), false),
            (Some("verbose"), true),
            (Some("verbose="), true),
            (Some("verbose=false"), true),
            (Some("a=verbose"), false),
            (Some("exclude=x&verbose"), true),
            (Some("verbosely"), false),
        ] {
            assert_eq!(is_verbose(query), verbose, "{query:?}");
        }
    }
}
