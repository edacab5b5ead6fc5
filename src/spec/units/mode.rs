//! A file mode or umask as an octal string: `"0755"`, `"0027"`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{UnitError, serde_as_text};

/// Permission bits as an octal string of three or four digits, such as `"0755"`. A string, because YAML 1.1 reads an
/// unquoted `0755` as 493.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode(u16);

impl Mode {
    /// The schema's pattern.
    pub const PATTERN: &str = "^[0-7]{3,4}$";
    /// What a text that is none should have been.
    pub const EXPECTED: &str =
        r#"an octal string of three or four digits, such as "0755" or "0027""#;

    /// These bits; only the lower twelve count.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0o7777)
    }

    /// The bits, at most `0o7777`.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl FromStr for Mode {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        octal
            .then(|| u16::from_str_radix(text, 8).ok().map(Self))
            .flatten()
            .ok_or(UnitError {
                expected: Self::EXPECTED,
            })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

serde_as_text!(Mode, Mode::EXPECTED);

impl JsonSchema for Mode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 3, "maxLength": 4, "pattern": Self::PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_octal_only() {
        for (text, bits, canonical) in [
            ("0755", 0o755, "0755"),
            ("755", 0o755, "0755"),
            ("1777", 0o1777, "1777"),
        ] {
            let parsed: Mode = text.parse().unwrap();
            assert_eq!(
                (parsed.bits(), parsed.to_string()),
                (bits, canonical.to_owned()),
                "{text}"
            );
        }
        for text in ["", "7", "0o755", "0789", "+755", "00755", "u+rwx"] {
            assert!(text.parse::<Mode>().is_err(), "{text:?}");
        }
    }
}
