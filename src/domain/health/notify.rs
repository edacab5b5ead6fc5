//! What a process says of itself: the sd_notify protocol, as far as it concerns health (sd_notify(3)).

use std::sync::Arc;
use std::time::Duration;

/// One statement of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `READY=1`: it serves.
    Ready,
    /// `RELOADING=1` or `STOPPING=1`: it does not serve (any more, or until the next READY).
    NotReady,
    /// `WATCHDOG=1`: it is alive.
    Alive,
    /// `WATCHDOG=trigger`: it wants to be restarted.
    Sick,
    /// `STATUS=text`.
    Status(Arc<str>),
    /// `EXTEND_TIMEOUT_USEC=n`: its start takes so much longer.
    Extend(Duration),
}

/// A status is cut there, in bytes.
const STATUS: usize = 256;

/// What a message says; what has no meaning here is left out.
pub fn statements(message: &str) -> impl Iterator<Item = Statement> + '_ {
    message.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        match (name, value) {
            ("READY", "1") => Some(Statement::Ready),
            ("RELOADING" | "STOPPING", "1") => Some(Statement::NotReady),
            ("WATCHDOG", "1") => Some(Statement::Alive),
            ("WATCHDOG", "trigger") => Some(Statement::Sick),
            ("STATUS", text) => Some(Statement::Status(cut(text).into())),
            ("EXTEND_TIMEOUT_USEC", micros) => Some(Statement::Extend(Duration::from_micros(
                micros.parse().ok()?,
            ))),
            _ => None,
        }
    })
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(STATUS.min(text.len()));
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text[..end].chars().map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says() {
        let message = "READY=1\nSTATUS=Waiting for \u{1b}jobs\nMAINPID=7\nnonsense\nWATCHDOG=1\n\
                       WATCHDOG=trigger\nSTOPPING=1\nRELOADING=1\nEXTEND_TIMEOUT_USEC=1500000\n\
                       EXTEND_TIMEOUT_USEC=-1\nREADY=0";
        let got: Vec<Statement> = statements(message).collect();
        assert_eq!(
            got,
            [
                Statement::Ready,
                Statement::Status("Waiting for  jobs".into()),
                Statement::Alive,
                Statement::Sick,
                Statement::NotReady,
                Statement::NotReady,
                Statement::Extend(Duration::from_millis(1500)),
            ]
        );
    }

    #[test]
    fn a_status_is_cut_between_characters() {
        let message = format!("STATUS={}", "ü".repeat(500));
        let Some(Statement::Status(text)) = statements(&message).next() else {
            panic!("no status")
        };
        assert_eq!(text.len(), 256);
    }
}
