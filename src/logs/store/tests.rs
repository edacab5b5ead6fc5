use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn label(name: &str) -> Arc<Label> {
    Arc::new(Label {
        process: Arc::from(name),
        instance: Arc::from(name),
    })
}

fn rule(on_backpressure: Backpressure) -> LogRule {
    LogRule {
        format: LogFormat::Raw,
        max_line_bytes: 1000,
        on_backpressure,
        labels: Vec::new(),
    }
}

fn store() -> Store {
    Store::new(LogFormat::Json, false)
}

fn read(store: &mut Store, id: SourceId, text: &str) {
    let read = store.next_read();
    store.append(id, read, Wall(0), Part::Whole, text.as_bytes());
    store.settle(id);
}

fn written(store: &mut Store) -> String {
    let mut out = Vec::new();
    while store.has_backlog() {
        let limit = out.len() + 4096;
        store.write(&mut out, limit);
    }
    String::from_utf8(out).unwrap()
}

/// The sum of `"dropped":N` in `text`.
fn told(text: &str) -> u64 {
    let after = text.split("\"dropped\":").skip(1);
    after
        .map(|rest| rest.split('}').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[test]
fn lines_are_written_in_the_order_of_the_reads() {
    let mut store = store();
    let [a, a_err] = store.open(&label("a"), &rule(Backpressure::Block));
    let [b, _] = store.open(&label("b"), &rule(Backpressure::Block));
    for (id, text) in [
        (a, "1\n"),
        (b, "2\n"),
        (a_err, "3\n"),
        (b, "4\n"),
        (a, "5\n6\n"),
    ] {
        read(&mut store, id, text);
    }
    assert_eq!(written(&mut store), "1\n2\n3\n4\n5\n6\n");
    assert_eq!(store.last_lines(&label("a"), 100), ["1", "3", "5", "6"]);
    assert_eq!(store.last_lines(&label("c"), 100), [""; 0]);
}

#[test]
fn both_streams_of_an_instance_have_its_colour() {
    let mut store = Store::new(LogFormat::Text, true);
    let text = LogRule {
        format: LogFormat::Text,
        ..rule(Backpressure::Block)
    };
    for name in ["a", "b", "c"] {
        let ids = store.open(&label(name), &text);
        for id in ids {
            read(&mut store, id, "x\n");
        }
        // As they are from the first line on, and after a change.
        store.relog(&label(name), &text);
        for id in ids {
            read(&mut store, id, "x\n");
        }
    }
    let out = written(&mut store);
    let colours: Vec<&str> = out.lines().map(|line| &line[..5]).collect();
    for (at, of_one) in colours.chunks(4).enumerate() {
        assert!(of_one.iter().all(|it| *it == of_one[0]), "{colours:?}");
        assert!(at == 0 || of_one[0] != colours[at * 4 - 1], "{colours:?}");
    }
}

#[test]
fn a_blocked_source_is_full_and_loses_nothing() {
    let mut store = store();
    let [id, _] = store.open(&label("a"), &rule(Backpressure::Block));
    let line = format!("{}\n", "x".repeat(99));
    let mut lines = 0;
    while store.may_read(id, false) {
        read(&mut store, id, &line.repeat(100));
        lines += 100;
    }
    assert!((RING / 2..3 * RING).contains(&(lines * 100)), "{lines}");
    assert!(store.may_read(id, true));
    assert_eq!(written(&mut store).lines().count(), lines);
    assert_eq!(store.counts.dropped, 0);
    assert!(store.may_read(id, false));
    assert!(store.size <= RING);
}

#[test]
fn a_lossy_source_is_always_read_and_counts() {
    let mut store = store();
    let [id, _] = store.open(&label("a"), &rule(Backpressure::DropOldest));
    for n in 0..100_000 {
        assert!(store.may_read(id, false));
        read(&mut store, id, &format!("{n:0>20}\n"));
        assert!(store.size <= RING + 32 * 1024);
    }
    let start = Instant::now();
    store.tell_losses(start, Wall(0), false);
    assert!(!store.has_losses());
    let out = written(&mut store);
    assert!(out.starts_with("{\"time\""), "the loss is told of first");
    let kept = out.lines().count() - 1;
    assert_eq!(kept as u64 + told(&out), 100_000);
    assert_eq!(told(&out), store.counts.dropped);
    assert!(out.ends_with("99999\n"));
}

#[test]
fn losses_are_told_of_once_a_second() {
    let mut store = store();
    let [id, _] = store.open(&label("a"), &rule(Backpressure::DropOldest));
    let start = Instant::now();
    let tell = |store: &mut Store, millis: u64, last: bool| {
        let now = start + std::time::Duration::from_millis(millis);
        store.tell_losses(now, Wall(0), last);
        told(&written(store))
    };
    store.lose(id, 3);
    assert_eq!(store.tell_at(), None);
    assert_eq!(tell(&mut store, 0, false), 3);
    store.lose(id, 4);
    assert_eq!(tell(&mut store, 999, false), 0);
    assert_eq!(
        store.tell_at(),
        Some(start + std::time::Duration::from_secs(1))
    );
    store.lose(id, 1);
    assert_eq!(tell(&mut store, 1000, false), 5);
    store.lose(id, 2);
    assert_eq!(tell(&mut store, 1001, true), 2);
    assert!(!store.has_losses());
}

#[test]
fn memory_is_bounded_over_all_sources() {
    for policy in [Backpressure::Block, Backpressure::DropOldest] {
        let mut store = store();
        let mut produced = 0_usize;
        let ids: Vec<[SourceId; 2]> = (0..1000)
            .map(|n| store.open(&label(&n.to_string()), &rule(policy)))
            .collect();
        for _ in 0..3 {
            for id in ids.iter().flatten() {
                if store.may_read(*id, true) {
                    read(&mut store, *id, &"x\n".repeat(8192));
                    produced += 8192;
                }
                assert!(store.size <= TOTAL + RING, "{}", store.size);
            }
        }
        let dropped = store.counts.dropped as usize;
        assert_eq!(written(&mut store).lines().count() + dropped, produced);
    }
}

#[test]
fn a_quiet_instance_keeps_what_it_said() {
    let mut store = store();
    let quiet = label("quiet");
    let [id, _] = store.open(&quiet, &rule(Backpressure::Block));
    read(&mut store, id, "last words\n");
    store.close(id);
    for n in 0..300 {
        let [id, _] = store.open(&label(&format!("loud-{n}")), &rule(Backpressure::Block));
        for _ in 0..20 {
            read(&mut store, id, &"loud\n".repeat(1000));
            written(&mut store);
        }
    }
    assert!(store.size <= TOTAL);
    assert_eq!(store.last_lines(&quiet, 100), ["last words"]);
}

#[test]
fn sources_are_forgotten_beyond_a_bound() {
    let mut store = store();
    for n in 0..3000 {
        let ids = store.open(&label(&format!("hook-{n}")), &rule(Backpressure::Block));
        read(&mut store, ids[0], "x\n");
        written(&mut store);
        for id in ids {
            store.close(id);
        }
    }
    assert!(store.sources.len() <= SOURCES + 2);
    assert_eq!(store.by_label.len(), store.sources.len() / 2);
    assert_eq!(store.last_lines(&label("hook-0"), 10), [""; 0]);
    assert_eq!(store.last_lines(&label("hook-2999"), 10), ["x"]);
}

#[test]
fn giving_up_counts_what_was_left() {
    let mut store = store();
    let [id, _] = store.open(&label("a"), &rule(Backpressure::Block));
    read(&mut store, id, "a\nb\nc\n");
    let mut out = Vec::new();
    store.write(&mut out, 1);
    assert_eq!(out, b"a\n");
    assert_eq!(store.abandon(), 2);
    assert!(!store.has_backlog());
}

proptest! {
    #[test]
    fn what_is_produced_is_written_or_counted(ops in prop::collection::vec((0_usize..6, 0_u8..4, 1_usize..150), 1..60)) {
        let mut store = store();
        let mut ids = Vec::new();
        for n in 0..3 {
            let policy = if n == 0 { Backpressure::Block } else { Backpressure::DropOldest };
            ids.extend(store.open(&label(&n.to_string()), &rule(policy)));
        }
        let mut produced = HashMap::<usize, u64>::new();
        let mut out = Vec::new();
        for (source, op, size) in ops {
            if op == 0 {
                let limit = out.len() + size * 200;
                store.write(&mut out, limit);
                continue;
            }
            if store.may_read(ids[source], false) {
                let next = produced.entry(source).or_default();
                let text: Vec<String> = (0..size).map(|_| { *next += 1; format!("{source} {next:0>200}\n") }).collect();
                read(&mut store, ids[source], &text.concat());
            }
        }
        let now = Instant::now();
        store.tell_losses(now, Wall(0), true);
        out.extend_from_slice(written(&mut store).as_bytes());
        let text = String::from_utf8(out).unwrap();
        let mut last = HashMap::<usize, u64>::new();
        let mut count = 0;
        for line in text.lines().filter(|line| !line.starts_with('{')) {
            let (source, number) = line.split_once(' ').unwrap();
            let (source, number) = (source.parse().unwrap(), number.parse().unwrap());
            let before = last.insert(source, number);
            prop_assert!(before < Some(number));
            count += 1;
        }
        prop_assert_eq!(count + told(&text), produced.values().sum::<u64>());
        prop_assert_eq!(store.counts.dropped, told(&text));
        let sum: usize = store.sources.iter().map(|s| s.ring.size()).sum();
        prop_assert_eq!(store.size, sum);
        prop_assert_eq!(store.backlog, 0);
    }
}
