//! Values that are an integer or a string: a count or a percentage, an id or a name, a limit or `unlimited`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{UnitError, serde_as_int_or_text};

/// A count, or a percentage of a total such as `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntOrPercent {
    /// So many, 0 to 1000.
    Int(u16),
    /// So many per cent, 0 to 100.
    Percent(u8),
}

impl IntOrPercent {
    /// The schema's pattern for the string form.
    pub const PATTERN: &str = "^(100|[0-9]{1,2})%$";
    /// What a value that is none should have been.
    pub const EXPECTED: &str = "a count from 0 to 1000 or a percentage such as 25%";

    pub(super) fn from_int(value: u64) -> Option<Self> {
        (value <= 1000).then_some(Self::Int(value as u16))
    }

    /// Of `total`, rounded down.
    pub fn floor_of(self, total: u32) -> u32 {
        match self {
            Self::Int(count) => u32::from(count),
            Self::Percent(percent) => (u64::from(total) * u64::from(percent) / 100) as u32,
        }
    }

    /// Of `total`, rounded up.
    pub fn ceil_of(self, total: u32) -> u32 {
        match self {
            Self::Int(count) => u32::from(count),
            Self::Percent(percent) => (u64::from(total) * u64::from(percent)).div_ceil(100) as u32,
        }
    }
}

impl FromStr for IntOrPercent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.strip_suffix('%')
            .filter(|digits| {
                (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
            })
            .filter(|digits| digits.len() < 3 || *digits == "100")
            .and_then(|digits| digits.parse().ok())
            .map(Self::Percent)
            .ok_or(UnitError {
                expected: Self::EXPECTED,
            })
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for IntOrPercent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(count) => serializer.serialize_u16(*count),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

serde_as_int_or_text!(IntOrPercent, IntOrPercent::EXPECTED);

impl JsonSchema for IntOrPercent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IntOrPercent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maximum": 1000,
            "maxLength": 4,
            "pattern": Self::PATTERN,
        })
    }
}

/// A user or group: its number, or its name in `/etc/passwd` or `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IdOrName {
    /// The number; it needs no entry.
    Id(u32),
    /// The name; it must have an entry.
    Name(Box<str>),
}

impl IdOrName {
    /// The schema's pattern for the string form: a name never is a number, so that `"1000"` cannot mean two things.
    pub const PATTERN: &str = "^[a-zA-Z_][-a-zA-Z0-9_.]{0,31}[$]?$";
    /// What a value that is none should have been.
    pub const EXPECTED: &str =
        "a number from 0 to 2147483647 without quotes, or a name such as www-data";
    /// The highest id: what Kubernetes allows.
    pub const MAX_ID: u32 = i32::MAX as u32;

    pub(super) fn from_int(value: u64) -> Option<Self> {
        u32::try_from(value)
            .ok()
            .filter(|id| *id <= Self::MAX_ID)
            .map(Self::Id)
    }
}

impl FromStr for IdOrName {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let name = text.strip_suffix('$').unwrap_or(text);
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        match name.as_bytes() {
            [head, tail @ ..]
                if first(*head) && tail.len() < 32 && tail.iter().all(|b| rest(*b)) =>
            {
                Ok(Self::Name(text.into()))
            }
            _ => Err(UnitError {
                expected: Self::EXPECTED,
            }),
        }
    }
}

impl fmt::Display for IdOrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for IdOrName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Id(id) => serializer.serialize_u32(*id),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

serde_as_int_or_text!(IdOrName, IdOrName::EXPECTED);

impl JsonSchema for IdOrName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IdOrName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maximum": Self::MAX_ID,
            "maxLength": 33,
            "pattern": Self::PATTERN,
        })
    }
}

/// One side of a resource limit: a number in the limit's own unit, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RlimitValue {
    /// So much; bytes, seconds or a count, as setrlimit(2) has it.
    Value(u64),
    /// `RLIM_INFINITY`.
    Unlimited,
}

impl RlimitValue {
    /// The schema's pattern for the string form.
    pub const PATTERN: &str = "^unlimited$";
    /// What a value that is none should have been.
    pub const EXPECTED: &str = "a number, or unlimited";

    pub(super) fn from_int(value: u64) -> Option<Self> {
        i64::try_from(value).is_ok().then_some(Self::Value(value))
    }
}

impl FromStr for RlimitValue {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        (text == "unlimited")
            .then_some(Self::Unlimited)
            .ok_or(UnitError {
                expected: Self::EXPECTED,
            })
    }
}

impl fmt::Display for RlimitValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl Serialize for RlimitValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => serializer.serialize_u64(*value),
            Self::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

serde_as_int_or_text!(RlimitValue, RlimitValue::EXPECTED);

impl JsonSchema for RlimitValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RlimitValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maxLength": 9,
            "pattern": Self::PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json<T: for<'de> serde::Deserialize<'de>>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn a_percentage_or_a_count() {
        assert_eq!(json("3"), Some(IntOrPercent::Int(3)));
        assert_eq!(json("\"25%\""), Some(IntOrPercent::Percent(25)));
        for bad in [
            "\"101%\"", "\"25\"", "1001", "-1", "\"%\"", "\"007%\"", "2.5",
        ] {
            assert_eq!(json::<IntOrPercent>(bad), None, "{bad}");
        }
        assert_eq!(
            (
                IntOrPercent::Percent(25).floor_of(7),
                IntOrPercent::Percent(25).ceil_of(7)
            ),
            (1, 2)
        );
        assert_eq!(IntOrPercent::Int(3).floor_of(1), 3);
    }

    #[test]
    fn an_id_or_a_name() {
        assert_eq!(json("1000"), Some(IdOrName::Id(1000)));
        assert_eq!(
            json("\"www-data\""),
            Some(IdOrName::Name("www-data".into()))
        );
        for bad in [
            "\"1000\"",
            "4294967295",
            "-1",
            "\"\"",
            "\"a b\"",
            "\"a:b\"",
            "true",
        ] {
            assert_eq!(json::<IdOrName>(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_limit_or_none() {
        assert_eq!(json("65536"), Some(RlimitValue::Value(65_536)));
        assert_eq!(json("\"unlimited\""), Some(RlimitValue::Unlimited));
        for bad in ["\"65536\"", "-1", "\"infinity\"", "18446744073709551615"] {
            assert_eq!(json::<RlimitValue>(bad), None, "{bad}");
        }
    }
}
