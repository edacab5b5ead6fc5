//! What a machine may do while it takes a step: emit effects and facts, get run ids, leave remains behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::id::RunId;
use crate::domain::plan::SignalTarget;
use crate::domain::signal::Signal;
use crate::domain::time::{Mono, Now};

/// From TERM to KILL for what a run leaves behind.
pub const LEFTOVER_GRACE: Duration = Duration::from_secs(1);

/// Who hears of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The instance with this place in the system's list.
    Unit(u32),
    /// The hook of the set that runs.
    SetHook,
    /// The sidecar with this place among those that are waited for; or one that was told to quit.
    Sidecar(u32),
    /// Nobody any more: it is being ended.
    Remains,
}

/// What a timer wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// An instance.
    Unit(u32),
    /// The hook of the set that runs.
    SetHook,
    /// A sidecar that is waited for.
    Sidecar(u32),
    /// The end of the drain.
    Drain,
    /// The stop.
    Stop,
    /// A change of the spec.
    Change,
    /// The end of what a run left behind.
    Remains(RunId),
}

/// Effects and facts of one step, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be carried out.
    pub effects: Vec<Effect>,
    /// To be published.
    pub facts: Vec<Fact>,
}

/// What all machines of a system share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) outbox: Outbox,
    pub(crate) owners: BTreeMap<RunId, Owner>,
    pub(crate) timers: BTreeSet<(Mono, Timer)>,
    /// Stimuli that found nobody: late, or never to come in that phase.
    pub(crate) late: u64,
    /// What is given up gets KILL at once: T_kill has passed.
    pub(crate) ruthless: bool,
    remains: BTreeMap<RunId, Mono>,
    next_run: u64,
    random: u64,
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Self {
        Shared {
            outbox: Outbox::default(),
            owners: BTreeMap::new(),
            timers: BTreeSet::new(),
            late: 0,
            ruthless: false,
            remains: BTreeMap::new(),
            next_run: 1,
            random: seed,
        }
    }

    /// Instances have other places in the system's list; one that has none any more left nothing behind that anybody waits
    /// for.
    pub(crate) fn move_units(&mut self, place: impl Fn(u32) -> Option<u32>) {
        for owner in self.owners.values_mut() {
            if let Owner::Unit(at) = owner {
                *owner = place(*at).map_or(Owner::Remains, Owner::Unit);
            }
        }
        let timers = std::mem::take(&mut self.timers).into_iter();
        self.timers = timers
            .filter_map(|(at, timer)| match timer {
                Timer::Unit(unit) => Some((at, Timer::Unit(place(unit)?))),
                timer => Some((at, timer)),
            })
            .collect();
    }

    /// How many runs are being ended that nobody hears of.
    pub(crate) fn remains(&self) -> usize {
        self.remains.len()
    }

    /// Moves a timer from one instant to another; [`Mono::NEVER`] is no timer.
    pub(crate) fn rearm(&mut self, timer: Timer, from: Mono, to: Mono) {
        if from == to {
            return;
        }
        if from != Mono::NEVER {
            self.timers.remove(&(from, timer));
        }
        if to != Mono::NEVER {
            self.timers.insert((to, timer));
        }
    }

    fn leave(&mut self, run: RunId, signal: Signal, kill_at: Mono) {
        let (signal, kill_at) = if self.ruthless {
            (Signal::KILL, Mono::NEVER)
        } else {
            (signal, kill_at)
        };
        self.owners.insert(run, Owner::Remains);
        let before = self.remains.insert(run, kill_at).unwrap_or(Mono::NEVER);
        self.rearm(Timer::Remains(run), before, kill_at);
        self.signal_remains(run, signal);
    }

    fn signal_remains(&mut self, run: RunId, signal: Signal) {
        self.outbox.effects.push(Effect::Signal {
            run,
            signal,
            target: SignalTarget::Session,
        });
    }

    /// The leader of a hook's run ended, with `left` of its session still there: nobody waits for those.
    pub(crate) fn hook_exited(&mut self, run: RunId, left: u32, now: Mono) {
        if left == 0 {
            self.owners.remove(&run);
        } else {
            self.leave(run, Signal::TERM, now + LEFTOVER_GRACE);
        }
    }

    /// The leader of remains ended, with `left` of its session still there.
    pub(crate) fn remains_exited(&mut self, run: RunId, left: u32, now: Mono) {
        if left == 0 {
            self.remains_gone(run);
        } else {
            self.leave(run, Signal::TERM, now + LEFTOVER_GRACE);
        }
    }

    /// Nothing of remains is left.
    pub(crate) fn remains_gone(&mut self, run: RunId) {
        if let Some(at) = self.remains.remove(&run) {
            self.rearm(Timer::Remains(run), at, Mono::NEVER);
        }
        self.owners.remove(&run);
    }

    /// The time of remains is over.
    pub(crate) fn remains_tick(&mut self, run: RunId) {
        if let Some(at) = self.remains.get_mut(&run) {
            let before = std::mem::replace(at, Mono::NEVER);
            self.rearm(Timer::Remains(run), before, Mono::NEVER);
            self.signal_remains(run, Signal::KILL);
        }
    }

    /// Kills all remains, now and from now on.
    pub(crate) fn kill_all_remains(&mut self) {
        self.ruthless = true;
        let runs: Vec<RunId> = self.remains.keys().copied().collect();
        for run in runs {
            self.remains_tick(run);
        }
    }
}

/// A step's surroundings.
#[derive(Debug)]
pub struct Context<'a> {
    /// The instant of the step.
    pub now: Now,
    pub(crate) owner: Owner,
    pub(crate) shared: &'a mut Shared,
}

impl Context<'_> {
    /// A run id that was never used, whose events come to whoever takes this step.
    pub fn new_run(&mut self) -> RunId {
        let run = RunId(self.shared.next_run);
        self.shared.next_run += 1;
        self.shared.owners.insert(run, self.owner);
        run
    }

    /// Emits an effect.
    pub fn effect(&mut self, effect: Effect) {
        self.shared.outbox.effects.push(effect);
    }

    /// Emits a fact.
    pub fn fact(&mut self, fact: Fact) {
        self.shared.outbox.facts.push(fact);
    }

    /// Counts a stimulus that changes nothing.
    pub fn late(&mut self) {
        self.shared.late += 1;
    }

    /// A uniform random number, the same for the same seed and the same steps.
    pub fn draw(&mut self) -> u64 {
        // splitmix64
        self.shared.random = self.shared.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.shared.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Nothing of this run is heard any more.
    pub fn forget(&mut self, run: RunId) {
        self.shared.owners.remove(&run);
    }

    /// Gives a run up: TERM now, KILL a second later, nobody waits for it but the end of podinit.
    pub fn end_remains(&mut self, run: RunId) {
        let kill_at = self.now.mono + LEFTOVER_GRACE;
        self.shared.leave(run, Signal::TERM, kill_at);
    }

    /// This run was given up, and something of it is there still.
    pub fn is_remains(&self, run: RunId) -> bool {
        self.shared.remains.contains_key(&run)
    }

    /// Gives a run up: KILL now.
    pub fn kill_remains(&mut self, run: RunId) {
        self.shared.leave(run, Signal::KILL, Mono::NEVER);
    }
}
