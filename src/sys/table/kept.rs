//! What a child writes whose output is kept: its beginning is told with the child's end, the rest is read and forgotten,
//! so that the child never waits for us.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::domain::event::Event;
use crate::domain::exit::SpawnFailure;
use crate::domain::id::RunId;
use crate::domain::plan::Identity;
use crate::sys::pipes::{self, Writers, pipe_failure};

use super::{Output, Table};

/// So much is told.
const TOLD_BYTES: usize = 1024;

/// Taken by one read.
const READ_BYTES: usize = 16 * 1024;

/// Reads of one pipe in a turn: whoever writes without end has to share us with all others.
const READS: usize = 4;

/// The read end, and what came out of it so far.
#[derive(Debug)]
pub(super) struct Kept {
    end: OwnedFd,
    text: Vec<u8>,
}

/// What a read left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing now.
    Nothing,
    /// Perhaps something.
    More,
    /// Nobody can write to it any more.
    Over,
}

impl Kept {
    /// Ours, and the child's.
    pub(super) fn make(owner: Option<&Identity>) -> Result<(Kept, Writers), SpawnFailure> {
        let (end, stdout) = pipes::output_pipe(owner)?;
        // Our end only: the child's is to be as any pipe.
        fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(pipe_failure)?;
        let text = Vec::new();
        let stderr = None;
        Ok((Kept { end, text }, Writers { stdout, stderr }))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    fn read(&mut self) -> Rest {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS {
            match nix::unistd::read(&self.end, &mut buffer) {
                Ok(0) => return Rest::Over,
                Ok(length) => {
                    let wanted = length.min(TOLD_BYTES - self.text.len());
                    self.text.extend_from_slice(&buffer[..wanted]);
                    if length < READ_BYTES {
                        return Rest::Nothing;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return Rest::Nothing,
            }
        }
        Rest::More
    }

    /// What was written, if anything was.
    fn text(&self) -> Option<String> {
        let text = match std::str::from_utf8(&self.text) {
            // Cut by us in the middle of a character.
            Err(error) if error.error_len().is_none() && self.text.len() == TOLD_BYTES => {
                &self.text[..error.valid_up_to()]
            }
            Ok(_) | Err(_) => &self.text,
        };
        let text = String::from_utf8_lossy(text);
        let text = text.trim_end();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl Table {
    /// Nothing more is wanted of a run's output.
    pub(super) fn close_output(&self, output: &Output) {
        if let Output::Kept(kept) = output {
            self.poller.remove(kept.as_fd());
        }
    }

    /// Takes what a run has written. Says whether there may be more.
    pub(super) fn take_kept(&mut self, run: RunId) -> bool {
        let Some(entry) = self.runs.get_mut(&run) else {
            return false;
        };
        let Output::Kept(kept) = &mut entry.output else {
            return false;
        };
        match kept.read() {
            Rest::Nothing => false,
            Rest::More => true,
            Rest::Over => {
                // It would be reported for as long as it is watched.
                self.poller.remove(kept.as_fd());
                false
            }
        }
    }

    /// What a run has said, whose leader is dead: so all that this one wrote is in the pipe, and we do not wait for
    /// whoever else has it.
    pub(super) fn said(&mut self, run: RunId) -> Option<Event> {
        let Output::Kept(kept) = &mut self.runs.get_mut(&run)?.output else {
            return None;
        };
        if kept.text.len() < TOLD_BYTES {
            kept.read();
        }
        let text = kept.text()?;
        Some(Event::Said { run, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> Option<String> {
        let (mut kept, writers) = Kept::make(None).unwrap();
        nix::unistd::write(&writers.stdout, bytes).unwrap();
        assert_eq!(kept.read(), Rest::Nothing);
        drop(writers);
        assert_eq!(kept.read(), Rest::Over);
        kept.text()
    }

    #[test]
    fn the_beginning_is_told_as_text() {
        assert_eq!(said(b"no\n \n").as_deref(), Some("no"));
        assert_eq!(said(b" a\nb").as_deref(), Some(" a\nb"));
        assert_eq!(said(b"\xff\xfea").as_deref(), Some("\u{fffd}\u{fffd}a"));
        assert_eq!(said(b"a\xe2\x82").as_deref(), Some("a\u{fffd}"));
        assert_eq!(said(b" \n\n"), None);
    }

    #[test]
    fn no_character_is_cut_in_two() {
        // 1,024 bytes are 341 of these and the first byte of another one.
        let long = said("€".repeat(1000).as_bytes());
        assert_eq!(long, Some("€".repeat(341)));
    }
}
