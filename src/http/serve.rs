//! Connections: how many, how long, and who may have one.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{AbortHandle, JoinSet};

/// Connections at a time, of each listener; one more takes the place of the oldest. If it had to wait instead, whoever
/// holds so many, idle or not, would keep the kubelet out, and a liveness probe would end the pod.
const CONNECTIONS: usize = 256;

/// So many of them even where descriptors are few.
const FEWEST_CONNECTIONS: usize = 8;

/// The part of all descriptors that one listener may use at most: the others are for processes and their probes, which
/// whoever reaches the port must not be able to keep from running.
const PART: u64 = 8;

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
        match listener.accept().await {
            Ok((stream, _)) => connections.serve(stream).await,
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves the control socket, for ever: to this user and root. For anybody else a connection is closed at once.
pub(super) async fn unix(listener: UnixListener, uid: u32, routes: Router) {
    let mut connections = Connections::new(routes);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let peer = stream.peer_cred().map(|peer| peer.uid());
                if peer.is_ok_and(|peer| peer == 0 || peer == uid) {
                    connections.serve(stream).await;
                }
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// The connections of one listener. Dropping it closes them.
struct Connections {
    routes: Router,
    tasks: JoinSet<()>,
    /// Those that are open, oldest first.
    open: VecDeque<AbortHandle>,
    most: usize,
}

/// How many connections there may be with so many descriptors.
fn most(descriptors: u64) -> usize {
    let part = usize::try_from(descriptors / PART).unwrap_or(CONNECTIONS);
    part.clamp(FEWEST_CONNECTIONS, CONNECTIONS)
}

impl Connections {
    fn new(routes: Router) -> Connections {
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let most = most(descriptors);
        Connections {
            routes,
            tasks: JoinSet::new(),
            open: VecDeque::with_capacity(most),
            most,
        }
    }

    async fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|connection| !connection.is_finished());
        if self.open.len() >= self.most
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.abort();
            // It is closed by then, or another one.
            self.tasks.join_next().await;
        }
    }

    async fn serve(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        self.make_room().await;
        let service = TowerToHyperService::new(self.routes.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        // A panic in it ends this connection only.
        let connection = self.tasks.spawn(async move {
            // What goes wrong on a connection is the client's to know.
            let _ = tokio::time::timeout(LIFE, connection).await;
        });
        self.open.push_back(connection);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_a_part_of_all_descriptors() {
        let cases = [(20, 8), (100, 12), (1024, 128), (1 << 20, 256)];
        for (descriptors, connections) in cases.into_iter().chain([(u64::MAX, 256)]) {
            assert_eq!(most(descriptors), connections, "{descriptors}");
        }
    }
}
