//! A Kubernetes quantity of bytes: `512Mi`, `2Gi`, `1000000`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{UnitError, serde_as_int_or_text};

/// A number of bytes, written as an integer or with a Kubernetes suffix (`Ki`, `Mi`, `Gi`, `Ti`, `k`, `M`, `G`, `T`).
///
/// A fraction of up to three digits is allowed with a suffix (`1.5Gi`) and is rounded up to a whole byte. The canonical
/// form uses the largest binary suffix that loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u64);

impl Quantity {
    /// The schema's pattern for the string form.
    pub const PATTERN: &str = r"^([0-9]{1,15}|[0-9]{1,9}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T))$";
    /// What a value that is none should have been.
    pub const EXPECTED: &str = "a quantity of bytes such as 512Mi, 2Gi or 1000000";
    const MAX: u64 = i64::MAX as u64;
    /// The largest number that a suffix may follow: nine digits.
    const MOST: u64 = 999_999_999;

    /// So many bytes, for constants.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    pub(super) fn from_int(bytes: u64) -> Option<Self> {
        (bytes <= Self::MAX).then_some(Self(bytes))
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

const SUFFIXES: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

impl FromStr for Quantity {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text).and_then(Self::from_int).ok_or(UnitError {
            expected: Self::EXPECTED,
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    if suffix.is_empty() {
        return (1..=15)
            .contains(&number.len())
            .then(|| number.parse().ok())?;
    }
    let (_, scale) = SUFFIXES.iter().find(|(name, _)| *name == suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !(1..=9).contains(&whole.len()) || !(1..=3).contains(&fraction.len()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u128>().ok()?;
    let scaled = (whole.parse::<u128>().ok()? * 1000 + thousandths) * u128::from(*scale);
    u64::try_from(scaled.div_ceil(1000)).ok()
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SUFFIXES[..4].iter().rev();
        match binary
            .filter(|_| self.0 > 0)
            .find(|(_, scale)| self.0.is_multiple_of(*scale) && self.0 / scale <= Self::MOST)
        {
            Some((suffix, scale)) => write!(f, "{}{suffix}", self.0 / scale),
            None => self.0.fmt(f),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        match text.parse::<u64>() {
            Ok(bytes) => serializer.serialize_u64(bytes),
            Err(_) => serializer.serialize_str(&text),
        }
    }
}

serde_as_int_or_text!(Quantity, Quantity::EXPECTED);

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maxLength": 20,
            "pattern": Self::PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_canonically() {
        for (text, bytes, canonical) in [
            ("0", 0, "0"),
            ("1000000", 1_000_000, "1000000"),
            ("512Mi", 512 << 20, "512Mi"),
            ("999999999Ki", 999_999_999 << 10, "999999999Ki"),
            ("1097012692992", 1_071_301_458 << 10, "1097012692992"),
            ("1024Mi", 1 << 30, "1Gi"),
            ("1.5Gi", 3 << 29, "1536Mi"),
            ("64Ki", 65_536, "64Ki"),
            ("1k", 1000, "1000"),
            ("2G", 2_000_000_000, "1953125Ki"),
            ("0.001k", 1, "1"),
        ] {
            let parsed: Quantity = text.parse().unwrap();
            assert_eq!(
                (parsed.bytes(), parsed.to_string()),
                (bytes, canonical.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "Mi",
            "12 Mi",
            "12MB",
            "12mi",
            "-1",
            "1.5",
            "1..5Gi",
            ".5Gi",
            "1.Gi",
            "1.2345Gi",
            "1e6",
            "12m",
            "9999999999999999",
            "999999999Ti1",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
        assert!("999999999Ti".parse::<Quantity>().is_err(), "over i64");
    }
}
