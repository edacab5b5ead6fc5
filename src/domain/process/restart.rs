//! Whether another run follows, and when.
//!
//! delay before the next run = initial x factor^n, capped at max, give or take jitter; n counts restarts since the last
//! reset. No delay at all when n = 0 and the run had been Ready for 10 s. n goes back to 0 when a run lasted
//! `resetAfter`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::plan::{Backoff, RestartLimit};
use crate::domain::time::Mono;

/// A run that was Ready for so long is restarted without delay, once.
pub const PROVEN: Duration = Duration::from_secs(10);

/// What one instance remembers about its earlier runs.
#[derive(Debug, Clone, Default)]
pub struct History {
    attempt: u32,
    failures: VecDeque<Mono>,
}

impl History {
    /// Restarts since the last reset.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Takes note of a run that ended after `lived`, of which it was Ready for `ready_for`, and gives the delay before
    /// the next one. `draw` is a uniform random number.
    pub fn next_delay(
        &mut self,
        rule: &Backoff,
        lived: Duration,
        ready_for: Duration,
        draw: u64,
    ) -> Duration {
        if lived >= rule.reset_after {
            self.attempt = 0;
        }
        let delay = if self.attempt == 0 && ready_for >= PROVEN {
            Duration::ZERO
        } else {
            jittered(rule, grown(rule, self.attempt), draw)
        };
        self.attempt = self.attempt.saturating_add(1);
        delay
    }

    /// Takes note of a failure; true when there were now more than the limit allows.
    pub fn failed(&mut self, limit: Option<RestartLimit>, now: Mono) -> bool {
        let Some(limit) = limit else { return false };
        self.failures.push_back(now);
        while self
            .failures
            .front()
            .is_some_and(|at| now.since(*at) > limit.window)
        {
            self.failures.pop_front();
        }
        self.failures.len() > limit.count as usize
    }
}

/// initial x factor^n, capped. Computed in seconds as a float: it saturates at infinity, never wraps.
fn grown(rule: &Backoff, n: u32) -> Duration {
    let seconds = rule.initial.as_secs_f64() * rule.factor.max(1.0).powf(f64::from(n));
    if seconds >= rule.max.as_secs_f64() {
        rule.max
    } else {
        Duration::from_secs_f64(seconds)
    }
}

fn jittered(rule: &Backoff, delay: Duration, draw: u64) -> Duration {
    let share = rule.jitter.clamp(0.0, 1.0);
    let unit = draw as f64 / u64::MAX as f64; // 0 to 1
    delay.mul_f64(1.0 + share * (2.0 * unit - 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEC_DEFAULT: Backoff = Backoff {
        initial: Duration::from_secs(1),
        factor: 2.0,
        max: Duration::from_secs(300),
        jitter: 0.0,
        reset_after: Duration::from_secs(600),
    };

    fn delays(rule: &Backoff, lives: &[(u64, u64)]) -> Vec<u64> {
        let mut history = History::default();
        lives
            .iter()
            .map(|(lived, ready)| {
                let delay = history.next_delay(
                    rule,
                    Duration::from_secs(*lived),
                    Duration::from_secs(*ready),
                    0,
                );
                delay.as_secs()
            })
            .collect()
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        assert_eq!(
            delays(&SPEC_DEFAULT, &[(0, 0); 12]),
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        );
    }

    #[test]
    fn the_first_restart_of_a_proven_run_has_no_delay() {
        assert_eq!(
            delays(&SPEC_DEFAULT, &[(11, 10), (11, 10), (9, 9)]),
            [0, 2, 4]
        );
        assert_eq!(delays(&SPEC_DEFAULT, &[(11, 9)]), [1]);
    }

    #[test]
    fn a_long_run_resets_the_count() {
        assert_eq!(
            delays(&SPEC_DEFAULT, &[(0, 0), (0, 0), (600, 0), (0, 0)]),
            [1, 2, 1, 2]
        );
        assert_eq!(
            delays(&SPEC_DEFAULT, &[(0, 0), (0, 0), (600, 600), (0, 0)]),
            [1, 2, 0, 2]
        );
    }

    #[test]
    fn ten_thousand_restarts_stay_at_the_cap() {
        let lives = vec![(0, 0); 10_000];
        assert!(
            delays(&SPEC_DEFAULT, &lives)[9..]
                .iter()
                .all(|delay| *delay == 300)
        );
    }

    #[test]
    fn more_failures_than_the_limit_inside_the_window_are_for_good() {
        let limit = Some(RestartLimit {
            count: 2,
            window: Duration::from_secs(10),
        });
        let at = |seconds: u64| Mono::ZERO + Duration::from_secs(seconds);
        let mut history = History::default();
        assert!(!history.failed(limit, at(0)));
        assert!(!history.failed(limit, at(5)));
        assert!(
            !history.failed(limit, at(11)),
            "the first is out of the window"
        );
        assert!(history.failed(limit, at(12)));
        assert!(!History::default().failed(None, at(0)));
    }

    proptest! {
        #[test]
        fn a_delay_is_within_its_jitter(
            n in 0u32..200, jitter in 0.0f64..1.0, initial in 1u64..60_000, factor in 1.0f64..10.0, draw: u64,
        ) {
            let rule = Backoff {
                initial: Duration::from_millis(initial),
                factor,
                max: Duration::from_secs(300),
                jitter,
                reset_after: Duration::from_secs(600),
            };
            let mut history = History { attempt: n, ..History::default() };
            let delay = history.next_delay(&rule, Duration::ZERO, Duration::ZERO, draw);
            let centre = (rule.initial.as_secs_f64() * factor.powf(f64::from(n))).min(300.0);
            prop_assert!(delay.as_secs_f64() >= centre * (1.0 - jitter) - 1e-6);
            prop_assert!(delay.as_secs_f64() <= centre * (1.0 + jitter) + 1e-6);
        }
    }
}
