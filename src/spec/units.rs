//! The small typed values of the API: durations, quantities, signals, modes and the int-or-string pairs.
//!
//! Each is a newtype that is parsed once, at the border, and written back in one canonical form. Each gives its own
//! JSON schema, so that the API server refuses what the type refuses.

mod choice;
mod decimal;
mod duration;
mod mode;
mod quantity;
mod signal;

pub use choice::{IdOrName, IntOrPercent, RlimitValue};
pub use decimal::Decimal;
pub use duration::Duration;
pub use mode::Mode;
pub use quantity::Quantity;
pub use signal::Signal;

/// The name of a process, cron process, init process, sidecar or hook: a DNS label.
pub const NAME_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// The name of an environment variable: what a shell accepts, and `.` and `-`, which Kubernetes accepts too.
pub const ENV_NAME_PATTERN: &str = "^[-._a-zA-Z][-._a-zA-Z0-9]*$";
/// An absolute path.
pub const ABSOLUTE_PATH_PATTERN: &str = "^/";
/// An HTTP or HTTPS URL.
pub const URL_PATTERN: &str = "^https?://";

/// Why a text is no value of its type: says what was expected, with examples.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected}")]
pub struct UnitError {
    /// The end of the sentence "expected ..", such as "a duration such as 500ms, 5s, 10m or 1h30m".
    pub expected: &'static str,
}

/// Implements the string side of a unit: serde as its `Display` and `FromStr` forms.
macro_rules! serde_as_text {
    ($name:ty, $expected:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse()
                            .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}
use serde_as_text;

/// Implements serde for a unit that is an integer or a string: the integer by `from_int`, the string by `FromStr`.
macro_rules! serde_as_int_or_text {
    ($name:ty, $expected:expr) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct IntOrText;
                impl serde::de::Visitor<'_> for IntOrText {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$name, E> {
                        <$name>::from_int(value).ok_or_else(|| {
                            E::invalid_value(serde::de::Unexpected::Unsigned(value), &self)
                        })
                    }
                    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$name, E> {
                        u64::try_from(value)
                            .ok()
                            .and_then(<$name>::from_int)
                            .ok_or_else(|| {
                                E::invalid_value(serde::de::Unexpected::Signed(value), &self)
                            })
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse()
                            .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
                    }
                }
                deserializer.deserialize_any(IntOrText)
            }
        }
    };
}
use serde_as_int_or_text;
