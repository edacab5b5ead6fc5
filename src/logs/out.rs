//! From the logs thread to the thread that writes: a few buffers of formatted lines.
//!
//! One buffer is being written, at most [`PENDING`] wait. The last of those is taken back and filled up while it is less
//! than half full, so that short lines do not go out one write each when output is slow.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::inbox::Wake;
use super::sink::{Pause, Sink};

/// What a buffer is filled to, in bytes; the last line may go beyond it.
pub(super) const CHUNK: usize = 56 * 1024;
/// Buffers that may wait.
const PENDING: usize = 2;

#[derive(Debug, Default)]
struct State {
    pending: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    in_hand: Option<Arc<Vec<u8>>>,
    /// The other thread waits for a buffer to be done.
    wanted: bool,
    /// Lines that could not be written and were not told of yet.
    lost: u64,
    /// The last write failed.
    failing: bool,
    /// Nothing more will come.
    ended: bool,
    /// What is there is not to be waited for.
    abandoned: bool,
}

/// The buffers.
#[derive(Debug, Default)]
pub(super) struct Out {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes of the buffer in hand that are written.
    written: AtomicUsize,
    lost: AtomicU64,
}

impl Out {
    /// A buffer to fill to [`CHUNK`] and [`Out::put`] back; it may have something in it. `None`: all are full, and a
    /// wake-up follows when one is not.
    pub(super) fn fill(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let half = |last: &mut Vec<u8>| last.len() < CHUNK / 2;
        if let Some(last) = state.pending.pop_back_if(half) {
            return Some(last);
        }
        if state.pending.len() < PENDING {
            return Some(state.spare.pop().unwrap_or_default());
        }
        state.wanted = true;
        None
    }

    /// Gives a buffer from [`Out::fill`] to be written.
    pub(super) fn put(&self, buffer: Vec<u8>) {
        let mut state = self.lock();
        if buffer.is_empty() {
            state.spare.push(buffer);
            return;
        }
        state.pending.push_back(buffer);
        let idle = state.in_hand.is_none();
        drop(state);
        if idle {
            self.changed.notify_one();
        }
    }

    /// Whether everything is written. If not, a wake-up follows when something is.
    pub(super) fn is_idle(&self) -> bool {
        let mut state = self.lock();
        let idle = state.pending.is_empty() && state.in_hand.is_none();
        state.wanted |= !idle;
        idle
    }

    /// Lines that could not be written since the last call; 0 as long as nothing can be written.
    pub(super) fn take_lost(&self) -> u64 {
        let mut state = self.lock();
        if state.failing {
            return 0;
        }
        std::mem::take(&mut state.lost)
    }

    /// Lines that could not be written so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Nothing more comes: the writer ends when everything is written.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// The writer is not waited for any longer. The lines it had not written are lost; those of a write that has not
    /// returned count in full.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.abandoned = true;
        let mut lost = 0;
        if let Some(buffer) = &state.in_hand {
            let written = self.written.load(Ordering::Acquire).min(buffer.len());
            lost += lines(&buffer[written..]);
        }
        lost += state.pending.drain(..).map(|b| lines(&b)).sum::<u64>();
        self.lost.fetch_add(lost, Ordering::Relaxed);
        drop(state);
        self.changed.notify_all();
    }

    /// The life of the thread that writes. May be called again after a panic.
    pub(super) fn write_to(&self, sink: &mut Sink, wake: &Wake) {
        // After a panic somebody may wait.
        wake.wake();
        while let Some(buffer) = self.next() {
            let lost = sink.write(&buffer, self);
            self.done(buffer, lost, wake);
        }
    }

    fn next(&self) -> Option<Arc<Vec<u8>>> {
        let mut state = self.lock();
        if let Some(buffer) = state.in_hand.take() {
            // The one that was written when a panic came.
            let written = self.written.load(Ordering::Acquire).min(buffer.len());
            self.lost
                .fetch_add(lines(&buffer[written..]), Ordering::Relaxed);
        }
        loop {
            if let Some(buffer) = state.pending.pop_front() {
                let buffer = Arc::new(buffer);
                self.written.store(0, Ordering::Release);
                state.in_hand = Some(Arc::clone(&buffer));
                return Some(buffer);
            }
            if state.ended {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, buffer: Arc<Vec<u8>>, lost: u64, wake: &Wake) {
        let mut state = self.lock();
        state.in_hand = None;
        if !state.abandoned {
            state.lost += lost;
            state.failing = lost > 0;
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if let Ok(mut buffer) = Arc::try_unwrap(buffer)
            && buffer.capacity() <= 2 * CHUNK
            && state.spare.len() < PENDING
        {
            buffer.clear();
            state.spare.push(buffer);
        }
        let wanted = std::mem::take(&mut state.wanted);
        drop(state);
        if wanted {
            wake.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pause for Out {
    fn pause(&self, time: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.abandoned);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.abandoned
    }

    fn written(&self, bytes: usize) {
        self.written.store(bytes, Ordering::Release);
    }
}

/// The number of lines in a buffer.
pub(super) fn lines(buffer: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', buffer).count() as u64
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn buffers_wait_up_to_a_bound() {
        let out = Out::default();
        for _ in 0..PENDING {
            let mut buffer = out.fill().unwrap();
            assert!(buffer.is_empty());
            buffer.resize(CHUNK, b'\n');
            out.put(buffer);
        }
        assert!(out.fill().is_none());
        assert!(!out.is_idle());
        out.abandon();
        assert_eq!(out.lost(), (PENDING * CHUNK) as u64);
    }

    #[test]
    fn a_short_buffer_is_taken_back() {
        let out = Out::default();
        let mut buffer = out.fill().unwrap();
        buffer.extend_from_slice(b"a\n");
        out.put(buffer);
        assert_eq!(out.fill().unwrap(), b"a\n");
    }

    #[test]
    fn what_was_put_is_written_and_the_other_side_woken() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let (out, wake) = (Out::default(), Wake::new().unwrap());
        for text in ["a\n", "b\nc\n"] {
            let mut buffer = out.fill().unwrap();
            buffer.extend_from_slice(text.as_bytes());
            out.put(buffer);
        }
        assert!(!out.is_idle());
        out.end();
        let mut sink = Sink::new(Some(write));
        out.write_to(&mut sink, &wake);
        drop(sink);
        assert!(wake.is_pending());
        assert!(out.is_idle());
        assert_eq!(out.lost(), 0);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\nc\n");
    }

    #[test]
    fn losses_are_told_of_when_output_flows_again() {
        let (out, wake) = (Out::default(), Wake::new().unwrap());
        let write = |sink: &mut Sink| {
            let mut buffer = out.fill().unwrap();
            buffer.extend_from_slice(b"a\nb\n");
            out.put(buffer);
            let buffer = out.next().unwrap();
            let lost = sink.write(&buffer, &out);
            out.done(buffer, lost, &wake);
        };
        write(&mut Sink::new(None));
        assert_eq!((out.lost(), out.take_lost()), (2, 0));
        let (_read, pipe) = nix::unistd::pipe().unwrap();
        write(&mut Sink::new(Some(pipe)));
        assert_eq!((out.lost(), out.take_lost(), out.take_lost()), (2, 2, 0));
    }
}
