//! Messages over the sd_notify protocol: heard if they come from a run, dropped if not.
//!
//! The sender's number is the kernel's word, but it is of the moment of sending. So messages are read before anybody is
//! reaped: who sent one and died is still there to be looked at, and comes before its exit.

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::sys::call::{self, Pid};
use crate::sys::notify::{Heard, NotifySocket};
use crate::sys::poller::Ready;

use super::{Boundary, Phase, Table};

/// Messages read in one turn. What is more waits in the socket, and its senders with it.
const BATCH: u32 = 64;

/// What is listened to.
#[derive(Debug)]
pub(super) struct Notify {
    /// Its name.
    name: String,
    socket: NotifySocket,
    /// Messages that may still be read in this turn.
    allowed: u32,
    /// Messages of nobody's, or of no use.
    dropped: u64,
}

impl Table {
    /// What is listened to already stays: a spec that had no such probe for a while may have one again.
    pub(super) fn listen(&mut self, name: &str) -> std::io::Result<()> {
        if (self.notify.as_ref()).is_some_and(|notify| notify.name == name) {
            return Ok(());
        }
        let socket = NotifySocket::bind(name)?;
        self.poller.add(socket.as_fd(), Ready::Notify)?;
        let next = Notify {
            name: name.to_owned(),
            socket,
            allowed: BATCH,
            dropped: self.notify_dropped(),
        };
        if let Some(earlier) = self.notify.replace(next) {
            self.poller.remove(earlier.socket.as_fd());
        }
        Ok(())
    }

    /// Messages to the notify socket that were dropped: too long, empty, or of no process of a run.
    pub fn notify_dropped(&self) -> u64 {
        self.notify.as_ref().map_or(0, |notify| notify.dropped)
    }

    /// Another turn begins. Says whether the last one did not get to all messages.
    pub(super) fn allow_messages(&mut self) -> bool {
        match &mut self.notify {
            Some(notify) => std::mem::replace(&mut notify.allowed, BATCH) == 0,
            None => false,
        }
    }

    /// Takes messages that are there, as far as this turn may.
    pub(super) fn hear(&mut self, events: &mut Vec<Event>) {
        while let Some(notify) = &mut self.notify
            && notify.allowed > 0
        {
            let (sender, text) = match notify.socket.hear() {
                Heard::Nothing => return,
                Heard::Noise => (None, String::new()),
                Heard::Message { sender, text } => (Some(sender), text),
            };
            notify.allowed -= 1;
            let run = sender.and_then(|sender| self.run_of(sender));
            match run.filter(|run| self.is_running(*run, events)) {
                Some(run) => events.push(Event::Notified { run, text }),
                None => {
                    if let Some(notify) = &mut self.notify {
                        notify.dropped += 1;
                    }
                }
            }
        }
    }

    /// The run that a process belongs to, while that has its leader: then the session's number is its own.
    fn run_of(&self, pid: Pid) -> Option<RunId> {
        let led_by = |leader: Option<Pid>, boundary: Boundary| {
            let run = *self.leaders.get(&leader?)?;
            (self.runs.get(&run)?.boundary == boundary).then_some(run)
        };
        led_by(call::session_of(pid), Boundary::Session)
            .or_else(|| led_by(call::group_of(pid), Boundary::Group))
    }

    /// Whether it has made its exec, of which its answer may not have been read yet.
    fn is_running(&mut self, run: RunId, events: &mut Vec<Event>) -> bool {
        self.settle(run, events);
        self.runs
            .get(&run)
            .is_some_and(|run| matches!(run.phase, Phase::Running))
    }
}
