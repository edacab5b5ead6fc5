//! The socket of the sd_notify protocol: messages of processes, each with the number of its sender.

#![allow(unsafe_code, reason = "recvmsg(2) with control data, and its socket")]

use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::call::Pid;

/// A longer message is none of the protocol's.
const MESSAGE_BYTES: usize = 4096;

/// Room for the sender's ids, which come first, and for nothing else: descriptors that come along (the protocol's
/// barrier) find none, so the kernel closes them instead of giving them to us.
const CONTROL_WORDS: usize = 4;

/// A datagram socket under an abstract name.
#[derive(Debug)]
pub(super) struct NotifySocket(OwnedFd);

/// What was read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// There is no message.
    Nothing,
    /// One that is of no use: too long, empty, or from nobody that we can see.
    Noise,
    /// A message.
    Message {
        /// Whose number it was when it was sent.
        sender: Pid,
        /// All of it.
        text: String,
    },
}

impl NotifySocket {
    /// Listens under this name, which has no zero in front.
    pub(super) fn bind(name: &str) -> io::Result<Self> {
        let (address, length) = abstract_address(name)?;
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: numbers only; the descriptor is fresh and ours.
        let socket = unsafe {
            match libc::socket(libc::AF_UNIX, kind, 0) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        let on: libc::c_int = 1;
        // SAFETY: both addresses are of locals of the given sizes. The option comes before the name: no message is ever
        // without its sender.
        let failed = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PASSCRED,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            ) != 0
                || libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) != 0
        };
        if failed {
            return Err(io::Error::last_os_error());
        }
        Ok(NotifySocket(socket))
    }

    /// Takes the next message, without waiting.
    pub(super) fn hear(&self) -> Heard {
        let mut text = [0_u8; MESSAGE_BYTES];
        let mut control = [0_u64; CONTROL_WORDS];
        let mut part = libc::iovec {
            iov_base: text.as_mut_ptr().cast(),
            iov_len: text.len(),
        };
        // SAFETY: all zeros is a valid header without name, text and control data.
        let mut header = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control);
        // SAFETY: the header points to locals of the given sizes.
        let length =
            unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        let Ok(length) = usize::try_from(length) else {
            // None is there. A signal cannot interrupt what does not wait.
            return Heard::Nothing;
        };
        // SAFETY: recvmsg filled the header and what it points to.
        let sender = unsafe { sender_of(&header) };
        let whole = header.msg_flags & libc::MSG_TRUNC == 0;
        match sender {
            // 0: outside of our PID namespace.
            Some(sender) if sender > 0 && whole && length > 0 => Heard::Message {
                sender,
                text: String::from_utf8_lossy(&text[..length]).into_owned(),
            },
            _ => Heard::Noise,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn abstract_address(name: &str) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: all zeros is a valid address.
    let mut address = unsafe { MaybeUninit::<libc::sockaddr_un>::zeroed().assume_init() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // The first byte of an abstract one is zero.
    let room = &mut address.sun_path[1..];
    if name.is_empty() || name.len() > room.len() {
        let why = format!(
            "the name of an abstract socket has 1 to {} bytes",
            room.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    for (place, byte) in room.iter_mut().zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    let length = offset_of!(libc::sockaddr_un, sun_path) + 1 + name.len();
    Ok((address, length as libc::socklen_t))
}

/// The sender's number, if it is in the control data. Descriptors that came in spite of us are closed.
///
/// # Safety
///
/// The header is as recvmsg left it.
unsafe fn sender_of(header: &libc::msghdr) -> Option<Pid> {
    let mut sender = None;
    // SAFETY: the macros stay within the control data; a record of each kind holds what is read from it, which may not be
    // aligned; descriptors that the kernel has just given us are nobody else's.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(record) = next.as_ref() {
            let data = libc::CMSG_DATA(next);
            let length = record.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            match (record.cmsg_level, record.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                    sender = Some(data.cast::<libc::ucred>().read_unaligned().pid);
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let (fds, _) = std::slice::from_raw_parts(data, length).as_chunks();
                    for fd in fds {
                        drop(OwnedFd::from_raw_fd(libc::c_int::from_ne_bytes(*fd)));
                    }
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn pair(name: &str) -> (NotifySocket, UnixDatagram) {
        let name = format!("podinit-test-{name}-{}", std::process::id());
        let socket = NotifySocket::bind(&name).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        sender.connect_addr(&address).unwrap();
        (socket, sender)
    }

    #[test]
    fn a_message_names_its_sender() {
        let (socket, sender) = pair("sender");
        assert_eq!(socket.hear(), Heard::Nothing);
        sender.send(b"READY=1\n\xff").unwrap();
        let message = Heard::Message {
            sender: std::process::id() as Pid,
            text: "READY=1\n\u{fffd}".to_owned(),
        };
        assert_eq!(socket.hear(), message);
        assert_eq!(socket.hear(), Heard::Nothing);
    }

    #[test]
    fn what_is_too_long_or_empty_is_noise() {
        let (socket, sender) = pair("length");
        sender.send(&[b'x'; MESSAGE_BYTES]).unwrap();
        assert!(
            matches!(socket.hear(), Heard::Message { text, .. } if text.len() == MESSAGE_BYTES)
        );
        sender.send(&[b'x'; MESSAGE_BYTES + 1]).unwrap();
        sender.send(b"").unwrap();
        assert_eq!(socket.hear(), Heard::Noise);
        assert_eq!(socket.hear(), Heard::Noise);
        assert_eq!(socket.hear(), Heard::Nothing);
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        for name in [String::new(), "x".repeat(108)] {
            let error = NotifySocket::bind(&name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        let name = "y".repeat(107);
        let _first = NotifySocket::bind(&name).unwrap();
        let error = NotifySocket::bind(&name).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
