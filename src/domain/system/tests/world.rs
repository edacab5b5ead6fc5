//! A world for whole pod lives: children that behave as told, a clock that jumps from event to event. No thread, no
//! clock, no file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::effect::Effect;
use crate::domain::event::Event;
use crate::domain::exit::{Exit, SpawnFailure, SpawnStep, Usage};
use crate::domain::fact::Fact;
use crate::domain::id::{Label, ProcessId, RunId};
use crate::domain::plan::{
    Backoff, Backpressure, Check, Condition, Dependency, FailurePolicy, GraceSource, Hook,
    HookAction, Instance, InstanceHooks, Kind, Launch, LogFormat, LogRule, Mode, ObjectVersion,
    OnFailure, OnStop, OnSuccess, Origin, Plan, Probe, ProbeKind, Probes, Process, Request,
    Restart, RestartPolicy, Rollout, SetHooks, ShutdownTimes, SignalTarget, StopRule, Traffic,
    UpdateRule,
};
use crate::domain::signal::Signal;
use crate::domain::snapshot::Snapshot;
use crate::domain::system::{Config, Outcome, System};
use crate::domain::time::{Mono, Now, Wall};

pub(crate) mod claims;
mod servers;
mod watch;

use servers::Servers;
pub(crate) use servers::sidecar;

/// How a child behaves.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    /// errno of its exec; 0 = it works.
    pub exec_errno: i32,
    /// From fork to exec.
    pub exec_after: Duration,
    /// Ends by itself after this time, with this code.
    pub life: Option<(Duration, u8)>,
    /// After a catchable signal it takes so long to end with 0; `None`: it ignores them.
    pub stops_in: Option<Duration>,
    /// So many of its session outlive the leader.
    pub leaves: u32,
    /// What it leaves behind ends so long after TERM; `None`: only KILL ends it.
    pub left_stop_in: Option<Duration>,
    /// KILL does not end it.
    pub immortal: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            exec_errno: 0,
            exec_after: Duration::ZERO,
            life: None,
            stops_in: Some(Duration::ZERO),
            leaves: 0,
            left_stop_in: Some(Duration::ZERO),
            immortal: false,
        }
    }
}

#[derive(Debug)]
struct Child {
    name: String,
    program: String,
    leader: bool,
    left: u32,
    execd: bool,
}

/// What the tests look at afterwards.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When the first stop signal of each run came.
    pub signalled: BTreeMap<String, Mono>,
    /// When KILL came.
    pub killed: BTreeMap<String, Mono>,
    /// When the leader died.
    pub died: BTreeMap<String, Mono>,
    /// Files of the state directory: when last written, and what.
    pub files: BTreeMap<String, (Mono, String)>,
    /// Deadlines in files that became later ones.
    pub lengthened: u32,
    /// Runs begun, by instance.
    pub spawned: BTreeMap<String, u32>,
    /// When the last of them began.
    pub began: BTreeMap<String, Mono>,
    /// Two live leaders of one instance at a time.
    pub doubles: u32,
    /// Spawns after the first stop request.
    pub spawned_in_stop: u32,
    /// Requests to do something: where, and when.
    pub posts: Vec<(String, Mono)>,
    /// Who was sent a signal before any stop of the set.
    pub stopped: Vec<watch::Stopped>,
}

/// The world.
#[derive(Debug)]
pub(crate) struct World {
    pub system: System,
    pub now: Mono,
    pub trace: String,
    pub seen: Seen,
    pub outcome: Option<Outcome>,
    behaviours: BTreeMap<String, Behaviour>,
    children: BTreeMap<RunId, Child>,
    queue: BTreeMap<(Mono, u64), Event>,
    sequence: u64,
    ending: bool,
    stopping: bool,
    servers: Servers,
    claims: claims::Claims,
    shown: Arc<Snapshot>,
    quiet: bool,
    watched: bool,
    unready_since: Option<Mono>,
}

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        Self::with_config(plan, Config::default())
    }

    pub(crate) fn with_config(plan: Plan, config: Config) -> Self {
        let mut world = Self::loading(config);
        world.at(0.0, Event::Loaded(Arc::new(plan)));
        world
    }

    pub(crate) fn loading(config: Config) -> Self {
        let now = Now {
            mono: Mono::ZERO,
            wall: Wall(0),
        };
        World {
            system: System::new(config, now),
            now: Mono::ZERO,
            trace: String::new(),
            seen: Seen::default(),
            outcome: None,
            behaviours: BTreeMap::new(),
            children: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            ending: false,
            stopping: false,
            servers: Servers::default(),
            claims: claims::Claims::default(),
            shown: Arc::default(),
            quiet: false,
            watched: false,
            unready_since: None,
        }
    }

    /// Writes no trace.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Every instance, or hook, of this name behaves so.
    pub(crate) fn child(mut self, name: &str, behaviour: Behaviour) -> Self {
        self.behaviours.insert(name.to_owned(), behaviour);
        self
    }

    pub(crate) fn at(&mut self, seconds: f64, event: Event) -> &mut Self {
        self.schedule(Mono::ZERO + secs(seconds), event);
        self
    }

    /// The leader of an instance ends by itself at that time, if it lives.
    pub(crate) fn signal(&mut self, seconds: f64, signal: Signal) -> &mut Self {
        self.at(seconds, Event::Signal(signal))
    }

    /// Lives on until nothing is left to happen before `seconds`, or until the end.
    pub(crate) fn run_until(&mut self, seconds: f64) -> &mut Self {
        let until = Mono::ZERO + secs(seconds);
        while self.outcome.is_none() {
            let event_at = self.queue.first_key_value().map(|((at, _), _)| *at);
            let tick_at = self.system.next_deadline().map(|at| at.max(self.now));
            // Events of an instant come before its tick, as in the engine.
            let (at, event) = match (event_at, tick_at) {
                (Some(event), tick) if tick.is_none_or(|tick| event <= tick) => (
                    event,
                    self.queue
                        .first_entry()
                        .map(std::collections::btree_map::OccupiedEntry::remove),
                ),
                (_, Some(tick)) => (tick, None),
                _ => break,
            };
            if at > until {
                if let Some(event) = event {
                    self.schedule(at, event);
                }
                break;
            }
            self.now = at;
            self.step(event.unwrap_or(Event::Tick));
        }
        if self.outcome.is_none() {
            self.now = until;
        }
        self
    }

    /// The spec changes.
    pub(crate) fn change(&mut self, seconds: f64, set: &Set) -> &mut Self {
        let plan = Arc::new(set.plan.clone());
        self.at(seconds, Event::Changed(plan))
    }

    /// What others see now.
    pub(crate) fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(snapshot) = self.system.snapshot() {
            self.shown = snapshot;
        }
        Arc::clone(&self.shown)
    }

    pub(crate) fn code(&mut self) -> u8 {
        self.run_until(1e6);
        self.outcome.as_ref().expect("it ended").code
    }

    fn schedule(&mut self, at: Mono, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn soon(&mut self, after: Duration, event: Event) {
        self.schedule(self.now + after, event);
    }

    fn step(&mut self, event: Event) {
        self.watch_claims(&event);
        self.stopping |= matches!(&event, Event::Signal(signal) if *signal == Signal::TERM);
        if let Event::Exited { run, left, .. } = &event {
            // A child that was killed in the meantime died once.
            let Some(child) = self.children.get_mut(run) else {
                return;
            };
            if !child.leader {
                return;
            }
            child.leader = false;
            self.seen.died.insert(child.name.clone(), self.now);
            if *left == 0 {
                self.children.remove(run);
            }
        }
        if let Event::SessionEmpty { run } = &event
            && self.children.remove(run).is_none()
        {
            return;
        }
        if let Event::Spawned { run, .. } = &event
            && let Some(child) = self.children.get_mut(run)
        {
            child.execd = true;
        }
        let now = Now {
            mono: self.now,
            wall: Wall((self.now.as_nanos() / 1000) as i64),
        };
        let outbox = self.system.step(event, now);
        for fact in outbox.facts {
            self.tell(&fact);
        }
        for effect in outbox.effects {
            self.carry_out(effect);
        }
        self.watch();
        if self.ending && self.children.is_empty() {
            self.ending = false;
            self.soon(Duration::ZERO, Event::Childless);
        }
    }

    fn say(&mut self, line: &str) {
        if self.quiet {
            return;
        }
        let seconds = self.now.as_nanos() as f64 / 1e9;
        let _ = writeln!(self.trace, "{seconds:07.3} {line}");
    }

    fn tell(&mut self, fact: &Fact) {
        match fact {
            Fact::FailedForGood { label, why } => self.say(&format!("{label} failed: {why}")),
            Fact::Completed { label } => self.say(&format!("{label} completed")),
            Fact::RestartScheduled { label, delay, .. } => {
                self.say(&format!("{label} restarts in {}", delay.as_secs_f64()));
            }
            Fact::StillWaiting { label, on } => self.say(&format!("{label} waits for {on}")),
            Fact::HookEnded {
                of, hook, failure, ..
            } => {
                let failure = failure.as_deref().unwrap_or("ok");
                self.say(&format!("hook {hook} of {of}: {failure}"));
            }
            Fact::HookCut { of, hook, by, .. } => self.say(&format!("hook {hook} of {of}: {by}")),
            Fact::ChangeApplied { what, .. } => self.say(&format!("change: {what}")),
            Fact::ChangeWaits { why, .. } => self.say(&format!("change waits: {why}")),
            Fact::ChangeRefused(refusal) => self.say(&format!("refused: {}", refusal.message)),
            Fact::ChangeDone { .. } => self.say("change done"),
            Fact::ChangeReverted { .. } => self.say("change taken back"),
            Fact::BecameReady { label, .. } => self.say(&format!("{label} ready")),
            Fact::BecameUnready { label, .. } => self.say(&format!("{label} unready")),
            Fact::Unhealthy { label, why, .. } => self.say(&format!("{label} unhealthy: {why}")),
            Fact::Stuck { label } => self.say(&format!("{label} is stuck")),
            Fact::Exited { label, exit, .. } => self.say(&format!("{label} ended: {exit}")),
            _ => self.tell_of_sidecars(fact),
        }
    }

    fn behaviour(&self, name: &str) -> Behaviour {
        let process = name.rsplit_once('-').map_or(name, |(process, _)| process);
        let hook = name.starts_with("hook-").then_some("hook");
        [Some(name), Some(process), hook]
            .into_iter()
            .flatten()
            .find_map(|name| self.behaviours.get(name))
            .cloned()
            .unwrap_or_default()
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn {
                run, label, launch, ..
            } => {
                let program = launch.argv.first();
                let program = program.map_or_else(String::new, |arg| arg.to_string_lossy().into());
                self.spawn(run, &label, program);
            }
            Effect::Signal {
                run,
                signal,
                target,
            } => self.deliver(run, signal, target),
            Effect::Request { run, request, .. } => self.answer(run, &request),
            Effect::ListenNotify { .. }
            | Effect::Reload
            | Effect::DropLogs
            | Effect::TryOut { .. }
            | Effect::Unfollow => {}
            Effect::Claim { run, once } => self.claimed(run, &once),
            Effect::ClaimEnded { run, success } => self.claim_over(run, Some(success)),
            Effect::Withdraw { run } => self.claim_over(run, None),
            Effect::Relog { label, .. } => self.say(&format!("{label} is logged otherwise")),
            Effect::WriteState { name, content } => {
                let before = self.seen.files.get(&name).map(|(_, text)| millis(text));
                let later = before.is_some_and(|before| {
                    millis(&content)
                        .iter()
                        .zip(before)
                        .any(|(now, then)| *now > then)
                });
                self.seen.lengthened += u32::from(later);
                self.seen.files.insert(name, (self.now, content));
            }
            Effect::EndOrphans { signal } => {
                self.say(&format!("{signal} to orphans"));
                self.ending = true;
            }
            Effect::Exit(outcome) => {
                self.say(&format!("exit {}: {}", outcome.code, outcome.reason));
                self.outcome = Some(outcome);
            }
        }
    }

    fn spawn(&mut self, run: RunId, label: &Label, program: String) {
        let name = label.instance.to_string();
        self.say(&format!("spawn {name}"));
        let behaviour = self.behaviour(&name);
        let live = self
            .children
            .values()
            .any(|child| child.leader && child.name == name);
        self.seen.doubles += u32::from(live);
        self.seen.spawned_in_stop += u32::from(self.stopping && !name.contains("hook"));
        *self.seen.spawned.entry(name.clone()).or_default() += 1;
        self.seen.began.insert(name.clone(), self.now);
        self.seen.signalled.remove(&name);
        if behaviour.exec_errno != 0 {
            let failure = SpawnFailure {
                step: SpawnStep::Exec,
                errno: behaviour.exec_errno,
            };
            return self.soon(behaviour.exec_after, Event::SpawnFailed { run, failure });
        }
        self.children.insert(
            run,
            Child {
                name,
                program,
                leader: true,
                left: behaviour.leaves,
                execd: false,
            },
        );
        self.soon(behaviour.exec_after, Event::Spawned { run, pid: 1 });
        if let Some((life, code)) = behaviour.life {
            self.die(run, behaviour.exec_after + life, Exit::Code(code));
        }
    }

    fn die(&mut self, run: RunId, after: Duration, exit: Exit) {
        let left = self.children.get(&run).map_or(0, |child| child.left);
        let usage = Usage::default();
        self.soon(
            after,
            Event::Exited {
                run,
                exit,
                usage,
                left,
            },
        );
    }

    fn deliver(&mut self, run: RunId, signal: Signal, target: SignalTarget) {
        let Some(child) = self.children.get(&run) else {
            return;
        };
        let (name, leader, execd) = (child.name.clone(), child.leader, child.execd);
        if leader && signal != Signal::KILL {
            self.note_stopped(run, &name);
        }
        self.say(&format!("{signal} to {name} {target:?}"));
        let behaviour = self.behaviour(&name);
        if signal == Signal::KILL {
            self.seen.killed.entry(name).or_insert(self.now);
            if behaviour.immortal {
                return;
            }
            if leader {
                let exit = Exit::Signal {
                    signal,
                    core: false,
                };
                if !execd {
                    self.soon(Duration::ZERO, Event::Spawned { run, pid: 1 });
                }
                if target != SignalTarget::Leader
                    && let Some(child) = self.children.get_mut(&run)
                {
                    child.left = 0;
                }
                self.die(run, Duration::ZERO, exit);
            } else {
                self.soon(Duration::ZERO, Event::SessionEmpty { run });
            }
        } else if leader {
            self.seen.signalled.entry(name).or_insert(self.now);
            if let Some(time) = behaviour.stops_in {
                self.die(run, time, Exit::Code(0));
            }
        } else if let Some(time) = behaviour.left_stop_in {
            self.soon(time, Event::SessionEmpty { run });
        }
    }
}

/// The numbers of a deadline file.
fn millis(text: &str) -> Vec<i64> {
    text.split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect()
}

/// A plan being written.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub plan: Plan,
}

pub(crate) fn set(processes: Vec<Process>) -> Set {
    let mut plan = Plan {
        name: "set".into(),
        origin: Origin::default(),
        rollout: Rollout::default(),
        mode: Mode::Set,
        shutdown: ShutdownTimes {
            grace: secs(30.0),
            source: GraceSource::Default,
            drain: Duration::ZERO,
            tail: secs(1.0),
        },
        hooks: SetHooks::default(),
        sidecars: Vec::new(),
        notify_socket: None,
        directories: Vec::new(),
        processes,
    };
    // Dependencies are written by name first: the place of the name in the list is only known now.
    let names: Vec<Arc<str>> = plan.processes.iter().map(|p| Arc::clone(&p.name)).collect();
    for process in &mut plan.processes {
        for dependency in &mut process.depends_on {
            let name = PENDING.with_borrow(|names| names[dependency.on.index()].clone());
            let at = names.iter().position(|known| **known == *name);
            dependency.on = ProcessId(at.expect("a known name") as u32);
        }
    }
    Set { plan }
}

thread_local! {
    static PENDING: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Set {
    /// It is this generation of an object of the API server.
    pub(crate) fn generation(mut self, generation: i64) -> Self {
        self.plan.origin.object = Some(ObjectVersion {
            uid: "uid".into(),
            generation,
        });
        self
    }

    pub(crate) fn grace(mut self, seconds: f64) -> Self {
        self.plan.shutdown.grace = secs(seconds);
        self
    }

    pub(crate) fn drain(mut self, seconds: f64) -> Self {
        self.plan.shutdown.drain = secs(seconds);
        self
    }

    pub(crate) fn hooks(mut self, hooks: SetHooks) -> Self {
        self.plan.hooks = hooks;
        self
    }

    pub(crate) fn world(self) -> World {
        World::new(self.plan)
    }
}

fn launch() -> Arc<Launch> {
    Arc::new(Launch::default())
}

fn log() -> Arc<LogRule> {
    Arc::new(LogRule {
        format: LogFormat::Json,
        max_line_bytes: 1024,
        on_backpressure: Backpressure::Block,
        labels: Vec::new(),
    })
}

pub(crate) fn service(name: &str) -> Process {
    Process {
        name: name.into(),
        kind: Kind::Service,
        depends_on: Vec::new(),
        restart: Restart {
            policy: RestartPolicy::Always,
            success_codes: vec![0].into(),
            backoff: Backoff {
                initial: secs(1.0),
                factor: 2.0,
                max: secs(300.0),
                jitter: 0.0,
                reset_after: secs(600.0),
            },
            limit: None,
        },
        on_failure: OnFailure::MarkUnready,
        on_success: OnSuccess::Ignore,
        stop: StopRule {
            signal: Signal::TERM,
            target: SignalTarget::Leader,
            grace: None,
        },
        traffic: Traffic::Serving,
        min_ready: Duration::ZERO,
        active_deadline: None,
        log: Some(log()),
        update: UpdateRule {
            max_unavailable: 1,
            ..UpdateRule::default()
        },
        once: None,
        desired: 1,
        instances: vec![instance(name, 0)],
    }
}

fn instance(name: &str, index: u32) -> Instance {
    Instance {
        label: Arc::new(Label {
            process: name.into(),
            instance: format!("{name}-{index}").into(),
        }),
        launch: launch(),
        hooks: InstanceHooks::default(),
        probes: Probes::default(),
    }
}

pub(crate) fn init(name: &str) -> Process {
    let mut process = service(name).never();
    process.kind = Kind::Init {
        on_stop: OnStop::Finish,
    };
    process.on_failure = OnFailure::ExitSet;
    process
}

pub(crate) fn hook(name: &str, timeout: f64, failure: FailurePolicy) -> Arc<Hook> {
    Arc::new(Hook {
        name: name.into(),
        action: HookAction::Exec {
            launch: launch(),
            label: Arc::new(Label {
                process: "hook".into(),
                instance: format!("hook-{name}").into(),
            }),
            log: log(),
        },
        timeout: secs(timeout),
        retries: 0,
        retry_delay: Duration::ZERO,
        failure,
    })
}

impl Process {
    pub(crate) fn never(mut self) -> Self {
        self.restart.policy = RestartPolicy::Never;
        self
    }

    pub(crate) fn on_failure_only(mut self) -> Self {
        self.restart.policy = RestartPolicy::OnFailure;
        self
    }

    pub(crate) fn after(mut self, name: &str, condition: Condition) -> Self {
        self.depends_on.push(pending(name, condition, false));
        self
    }

    pub(crate) fn after_optional(mut self, name: &str, condition: Condition) -> Self {
        self.depends_on.push(pending(name, condition, true));
        self
    }

    pub(crate) fn replicas(mut self, count: u32) -> Self {
        let name = Arc::clone(&self.name);
        self.instances = (0..count).map(|index| instance(&name, index)).collect();
        self.desired = count;
        self
    }

    /// It runs something else.
    pub(crate) fn runs(mut self, program: &str) -> Self {
        for instance in &mut self.instances {
            instance.launch = Arc::new(Launch {
                argv: vec![std::ffi::CString::new(program).unwrap()],
                ..Launch::default()
            });
        }
        self
    }

    /// So many in excess while it is updated.
    pub(crate) fn surge(mut self, count: u32) -> Self {
        let name = Arc::clone(&self.name);
        let more = self.desired..self.desired + count;
        self.instances
            .extend(more.map(|index| instance(&name, index)));
        self.update.surge = count;
        self
    }

    pub(crate) fn recreate(mut self) -> Self {
        self.update.recreate = true;
        self
    }

    pub(crate) fn grace(mut self, seconds: f64) -> Self {
        self.stop.grace = Some(secs(seconds));
        self
    }

    /// Probes of this kind ask the server with the process's name each second; three failures count.
    pub(crate) fn probe(self, kind: ProbeKind) -> Self {
        let request = Request::Tcp {
            host: self.name.to_string(),
            port: 1,
        };
        self.checked(kind, Check::Request(Arc::new(request)))
    }

    /// The same with a command, which behaves as the hook `probe`.
    pub(crate) fn exec_probe(self, kind: ProbeKind) -> Self {
        let label = Arc::new(Label {
            process: "hook".into(),
            instance: "hook-probe".into(),
        });
        let launch = launch();
        self.checked(kind, Check::Exec { launch, label })
    }

    /// The same by what the process says.
    pub(crate) fn notify_probe(self, kind: ProbeKind) -> Self {
        self.checked(kind, Check::Notify)
    }

    fn checked(mut self, kind: ProbeKind, check: Check) -> Self {
        let probe = Arc::new(Probe {
            check,
            initial_delay: Duration::ZERO,
            timeout: secs(1.0),
            period: secs(1.0),
            success_threshold: 1,
            failure_threshold: 3,
            grace: None,
        });
        for instance in &mut self.instances {
            let place = match kind {
                ProbeKind::Startup => &mut instance.probes.startup,
                ProbeKind::Liveness => &mut instance.probes.liveness,
                ProbeKind::Readiness => &mut instance.probes.readiness,
            };
            *place = Some(Arc::clone(&probe));
        }
        self
    }

    pub(crate) fn min_ready(mut self, seconds: f64) -> Self {
        self.min_ready = secs(seconds);
        self
    }

    pub(crate) fn background(mut self) -> Self {
        self.traffic = Traffic::Background;
        self
    }

    pub(crate) fn exit_set(mut self) -> Self {
        self.on_failure = OnFailure::ExitSet;
        self.on_success = OnSuccess::ExitSet;
        self
    }

    pub(crate) fn with_hooks(mut self, hooks: &InstanceHooks) -> Self {
        for instance in &mut self.instances {
            instance.hooks = hooks.clone();
        }
        self
    }
}

fn pending(name: &str, condition: Condition, optional: bool) -> Dependency {
    let on = PENDING.with_borrow_mut(|names| {
        names.push(name.to_owned());
        ProcessId(names.len() as u32 - 1)
    });
    Dependency {
        on,
        condition,
        optional,
    }
}
