//! The defaults that depend on nothing else, as serde and the schema want them: functions.

use super::super::units::{Decimal, Duration, IntOrPercent, Quantity, Signal};

pub(super) fn yes() -> bool {
    true
}

pub(super) fn number<const N: u32>() -> u32 {
    N
}

pub(super) fn seconds<const N: u64>() -> Duration {
    Duration::from_secs(N)
}

pub(super) fn half_second() -> Duration {
    Duration::from_millis(500).unwrap_or_default()
}

pub(super) fn kibibytes<const N: u64>() -> Quantity {
    Quantity::from_bytes(N << 10)
}

pub(super) fn quarter() -> IntOrPercent {
    IntOrPercent::Percent(25)
}

pub(super) fn count<const N: u16>() -> IntOrPercent {
    IntOrPercent::Int(N)
}

pub(super) fn decimal<const THOUSANDTHS: u32>() -> Decimal {
    Decimal::from_thousandths(THOUSANDTHS)
}

pub(super) fn sigterm() -> Signal {
    Signal::TERM
}

pub(super) fn zero_code() -> Vec<u8> {
    vec![0]
}

pub(super) fn root_path() -> String {
    "/".to_owned()
}

pub(super) fn ping_path() -> String {
    "/ping".to_owned()
}

pub(super) fn utc() -> String {
    "UTC".to_owned()
}

pub(super) fn stars() -> String {
    "***".to_owned()
}
