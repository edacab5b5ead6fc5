//! The budget of a stop: what each stage may use so that everything is dead by T_kill.
//!
//! Stages are the set's preStop hooks, each process's preStop hook and each process's stop (signal to KILL). A stage's
//! *claim* is its timeout or grace; an absent grace claims 1 s and has no limit of its own; what is gone claims nothing.
//! *share* = max(s x claim, min(floor, claim)), floor = min(500 ms, B / n), B = the budget, n = stages with a claim on the
//! longest chain; s = the largest number <= 1, in steps of 1/1024, with which the longest chain of shares fits B.
//! **end(stage) = min(start + limit, T_kill - longest chain of shares after it).**

use std::time::Duration;

use crate::domain::time::Mono;

/// What an absent grace claims.
const ABSENT: u64 = 1_000_000;
/// What every stage should get at least.
const FLOOR: u64 = 500_000;
const STEPS: u64 = 1024;
/// [`Reserves::scale`] when every claim fits.
pub const FULL_SCALE: u64 = STEPS;

/// A stage of a stop. Stages are given in an order in which each comes after those it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its timeout or grace; `None` = no limit of its own.
    pub limit: Option<Duration>,
    /// How much of that it has had.
    pub used: Duration,
    /// Stages that must be done before it begins, as indices into the list.
    pub after: Vec<usize>,
    /// There is nothing to do in it.
    pub gone: bool,
}

/// What must be kept free behind each stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reserves {
    behind: Vec<u64>,
    /// s, in 1/1024: below 1024 claims had to shrink.
    pub scale: u64,
}

impl Reserves {
    /// The latest end of a stage.
    pub fn latest(&self, stage: usize, t_kill: Mono) -> Mono {
        let behind = self.behind.get(stage).copied().unwrap_or(0);
        t_kill - Duration::from_micros(behind)
    }

    /// Plans a stop of `budget` = T_kill - now.
    pub fn plan(stages: &[Stage], budget: Duration) -> Reserves {
        let budget = micros(budget);
        let claims: Vec<u64> = stages
            .iter()
            .map(|stage| match (stage.gone, stage.limit) {
                (true, _) => 0,
                (false, limit) => {
                    let claim = limit.map_or(ABSENT, micros);
                    claim.saturating_sub(micros(stage.used))
                }
            })
            .collect();
        let counts: Vec<u64> = claims.iter().map(|claim| u64::from(*claim > 0)).collect();
        let (n, _) = longest(stages, &counts);
        let floor = FLOOR.min(budget.checked_div(n).unwrap_or(0));
        let shares = |scale: u64| -> Vec<u64> {
            claims
                .iter()
                .map(|claim| (claim.saturating_mul(scale) / STEPS).max(floor.min(*claim)))
                .collect()
        };
        // Shares at scale 0 always fit, since floor <= budget / n.
        let (mut low, mut high) = (0, STEPS + 1);
        while high - low > 1 {
            let middle = u64::midpoint(low, high);
            if longest(stages, &shares(middle)).0 <= budget {
                low = middle;
            } else {
                high = middle;
            }
        }
        let (_, behind) = longest(stages, &shares(low));
        Reserves { behind, scale: low }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The longest chain of `values` in the whole graph, and behind each stage.
fn longest(stages: &[Stage], values: &[u64]) -> (u64, Vec<u64>) {
    let mut behind = vec![0u64; stages.len()];
    let mut longest = 0;
    for (at, stage) in stages.iter().enumerate().rev() {
        let whole = values[at].saturating_add(behind[at]);
        longest = longest.max(whole);
        for before in &stage.after {
            behind[*before] = behind[*before].max(whole);
        }
    }
    (longest, behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(limits: &[Option<u64>]) -> Vec<Stage> {
        limits
            .iter()
            .enumerate()
            .map(|(at, limit)| Stage {
                limit: limit.map(Duration::from_secs),
                used: Duration::ZERO,
                after: at.checked_sub(1).into_iter().collect(),
                gone: false,
            })
            .collect()
    }

    /// Seconds each stage gets when none ends by itself.
    fn hanging(stages: &[Stage], budget: f64) -> Vec<f64> {
        let t_kill = Mono::ZERO + Duration::from_secs_f64(budget);
        let reserves = Reserves::plan(stages, Duration::from_secs_f64(budget));
        let mut ends: Vec<Mono> = Vec::new();
        let mut got = Vec::new();
        for (at, stage) in stages.iter().enumerate() {
            let start = stage
                .after
                .iter()
                .map(|before| ends[*before])
                .max()
                .unwrap_or(Mono::ZERO);
            let limit = stage.limit.map_or(Mono::NEVER, |limit| start + limit);
            let end = limit.min(reserves.latest(at, t_kill)).max(start);
            got.push(end.since(start).as_secs_f64());
            ends.push(end);
        }
        got
    }

    fn assert_close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (got_one, want_one) in got.iter().zip(want) {
            assert!(
                (got_one - want_one).abs() <= 0.03,
                "{got:?} is not {want:?}"
            );
        }
    }

    #[test]
    fn the_examples_of_the_docs() {
        assert_close(&hanging(&chain(&[Some(10); 5]), 11.0), &[2.2; 5]);
        assert_close(
            &hanging(&chain(&[None, Some(10), None]), 10.0),
            &[0.83, 8.33, 0.83],
        );
        assert_close(&hanging(&chain(&[Some(1); 30]), 1.75), &[0.058; 30]);
        assert_close(&hanging(&chain(&[Some(5), None]), 28.0), &[5.0, 23.0]);
    }

    #[test]
    fn what_is_gone_claims_nothing() {
        let mut stages = chain(&[Some(10); 5]);
        for stage in &mut stages[1..] {
            stage.gone = true;
        }
        assert_close(&hanging(&stages, 11.0)[..1], &[10.0]);
    }
}
