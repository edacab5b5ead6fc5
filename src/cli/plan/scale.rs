//! The marks of a time axis.

use std::time::Duration;

/// Steps that people count in, in milliseconds.
const STEPS: [u64; 20] = [
    100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000,
];

/// The least step with which there are at most `most` marks.
pub(super) fn step(length: Duration, most: u64) -> Duration {
    let millis = length.as_millis() as u64;
    let fits = |step: &u64| millis / step <= most;
    Duration::from_millis(STEPS.into_iter().find(fits).unwrap_or(86_400_000))
}

/// The marks from zero to `end`, `end` excluded.
pub(super) fn marks(end: Duration, step: Duration) -> Vec<Duration> {
    let mut marks = Vec::new();
    let mut at = Duration::ZERO;
    while at < end {
        marks.push(at);
        at += step;
    }
    marks
}
