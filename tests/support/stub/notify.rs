//! Messages over the sd_notify protocol.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

fn socket(name: &str) -> UnixDatagram {
    let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("a name");
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.connect_addr(&address).expect("somebody listens");
    socket
}

pub(super) fn tell(name: &str, text: &str) {
    let sent = socket(name).send(text.as_bytes());
    sent.expect("the message is taken");
}

/// Waits whenever the socket is full.
pub(super) fn tell_often(name: &str, count: usize) {
    let socket = socket(name);
    for number in 0..count {
        let text = format!("STATUS={number}");
        socket.send(text.as_bytes()).expect("the message is taken");
    }
}
