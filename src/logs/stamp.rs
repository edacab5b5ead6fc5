//! Times as text: RFC 3339 in UTC with microseconds. The second is kept, so that a time in the same one costs six digits.

use crate::domain::time::Wall;

/// Bytes of a time: `2026-11-23T10:00:00.123456Z`.
const LENGTH: usize = 27;
const MICROS: i64 = 1_000_000;

/// The last time written.
#[derive(Debug)]
pub(super) struct Stamp {
    second: i64,
    text: [u8; LENGTH],
}

impl Default for Stamp {
    fn default() -> Self {
        Stamp {
            second: 0,
            text: *b"1970-01-01T00:00:00.000000Z",
        }
    }
}

impl Stamp {
    /// `2026-11-23T10:00:00.123456Z`.
    pub(super) fn rfc3339(&mut self, time: Wall) -> &[u8] {
        self.set(time);
        &self.text
    }

    /// `10:00:00.123`.
    pub(super) fn time_of_day(&mut self, time: Wall) -> &[u8] {
        self.set(time);
        &self.text[11..23]
    }

    fn set(&mut self, time: Wall) {
        let second = time.0.div_euclid(MICROS);
        if second != self.second {
            self.set_second(second);
        }
        let mut micros = time.0.rem_euclid(MICROS) as u32;
        for digit in self.text[20..26].iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
    }

    /// Years that do not have four digits leave the text as it was: no clock shows them.
    fn set_second(&mut self, second: i64) {
        self.second = second;
        let Ok(timestamp) = jiff::Timestamp::from_second(second) else {
            return;
        };
        let text = timestamp.to_string();
        if text.len() == 20 {
            self.text[..19].copy_from_slice(&text.as_bytes()[..19]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc3339_with_microseconds() {
        let mut stamp = Stamp::default();
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (1_795_428_000_123_456, "2026-11-23T10:00:00.123456Z"),
            (1_795_428_000_999_999, "2026-11-23T10:00:00.999999Z"),
            (1_795_428_001_000_000, "2026-11-23T10:00:01.000000Z"),
            (1_709_164_800_000_000, "2024-02-29T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ];
        for (micros, text) in cases {
            assert_eq!(stamp.rfc3339(Wall(micros)), text.as_bytes());
        }
        assert_eq!(
            stamp.time_of_day(Wall(1_795_428_000_123_456)),
            b"10:00:00.123"
        );
    }

    #[test]
    fn a_time_no_clock_shows_is_still_a_time() {
        let mut stamp = Stamp::default();
        for micros in [i64::MIN, i64::MAX] {
            assert_eq!(stamp.rfc3339(Wall(micros)).len(), LENGTH);
        }
    }
}
