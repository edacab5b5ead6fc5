//! `grpc.health.v1.Health/Check` over plain HTTP/2, as the kubelet asks it: SERVING passes.

mod message;

use std::net::Ipv4Addr;

use h2::RecvStream;
use h2::client::SendRequest;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use hyper::{Request, Response, StatusCode};

use self::message::{Health, Unreadable};
use super::{Context, connect, driven};

/// An answer has a few bytes.
const ANSWER: usize = 4096;

/// Characters of a server's own words that are told.
const WORDS: usize = 200;

/// The server does not know the method.
const UNIMPLEMENTED: &str = "12";

/// The health service's own answer for a service that it does not know.
const NOT_FOUND: &str = "5";

/// Why the request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("service unhealthy (responded with {0})")]
    Unhealthy(Health),
    #[error("this server does not implement grpc.health.v1.Health{0}")]
    Unimplemented(String),
    #[error("the server does not know this service (gRPC status NOT_FOUND){0}")]
    NotFound(String),
    #[error("gRPC status {code}{words}")]
    Status { code: String, words: String },
    #[error("HTTP status {}, and no gRPC answer", .0.as_u16())]
    NotGrpc(StatusCode),
    #[error("the answer is incomplete")]
    Incomplete,
    #[error("the answer is longer than {ANSWER} bytes")]
    TooLong,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Connect(#[from] connect::Error),
    #[error("failed to speak HTTP/2: {0}")]
    Speak(#[from] h2::Error),
}

/// Asks a server of this host for the health of a service.
pub(super) async fn ask(cx: &Context, port: u16, service: &str) -> Result<(), Error> {
    let host = Ipv4Addr::LOCALHOST.to_string();
    let stream = connect::tcp(cx, &host, port).await?;
    // The request is several small writes, which nothing may hold back.
    let _ = stream.set_nodelay(true);
    let request = Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, super::USER_AGENT)
        .body(())
        .map_err(|_| Error::Incomplete)?;
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(false)
        .max_header_list_size(16 * 1024)
        .handshake(stream)
        .await?;
    let answer = driven(
        connection,
        exchange(sender, request, message::request(service)),
    );
    match answer.await? {
        Health::Serving => Ok(()),
        other => Err(Error::Unhealthy(other)),
    }
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    message: Vec<u8>,
) -> Result<Health, Error> {
    let mut sender = sender.ready().await?;
    let (answer, mut body) = sender.send_request(request, false)?;
    body.send_data(message.into(), true)?;
    let answer = answer.await?;
    status(&answer)?;
    let (message, trailers) = read(answer.into_body()).await?;
    outcome(trailers.as_ref().ok_or(Error::Incomplete)?)?.ok_or(Error::Incomplete)?;
    Ok(message::answer(&message)?)
}

/// What the head of an answer says: an error may be all there is, without a message and trailers.
fn status(answer: &Response<RecvStream>) -> Result<(), Error> {
    if answer.status() != StatusCode::OK {
        return Err(Error::NotGrpc(answer.status()));
    }
    outcome(answer.headers()).map(drop)
}

/// The gRPC status in headers or trailers; `None` if there is none.
fn outcome(headers: &HeaderMap) -> Result<Option<()>, Error> {
    let Some(code) = headers.get("grpc-status") else {
        return Ok(None);
    };
    let words = headers.get("grpc-message");
    let words = match words.map_or(&b""[..], |words| words.as_bytes()) {
        b"" => String::new(),
        words => format!(": {}", message::decoded(words, WORDS)),
    };
    match code.to_str().unwrap_or_default() {
        "0" => Ok(Some(())),
        UNIMPLEMENTED => Err(Error::Unimplemented(words)),
        NOT_FOUND => Err(Error::NotFound(words)),
        code => {
            let code = message::status_name(code).to_owned();
            Err(Error::Status { code, words })
        }
    }
}

async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), Error> {
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        message.extend_from_slice(&data?);
        if message.len() > ANSWER {
            return Err(Error::TooLong);
        }
    }
    Ok((message, body.trailers().await?))
}

#[cfg(test)]
mod tests;
