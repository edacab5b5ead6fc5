//! Connections: how many, how long, and who may have one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections at a time, of each listener; more wait in the kernel.
const CONNECTIONS: usize = 256;

/// From the beginning of a connection, or the last answer on it, to the end of the next request's headers. So it is also
/// how long an idle connection is kept.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// A connection is closed then, whatever it is at: whoever never reads an answer must not hold it for ever.
const LIFE: Duration = Duration::from_mins(1);

/// All headers of a request, in bytes and in number.
const HEADER_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;

/// After a failure to accept that is not about one connection, such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves the admin port, for ever.
pub(super) async fn tcp(listener: TcpListener, routes: Router) {
    let mut connections = Connections::new(routes);
    loop {
        connections.have_room().await;
        match listener.accept().await {
            Ok((stream, _)) => connections.serve(stream),
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves the control socket, for ever: to this user and root. For anybody else a connection is closed at once.
pub(super) async fn unix(listener: UnixListener, uid: u32, routes: Router) {
    let mut connections = Connections::new(routes);
    loop {
        connections.have_room().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let peer = stream.peer_cred().map(|peer| peer.uid());
                if peer.is_ok_and(|peer| peer == 0 || peer == uid) {
                    connections.serve(stream);
                }
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// The connections of one listener. Dropping it closes them.
struct Connections {
    routes: Router,
    room: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Connections {
    fn new(routes: Router) -> Connections {
        Connections {
            routes,
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks: JoinSet::new(),
        }
    }

    async fn have_room(&mut self) {
        // Never closed: an error cannot be.
        drop(self.room.acquire().await);
        while self.tasks.try_join_next().is_some() {}
    }

    fn serve(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            return;
        };
        let service = TowerToHyperService::new(self.routes.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        // A panic in it ends this connection only.
        self.tasks.spawn(async move {
            // What goes wrong on a connection is the client's to know.
            let _ = tokio::time::timeout(LIFE, connection).await;
            drop(place);
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the admin thread has waits of its own"
)]
async fn pause(error: &io::Error) {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    );
    if !of_one_connection {
        tokio::time::sleep(PAUSE).await;
    }
}
