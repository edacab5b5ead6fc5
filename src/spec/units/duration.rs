//! A duration as text: `500ms`, `5s`, `10m`, `1h30m`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{UnitError, serde_as_text};

/// A length of time in whole milliseconds, from 0 to 168h, written with the units `h`, `m`, `s` and `ms`, largest first.
///
/// `0` may be written without a unit. The canonical form leaves out units that are zero: `90m` is `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest that can be written: 168 hours.
    pub const MAX: Self = Self(168 * 3_600_000);
    /// The schema's pattern. It bounds the digits; the upper bound is checked by the parser.
    pub const PATTERN: &str = "^(0|([0-9]{1,3}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?([0-9]{1,9}ms)?)$";
    /// What a text that is none should have been.
    pub const EXPECTED: &str = "a duration such as 500ms, 5s, 10m or 1h30m, at most 168h";

    /// A duration of so many milliseconds; `None` above 168h.
    pub const fn from_millis(millis: u64) -> Option<Self> {
        if millis <= Self::MAX.0 {
            Some(Self(millis))
        } else {
            None
        }
    }

    /// A duration of so many seconds, for constants.
    ///
    /// # Panics
    /// Above 168h.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs * 1000).expect("a constant of at most 168h")
    }

    /// In milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// As the standard library's type.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(value: Duration) -> Self {
        value.to_std()
    }
}

/// Unit, milliseconds and the most digits the pattern allows, largest first.
const UNITS: [(&str, u64, usize); 4] = [
    ("h", 3_600_000, 3),
    ("m", 60_000, 5),
    ("s", 1000, 6),
    ("ms", 1, 9),
];

impl FromStr for Duration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text).and_then(Self::from_millis).ok_or(UnitError {
            expected: Self::EXPECTED,
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis = 0;
    while !rest.is_empty() || rest.len() == text.len() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let after = &rest[digits..];
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (_, scale, most) = units
            .by_ref()
            .find(|(unit, ..)| *unit == &after[..letters])?;
        if digits == 0 || digits > *most {
            return None;
        }
        millis += rest[..digits].parse::<u64>().ok()? * scale;
        rest = &after[letters..];
    }
    Some(millis)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut left = self.0;
        for (unit, scale, _) in UNITS {
            if left >= scale {
                write!(f, "{}{unit}", left / scale)?;
                left %= scale;
            }
        }
        Ok(())
    }
}

serde_as_text!(Duration, Duration::EXPECTED);

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 32, "pattern": Self::PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_canonically() {
        for (text, millis, canonical) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("500ms", 500, "500ms"),
            ("5s", 5000, "5s"),
            ("10m", 600_000, "10m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("1h1m1s1ms", 3_661_001, "1h1m1s1ms"),
            ("1s500ms", 1500, "1s500ms"),
            ("168h", 604_800_000, "168h"),
        ] {
            let parsed: Duration = text.parse().unwrap();
            assert_eq!(
                (parsed.as_millis(), parsed.to_string()),
                (millis, canonical.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "5",
            "s",
            "ms",
            "5 s",
            " 5s",
            "5s ",
            "1.5s",
            "-5s",
            "+5s",
            "5S",
            "5sec",
            "1d",
            "1m1h",
            "1s1s",
            "169h",
            "99999999999999999999s",
            "5s5",
            "1ms1s",
            "\u{665}s",
            "1000h",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }
}
