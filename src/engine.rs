//! The engine: one loop that feeds the system and carries out what it decides.
//!
//! [`run`] is the loop, [`execute`] turns effects into calls of the adapters, [`publish`] turns facts into log records.
//! Signals and exits come before timers, timers before the mailbox, so a flood of messages cannot delay a stop; and each
//! has its turn, so a storm of exits cannot delay a deadline.

pub mod execute;
pub mod publish;
pub mod run;
#[cfg(test)]
mod tests;

/// Messages that wait for the engine at most; senders wait when it is full.
pub const MAILBOX: usize = 1024;
