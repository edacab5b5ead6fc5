//! From the grace period to the instants of a stop.
//!
//! T = t0 + G. tail = min(`shutdown.tail`, G / 6) is left to sidecars and telemetry; finish = min(1 s + postStop
//! timeouts, G / 4) is for our own last steps; **T_kill = T - tail - finish** is when everything we started is dead, by
//! our own KILL.

use std::time::Duration;

use crate::domain::time::Mono;

/// A grace period of at most this leaves no time for order: no drain, no hooks, every process is signalled at once.
pub const NO_ORDER: Duration = Duration::from_secs(2);

/// What our own last steps take besides the postStop hooks.
const FINISH: Duration = Duration::from_secs(1);

/// The instants of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// The first stop request.
    pub t0: Mono,
    /// Everything we started is dead by then.
    pub t_kill: Mono,
    /// We are done by then; what is left until `end` is the tail.
    pub finish_by: Mono,
    /// T: the kubelet's SIGKILL.
    pub end: Mono,
}

impl Deadlines {
    /// For a stop that began at `t0` with the grace period `grace`; `tail` as the spec says, `post_stop` = the sum of the
    /// set's postStop timeouts.
    pub fn new(t0: Mono, grace: Duration, tail: Duration, post_stop: Duration) -> Self {
        let tail = tail.min(grace / 6);
        let finish = FINISH.saturating_add(post_stop).min(grace / 4);
        let end = t0 + grace;
        Deadlines {
            t0,
            t_kill: end - tail - finish,
            finish_by: end - tail,
            end,
        }
    }

    /// The end has become an earlier one: everything else with it. Nothing becomes later.
    pub fn shrink(&mut self, end: Mono, tail: Duration, post_stop: Duration) {
        let earlier = Deadlines::new(self.t0, end.since(self.t0), tail, post_stop);
        self.end = self.end.min(earlier.end);
        self.finish_by = self.finish_by.min(earlier.finish_by);
        self.t_kill = self.t_kill.min(earlier.t_kill);
    }

    /// T_kill - t0: what the stages share.
    pub fn budget(&self) -> Duration {
        self.t_kill.since(self.t0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_docs() {
        let table = [
            (0, 0),
            (1, 583),
            (2, 1_167),
            (10, 8_000),
            (30, 28_000),
            (60, 58_000),
            (3600, 3_598_000),
        ];
        let t0 = Mono::ZERO + Duration::from_secs(7);
        for (grace, millis) in table {
            let deadlines = Deadlines::new(
                t0,
                Duration::from_secs(grace),
                Duration::from_secs(1),
                Duration::ZERO,
            );
            let budget = (deadlines.budget().as_secs_f64() * 1000.0).round() as u64;
            assert_eq!(budget, millis, "G = {grace}");
            assert_eq!(deadlines.end.since(t0), Duration::from_secs(grace));
            assert!(
                deadlines.t_kill <= deadlines.finish_by && deadlines.finish_by <= deadlines.end
            );
        }
    }

    #[test]
    fn long_post_stop_hooks_take_a_quarter_at_most() {
        let minute = Duration::from_secs(60);
        let deadlines = Deadlines::new(Mono::ZERO, minute, Duration::from_secs(5), minute);
        assert_eq!(deadlines.budget(), Duration::from_secs(40));
    }
}
