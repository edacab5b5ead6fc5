//! A number with at most three decimals, held exactly.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number from 0 to 1000 with at most three decimals, such as `2` or `0.1`, held in thousandths: exact and comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(u32);

impl Decimal {
    const MAX: u32 = 1_000_000;

    /// So many thousandths.
    ///
    /// # Panics
    /// Above 1,000,000 thousandths; for constants.
    pub const fn from_thousandths(thousandths: u32) -> Self {
        assert!(thousandths <= Self::MAX, "at most 1000");
        Self(thousandths)
    }

    /// The number times 1000.
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f64::from(self.0) / 1000.0).fmt(f)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u32(self.0 / 1000)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 1000.0)
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        let thousandths = (number * 1000.0).round();
        if !(0.0..=f64::from(Self::MAX)).contains(&thousandths)
            || (number * 1000.0 - thousandths).abs() > 1e-6
        {
            return Err(de::Error::invalid_value(
                de::Unexpected::Float(number),
                &"a number from 0 to 1000 with at most three decimals",
            ));
        }
        Ok(Self(thousandths as u32))
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_exact_in_thousandths() {
        for (json, thousandths) in [
            ("2", 2000),
            ("0.1", 100),
            ("1.5", 1500),
            ("0", 0),
            ("0.001", 1),
            ("1000", 1_000_000),
        ] {
            let parsed: Decimal = serde_json::from_str(json).unwrap();
            assert_eq!(parsed.thousandths(), thousandths, "{json}");
            assert_eq!(serde_json::to_string(&parsed).unwrap(), json);
        }
        for json in ["-1", "1001", "0.0001", "\"2\"", "1e300"] {
            assert!(serde_json::from_str::<Decimal>(json).is_err(), "{json}");
        }
    }
}
