//! The HTTP GET request, as the kubelet makes it (`pkg/probe/http` of Kubernetes): 200 to 399 passes, a redirect is
//! followed on the same host, one to another host passes. And a POST, which is an order: 200 to 299 passes.

mod headers;
mod location;

use std::io;
use std::pin::Pin;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::LOCATION;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use self::location::{Next, Target};
use super::{Context, connect, driven, tls};
use crate::domain::plan::{HttpMethod, HttpRequest};

/// Requests made at most, with those that redirects ask for.
const REQUESTS: usize = 10;

/// So much of a body must come, if there is so much; what follows is not read.
const BODY: usize = 10 * 1024;

/// So long a head may be.
const HEAD: usize = 64 * 1024;

/// Why the request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("stopped after {REQUESTS} redirects")]
    Redirects,
    #[error("a redirect to a place that cannot be read: {0}")]
    Location(String),
    #[error("a redirect to `{0}`, which is not HTTP")]
    Scheme(String),
    #[error("header `{0}` cannot be sent")]
    Header(String),
    #[error("path `{0}` cannot be sent")]
    Path(String),
    #[error(transparent)]
    Connect(#[from] connect::Error),
    #[error("failed to speak TLS: {}", tls_words(.0))]
    Tls(#[source] io::Error),
    #[error("{}", words(.0))]
    Speak(#[source] hyper::Error),
    #[error("the body ended early: {}", words(.0))]
    Body(#[source] hyper::Error),
}

/// What went wrong with HTTP. hyper's own words say little without its cause.
fn words(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error);
    if let Some(io) = cause.and_then(|cause| cause.downcast_ref()) {
        return connect::words(io);
    }
    if error.is_incomplete_message() || error.is_canceled() {
        return "the server closed the connection without an answer".to_owned();
    }
    if error.is_parse() {
        return format!("the answer is not HTTP/1: {error}");
    }
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn tls_words(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidMessage(_)) => "the server speaks something else".to_owned(),
        _ => connect::words(error),
    }
}

/// Asks, and follows redirects on the same host.
pub(super) async fn ask(cx: &Context, get: &HttpRequest) -> Result<(), Error> {
    let mut target = Target::first(get);
    let mut host = headers::given_host(get).map(str::to_owned);
    let mut referer = None;
    for _ in 0..REQUESTS {
        let request = headers::request(&target, host.as_deref(), get, referer.as_deref())?;
        let Some((next, absolute)) = exchange(cx, &target, request, get).await? else {
            return Ok(());
        };
        // A Host header of the spec's own is kept as long as the server does not name a host itself.
        if absolute {
            host = None;
        }
        referer = (!target.https || next.https).then(|| target.url());
        target = next;
    }
    Err(Error::Redirects)
}

/// One request on a connection of its own: where to ask next, and whether the server named the host; `None` passes.
async fn exchange(
    cx: &Context,
    target: &Target,
    request: Request<Empty<Bytes>>,
    wanted: &HttpRequest,
) -> Result<Option<(Target, bool)>, Error> {
    let stream = connect::tcp(cx, &target.host, target.port).await?;
    let io: Pin<Box<dyn Stream>> = if target.https {
        let stream = tls::open(cx, &target.host, stream).await;
        Box::pin(stream.map_err(Error::Tls)?)
    } else {
        Box::pin(stream)
    };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .title_case_headers(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(io))
        .await
        .map_err(Error::Speak)?;
    driven(connection, async {
        let answer = sender.send_request(request).await.map_err(Error::Speak)?;
        let place = answer.headers().get(LOCATION);
        let place = place.map_or(&b""[..], |place| place.as_bytes());
        let next = judge(target, wanted, answer.status(), place)?;
        if next.is_none() {
            read(answer.into_body()).await.map_err(Error::Body)?;
        }
        Ok(next)
    })
    .await
}

/// What carries HTTP.
trait Stream: AsyncRead + AsyncWrite {}

impl<S: AsyncRead + AsyncWrite> Stream for S {}

/// What an answer means: pass (`None`), ask elsewhere, or fail.
fn judge(
    target: &Target,
    wanted: &HttpRequest,
    status: StatusCode,
    place: &[u8],
) -> Result<Option<(Target, bool)>, Error> {
    if wanted.method == HttpMethod::Post {
        // A redirect says that nothing was done here.
        return match status.as_u16() {
            200..=299 => Ok(None),
            _ => Err(Error::Status(status)),
        };
    }
    let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if redirects && !place.is_empty() {
        return Ok(match location::resolve(target, &wanted.host, place)? {
            Next::Elsewhere => None,
            Next::Here { target, absolute } => Some((target, absolute)),
        });
    }
    match status.as_u16() {
        200..=399 => Ok(None),
        _ => Err(Error::Status(status)),
    }
}

/// Reads as much of a body as the kubelet does.
async fn read(mut body: Incoming) -> hyper::Result<()> {
    let mut read = 0;
    while read < BODY {
        match body.frame().await {
            Some(frame) => read += frame?.data_ref().map_or(0, Bytes::len),
            None => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
