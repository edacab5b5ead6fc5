use proptest::prelude::*;

use super::*;

fn append(ring: &mut Ring, seq: u64, text: &str) {
    ring.append(seq, Wall(0), Part::Whole, text.as_bytes());
}

fn write_all(ring: &mut Ring) -> String {
    let mut out = String::new();
    while let Some(lines) = ring.next() {
        let bytes = lines.bytes.len();
        out.push_str(std::str::from_utf8(lines.bytes).unwrap());
        assert!(ring.advance(bytes));
    }
    out
}

fn history(ring: &Ring) -> String {
    let mut all: Vec<String> = ring
        .newest()
        .map(|l| String::from_utf8_lossy(l.bytes).into_owned())
        .collect();
    all.reverse();
    all.concat()
}

#[test]
fn what_is_written_stays_as_history() {
    let mut ring = Ring::default();
    append(&mut ring, 1, "a\nb\n");
    append(&mut ring, 2, "c");
    assert_eq!(ring.backlog(), 6);
    assert_eq!(write_all(&mut ring), "a\nb\nc\n");
    assert_eq!(ring.backlog(), 0);
    append(&mut ring, 2, "d\n");
    assert_eq!(write_all(&mut ring), "d\n");
    assert_eq!(history(&ring), "a\nb\nc\nd\n");
}

#[test]
fn lines_are_written_in_parts_and_never_split() {
    let mut ring = Ring::default();
    let text: Vec<String> = (0..5000).map(|n| format!("line {n}\n")).collect();
    let text = text.concat();
    append(&mut ring, 1, &text);
    let mut out = String::new();
    while let Some(lines) = ring.next() {
        assert!(lines.bytes.ends_with(b"\n"));
        let line = lines.bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        out.push_str(std::str::from_utf8(&lines.bytes[..line]).unwrap());
        ring.advance(line);
    }
    assert_eq!(out, text);
}

#[test]
fn trimming_takes_history_only() {
    let mut ring = Ring::default();
    for n in 0..40 {
        append(&mut ring, n, &"x\n".repeat(4096));
    }
    let size = ring.size();
    ring.trim(65536);
    assert_eq!(ring.size(), size, "nothing was written yet");
    write_all(&mut ring);
    ring.trim(65536);
    assert!(ring.size() <= 65536);
    assert!(ring.size() > 32768);
}

#[test]
fn dropped_lines_are_counted() {
    let mut ring = Ring::default();
    for n in 0..100_u64 {
        append(&mut ring, n, &format!("{n:0>200}\n").repeat(30));
    }
    let first = ring.next().unwrap().bytes;
    let (bytes, lines) = (first.len(), first.len() / 201);
    ring.advance(bytes);
    let mut lost = 0;
    while ring.size() > 65536 {
        lost += ring.drop_front();
    }
    let left = write_all(&mut ring).lines().count();
    assert_eq!(lines + lost as usize + left, 3000);
}

#[test]
fn a_line_longer_than_the_ring_leaves_its_beginning() {
    let mut ring = Ring::default();
    append(&mut ring, 1, "before\n");
    append(&mut ring, 2, &"å".repeat(100_000));
    write_all(&mut ring);
    ring.trim(65536);
    assert!(ring.size() <= 16384);
    let left = history(&ring);
    assert_eq!(left, format!("{}\n", "å".repeat(STUB / 2)));
    append(&mut ring, 3, "after\n");
    assert_eq!(write_all(&mut ring), "after\n");
}

#[test]
fn short_batches_stay_within_the_limit() {
    let mut ring = Ring::default();
    for n in 0..100_000 {
        append(&mut ring, n, "x\n");
        write_all(&mut ring);
        ring.trim(65536);
        assert!(ring.size() <= 65536 + SEGMENT);
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_reordered(ops in prop::collection::vec((0_u8..4, 0_usize..3000), 1..200)) {
        let mut ring = Ring::default();
        let (mut written, mut produced, mut lost, mut n) = (Vec::new(), 0_usize, 0_u64, 0_u64);
        for (op, size) in ops {
            match op {
                0 | 1 => {
                    n += 1;
                    append(&mut ring, n, &format!("{produced:0>size$}\n"));
                    produced += 1;
                }
                2 => if let Some(lines) = ring.next() {
                    let take = memchr::memchr(b'\n', lines.bytes).unwrap() + 1;
                    written.push(std::str::from_utf8(&lines.bytes[..take - 1]).unwrap().parse::<usize>().unwrap());
                    ring.advance(take);
                }
                _ => {
                    ring.trim(4096);
                    if ring.size() > 32768 { lost += ring.drop_front(); }
                }
            }
            let sum: usize = ring.segments.iter().map(Segment::size).sum();
            prop_assert_eq!(ring.size(), sum);
        }
        for line in write_all(&mut ring).lines() { written.push(line.parse().unwrap()); }
        prop_assert!(written.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(written.len() + lost as usize, produced);
        prop_assert_eq!(ring.backlog(), 0);
    }
}
