//! Where the admin port listens: how an address is written, and the listener for it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn6, bind, listen, setsockopt, socket,
    sockopt,
};

/// What listens where nothing else is said.
const DEFAULT_PORT: u16 = 9480;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Where the admin port listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// Nowhere.
    Off,
    /// On this port of all addresses: `[::]` for IPv6 and IPv4 at once, `0.0.0.0` where there is no IPv6.
    All(u16),
    /// There.
    One(SocketAddr),
}

impl Default for Address {
    fn default() -> Self {
        Address::All(DEFAULT_PORT)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Off => f.write_str("off"),
            Address::All(port) => write!(f, "[::]:{port}"),
            Address::One(address) => address.fmt(f),
        }
    }
}

/// It is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `off`, a port such as `9480` or `:9480`, or an IP address with a port, such as `127.0.0.1:9480` or `[::]:9480`"
)]
pub struct BadAddress;

impl std::str::FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text == "off" {
            return Ok(Address::Off);
        }
        let port = text.strip_prefix(':').unwrap_or(text);
        // `+1` is a number for Rust and for nobody else.
        if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
            return port.parse().map(Address::All).map_err(|_| BadAddress);
        }
        match text.parse() {
            Ok(SocketAddr::V6(address)) if address.ip().is_unspecified() => {
                Ok(Address::All(address.port()))
            }
            Ok(address) => Ok(Address::One(address)),
            Err(_) => Err(BadAddress),
        }
    }
}

impl Address {
    /// The system chooses the port.
    pub fn is_any_port(self) -> bool {
        match self {
            Address::Off => false,
            Address::All(port) => port == 0,
            Address::One(address) => address.port() == 0,
        }
    }

    /// Listens there; `None` when that is nowhere.
    pub fn listen(self) -> io::Result<Option<TcpListener>> {
        match self {
            Address::Off => Ok(None),
            Address::One(address) => TcpListener::bind(address).map(Some),
            Address::All(port) => match listen_on_both(port) {
                Err(error) if is_without_ipv6(&error) => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(Some)
                }
                listener => listener.map(Some),
            },
        }
    }
}

/// The kernel has no IPv6, or it is disabled on every interface.
fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
    )
}

/// IPv6 and IPv4 on one socket, whatever `net.ipv6.bindv6only` says.
fn listen_on_both(port: u16) -> io::Result<TcpListener> {
    let socket = socket(
        AddressFamily::Inet6,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    let address = SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, port, 0, 0);
    bind(socket.as_raw_fd(), &SockaddrIn6::from(address))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_programs_read_them() {
        for (text, address) in [
            ("off", Address::Off),
            ("[::]:9480", Address::default()),
            (":9480", Address::default()),
            ("9480", Address::default()),
            ("0", Address::All(0)),
            ("127.0.0.1:0", Address::One(([127, 0, 0, 1], 0).into())),
            ("0.0.0.0:80", Address::One(([0, 0, 0, 0], 80).into())),
            ("[::1]:80", Address::One("[::1]:80".parse().unwrap())),
        ] {
            assert_eq!(text.parse(), Ok(address), "{text}");
        }
        for text in [
            "",
            ":",
            "Off",
            "none",
            "localhost:9480",
            "127.0.0.1",
            "::1:9480",
            "65536",
            ":65536",
            "+1",
            "-1",
            "1.2.3.4:",
            "[::]",
            " 9480",
            "http://127.0.0.1:9480",
        ] {
            assert_eq!(text.parse::<Address>(), Err(BadAddress), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for address in [
            Address::Off,
            Address::default(),
            Address::One(([127, 0, 0, 1], 1).into()),
        ] {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn all_addresses_are_those_of_both_families() {
        let listener = Address::All(0).listen().unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        if std::path::Path::new("/proc/net/if_inet6").exists() {
            std::net::TcpStream::connect(("::1", port)).unwrap();
        }
        let busy = Address::All(port).listen().unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    }
}
