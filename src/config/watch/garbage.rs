//! Descriptors whose end takes long, left to the kernel.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
};

/// Closes a descriptor without waiting for what its end takes, nor does the end of the process wait for it. inotify's takes some
/// 15 ms, whenever there were watches (`fsnotify_destroy_group` waits for an SRCU grace period).
///
/// It is sent into a Unix socket whose only way to be received from is in the same message. Nobody can receive it, so it is
/// garbage once our own descriptors are closed, and a thread of the kernel collects it (`unix_gc`, net/unix/garbage.c). A kernel
/// before 6.9 does that while the last socket is closed: nothing is lost, and nothing won.
///
/// Fails when there is no descriptor left for the sockets; it is closed in the usual way then.
pub(super) fn leave<T: AsFd>(descriptor: T) -> io::Result<()> {
    let (sender, receiver) = socketpair(
        AddressFamily::Unix,
        SockType::Datagram,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    let both = [descriptor.as_fd().as_raw_fd(), receiver.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&both)];
    let text = [IoSlice::new(b"-")];
    sendmsg::<()>(
        sender.as_raw_fd(),
        &text,
        &rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    // In this order: closing a socket has garbage looked for, and by then there has to be some.
    drop(descriptor);
    drop(receiver);
    drop(sender);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_left_comes_to_its_end_by_itself() {
        let (mut reader, writer) = io::pipe().unwrap();
        leave(writer).unwrap();
        // The end of the pipe says that nobody has the other one any more.
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"");
    }
}
