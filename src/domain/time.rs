//! Time as an argument: instants that the engine passes in.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// An instant on the monotonic clock, in nanoseconds since an arbitrary start. Never jumps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    /// The start of the clock; scripts count from it.
    pub const ZERO: Mono = Mono(0);
    /// Later than everything that happens.
    pub const NEVER: Mono = Mono(u64::MAX);

    /// The instant `nanos` nanoseconds after the start of the clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Mono(nanos)
    }

    /// Nanoseconds since the start of the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    /// Saturates at [`Mono::NEVER`].
    fn add(self, time: Duration) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    /// Saturates at the start of the clock.
    fn sub(self, time: Duration) -> Mono {
        Mono(
            self.0
                .saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// An instant on the wall clock, in microseconds since the Unix epoch. For people and for other machines only: nothing
/// is decided by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Decisions are made on this one.
    pub mono: Mono,
    /// Shown to people.
    pub wall: Wall,
}

/// Writes a time the way people read it: `850ms`, `1.2s`, `90s`.
#[derive(Debug, Clone, Copy)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 10 {
            write!(f, "{:.1}ms", self.0.as_secs_f64() * 1000.0)
        } else if millis < 1000 {
            write!(f, "{millis}ms")
        } else if self.0.as_secs() < 60 {
            write!(f, "{:.1}s", self.0.as_secs_f64())
        } else {
            write!(f, "{}s", self.0.as_secs())
        }
    }
}
