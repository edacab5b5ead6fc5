use std::sync::Arc;
use std::time::Duration;

use super::{Action, Config, Elector, Event, Field, Record, Timing, Version, is_candidate};
use crate::domain::time::{Mono, Now, Wall};

mod simulation;
pub(crate) mod world;

const S: Duration = Duration::from_secs(1);

fn at(seconds: f64) -> Now {
    Now {
        mono: Mono::ZERO + Duration::from_secs_f64(1000.0 + seconds),
        wall: Wall(((5000.0 + seconds) * 1e6) as i64),
    }
}

fn elector(name: &str) -> Elector {
    let config = Config {
        identity: name.into(),
        timing: Timing::SET,
        field: Field::Few { uid: name.into() },
        seed: 1,
    };
    Elector::new(config, at(0.0))
}

fn version(text: &str) -> Version {
    Version::from(text)
}

fn record(holder: &str) -> Record {
    Record {
        holder: holder.into(),
        duration: 15 * S,
        transitions: 3,
        ..Record::default()
    }
}

/// One that created the record at 0 and was answered at 0.1.
fn holder(name: &str) -> Elector {
    let mut elector = elector(name);
    assert_eq!(elector.step(Event::Tick, at(0.0)), Action::Read);
    let Action::Create(record) = elector.step(Event::Read(None), at(0.0)) else {
        panic!("not created");
    };
    assert_eq!(&*record.holder, name);
    assert_eq!((record.duration, record.transitions), (15 * S, 0));
    assert!(!elector.holds(at(0.1).mono), "before the answer");
    elector.step(Event::Written(version("1")), at(0.1));
    assert!(elector.holds(at(0.1).mono));
    elector
}

/// Ticks at each deadline until it does something; when and what.
fn next(elector: &mut Elector, mut now: f64) -> (f64, Action) {
    for _ in 0..10 {
        let due = elector.deadline(at(now).mono);
        assert_ne!(due, Mono::NEVER, "waits for nothing");
        now = now.max(due.since(Mono::ZERO).as_secs_f64() - 1000.0);
        let action = elector.step(Event::Tick, at(now));
        if action != Action::Nothing {
            return (now, action);
        }
    }
    panic!("does nothing");
}

#[test]
fn a_holder_renews_without_reading() {
    let mut elector = holder("a");
    let (when, action) = next(&mut elector, 0.1);
    assert!(
        (when - 2.0).abs() < 1e-6,
        "{when}: a period after it was sent"
    );
    let Action::Update(record, seen) = action else {
        panic!("{action:?}");
    };
    assert_eq!((&*seen, record.transitions), ("1", 0));
    assert_eq!(
        (record.acquired, record.renewed),
        (at(0.0).wall, at(2.0).wall)
    );
}

#[test]
fn it_holds_from_the_sending_of_its_last_renewal() {
    let mut elector = holder("a");
    assert!(elector.holds(at(9.999).mono));
    assert!(
        !elector.holds(at(10.0).mono),
        "10 s after sending, not after the answer"
    );
    let (_, action) = next(&mut elector, 0.1);
    assert!(matches!(action, Action::Update(..)));
    // An answer that comes when its time is over makes it no holder again.
    elector.step(Event::Written(version("2")), at(12.5));
    assert!(!elector.holds(at(12.5).mono));
    assert_eq!(next(&mut elector, 12.5).1, Action::Read);
    let found = Event::Read(Some((record("a"), version("2"))));
    assert!(matches!(elector.step(found, at(12.6)), Action::Update(..)));
    elector.step(Event::Written(version("3")), at(12.7));
    assert!(elector.holds(at(12.7).mono), "its own record, renewed");
}

#[test]
fn the_end_of_its_time_wakes_it() {
    let mut elector = holder("a");
    assert!(matches!(next(&mut elector, 0.1).1, Action::Update(..)));
    assert_eq!(
        elector.deadline(at(3.0).mono),
        at(10.0).mono,
        "a request is on its way"
    );
    assert_eq!(elector.deadline(at(10.0).mono), Mono::NEVER);
}

#[test]
fn a_record_is_taken_once_it_did_not_change_for_its_whole_time() {
    let mut elector = elector("b");
    elector.step(Event::Tick, at(0.0));
    let found = |version: &str| Event::Read(Some((record("a"), self::version(version))));
    assert_eq!(elector.step(found("7"), at(0.1)), Action::Nothing);
    // It changes, if only in its version: the wait begins anew.
    let (_, action) = next(&mut elector, 4.0);
    assert_eq!(action, Action::Read);
    assert_eq!(elector.step(found("8"), at(5.0)), Action::Nothing);
    let mut now = 5.0;
    loop {
        let (when, action) = next(&mut elector, now);
        assert_eq!(action, Action::Read);
        now = when;
        match elector.step(found("8"), at(now)) {
            Action::Nothing => assert!(now < 20.0, "{now}"),
            Action::Update(record, seen) => {
                assert!(now >= 20.0, "{now}");
                assert_eq!((&*record.holder, &*seen, record.transitions), ("b", "8", 4));
                assert_eq!(record.acquired, at(now).wall);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_longer_time_in_the_record_is_waited_for() {
    let mut elector = elector("b");
    elector.step(Event::Tick, at(0.0));
    let found = || {
        let record = Record {
            duration: 60 * S,
            ..record("a")
        };
        Event::Read(Some((record, version("7"))))
    };
    elector.step(found(), at(0.0));
    let mut now = 0.0;
    loop {
        now = next(&mut elector, now).0;
        if elector.step(found(), at(now)) != Action::Nothing {
            break;
        }
    }
    assert!((60.0..66.0).contains(&now), "{now}");
}

#[test]
fn a_released_record_is_taken_at_once() {
    let mut elector = elector("b");
    elector.step(Event::Tick, at(0.0));
    let released = Record {
        duration: S,
        ..record("")
    };
    let action = elector.step(Event::Read(Some((released, version("7")))), at(0.1));
    let Action::Update(record, _) = action else {
        panic!("{action:?}");
    };
    assert_eq!((&*record.holder, record.duration), ("b", 15 * S));
}

#[test]
fn a_holder_that_is_contradicted_looks_at_once() {
    let mut elector = holder("a");
    next(&mut elector, 0.1);
    assert_eq!(elector.step(Event::Conflict, at(2.1)), Action::Read);
    // Somebody annotated it: it is still ours.
    let found = Event::Read(Some((record("a"), version("5"))));
    assert!(matches!(elector.step(found, at(2.2)), Action::Update(_, seen) if &*seen == "5"));
    assert!(elector.holds(at(2.2).mono));
    assert_eq!(
        elector.step(Event::Conflict, at(2.3)),
        Action::Nothing,
        "no busy loop"
    );
    assert_eq!(next(&mut elector, 2.3).1, Action::Read);
    // Somebody took it: no rule allows that, but so it is.
    let found = Event::Read(Some((record("b"), version("6"))));
    assert_eq!(elector.step(found, at(4.4)), Action::Nothing);
    assert!(!elector.holds(at(4.4).mono));
}

#[test]
fn a_write_without_an_answer_is_looked_at_before_the_next_one() {
    let mut elector = holder("a");
    next(&mut elector, 0.1);
    assert_eq!(elector.step(Event::Failed, at(5.0)), Action::Nothing);
    let (when, action) = next(&mut elector, 5.0);
    assert_eq!(
        (when, action),
        (5.0, Action::Read),
        "the period is over already"
    );
    assert!(elector.holds(at(5.0).mono));
}

#[test]
fn the_loser_of_a_race_waits() {
    let mut elector = elector("b");
    elector.step(Event::Tick, at(0.0));
    assert!(matches!(
        elector.step(Event::Read(None), at(0.1)),
        Action::Create(_)
    ));
    assert_eq!(elector.step(Event::Conflict, at(0.2)), Action::Nothing);
    let (when, action) = next(&mut elector, 0.2);
    assert!((2.2..=4.7).contains(&when), "{when}");
    assert_eq!(action, Action::Read);
}

#[test]
fn giving_up_writes_nobody() {
    let mut elector = holder("a");
    let action = elector.step(Event::Release, at(1.0));
    let Action::Update(record, seen) = action else {
        panic!("{action:?}");
    };
    assert_eq!((&*record.holder, record.duration, &*seen), ("", S, "1"));
    assert!(!elector.holds(at(1.0).mono), "from the first instant");
    assert!(!elector.is_over());
    elector.step(Event::Written(version("2")), at(1.1));
    assert!(elector.is_over());
    assert_eq!(elector.deadline(at(1.1).mono), Mono::NEVER);
    assert_eq!(elector.step(Event::Tick, at(60.0)), Action::Nothing);
}

#[test]
fn giving_up_waits_for_a_write_on_its_way() {
    let mut renewing = holder("a");
    next(&mut renewing, 0.1);
    assert_eq!(renewing.step(Event::Release, at(2.1)), Action::Nothing);
    assert!(!renewing.holds(at(2.1).mono));
    let mut unknown = renewing.clone();
    let action = renewing.step(Event::Written(version("2")), at(2.2));
    assert!(matches!(action, Action::Update(record, _) if record.holder.is_empty()));

    // Without an answer it looks first, and gives up what it finds to be its own.
    unknown.step(Event::Failed, at(3.0));
    assert_eq!(next(&mut unknown, 3.0).1, Action::Read);
    let mut taken = unknown.clone();
    let found = Event::Read(Some((record("a"), version("2"))));
    let action = unknown.step(found, at(4.1));
    assert!(matches!(action, Action::Update(record, _) if record.holder.is_empty()));
    let found = Event::Read(Some((record("b"), version("2"))));
    assert_eq!(taken.step(found, at(4.1)), Action::Nothing);
    assert!(taken.is_over());
}

#[test]
fn who_never_held_has_nothing_to_give_up() {
    let mut fresh = elector("b");
    assert_eq!(fresh.step(Event::Release, at(0.0)), Action::Nothing);
    assert!(fresh.is_over());

    let mut waiting = elector("b");
    waiting.step(Event::Tick, at(0.0));
    waiting.step(Event::Read(Some((record("a"), version("2")))), at(0.1));
    assert_eq!(waiting.step(Event::Release, at(1.0)), Action::Nothing);
    assert!(waiting.is_over());
}

#[test]
fn a_taking_whose_answer_got_lost_is_given_up_too() {
    let mut elector = elector("b");
    elector.step(Event::Tick, at(0.0));
    elector.step(Event::Read(None), at(0.1));
    elector.step(Event::Failed, at(4.0));
    assert_eq!(elector.step(Event::Release, at(4.1)), Action::Read);
    let found = Event::Read(Some((record("b"), version("1"))));
    let action = elector.step(found, at(4.2));
    assert!(matches!(action, Action::Update(record, _) if record.holder.is_empty()));
}

#[test]
fn each_write_changes_something() {
    let mut elector = holder("a");
    let mut now = at(2.0);
    now.wall = at(0.0).wall;
    let action = elector.step(Event::Tick, now);
    assert!(
        matches!(&action, Action::Update(record, _) if record.renewed > at(0.0).wall),
        "{action:?}: a wall clock that was set back to the last renewal"
    );
}

#[test]
fn a_deleted_record_is_not_a_released_one() {
    // Its holder makes it anew.
    let mut elector = holder("a");
    next(&mut elector, 0.1);
    assert_eq!(elector.step(Event::Conflict, at(2.1)), Action::Read);
    assert!(matches!(
        elector.step(Event::Read(None), at(2.2)),
        Action::Create(_)
    ));
    // Others wait as if it were there.
    let mut other = self::elector("b");
    other.step(Event::Tick, at(0.0));
    other.step(Event::Read(Some((record("a"), version("1")))), at(0.1));
    let mut now = 0.1;
    loop {
        now = next(&mut other, now).0;
        match other.step(Event::Read(None), at(now)) {
            Action::Create(_) => break,
            action => assert_eq!(action, Action::Nothing),
        }
    }
    assert!((15.1..20.0).contains(&now), "{now}");
}

#[test]
fn about_eight_pods_are_candidates() {
    let uids: Vec<String> = (0..5000u32)
        .map(|n| {
            format!(
                "{:08x}-5b1c-4f6e-9d2a-{:012x}",
                n.wrapping_mul(2_654_435_761),
                n
            )
        })
        .collect();
    for pods in [9, 20, 100, 1000, 5000] {
        let counted = uids[..pods as usize]
            .iter()
            .filter(|uid| is_candidate(uid, pods, Duration::ZERO))
            .count();
        assert!((2..=20).contains(&counted), "{counted} of {pods}");
    }
    for pods in 0..=8 {
        assert!(
            uids[..20]
                .iter()
                .all(|uid| is_candidate(uid, pods, Duration::ZERO))
        );
    }
    assert!(uids.iter().all(|uid| is_candidate(uid, 5000, 300 * S)));
    assert!(!uids.iter().all(|uid| is_candidate(uid, 5000, 299 * S)));
}

/// A uid that is no candidate among so many.
fn bystander(pods: u32) -> Arc<str> {
    (0..1000)
        .map(|n| format!("pod-{n}"))
        .find(|uid| !is_candidate(uid, pods, Duration::ZERO))
        .unwrap()
        .into()
}

#[test]
fn a_bystander_looks_rarely_and_takes_what_is_abandoned() {
    let mut elector = elector(&bystander(5000));
    let found = || {
        let record = Record {
            pods: Some(5000),
            ..record("a")
        };
        Event::Read(Some((record, version("1"))))
    };
    elector.step(Event::Tick, at(0.0));
    elector.step(found(), at(0.0));
    let (mut now, mut looks) = (0.0, 0);
    loop {
        now = next(&mut elector, now).0;
        looks += 1;
        match elector.step(found(), at(now)) {
            Action::Update(record, _) => {
                assert_eq!(record.pods, Some(5000));
                break;
            }
            action => assert_eq!(action, Action::Nothing),
        }
    }
    assert!((300.0..480.0).contains(&now), "{now}");
    assert!((2..=9).contains(&looks), "{looks}");
}

#[test]
fn a_read_that_is_told_of_a_conflict_is_no_storm() {
    let mut elector = elector("b");
    assert_eq!(elector.step(Event::Tick, at(0.0)), Action::Read);
    assert_eq!(elector.step(Event::Conflict, at(0.1)), Action::Nothing);
    let (when, action) = next(&mut elector, 0.1);
    assert!(when > 2.0, "{when}");
    assert_eq!(action, Action::Read);
}

#[test]
fn who_is_not_allowed_looks_rarely() {
    let mut elector = elector("b");
    elector.step(Event::Tick, at(0.0));
    elector.step(Event::Denied, at(0.1));
    let (when, action) = next(&mut elector, 0.1);
    assert!((15.0..46.0).contains(&when), "{when}");
    assert_eq!(action, Action::Read);
    // Who may read and not write neither.
    assert!(matches!(
        elector.step(Event::Read(None), at(when)),
        Action::Create(_)
    ));
    elector.step(Event::Denied, at(when));
    assert!(next(&mut elector, when).0 > when + 14.0);
    // A holder has something to lose.
    let mut holder = holder("a");
    assert!(matches!(next(&mut holder, 0.2).1, Action::Update(..)));
    holder.step(Event::Denied, at(2.3));
    let (when, action) = next(&mut holder, 2.3);
    assert!(when < 5.0 && matches!(action, Action::Update(..)), "{when}");
    // What cannot be given up ends by itself.
    assert!(matches!(
        holder.step(Event::Release, at(when)),
        Action::Nothing
    ));
    holder.step(Event::Denied, at(when + 0.1));
    assert!(holder.is_over());
}

#[test]
fn an_unready_pod_does_not_ask_but_keeps_what_it_has() {
    let mut elector = elector("b");
    elector.step(Event::Ready(false), at(0.0));
    elector.step(Event::Tick, at(0.0));
    assert_eq!(elector.step(Event::Read(None), at(0.1)), Action::Nothing);
    // Ready: it looks in a candidate's rhythm.
    elector.step(Event::Ready(true), at(1.0));
    let (when, action) = next(&mut elector, 1.0);
    assert!(when < 6.0, "{when}");
    assert_eq!(action, Action::Read);
    assert!(matches!(
        elector.step(Event::Read(None), at(when)),
        Action::Create(_)
    ));

    let mut elector = holder("a");
    elector.step(Event::Ready(false), at(0.2));
    assert!(elector.holds(at(0.2).mono));
    assert!(matches!(next(&mut elector, 0.2).1, Action::Update(..)));
}

#[test]
fn where_nobody_is_ready_an_unready_pod_takes_what_nobody_holds_after_half_a_minute() {
    let mut elector = elector("b");
    elector.step(Event::Ready(false), at(0.0));
    elector.step(Event::Tick, at(0.0));
    assert_eq!(elector.step(Event::Read(None), at(0.1)), Action::Nothing);
    let (when, action) = next(&mut elector, 0.1);
    assert!((30.0..36.0).contains(&when), "{when}");
    assert_eq!(action, Action::Read);
    assert!(matches!(
        elector.step(Event::Read(None), at(when)),
        Action::Create(_)
    ));
}

#[test]
fn the_holder_tells_how_many_pods_there_are() {
    let mut elector = holder("a");
    elector.step(Event::Pods(40), at(0.5));
    let (_, action) = next(&mut elector, 0.5);
    assert!(matches!(action, Action::Update(record, _) if record.pods == Some(40)));
}
