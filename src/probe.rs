//! Requests of probes and hooks, on a thread of their own (`edge`), so that the core never waits for a socket.
//!
//! A request is one task, and its timeout covers all of it: the wait for a place, the name, the connection, TLS and the
//! answer. A task that is dropped closes its socket. Nothing is kept from one request to the next.

mod connect;
mod fast_cgi;
mod grpc;
mod http;
mod tcp;
mod tls;

use std::cell::{Cell, OnceCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::Request;
use crate::ports::{Message, Requests};

/// Requests without an answer at most, those that wait for a place included; the next one is answered with an error.
const UNANSWERED: usize = 4096;

/// Requests with a socket at most; further ones wait inside their own timeout.
const IN_FLIGHT: usize = 1024;

/// Names looked up at once. A lookup cannot be cut short, so that those of a dead name server must not pile up.
const LOOKUPS: usize = 4;

/// Of a request's time, for its way here and its answer's way back.
const ON_THE_WAY: Duration = Duration::from_millis(10);

/// Characters at most of what is told about a failure, as a server may have chosen them.
const WORDS: usize = 500;

/// Small: its tasks are few and shallow.
const STACK: usize = 512 * 1024;

/// What we call ourselves where a protocol asks for it.
const USER_AGENT: &str = concat!("podinit/", env!("CARGO_PKG_VERSION"));

/// Makes requests; the thread starts with the first one.
#[derive(Debug)]
pub struct Client {
    mailbox: mpsc::Sender<Message>,
    jobs: Option<mpsc::Sender<Job>>,
    places: Arc<Semaphore>,
}

impl Client {
    /// A client whose answers go to `mailbox`.
    pub fn new(mailbox: mpsc::Sender<Message>) -> Self {
        Client {
            mailbox,
            jobs: None,
            places: Arc::new(Semaphore::new(UNANSWERED)),
        }
    }

    /// The way to the thread, which is started anew if it died.
    fn jobs(&mut self) -> std::io::Result<&mpsc::Sender<Job>> {
        if self.jobs.as_ref().is_none_or(mpsc::Sender::is_closed) {
            let (jobs, queue) = mpsc::channel(UNANSWERED);
            std::thread::Builder::new()
                .name("edge".to_owned())
                .stack_size(STACK)
                .spawn(move || serve(queue))?;
            self.jobs = Some(jobs);
        }
        self.jobs
            .as_ref()
            .ok_or_else(|| std::io::Error::other("no thread"))
    }
}

impl Requests for Client {
    fn ask(&mut self, run: RunId, request: Arc<Request>, timeout: Duration) {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let mut answer = Answer {
            run,
            mailbox: self.mailbox.clone(),
            place: None,
            otherwise: Some("too many requests are waiting".to_owned()),
        };
        let Ok(place) = place else { return };
        answer.place = Some(place);
        match self.jobs() {
            Ok(jobs) => {
                answer.otherwise = Some("internal error on the edge thread".to_owned());
                // Refused: the thread has just died. The answer says so as it is dropped.
                let _ = jobs.try_send(Job {
                    request,
                    timeout,
                    answer,
                });
            }
            Err(error) => {
                answer.otherwise = Some(format!("failed to start the edge thread: {error}"));
            }
        }
    }
}

/// A request on its way to the thread.
#[derive(Debug)]
struct Job {
    request: Arc<Request>,
    timeout: Duration,
    answer: Answer,
}

/// The one answer to a request. Dropped without having been given, by a panic for one, it is an error.
#[derive(Debug)]
struct Answer {
    run: RunId,
    mailbox: mpsc::Sender<Message>,
    place: Option<OwnedSemaphorePermit>,
    /// The error it is if nobody gives it.
    otherwise: Option<String>,
}

impl Answer {
    fn message(&self, result: Result<(), String>) -> Message {
        let run = self.run;
        Event::Responded { run, result }.into()
    }

    async fn give(mut self, result: Result<(), String>) {
        // Closed: podinit is leaving.
        let _ = self.mailbox.send(self.message(result)).await;
        self.otherwise = None;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(why) = self.otherwise.take() {
            // A full mailbox here means that hundreds of answers wait already; the engine's own deadline stands in for it.
            let _ = self.mailbox.try_send(self.message(Err(why)));
        }
    }
}

/// What the requests share.
#[derive(Debug)]
struct Edge {
    in_flight: Semaphore,
    lookups: Arc<Semaphore>,
    tls: OnceCell<Arc<rustls::ClientConfig>>,
}

impl Default for Edge {
    fn default() -> Self {
        Edge {
            in_flight: Semaphore::new(IN_FLIGHT),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            tls: OnceCell::new(),
        }
    }
}

/// What a request waits for, so that one that was too late can say so.
#[derive(Debug, Clone, Copy, Default)]
enum Step {
    #[default]
    Place,
    Name,
    Connection,
    Tls,
    Answer,
}

impl Step {
    /// What did not come.
    fn missing(self) -> &'static str {
        match self {
            Step::Place => "no free place among the requests",
            Step::Name => "no address from the name server",
            Step::Connection => "no connection",
            Step::Tls => "no TLS handshake",
            Step::Answer => "no answer",
        }
    }
}

/// What a request is made with.
#[derive(Debug, Default)]
struct Context {
    edge: Rc<Edge>,
    step: Cell<Step>,
}

/// Why a request failed, in the words that end a log line such as "readiness probe failed: ..".
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{} in {limit:?}", .step.missing())]
    Late { step: Step, limit: Duration },
    #[error(transparent)]
    Connect(#[from] connect::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error(transparent)]
    Grpc(#[from] grpc::Error),
    #[error(transparent)]
    FastCgi(#[from] fast_cgi::Error),
}

/// The thread: ends when the client is dropped.
fn serve(mut queue: mpsc::Receiver<Job>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(LOOKUPS)
        .thread_name("edge-lookup")
        .thread_stack_size(STACK)
        .build();
    // Without one every job in the queue is answered with an error as it is dropped.
    let Ok(runtime) = runtime else { return };
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let edge = Rc::new(Edge::default());
        while let Some(job) = queue.recv().await {
            tokio::task::spawn_local(work(job, Rc::clone(&edge)));
        }
    });
    drop(tasks);
    // A lookup that hangs holds nobody up.
    runtime.shutdown_background();
}

/// One request, from the queue to its answer.
async fn work(job: Job, edge: Rc<Edge>) {
    let Job {
        request,
        timeout,
        answer,
    } = job;
    let cx = Context {
        edge,
        step: Cell::default(),
    };
    let result = within(timeout, &cx.step, ask(&cx, &request)).await;
    answer.give(result.map_err(|why| told(&why))).await;
}

/// A failure in words that are safe to show: a part of them may be the server's own.
fn told(why: &Failure) -> String {
    let why = why.to_string();
    let plain = why.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(WORDS).collect()
}

/// The outcome of `asking`, or what it still waited for when the time was over. Whoever asked counts the same time from
/// a little earlier on, and knows less.
async fn within(
    limit: Duration,
    step: &Cell<Step>,
    asking: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let wait = limit.saturating_sub(ON_THE_WAY.min(limit / 16));
    let outcome = tokio::time::timeout(wait, asking).await;
    outcome.unwrap_or_else(|_| {
        let step = step.get();
        Err(Failure::Late { step, limit })
    })
}

async fn ask(cx: &Context, request: &Request) -> Result<(), Failure> {
    // Closed it never is.
    let _place = cx.edge.in_flight.acquire().await;
    // Boxed, so that a TCP probe does not take the memory of an HTTPS one.
    match request {
        Request::Tcp { host, port } => tcp::ask(cx, host, *port).await?,
        Request::Http(get) => Box::pin(http::ask(cx, get)).await?,
        Request::Grpc { port, service } => Box::pin(grpc::ask(cx, *port, service)).await?,
        Request::FastCgi {
            address,
            path,
            query,
        } => Box::pin(fast_cgi::ask(cx, address, path, query)).await?,
    }
    Ok(())
}

/// The outcome of `exchange`, while `connection` moves its bytes. How the connection ended is left to the exchange,
/// which hears of it.
async fn driven<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let mut connection = pin!(connection);
    let mut exchange = pin!(exchange);
    let mut ended = false;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = exchange.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        if ended || connection.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        ended = true;
        exchange.as_mut().poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests;
