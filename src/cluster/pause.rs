//! How long to wait before the next try.

use std::time::Duration;

use crate::domain::time::Now;

const FIRST: Duration = Duration::from_millis(200);
/// The server is found again within 5 s of its return, a try of its own included.
const LONGEST: Duration = Duration::from_secs(3);

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
    pub(super) fn next(&mut self, clock: fn() -> Now) -> Duration {
        let full = self.next;
        self.next = (self.next * 2).min(LONGEST);
        let noise = clock().mono.as_nanos().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        full / 2 + (full / 2).mul_f64(noise as f64 / (1u64 << 24) as f64)
    }
}

/// Sleeps.
#[expect(
    clippy::disallowed_methods,
    reason = "between two tries nobody has anything to wait for"
)]
pub(super) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
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
