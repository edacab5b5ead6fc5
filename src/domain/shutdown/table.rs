//! The examples of the documentation: `docs/stop.md` has these rows, and a test compares them.

use std::time::Duration;

use super::planner::Stage;
use super::timeline::{Times, worst_case};

/// Grace periods, in seconds.
pub const GRACES: [u64; 7] = [0, 1, 2, 10, 30, 60, 3600];

/// Claims of a chain in stop order and its budget, in seconds; `None`: no grace is written.
pub const CHAINS: [(&[Option<u64>], u64); 3] = [
    (&[Some(10); 5], 11),
    (&[None, Some(10), None], 10),
    (&[Some(5), None], 28),
];

/// The instants for a grace period of so many seconds, with the default tail and no postStop hook.
pub fn times(grace: u64) -> Times {
    Times {
        grace: Duration::from_secs(grace),
        tail: Duration::from_secs(1),
        post_stop: Duration::ZERO,
    }
}

/// Stages one after the other.
pub fn chain(claims: &[Option<u64>]) -> Vec<Stage> {
    let stage = |(at, claim): (usize, &Option<u64>)| Stage {
        limit: claim.map(Duration::from_secs),
        used: Duration::ZERO,
        after: at.checked_sub(1).into_iter().collect(),
        gone: false,
    };
    claims.iter().enumerate().map(stage).collect()
}

/// The rows of the table of instants.
pub fn instants() -> Vec<String> {
    let row = |grace: u64| {
        let at = times(grace).deadlines();
        format!(
            "| {grace} | {} | {} | {} |",
            seconds(at.end.since(at.finish_by)),
            seconds(at.finish_by.since(at.t_kill)),
            seconds(at.budget())
        )
    };
    GRACES.into_iter().map(row).collect()
}

/// The rows of the table of chains: what each can use when nobody ends by itself.
pub fn chains() -> Vec<String> {
    let row = |(claims, budget): (&[Option<u64>], u64)| {
        let bars = worst_case(&chain(claims), Duration::from_secs(budget));
        let asked: Vec<String> = claims
            .iter()
            .map(|claim| claim.map_or_else(|| "no grace".to_owned(), |claim| format!("{claim} s")))
            .collect();
        let got: Vec<String> = bars
            .iter()
            .map(|bar| format!("{} s", tenths(bar.end.saturating_sub(bar.start))))
            .collect();
        format!("| {} | {budget} s | {} |", asked.join(", "), got.join(", "))
    };
    CHAINS.into_iter().map(row).collect()
}

/// Seconds with three decimals at most.
pub fn seconds(time: Duration) -> String {
    plain(format!("{:.3}", time.as_secs_f64()))
}

/// Seconds with one decimal at most.
pub fn tenths(time: Duration) -> String {
    plain(format!("{:.1}", time.as_secs_f64()))
}

fn plain(text: String) -> String {
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}
