//! The clocks: the one place where podinit asks what time it is.

#![allow(unsafe_code, reason = "clock_gettime(2)")]

use std::mem::MaybeUninit;

use crate::domain::time::{Mono, Now, Wall};

/// Both clocks, one right after the other.
pub fn now() -> Now {
    let mono = read(libc::CLOCK_MONOTONIC);
    let wall = read(libc::CLOCK_REALTIME);
    Now {
        mono: Mono::from_nanos(mono.tv_sec as u64 * 1_000_000_000 + mono.tv_nsec as u64),
        wall: Wall(wall.tv_sec * 1_000_000 + wall.tv_nsec / 1000),
    }
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = MaybeUninit::zeroed();
    // SAFETY: `time` is writable memory of the right size; all zeros is a valid time. Both clocks always exist.
    unsafe {
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_goes_on_and_the_wall_clock_is_of_this_century() {
        let (first, second) = (now(), now());
        assert!(second.mono >= first.mono);
        assert!(first.wall.0 > 946_684_800_000_000);
    }
}
