//! The TCP probe: a connection that opens passes.

use super::{Context, connect};

/// Connects, and closes at once.
///
/// No SO_LINGER, with which the kubelet spares its node connections in TIME_WAIT: with it `close` may wait for the
/// other side, and here that would hold up all requests. Loopback reuses such ports after a second anyway.
pub(super) async fn ask(cx: &Context, host: &str, port: u16) -> Result<(), connect::Error> {
    connect::tcp(cx, host, port).await.map(drop)
}
