//! A signal by its name: `SIGTERM`, `SIGRTMIN+3`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{UnitError, serde_as_text};

/// A signal, written by name with its prefix: `SIGTERM`, `SIGQUIT`, `SIGRTMIN+3`.
///
/// Held as the number Linux gives it on x86-64 and aarch64. `SIGRTMIN` is 34: libc keeps 32 and 33 for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// The named signals of Linux, in the order of their numbers, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    /// `SIGTERM`.
    pub const TERM: Self = Self(15);
    /// The schema's pattern.
    pub const PATTERN: &str = "^SIG(HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP\
         |TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS|RTMIN([+]([0-9]|[12][0-9]|30))?|RTMAX(-([0-9]|[12][0-9]|30))?)$";
    /// What a text that is none should have been.
    pub const EXPECTED: &str =
        "a signal's name with its prefix, such as SIGTERM, SIGQUIT or SIGRTMIN+3";

    /// The number of the signal, from 1 to 64.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// All names without a number part, for suggestions.
    pub fn names() -> impl Iterator<Item = String> {
        NAMES.iter().map(|name| format!("SIG{name}"))
    }

    fn name(self) -> Cow<'static, str> {
        match self.0 {
            RTMIN => "RTMIN".into(),
            RTMAX => "RTMAX".into(),
            real_time @ RTMIN..=49 => format!("RTMIN+{}", real_time - RTMIN).into(),
            real_time @ 50.. => format!("RTMAX-{}", RTMAX - real_time).into(),
            named => NAMES[usize::from(named) - 1].into(),
        }
    }
}

impl FromStr for Signal {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text).map(Self).ok_or(UnitError {
            expected: Self::EXPECTED,
        })
    }
}

fn parse(text: &str) -> Option<u8> {
    let name = text.strip_prefix("SIG")?;
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return Some(index as u8 + 1);
    }
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        None if rest.is_empty() => Some(0),
        Some(digits) if digits == "0" || (digits.starts_with(|c| ('1'..='9').contains(&c))) => {
            digits.parse::<u8>().ok().filter(|n| *n <= RTMAX - RTMIN)
        }
        _ => None,
    };
    match name.split_at_checked(5)? {
        ("RTMIN", rest) => Some(RTMIN + offset(rest, '+')?),
        ("RTMAX", rest) => Some(RTMAX - offset(rest, '-')?),
        _ => None,
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.name())
    }
}

serde_as_text!(Signal, Signal::EXPECTED);

impl JsonSchema for Signal {
    fn schema_name() -> Cow<'static, str> {
        "Signal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 5, "maxLength": 11, "pattern": Self::PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (text, number, canonical) in [
            ("SIGHUP", 1, "SIGHUP"),
            ("SIGKILL", 9, "SIGKILL"),
            ("SIGTERM", 15, "SIGTERM"),
            ("SIGWINCH", 28, "SIGWINCH"),
            ("SIGSYS", 31, "SIGSYS"),
            ("SIGRTMIN", 34, "SIGRTMIN"),
            ("SIGRTMIN+0", 34, "SIGRTMIN"),
            ("SIGRTMIN+3", 37, "SIGRTMIN+3"),
            ("SIGRTMIN+20", 54, "SIGRTMAX-10"),
            ("SIGRTMAX", 64, "SIGRTMAX"),
            ("SIGRTMAX-30", 34, "SIGRTMIN"),
        ] {
            let parsed: Signal = text.parse().unwrap();
            assert_eq!(
                (parsed.number(), parsed.to_string()),
                (number, canonical.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "TERM",
            "15",
            "sigterm",
            "SIGFOO",
            "SIG",
            "SIGRTMIN+31",
            "SIGRTMIN-1",
            "SIGRTMAX+1",
            "SIGRTMIN+",
            "SIGRTMIN+03",
            "SIGRTMIN++3",
            "SIGR\u{e9}\u{e9}\u{e9}",
        ] {
            assert!(text.parse::<Signal>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_number_survives_its_name() {
        for number in (1..=31).chain(34..=64) {
            assert_eq!(Signal(number).to_string().parse(), Ok(Signal(number)));
        }
    }
}
