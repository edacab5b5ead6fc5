//! The thread `loader`: brings the spec the set begins with, then each change. Whatever hangs here (a mount, standard
//! input, the API server) does not keep podinit from its signals.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc;

use super::load::{Document, INVALID, Reading, Rejected, read, told};
use super::seat::Seat;
use crate::config::cache::{self, Tried};
use crate::config::watch::{Waker, Watch, Woken};
use crate::config::{self, Source, Text};
use crate::domain::event::{Event, LoadFailure, Refusal};
use crate::domain::plan::diff::Diff;
use crate::domain::plan::{Directory, ObjectVersion, Origin, Plan};
use crate::ports::{Level, Logs, Message, Object, Record};
use crate::spec::Problem;
use crate::state::State;
use crate::sys::{directories, limits};

/// podinit could not do its work.
const INTERNAL: u8 = 70;
/// Something that must be done before the first process failed.
const UNPREPARED: u8 = 76;
/// The ProcessSet did not turn up in time.
const UNAVAILABLE: u8 = 69;

/// How long the API server has to give the ProcessSet when there is another spec to begin with.
const SHORT: Duration = Duration::from_secs(5);
/// And when there is none: Helm creates unknown kinds late.
const LONG: Duration = Duration::from_secs(60);

/// So many of the versions taken last are kept until they have proved themselves.
const NEWEST: usize = 4;

/// Who may ask the loader for something.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    queue: Sender<Order>,
    waker: Waker,
}

/// Something the loader is asked for.
#[derive(Debug)]
enum Order {
    /// Look whether the spec has changed.
    Reload,
    /// Look no more.
    Unfollow,
    /// This is in the API server now.
    Found(Object),
    /// This is why the API server gives nothing.
    Nothing(String),
    /// The pod takes this version, which has not proved itself.
    TryOut(Tried),
    /// The pod was ready under this version.
    Good(ObjectVersion),
}

impl Orders {
    pub(super) fn reload(&self) {
        self.give(Order::Reload);
    }

    pub(super) fn unfollow(&self) {
        self.give(Order::Unfollow);
    }

    /// A version of the ProcessSet was read.
    pub(super) fn found(&self, object: Object) {
        self.give(Order::Found(object));
    }

    /// There is none, or it cannot be read; in words.
    pub(super) fn nothing(&self, why: String) {
        self.give(Order::Nothing(why));
    }

    /// A version is tried out.
    pub(super) fn try_out(&self, version: ObjectVersion, was_ready: bool) {
        self.give(Order::TryOut(Tried { version, was_ready }));
    }

    /// A version has proved itself.
    pub(super) fn good(&self, version: ObjectVersion) {
        self.give(Order::Good(version));
    }

    fn give(&self, order: Order) {
        // Gone: podinit is leaving.
        let _ = self.queue.send(order);
        self.waker.wake();
    }
}

/// Where orders come from.
#[derive(Debug)]
pub(super) struct Taken {
    queue: Receiver<Order>,
    waker: Waker,
}

/// Two ends of a queue of orders.
pub(super) fn orders() -> io::Result<(Orders, Taken)> {
    let (sender, queue) = channel();
    let waker = Waker::new()?;
    let orders = Orders {
        queue: sender,
        waker: waker.clone(),
    };
    Ok((orders, Taken { queue, waker }))
}

/// Starts the thread.
pub(super) fn start<L: Logs + Send + Sync + 'static>(
    (source, seat): (Source, Seat),
    orders: Taken,
    logs: Arc<L>,
    mailbox: mpsc::Sender<Message>,
) -> io::Result<()> {
    std::thread::Builder::new()
        .name("loader".to_owned())
        .spawn(move || {
            let watch = Watch::new(orders.waker.clone());
            let mut loader = Loader {
                source,
                piped: None,
                seat,
                orders,
                logs,
                mailbox,
                watch,
                watched: Vec::new(),
                blind: false,
                print: 0,
                candidates: Vec::new(),
                newest: None,
                tried: None,
                ended_under: None,
                refuge: false,
                kept: None,
                left: false,
            };
            let began = catch_unwind(AssertUnwindSafe(|| loader.begin()));
            let event = began.unwrap_or_else(|_| {
                Event::LoadFailed(LoadFailure {
                    code: INTERNAL,
                    message: "internal error while loading the spec".to_owned(),
                })
            });
            limits::give_memory_back();
            if loader.tell(event) {
                loader.go_on();
            }
        })?;
    Ok(())
}

struct Loader<L> {
    source: Source,
    /// What standard input had: it can be read once.
    piped: Option<Text>,
    seat: Seat,
    orders: Taken,
    logs: Arc<L>,
    mailbox: mpsc::Sender<Message>,
    watch: Watch,
    /// What the watch was armed with last.
    watched: Vec<PathBuf>,
    /// Files cannot be watched, which has been said.
    blind: bool,
    /// Of what was read last.
    print: u64,
    /// Versions of the object that were taken and may prove themselves, the newest last.
    candidates: Vec<Object>,
    /// The version that was read last, if that was refused, and why.
    newest: Option<(Object, String)>,
    /// The version that was tried out last.
    tried: Option<ObjectVersion>,
    /// podinit ended under this version before the pod was ready, and there is a good one.
    ended_under: Option<Tried>,
    /// The last good version is something to go back to: podinit has not ended under it.
    refuge: bool,
    /// The version that is kept as the last good one.
    kept: Option<ObjectVersion>,
    /// A stop has begun.
    left: bool,
}

impl<L: Logs> Loader<L> {
    /// False: podinit is leaving.
    fn tell(&self, event: Event) -> bool {
        self.mailbox.blocking_send(event.into()).is_ok()
    }

    /// What the set begins with.
    fn begin(&mut self) -> Event {
        self.clear_state();
        let begun = match self.source.clone() {
            Source::Object { name, fallback } => self.begin_with_object(&name, fallback.as_deref()),
            _ => self.begin_with_file(),
        };
        begun.map_or_else(Event::LoadFailed, |plan| Event::Loaded(Arc::new(plan)))
    }

    fn begin_with_file(&mut self) -> Result<Plan, LoadFailure> {
        let document = self.read_file().map_err(invalid)?;
        let plan = self.take(&document).map_err(invalid)?;
        self.prepare(&plan)?;
        Ok(plan)
    }

    /// The API server first, then the last good spec, then the file.
    fn begin_with_object(
        &mut self,
        name: &config::ObjectName,
        fallback: Option<&Path>,
    ) -> Result<Plan, LoadFailure> {
        let cached = self.cached(name);
        self.kept = cached.as_ref().map(|object| object.version.clone());
        let tried = cache::tried(&self.seat.state_dir());
        self.refuge = self.kept.is_some() && cache::refuge(&self.seat.state_dir()) != self.kept;
        self.ended_under = tried.filter(|tried| {
            self.kept
                .as_ref()
                .is_some_and(|kept| kept != &tried.version)
        });
        let file = fallback;
        let kept = cached.clone().map(Document::Object);
        let spare = kept.is_some_and(|kept| self.can_take(&kept))
            || file.is_some_and(|file| self.can_take_file(file));
        if !spare {
            // It lacks a file by now, say: better the newest one than none.
            (self.ended_under, self.refuge) = (None, false);
        }
        let limit = if spare { SHORT } else { LONG };
        let why = match self.first_object(limit) {
            Ok(object) => match self.take_object(&object) {
                Ok(plan) => {
                    let version = object.version.clone();
                    if self.tell_last_good(cached.as_ref(), &version, &plan) {
                        // Whatever ended the container before: the pod was not ready just now.
                        let was_ready = false;
                        self.note(Tried { version, was_ready });
                    } else {
                        self.tried = Some(version);
                    }
                    self.candidates.push(object);
                    self.prepare(&plan)?;
                    return Ok(plan);
                }
                Err(rejected) if !spare => return Err(invalid(rejected)),
                Err(rejected) => {
                    let why = format!("it is not taken: {}", rejected.message);
                    self.refuse_object(object, rejected);
                    why
                }
            },
            Err(why) => why,
        };
        self.begin_instead(name, cached, file, &why)
    }

    /// Without the newest version: `why` says why.
    fn begin_instead(
        &mut self,
        name: &config::ObjectName,
        cached: Option<Object>,
        file: Option<&Path>,
        why: &str,
    ) -> Result<Plan, LoadFailure> {
        // Those of a version that was refused.
        let lacked = std::mem::take(&mut self.watched);
        let instead = cached.map(Document::Object);
        if let Some(document) = instead {
            self.say(
                Level::Warn,
                format!("{}: {why}; beginning with the last good spec", name.what()),
            );
            match self.take(&document) {
                Ok(plan) => {
                    if let Document::Object(object) = document {
                        self.lean_on(&object.version);
                        self.candidates.push(object);
                    }
                    self.watch_too(lacked);
                    self.prepare(&plan)?;
                    return Ok(plan);
                }
                Err(rejected) => self.say(
                    Level::Warn,
                    format!("the last good spec is not taken: {}", rejected.message),
                ),
            }
        }
        let Some(file) = file else {
            return Err(LoadFailure {
                code: UNAVAILABLE,
                message: format!("{}: {why}", name.what()),
            });
        };
        self.say(
            Level::Warn,
            format!("{}: {why}; beginning with {}", name.what(), file.display()),
        );
        let text = config::read(&Source::File(file.to_owned()), &self.seat.start_dir)
            .map_err(|error| invalid(Rejected::invalid(error.to_problem().to_string())))?;
        let plan = self.take(&Document::Text(text)).map_err(invalid)?;
        self.watch_too(lacked);
        self.prepare(&plan)?;
        Ok(plan)
    }

    /// Whether it could be begun with.
    fn can_take(&self, document: &Document) -> bool {
        read(document, &self.seat).plan.is_ok()
    }

    fn can_take_file(&self, file: &Path) -> bool {
        let text = config::read(&Source::File(file.to_owned()), &self.seat.start_dir);
        text.is_ok_and(|text| self.can_take(&Document::Text(text)))
    }

    /// The object, if it comes in time; else why not.
    fn first_object(&mut self, limit: Duration) -> Result<Object, String> {
        let until = std::time::Instant::now() + limit;
        let mut why = format!("no answer from the API server in {} s", limit.as_secs());
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            match self.orders.queue.recv_timeout(left) {
                Ok(Order::Found(object)) => return Ok(object),
                Ok(Order::Nothing(told)) => why = told,
                Ok(Order::Reload | Order::Unfollow | Order::TryOut(_) | Order::Good(_)) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(why),
            }
        }
    }

    /// The plan of a version, unless there is a better one to run.
    fn take_object(&mut self, object: &Object) -> Result<Plan, Rejected> {
        if let Some(rejected) = self.known_as_bad(object) {
            return Err(rejected);
        }
        self.try_take(&Document::Object(object.clone()))
    }

    /// podinit ended before the pod was ready under this version, or other pods went back from it; and there is a good one.
    fn known_as_bad(&self, object: &Object) -> Option<Rejected> {
        let version = &object.version;
        let ended_under = self.ended_under.as_ref();
        let (reason, what) = if let Some(tried) =
            ended_under.filter(|tried| &tried.version == version)
        {
            let what = "the pod did not get ready under generation {} before the container ended";
            if tried.was_ready {
                (Refusal::CONTAINER_ENDED, what)
            } else {
                (Refusal::WAS_NOT_READY, what)
            }
        } else if object.failed && self.refuge && self.is_newer(version) {
            let what = "pods of the set were not ready in time under generation {}";
            (Refusal::PROGRESS_DEADLINE, what)
        } else {
            return None;
        };
        let what = what.replace("{}", &version.generation.to_string());
        let message = format!("{what}: back to the last good spec");
        Some(Rejected { reason, message })
    }

    /// The last good version is another one, of the set before it was made anew perhaps.
    fn is_newer(&self, version: &ObjectVersion) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept != version)
    }

    /// What the set begins with is on trial where it has run under another spec before. False: that is the same for the
    /// processes, so there is nothing to prove.
    fn tell_last_good(
        &mut self,
        cached: Option<&Object>,
        version: &ObjectVersion,
        plan: &Plan,
    ) -> bool {
        let Some(object) = cached.filter(|_| self.is_newer(version)) else {
            return true;
        };
        // It may need what is not there any more: then there is no way back.
        let read = read(&Document::Object(object.clone()), &self.seat);
        let Ok((good, _)) = read.plan else {
            return true;
        };
        let is_risky = Diff::between(&good, plan).is_risky();
        if self.prepare(&good).is_ok() {
            self.candidates.push(object.clone());
            self.tell(Event::LastGood(Arc::new(good)));
        }
        is_risky
    }

    fn cached(&self, name: &config::ObjectName) -> Option<Object> {
        match cache::read(&self.seat.state_dir(), name) {
            Ok(object) => object,
            Err(why) => {
                self.say(
                    Level::Warn,
                    format!("the last good spec cannot be had: {why}"),
                );
                None
            }
        }
    }

    /// Sends each change, until podinit leaves.
    fn go_on(&mut self) {
        // What a version lacked that was refused at the start may have come before it was watched.
        if !self.try_newest_again(false) {
            return;
        }
        loop {
            let woken = self.watch.wait();
            let mut look = woken == Woken::Files;
            let mut asked = false;
            while let Ok(order) = self.orders.queue.try_recv() {
                match order {
                    // Nobody takes a change any more.
                    Order::Reload | Order::Found(_) if self.left => {}
                    Order::Reload => {
                        look = true;
                        asked = true;
                    }
                    Order::Unfollow => {
                        self.left = true;
                        self.watch.leave();
                    }
                    Order::Found(object) => {
                        if !self.change_to(Document::Object(object)) {
                            return;
                        }
                    }
                    Order::Nothing(_) => {}
                    Order::TryOut(tried) => self.note(tried),
                    Order::Good(version) => self.keep(&version),
                }
            }
            if look && !self.look_again(asked) {
                return;
            }
            limits::give_memory_back();
        }
    }

    /// The files may have changed; false: podinit is leaving.
    fn look_again(&mut self, asked: bool) -> bool {
        if let Source::Object { .. } = self.source {
            return match (&self.newest, asked) {
                // What it lacked may be there now.
                (Some(_), _) => self.try_newest_again(asked),
                (None, true) => self.read_files_of_object(),
                (None, false) => true,
            };
        }
        let before = self.print;
        let read = catch_unwind(AssertUnwindSafe(|| {
            self.read_file().or_else(|_| {
                // The directory that was watched may be gone: whatever comes in its place is to be noticed.
                self.arm();
                self.read_file()
            })
        }));
        let document = match read {
            Ok(Ok(document)) => document,
            Ok(Err(rejected)) => return self.refuse(self.origin(), rejected),
            Err(_) => return self.refuse(self.origin(), internal()),
        };
        let told = self.change_to(document);
        if asked && self.print == before {
            self.say(Level::Info, "the spec has not changed".to_owned());
        }
        told
    }

    /// The API server tells of each change of the object by itself. The files that it names are read again when somebody asks
    /// for it, and not by themselves: a Secret that is changed would restart all pods of a set at the same time.
    fn read_files_of_object(&mut self) -> bool {
        let Some(object) = self.candidates.last().cloned() else {
            return true;
        };
        let before = self.print;
        let document = Document::Object(object);
        match self.try_take(&document) {
            Ok(plan) if self.print != before => self.tell(Event::Changed(Arc::new(plan))),
            Ok(_) => {
                self.say(Level::Info, "the spec has not changed".to_owned());
                true
            }
            Err(rejected) => match document {
                // One that waits is looked at again when the file is there; that in force only when somebody asks.
                Document::Object(object) if self.kept.as_ref() != Some(&object.version) => {
                    self.refuse_object(object, rejected)
                }
                document => self.refuse(document.origin(), rejected),
            },
        }
    }

    /// A version that was refused is read again; it is told why not when somebody asked or the reason is another one.
    fn try_newest_again(&mut self, asked: bool) -> bool {
        let Some((object, why)) = self.newest.take() else {
            return true;
        };
        match self.take_object(&object) {
            Ok(plan) => self.changed(Document::Object(object), plan),
            Err(rejected) if asked || rejected.message != why => {
                self.refuse_object(object, rejected)
            }
            Err(_) => {
                self.newest = Some((object, why));
                true
            }
        }
    }

    fn changed(&mut self, document: Document, plan: Plan) -> bool {
        if let Document::Object(object) = document {
            let is_other = |known: &Object| known.version != object.version;
            self.candidates.retain(is_other);
            self.candidates.push(object);
            // Those that may prove themselves yet: the one in force, and the newest.
            let tried = self.tried.take();
            let mut old = self.candidates.len().saturating_sub(NEWEST);
            self.candidates.retain(|known| {
                let is_old = old > 0;
                old = old.saturating_sub(1);
                !is_old || tried.as_ref() == Some(&known.version)
            });
            self.tried = tried;
        }
        self.tell(Event::Changed(Arc::new(plan)))
    }

    /// Tells of a document, if it is another one than the last; false: podinit is leaving.
    fn change_to(&mut self, document: Document) -> bool {
        let before = self.print;
        let origin = document.origin();
        let taken = match &document {
            Document::Object(object) => self.take_object(object),
            Document::Text(_) => self.try_take(&document),
        };
        if self.print == before && origin.object.is_none() {
            return true;
        }
        self.newest = None;
        match (taken, document) {
            (Ok(plan), document) => self.changed(document, plan),
            (Err(rejected), Document::Object(object)) => self.refuse_object(object, rejected),
            (Err(rejected), Document::Text(_)) => self.refuse(origin, rejected),
        }
    }

    /// It is tried again when the files that it names change.
    fn refuse_object(&mut self, object: Object, rejected: Rejected) -> bool {
        let document = Document::Object(object.clone());
        self.newest = Some((object, rejected.message.clone()));
        self.refuse(document.origin(), rejected)
    }

    fn refuse(&self, origin: Origin, Rejected { reason, message }: Rejected) -> bool {
        let refusal = Refusal {
            origin,
            reason,
            message,
        };
        self.tell(Event::ChangeRefused { refusal })
    }

    /// Where the spec is said to be.
    fn origin(&self) -> Origin {
        let what = match &self.source {
            Source::File(path) => path.display().to_string(),
            Source::Stdin => "<stdin>".to_owned(),
            Source::Search => "the spec".to_owned(),
            Source::Object { name, .. } => name.what(),
        };
        Origin {
            what: what.into(),
            object: None,
        }
    }

    fn read_file(&mut self) -> Result<Document, Rejected> {
        if let Some(text) = &self.piped {
            return Ok(Document::Text(text.clone()));
        }
        let text = config::read(&self.source, &self.seat.start_dir)
            .map_err(|error| Rejected::invalid(error.to_problem().to_string()))?;
        match (&self.source, &text.path) {
            // From now on it is this one.
            (Source::Search, Some(path)) => self.source = Source::File(path.clone()),
            (Source::Stdin, _) => self.piped = Some(text.clone()),
            _ => {}
        }
        Ok(Document::Text(text))
    }

    /// The same for a change: a panic on the way is a spec that is not taken.
    fn try_take(&mut self, document: &Document) -> Result<Plan, Rejected> {
        catch_unwind(AssertUnwindSafe(|| self.take(document))).unwrap_or_else(|_| Err(internal()))
    }

    /// The plan of a document; from now on the files it depends on are watched.
    fn take(&mut self, document: &Document) -> Result<Plan, Rejected> {
        let mut document = document.clone();
        let mut reading = read(&document, &self.seat);
        // What changes between the reading and the watching is not missed: it is read again until it stays the same. When
        // it does not, the watch tells of it.
        for _ in 0..3 {
            self.watch_files(&document, &reading);
            let beside = matches!(self.source, Source::Object { .. });
            if let Document::Text(text) = &document
                && text.path.is_some()
                && !beside
            {
                document = self.read_file()?;
            }
            let again = read(&document, &self.seat);
            let same = again.print == reading.print;
            reading = again;
            if same {
                break;
            }
        }
        self.print = reading.print;
        let (plan, warnings) = reading.plan?;
        self.warn(&warnings);
        Ok(plan)
    }

    fn watch_files(&mut self, document: &Document, reading: &Reading) {
        let mut paths = reading.paths.clone();
        // Beside an object of the API server a file is only what to begin with.
        let beside = matches!(self.source, Source::Object { .. });
        if let Document::Text(text) = document
            && !beside
        {
            paths.extend(text.path.clone());
        }
        self.watched = paths;
        self.arm();
    }

    /// Files beside those of what the set begins with: they may be what a version lacked that was refused.
    fn watch_too(&mut self, paths: Vec<PathBuf>) {
        if self.newest.is_some() && !paths.is_empty() {
            self.watched.extend(paths);
            self.arm();
        }
    }

    fn arm(&mut self) {
        let armed = self.watch.arm(&self.watched);
        let before = std::mem::replace(&mut self.blind, armed.is_err());
        if let Err(error) = armed
            && !before
        {
            self.say(
                Level::Warn,
                format!("files cannot be watched ({error}): a change is noticed on SIGHUP only"),
            );
        }
    }

    /// Should podinit end before this version has proved itself, it begins with the last good one.
    fn note(&mut self, tried: Tried) {
        // Without another one to begin with it says nothing; and once that is in force again, what was tried stays noted.
        if self.is_newer(&tried.version) {
            // What cannot be noted cannot be kept either, and that is said.
            let _ = cache::try_out(&self.seat.state_dir(), &tried);
        }
        self.tried = Some(tried.version);
    }

    /// Should podinit end under the last good version as well, that is nothing to go back to from one that others refuse.
    fn lean_on(&self, version: &ObjectVersion) {
        if self
            .newest
            .as_ref()
            .is_some_and(|(newest, _)| newest.failed)
        {
            let _ = cache::take_refuge(&self.seat.state_dir(), version);
        }
    }

    fn keep(&mut self, version: &ObjectVersion) {
        let state = self.seat.state_dir();
        // Needs no room, and comes first: what cannot be kept has proved itself all the same.
        let proved = cache::prove(&state, version);
        let mut known = self.candidates.iter();
        let Some(object) = known.find(|object| &object.version == version) else {
            return;
        };
        let kept = proved.and_then(|()| cache::write(&state, object));
        match kept {
            Ok(()) => self.kept = Some(version.clone()),
            Err(error) => self.say(
                Level::Warn,
                format!("the last good spec cannot be kept: {error}"),
            ),
        }
    }

    fn clear_state(&self) {
        let state = self.seat.state_dir();
        if let Err(error) = State::clear(&state) {
            self.say(
                Level::Warn,
                format!(
                    "failed to remove what an earlier podinit left in `{}`: {error}",
                    state.display()
                ),
            );
        }
    }

    /// What is done once, before anything starts.
    fn prepare(&self, plan: &Plan) -> Result<(), LoadFailure> {
        for directory in &plan.directories {
            self.make(directory)?;
        }
        Ok(())
    }

    fn make(&self, directory: &Directory) -> Result<(), LoadFailure> {
        let notes = directories::make(directory).map_err(|error| LoadFailure {
            code: UNPREPARED,
            message: format!("{:#}", anyhow::Error::from(error)),
        })?;
        for told in notes {
            self.say(
                Level::Info,
                format!("directory `{}`: {}", told.path.display(), told.message),
            );
        }
        Ok(())
    }

    fn warn(&self, warnings: &[Problem]) {
        for problem in warnings {
            self.say(Level::Warn, told(std::slice::from_ref(problem)));
        }
    }

    fn say(&self, level: Level, message: String) {
        self.logs.record(Record {
            level,
            label: None,
            message,
            fields: Vec::new(),
            lines: Vec::new(),
        });
    }
}

fn invalid(rejected: Rejected) -> LoadFailure {
    LoadFailure {
        code: INVALID,
        message: rejected.message,
    }
}

fn internal() -> Rejected {
    Rejected {
        reason: "InternalError",
        message: "internal error while loading the spec".to_owned(),
    }
}
