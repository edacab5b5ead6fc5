//! Linux signals by name.

use std::fmt;
use std::str::FromStr;

/// A signal, by its Linux number (1 to 64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

/// First and last real-time signal of the C libraries in use (signal(7)): 32 and 33 belong to the library.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("POLL", 29),
    ("IOT", 6),
];

impl Signal {
    /// Reload.
    pub const HUP: Signal = Signal(1);
    /// Interrupt from the keyboard.
    pub const INT: Signal = Signal(2);
    /// Quit; graceful stop for nginx and php-fpm.
    pub const QUIT: Signal = Signal(3);
    /// Cannot be caught.
    pub const KILL: Signal = Signal(9);
    /// User-defined.
    pub const USR1: Signal = Signal(10);
    /// User-defined.
    pub const USR2: Signal = Signal(12);
    /// The usual request to end.
    pub const TERM: Signal = Signal(15);
    /// A child changed state.
    pub const CHLD: Signal = Signal(17);
    /// Continue a stopped process.
    pub const CONT: Signal = Signal(18);
    /// Stop; cannot be caught.
    pub const STOP: Signal = Signal(19);
    /// Stop from the keyboard.
    pub const TSTP: Signal = Signal(20);
    /// Read from the terminal by a background process.
    pub const TTIN: Signal = Signal(21);
    /// Write to the terminal by a background process.
    pub const TTOU: Signal = Signal(22);
    /// What systemd and some images send to halt an init.
    pub const RTMIN_3: Signal = Signal(RTMIN + 3);

    /// The signal with this Linux number; `None` outside 1 to 64 and for 32 and 33, which belong to the C library.
    pub fn from_number(number: i32) -> Option<Signal> {
        ((1..=31).contains(&number) || (RTMIN..=RTMAX).contains(&number)).then_some(Signal(number))
    }

    /// The Linux number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 == RTMIN => f.write_str("SIGRTMIN"),
            None => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
        }
    }
}

/// A signal's name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no signal: expected a name such as SIGTERM, SIGQUIT or SIGRTMIN+3")]
pub struct UnknownSignal(pub String);

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Takes `SIGTERM` and, for real-time signals, `SIGRTMIN`, `SIGRTMIN+3`, `SIGRTMAX-1`. Upper case, as Kubernetes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownSignal(text.to_owned());
        let name = text.strip_prefix("SIG").ok_or_else(unknown)?;
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Signal(*number));
        }
        let offset = |digits: &str| digits.parse::<i32>().ok().filter(|n| *n >= 0);
        let number = match name {
            "RTMIN" => Some(RTMIN),
            "RTMAX" => Some(RTMAX),
            _ => name
                .strip_prefix("RTMIN+")
                .and_then(offset)
                .and_then(|n| RTMIN.checked_add(n))
                .or_else(|| {
                    name.strip_prefix("RTMAX-")
                        .and_then(offset)
                        .and_then(|n| RTMAX.checked_sub(n))
                }),
        };
        number
            .filter(|n| (RTMIN..=RTMAX).contains(n))
            .map(Signal)
            .ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_reads_back_as_what_it_prints() {
        for number in 1..=64 {
            if let Some(signal) = Signal::from_number(number) {
                assert_eq!(signal.to_string().parse(), Ok(signal));
            }
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for text in [
            "",
            "TERM",
            "SIG",
            "SIGFOO",
            "sigterm",
            "15",
            "SIGRTMIN+31",
            "SIGRTMIN+-1",
            "SIGRTMAX-31",
            "SIGRTMIN+99999999999",
        ] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
        assert_eq!("SIGRTMIN+3".parse(), Ok(Signal::RTMIN_3));
    }
}
