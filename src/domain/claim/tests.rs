use std::sync::Arc;
use std::time::Duration;

use super::{
    Claim, Config, Event, News, REMEMBERED, Refusal, RunKey, TIMING, lease_name, remember,
    set_lease_name,
};
use crate::domain::election::{self, Action, Record, Version};
use crate::domain::time::{Mono, Now, Wall};

mod simulation;

fn at(seconds: f64) -> Now {
    Now {
        mono: Mono::ZERO + Duration::from_secs_f64(1000.0 + seconds),
        wall: Wall(0),
    }
}

fn claim(name: &str) -> Claim {
    let config = Config {
        identity: name.into(),
        timing: TIMING,
        key: RunKey::given("v7"),
        patience: Some(Duration::from_secs(600)),
        seed: 3,
    };
    Claim::new(config, at(0.0))
}

fn read(record: Record) -> Event {
    let version = Version::from("5");
    Event::Answer(election::Event::Read(Some((record, version))))
}

fn written() -> Event {
    Event::Answer(election::Event::Written(Version::from("6")))
}

fn held_by(holder: &str, succeeded: &[&RunKey]) -> Record {
    Record {
        holder: holder.into(),
        duration: TIMING.lease,
        succeeded: succeeded.iter().map(|key| key.id.clone()).collect(),
        ..Record::default()
    }
}

/// One that was granted its run: asked at 0, answered at 0.2.
fn granted(name: &str) -> Claim {
    let mut claim = claim(name);
    assert_eq!(claim.step(Event::Tick, at(0.0)), (Action::Read, None));
    let old = RunKey::given("v6");
    let (action, news) = claim.step(read(held_by("", &[&old])), at(0.1));
    let Action::Update(record, _) = action else {
        panic!("{action:?}");
    };
    assert_eq!(news, None, "not before it is written");
    assert_eq!((&*record.holder, record.key.as_deref()), (name, Some("v7")));
    assert_eq!(record.succeeded, [old.id]);
    let (_, news) = claim.step(written(), at(0.2));
    let Some(News::Granted(term)) = news else {
        panic!("{news:?}");
    };
    assert_eq!(
        (term.stop_at, term.kill_at),
        (at(90.1).mono, at(100.1).mono)
    );
    claim
}

#[test]
fn a_success_is_written_with_the_release() {
    let mut claim = granted("a");
    let (action, news) = claim.step(Event::Ended { success: true }, at(4.0));
    let Action::Update(record, version) = action else {
        panic!("{action:?}");
    };
    assert_eq!((&*record.holder, &*version, news), ("", "6", None));
    let both = [RunKey::given("v6").id, RunKey::given("v7").id];
    assert_eq!(record.succeeded, both);
    let (_, news) = claim.step(written(), at(4.1));
    assert_eq!(news, Some(News::Recorded));
    assert!(claim.is_over());
    assert_eq!(claim.deadline(at(4.1).mono), Mono::NEVER);
}

#[test]
fn a_failure_frees_it_for_the_next_one() {
    let mut claim = granted("a");
    let (action, _) = claim.step(Event::Ended { success: false }, at(4.0));
    let Action::Update(record, _) = action else {
        panic!("{action:?}");
    };
    assert_eq!((&*record.holder, record.succeeded.len()), ("", 1));
    assert_eq!(claim.step(written(), at(4.1)).1, Some(News::Recorded));
}

#[test]
fn what_has_succeeded_is_not_run() {
    let mut claim = claim("b");
    claim.step(Event::Tick, at(0.0));
    let record = held_by("", &[&RunKey::given("v7"), &RunKey::given("v8")]);
    let (action, news) = claim.step(read(record), at(0.1));
    assert_eq!((action, news), (Action::Nothing, Some(News::Done)));
    assert!(claim.is_over());
}

#[test]
fn who_waits_sees_the_success_of_another_one() {
    let mut claim = claim("b");
    claim.step(Event::Tick, at(0.0));
    let (action, news) = claim.step(read(held_by("a", &[])), at(0.1));
    assert_eq!((action, news), (Action::Nothing, None));
    assert_eq!(claim.holder().as_deref(), Some("a"));
    let due = claim.deadline(at(0.1).mono);
    assert!((at(1.0).mono..at(2.4).mono).contains(&due), "soon at first");
    assert_eq!(claim.step(Event::Tick, at(3.0)).0, Action::Read);
    let record = held_by("", &[&RunKey::given("v7")]);
    assert_eq!(claim.step(read(record), at(3.1)).1, Some(News::Done));
}

#[test]
fn patience_ends() {
    let mut claim = claim("b");
    let mut now = 0.0;
    let mut looks = 0;
    loop {
        let due = claim.deadline(at(now).mono);
        now = (due.since(Mono::ZERO).as_secs_f64() - 1000.0).max(now);
        let (action, news) = claim.step(Event::Tick, at(now));
        if let Some(news) = news {
            let holder = Some("a".into());
            assert_eq!(news, News::Refused(Refusal::TooLong { holder }));
            break;
        }
        if action == Action::Read {
            looks += 1;
            // Renewed all the time.
            let answer =
                election::Event::Read(Some((held_by("a", &[]), Version::from(looks.to_string()))));
            assert_eq!(
                claim.step(Event::Answer(answer), at(now)).0,
                Action::Nothing
            );
        }
    }
    assert!((now - 600.0).abs() < 0.01, "{now}");
    assert!((14..40).contains(&looks), "{looks} looks");
    assert!(claim.is_over());
}

#[test]
fn a_run_that_is_not_renewed_is_lost_in_time() {
    let mut claim = granted("a");
    let (action, _) = claim.step(Event::Tick, at(5.1));
    assert!(matches!(action, Action::Update(..)));
    let (_, news) = claim.step(written(), at(5.3));
    let Some(News::Renewed(term)) = news else {
        panic!("{news:?}");
    };
    assert_eq!(term.stop_at, at(95.1).mono, "from its sending");
    let mut now = 5.3;
    let lost = loop {
        now = (claim.deadline(at(now).mono).since(Mono::ZERO).as_secs_f64() - 1000.0).max(now);
        let (action, news) = claim.step(Event::Tick, at(now));
        if news.is_some() {
            break news;
        }
        if action != Action::Nothing {
            let (_, news) = claim.step(Event::Answer(election::Event::Failed), at(now + 3.0));
            assert_eq!(news, None);
            now += 3.0;
        }
    };
    assert_eq!(
        (lost, (now - 95.1).abs() < 0.01),
        (Some(News::Lost), true),
        "{now}"
    );
    // It ends well all the same, and nobody has claimed it: that is still a success.
    let (_, news) = claim.step(Event::Ended { success: true }, at(97.0));
    assert_eq!(news, None);
    claim.step(Event::Answer(election::Event::Failed), at(98.0));
    while claim.step(Event::Tick, at(now)).0 != Action::Read {
        now += 1.0;
    }
    let (action, _) = claim.step(read(held_by("a", &[])), at(now));
    assert!(matches!(action, Action::Update(record, _) if record.succeeded.len() == 1));
    assert_eq!(claim.step(written(), at(now)).1, Some(News::Recorded));
}

#[test]
fn a_success_that_another_one_came_before_is_not_written() {
    let mut claim = granted("a");
    claim.step(Event::Ended { success: true }, at(300.0));
    assert_eq!(
        claim
            .step(Event::Answer(election::Event::Conflict), at(300.1))
            .0,
        Action::Read
    );
    let (action, news) = claim.step(read(held_by("b", &[])), at(300.2));
    assert_eq!((action, news), (Action::Nothing, Some(News::Unrecorded)));
    assert!(claim.is_over());
}

#[test]
fn what_somebody_else_took_is_lost_and_not_taken_back() {
    let mut claim = granted("a");
    claim.step(Event::Tick, at(5.1));
    claim.step(Event::Answer(election::Event::Conflict), at(5.2));
    let (action, news) = claim.step(read(held_by("b", &[])), at(5.3));
    assert_eq!((action, news), (Action::Nothing, Some(News::Lost)));
    assert_eq!(claim.deadline(at(5.3).mono), Mono::NEVER);
    let (action, news) = claim.step(Event::Ended { success: false }, at(6.0));
    assert_eq!((action, news), (Action::Nothing, Some(News::Recorded)));
}

#[test]
fn without_the_right_to_it_is_refused_after_a_moment() {
    let mut claim = claim("b");
    let mut now = 0.0;
    loop {
        now = (claim.deadline(at(now).mono).since(Mono::ZERO).as_secs_f64() - 1000.0).max(now);
        assert_eq!(claim.step(Event::Tick, at(now)).0, Action::Read);
        let (_, news) = claim.step(Event::Denied("leases: no".to_owned()), at(now));
        match news {
            None => assert!(now < 10.0),
            Some(news) => {
                let why = Refusal::Denied("leases: no".to_owned());
                assert_eq!(news, News::Refused(why));
                break;
            }
        }
    }
    assert!((10.0..15.0).contains(&now), "{now}");
}

#[test]
fn without_the_right_to_write_it_is_refused_too() {
    let mut claim = claim("b");
    let mut now = 0.0;
    let news = loop {
        now = (claim.deadline(at(now).mono).since(Mono::ZERO).as_secs_f64() - 1000.0).max(now);
        assert_eq!(claim.step(Event::Tick, at(now)).0, Action::Read);
        let nobody = Event::Answer(election::Event::Read(None));
        assert!(matches!(claim.step(nobody, at(now)).0, Action::Create(_)));
        let (_, news) = claim.step(Event::Denied("no".to_owned()), at(now));
        if news.is_some() {
            break news;
        }
    };
    assert_eq!(news, Some(News::Refused(Refusal::Denied("no".to_owned()))));
    assert!((10.0..15.0).contains(&now), "{now}");
}

#[test]
fn it_can_be_withdrawn() {
    let mut claim = claim("b");
    claim.step(Event::Tick, at(0.0));
    assert_eq!(
        claim.step(Event::Withdraw, at(0.1)),
        (Action::Nothing, None)
    );
    let (action, news) = claim.step(read(held_by("", &[])), at(0.2));
    assert_eq!((action, news), (Action::Nothing, None), "not taken");
    assert!(claim.is_over());
}

/// The stop that came while it was being granted: nothing runs, so another pod need not wait until the Lease is over.
#[test]
fn it_can_be_withdrawn_when_it_was_granted_just_now() {
    let mut claim = claim("b");
    claim.step(Event::Tick, at(0.0));
    claim.step(read(held_by("", &[])), at(0.1));
    let granted = claim.step(written(), at(0.2)).1;
    assert!(matches!(granted, Some(News::Granted(_))));
    let (action, news) = claim.step(Event::Withdraw, at(0.3));
    assert!(matches!(action, Action::Update(..)), "given up: {action:?}");
    assert_eq!(news, None);
    claim.step(written(), at(0.4));
    assert!(claim.is_over());
}

#[test]
fn a_restarted_container_goes_on_with_its_own_claim() {
    let mut claim = claim("a");
    claim.step(Event::Tick, at(0.0));
    let (action, _) = claim.step(read(held_by("a", &[])), at(0.1));
    assert!(matches!(action, Action::Update(..)));
    assert!(matches!(
        claim.step(written(), at(0.2)).1,
        Some(News::Granted(_))
    ));
}

#[test]
fn keys_differ_by_what_is_run() {
    let command = ["php", "artisan", "migrate"];
    let env = [("A", "1")];
    let key = RunKey::of(command, env, Some("r1"));
    assert_eq!(key, RunKey::of(command, env, Some("r1")));
    assert_eq!(&*key.id, "740ecf6713dc35c1e71979c9f8114fd7");
    let others = [
        RunKey::of(["php", "artisan migrate"], env, Some("r1")),
        RunKey::of(command, [("A", "2")], Some("r1")),
        RunKey::of(command, [("A1", "")], Some("r1")),
        RunKey::of(command, [], Some("r1")),
        RunKey::of(["php", "artisan", "migrate", "A", "1"], [], Some("r1")),
        RunKey::of(command, env, Some("r2")),
        RunKey::of(command, env, None),
        RunKey::given("r1"),
    ];
    for other in others {
        assert_ne!(other.id, key.id);
        assert_eq!(other.id.len(), 32);
    }
    assert_eq!(&*RunKey::given("2024-05-01").shown, "2024-05-01");
}

#[test]
fn the_newest_successes_are_remembered() {
    let mut list = Vec::new();
    let key = |n: usize| -> Arc<str> { n.to_string().into() };
    for n in 0..REMEMBERED + 3 {
        remember(&mut list, &key(n));
    }
    remember(&mut list, &key(5));
    assert_eq!(list.len(), REMEMBERED);
    assert_eq!((&list[0], list.last()), (&key(3), Some(&key(5))));
}

#[test]
fn names_of_leases_are_labels_and_never_the_same() {
    assert_eq!(lease_name("shop", "migrate"), "shop-migrate-44f2f7eb");
    assert_ne!(lease_name("a", "b-c"), lease_name("a-b", "c"));
    assert_eq!(set_lease_name("shop"), "shop-podinit");
    let long = "a-set-of-a-very-long-name.with-a-dot-somewhere-in-the-middle-of-it-and-more";
    let names = [
        lease_name(long, "migrate"),
        lease_name(long, "seed"),
        lease_name(&"a-".repeat(26), &"b".repeat(63)),
        set_lease_name(long),
        set_lease_name(&format!("{long}x")),
    ];
    for (at, name) in names.iter().enumerate() {
        assert!(name.len() <= 63, "{name}");
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
        assert!(!name.starts_with('-') && !name.ends_with('-'));
        assert!(!names[..at].contains(name), "{name}");
    }
}

#[test]
fn the_documented_role_has_the_name_of_the_lease() {
    let role = include_str!("../../../examples/rbac.yaml");
    let name = lease_name("shop", "migrate");
    assert!(role.contains(&format!("resourceNames: [{name}]")), "{name}");
}
