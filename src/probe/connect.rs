//! Connections to a host and port, or to a socket of the file system.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};

use super::{Context, Step};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{}", words(.0))]
    Connect(#[source] io::Error),
    #[error("no socket at `{0}`")]
    NoSocket(String),
    #[error("the server's queue of connections is full")]
    Backlog,
    #[error("failed to find the address of `{host}`: {why}")]
    Name { host: String, why: String },
}

/// What went wrong with a socket, without the number of the system call's error.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        // No word of its own.
        io::ErrorKind::Other => error.to_string(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        _ if error.raw_os_error().is_none() => error.to_string(),
        kind => match kind.to_string().as_str() {
            "uncategorized error" => error.to_string(),
            known => known.to_owned(),
        },
    }
}

/// A TCP connection. The addresses of a name are tried one after the other.
pub(super) async fn tcp(cx: &Context, host: &str, port: u16) -> Result<TcpStream, Error> {
    // Without a lookup, which takes a thread.
    if let Ok(address) = host.parse::<IpAddr>() {
        return open(cx, SocketAddr::new(address, port)).await;
    }
    let addresses = if host.eq_ignore_ascii_case("localhost") {
        let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        local.map(|address| SocketAddr::new(address, port)).to_vec()
    } else {
        look_up(cx, host, port).await?
    };
    // What the first address says is told: the others are often of a family that nobody listens on.
    let mut first = None;
    for address in addresses {
        match open(cx, address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| Error::Name {
        host: host.to_owned(),
        why: "it has none".to_owned(),
    }))
}

async fn open(cx: &Context, address: SocketAddr) -> Result<TcpStream, Error> {
    cx.step.set(Step::Connection);
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    cx.step.set(Step::Answer);
    not_oneself(stream, address)
}

/// A connection to a free port of this host may get that very port as its own, and then it reaches itself: nobody is
/// there.
pub(super) fn not_oneself(stream: TcpStream, address: SocketAddr) -> Result<TcpStream, Error> {
    if stream.local_addr().is_ok_and(|own| own == address) {
        return Err(Error::Connect(io::ErrorKind::ConnectionRefused.into()));
    }
    Ok(stream)
}

async fn look_up(cx: &Context, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let failed = |why: &dyn std::fmt::Display| Error::Name {
        host: host.to_owned(),
        why: why
            .to_string()
            .trim_start_matches("failed to lookup address information: ")
            .to_owned(),
    };
    cx.step.set(Step::Name);
    let place = Arc::clone(&cx.edge.lookups).acquire_owned().await;
    let name = host.to_owned();
    let lookup = tokio::task::spawn_blocking(move || {
        // Held until the lookup is over, not until nobody waits for it.
        let _place = place;
        (name.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect)
    });
    match lookup.await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

/// A connection to a socket of the file system.
pub(super) async fn unix(cx: &Context, path: &str) -> Result<UnixStream, Error> {
    cx.step.set(Step::Connection);
    let stream = UnixStream::connect(path).await;
    cx.step.set(Step::Answer);
    stream.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NoSocket(path.to_owned()),
        // A Unix socket does not let anybody wait for a place in its queue.
        io::ErrorKind::WouldBlock => Error::Backlog,
        _ => Error::Connect(error),
    })
}
