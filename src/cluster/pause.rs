//! How long to wait before the next try.

use std::time::Duration;

use crate::domain::time::Now;

const FIRST: Duration = Duration::from_millis(200);
/// The server is found again within 5 s of its return, a try of its own included.
const LONGEST: Duration = Duration::from_secs(3);
/// For what a person has to mend: a right, a CustomResourceDefinition.
const PATIENT: Duration = Duration::from_secs(15);

/// How soon to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It may pass.
    Soon,
    /// Somebody has to do something about it.
    Patiently,
}

/// Grows from try to try, with jitter, so that a fleet does not come back all at once.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
}

impl Pause {
    pub(super) fn new() -> Pause {
        Pause { next: FIRST }
    }

    /// It worked: the next failure is the first.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Half to all of the time.
    pub(super) fn next(&mut self, clock: fn() -> Now, retry: Retry) -> Duration {
        let longest = match retry {
            Retry::Soon => LONGEST,
            Retry::Patiently => PATIENT,
        };
        let full = self.next.min(longest);
        self.next = (full * 2).min(longest);
        full / 2 + part(clock, full / 2)
    }
}

/// Some part of this time.
pub(super) fn part(clock: fn() -> Now, time: Duration) -> Duration {
    let noise = clock().mono.as_nanos().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    time.mul_f64(noise as f64 / (1u64 << 24) as f64)
}

/// The longest time over which a fleet is spread.
const SPREAD: Duration = Duration::from_secs(60);

/// All pods of a fleet are told the same at the same moment, and do not all act on it then: so much time for each pod, and
/// this one somewhere in it.
pub(super) fn spread(each: Duration, pods: u32, clock: fn() -> Now) -> Duration {
    part(clock, (each * pods).min(SPREAD))
}

/// Sleeps.
#[expect(
    clippy::disallowed_methods,
    reason = "between two tries nobody has anything to wait for"
)]
pub(super) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Ready at this instant.
pub(super) fn timer(at: tokio::time::Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(at)
}

/// An answer, or an end to the waiting for it.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = kube::Result<T>>,
) -> Result<T, super::trouble::Trouble> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(super::trouble::Trouble::of(&error)),
        Err(_) => Err(super::trouble::Trouble::silent(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Mono, Wall};

    fn clock() -> Now {
        Now {
            mono: Mono::from_nanos(123_456_789),
            wall: Wall(0),
        }
    }

    #[test]
    fn a_pause_grows_to_its_longest_and_begins_anew() {
        let mut pause = Pause::new();
        let mut full = FIRST;
        for _ in 0..20 {
            let next = pause.next(clock, Retry::Soon);
            assert!(next >= full / 2 && next <= full, "{next:?} of {full:?}");
            full = (full * 2).min(LONGEST);
        }
        for _ in 0..20 {
            pause.next(clock, Retry::Patiently);
        }
        assert!(pause.next(clock, Retry::Patiently) >= PATIENT / 2);
        assert!(pause.next(clock, Retry::Soon) <= LONGEST);
        pause.reset();
        assert!(pause.next(clock, Retry::Soon) <= FIRST);
    }
}
