//! What stands around each request to the API server: the token, a bound on the answer in bytes and in time, and the
//! pause that the server asked for.

use std::fmt::Display;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use kube::core::Status;
use tokio::time::{Instant, Sleep, timeout};
use tower::{Layer, Service};

use super::pause::timer;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// For the head of an answer, and for all of it unless it is a watch.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// The API server takes no object with a body over 3 MiB; a watch has one in a line.
const LARGEST: usize = 3 << 20;
/// The kubelet writes a new token long before the old one ends.
const TOKEN_AGE: Duration = Duration::from_secs(60);
/// A server that asks for a longer pause is asked after this time all the same.
const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// A watch brings a bookmark each minute: one that brings nothing for so long is ended, and another one begins.
const QUIET: Duration = Duration::from_secs(90);
/// Between two watches of the same thing, so that one that ends at once makes no storm.
const WATCH_AGAIN: Duration = Duration::from_secs(1);

/// Shared by all requests.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    token: Mutex<Token>,
    /// No request before.
    hold: Mutex<Option<Instant>>,
    /// The last watch of each path.
    watches: Mutex<Vec<Watch>>,
}

#[derive(Debug)]
struct Watch {
    path: String,
    /// When it was asked for, or will be.
    at: Instant,
    /// The server has taken it.
    open: bool,
}

#[derive(Debug)]
struct Token {
    path: PathBuf,
    value: Option<HeaderValue>,
    read_at: Option<Instant>,
}

impl Guard {
    /// With the token of this file.
    pub(super) fn new(token: PathBuf) -> Guard {
        Guard(Arc::new(Shared {
            token: Mutex::new(Token {
                path: token,
                value: None,
                read_at: None,
            }),
            hold: Mutex::new(None),
            watches: Mutex::new(Vec::new()),
        }))
    }

    /// The last watch of this path was taken by the server.
    pub(super) fn watches(&self, path: &str) -> bool {
        let watches = lock(&self.0.watches);
        let mut watches = watches.iter();
        watches.any(|watch| watch.path == path && watch.open)
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Token {
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge: a file of the service account's volume"
    )]
    fn header(&mut self) -> Result<HeaderValue, String> {
        let fresh = (self.read_at).is_some_and(|at| at.elapsed() < TOKEN_AGE);
        if !fresh {
            let told = |why: &dyn Display| {
                format!("failed to read the token `{}`: {why}", self.path.display())
            };
            let read = match std::fs::read_to_string(&self.path) {
                Ok(text) => HeaderValue::try_from(format!("Bearer {}", text.trim()))
                    .map_err(|error| told(&error)),
                Err(error) => Err(told(&error)),
            };
            match read {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    self.value = Some(value);
                    self.read_at = Some(Instant::now());
                }
                // The old one may still be good.
                Err(why) if self.value.is_none() => return Err(why),
                Err(_) => {}
            }
        }
        self.value.clone().ok_or_else(|| "no token".to_owned())
    }

    /// The server did not take this one: the next request has what the file says then.
    fn distrust(&mut self, used: &HeaderValue) {
        if self.value.as_ref() == Some(used) {
            self.read_at = None;
        }
    }
}

impl Shared {
    /// Whether the server asked not to be asked now.
    fn held(&self) -> Result<(), BoxError> {
        let mut hold = lock(&self.hold);
        match *hold {
            Some(until) if Instant::now() < until => Err(Box::new(too_many())),
            _ => {
                *hold = None;
                Ok(())
            }
        }
    }

    fn hold_for(&self, time: Duration) {
        *lock(&self.hold) = Some(Instant::now() + time.min(LONGEST_HOLD));
    }

    /// When a watch of this path may begin.
    fn watch(&self, path: &str) -> Instant {
        let mut watches = lock(&self.watches);
        let now = Instant::now();
        let known = watches.iter_mut().find(|watch| watch.path == path);
        if let Some(watch) = known {
            watch.at = now.max(watch.at + WATCH_AGAIN);
            watch.open = false;
            return watch.at;
        }
        watches.push(Watch {
            path: path.to_owned(),
            at: now,
            open: false,
        });
        now
    }

    fn opened(&self, path: &str) {
        for watch in lock(&self.watches).iter_mut() {
            watch.open |= watch.path == path;
        }
    }
}

/// Always in the same words, so that it is told once.
fn too_many() -> kube::Error {
    let status = Status::failure(
        "the API server has too many requests and asked for a pause",
        "TooManyRequests",
    );
    kube::Error::Api(Box::new(
        status.with_code(StatusCode::TOO_MANY_REQUESTS.as_u16()),
    ))
}

/// `Retry-After` in seconds, the only form that the API server uses.
fn retry_after<B>(answer: &Response<B>) -> Option<Duration> {
    let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            shared: self.0.clone(),
        }
    }
}

/// The client with the guard around it.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, Q, B> Service<Request<Q>> for Guarded<S>
where
    S: Service<Request<Q>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    type Response = Response<Bounded<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let shared = self.shared.clone();
        let token = match shared.held() {
            Ok(()) => lock(&shared.token).header().map_err(BoxError::from),
            Err(held) => Err(held),
        };
        let token = match token {
            Ok(token) => token,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        request.headers_mut().insert(AUTHORIZATION, token.clone());
        let query = request.uri().query().unwrap_or_default();
        let watch = (query.split('&').any(|part| part == "watch=true"))
            .then(|| request.uri().path().to_owned());
        let begin = watch.as_deref().map(|path| shared.watch(path));
        // Nothing of it happens before it is polled.
        let call = self.inner.call(request);
        Box::pin(async move {
            if let Some(begin) = begin {
                timer(begin).await;
            }
            let answer = timeout(LIMIT, call).await;
            let answer = answer.map_err(|_| silent(LIMIT))?.map_err(Into::into)?;
            let status = answer.status();
            if status == StatusCode::UNAUTHORIZED {
                lock(&shared.token).distrust(&token);
            }
            if status == StatusCode::TOO_MANY_REQUESTS
                && let Some(time) = retry_after(&answer)
            {
                shared.hold_for(time);
                return Err(too_many().into());
            }
            let lines = status.is_success() && watch.is_some();
            if let Some(path) = watch.filter(|_| lines) {
                shared.opened(&path);
            }
            Ok(answer.map(|body| Bounded::new(body, lines)))
        })
    }
}

fn silent(limit: Duration) -> BoxError {
    format!("no answer in {} s", limit.as_secs()).into()
}

/// The body of an answer that ends when it is too long, or too slow. What is too long is not held.
#[derive(Debug)]
pub(super) struct Bounded<B> {
    inner: B,
    /// Bytes since the beginning, or since the last line of a watch.
    seen: usize,
    /// It is a watch.
    lines: bool,
    /// When it is too slow.
    end: Pin<Box<Sleep>>,
}

impl<B> Bounded<B> {
    fn new(inner: B, lines: bool) -> Bounded<B> {
        let limit = if lines { QUIET } else { LIMIT };
        Bounded {
            inner,
            seen: 0,
            lines,
            end: Box::pin(timer(Instant::now() + limit)),
        }
    }

    fn count(&mut self, data: &[u8]) -> Result<(), BoxError> {
        let newline = memchr::memrchr(b'\n', data).filter(|_| self.lines);
        self.seen = match newline {
            // What comes before the newline was counted too, roughly: a frame is small.
            Some(at) => data.len() - at - 1,
            None => self.seen + data.len(),
        };
        if self.seen > LARGEST {
            return Err(format!("the answer is longer than {} MiB", LARGEST >> 20).into());
        }
        Ok(())
    }
}

impl<B> HttpBody for Bounded<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.end.as_mut().poll(cx).is_ready() {
            // The end of a watch is no trouble.
            let end = (!this.lines).then(|| Err(silent(LIMIT)));
            return Poll::Ready(end);
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if this.lines {
            this.end.as_mut().reset(Instant::now() + QUIET);
        }
        let counted = frame.map(|frame| {
            let frame = frame.map_err(Into::into)?;
            if let Some(data) = frame.data_ref() {
                this.count(data)?;
            }
            Ok(frame)
        });
        Poll::Ready(counted)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
