//! What becomes of a line.

use crate::bare::STUB;
use crate::support::{As, Finished, Start};

/// Runs one process, `p`, to its end; `more` is the rest of its entry.
fn run(command: &str, more: &str) -> Finished {
    let finished = Start::spec(&format!(
        "  processes: [{{name: p, restartPolicy: Never, command: {command}{more}}}]"
    ))
    .run();
    assert_eq!(finished.code, 0, "{}", finished.story());
    finished
}

/// The messages of `p`, without podinit's own.
fn messages<'a>(finished: &'a Finished, stream: &str) -> Vec<&'a str> {
    finished
        .lines
        .iter()
        .filter(|line| line.get("stream") == stream && line.get("source").is_empty())
        .map(|line| line.get("message"))
        .collect()
}

#[test]
fn a_line_that_is_written_in_two_pieces_comes_out_whole_wherever_it_is_cut() {
    let text = "grüße an 世界 \\\" 0123456789";
    let finished = run(&format!("[{STUB}, --pieces, '{text}']"), "");
    let messages = messages(&finished, "stdout");
    assert_eq!(messages, vec![text; text.len() + 2], "{}", finished.story());
}

#[test]
fn ten_megabytes_without_a_newline_are_cut_marked_and_complete() {
    let finished = run(
        "[sh, -c, \"head -c 10000000 /dev/zero | tr '\\\\0' x\"]",
        "",
    );
    let pieces: Vec<_> = finished
        .lines
        .iter()
        .filter(|line| line.get("stream") == "stdout")
        .collect();
    let (last, others) = pieces.split_last().unwrap();
    assert!(others.iter().all(|piece| piece.json["partial"] == true));
    assert_eq!(last.json.get("partial"), None);
    let lengths = pieces.iter().map(|piece| piece.get("message").len());
    assert_eq!(lengths.clone().sum::<usize>(), 10_000_000);
    assert!(lengths.max().unwrap() <= 256 << 10);
    assert!(
        pieces
            .iter()
            .all(|p| p.get("message").bytes().all(|b| b == b'x'))
    );
}

#[test]
fn a_line_longer_than_max_line_bytes_is_cut_there_and_short_ones_are_not() {
    let finished = run(
        "[sh, -c, 'echo short; seq -s , 1000; echo short']",
        ", logging: {maxLineBytes: 1Ki}",
    );
    let messages = messages(&finished, "stdout");
    assert_eq!((messages[0], *messages.last().unwrap()), ("short", "short"));
    let long = messages[1..messages.len() - 1].concat();
    let want: Vec<String> = (1..=1000).map(|n| n.to_string()).collect();
    assert_eq!(long, want.join(","));
}

#[test]
fn nul_bytes_and_bad_utf_8_do_not_spoil_the_line() {
    let finished = run(
        "[printf, 'a\\0b\\377\\376c\\r\\n\\n\\033[1mbold\\n\\302']",
        "",
    );
    assert_eq!(
        messages(&finished, "stdout"),
        ["a\0b\u{fffd}\u{fffd}c", "", "\u{1b}[1mbold", "\u{fffd}"]
    );
}

#[test]
fn each_stream_keeps_its_order_and_its_name() {
    let finished = run("[sh, -c, 'seq 20000 & seq 20001 40000 >&2; wait']", "");
    let numbers = |from: u32, to: u32| (from..=to).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(messages(&finished, "stdout"), numbers(1, 20000));
    assert_eq!(messages(&finished, "stderr"), numbers(20001, 40000));
}

#[test]
fn a_child_s_own_json_is_merged_not_wrapped() {
    let finished = run(
        "[printf, '{\"level\":\"warning\",\"message\":\"slow\",\"context\":{\"ms\":7},\"time\":\"mine\"}\\n{broken\\n']",
        ", logging: {labels: {team: shop}}",
    );
    let line = &finished.lines[finished.position("merged", |line| line.get("message") == "slow")];
    assert_eq!(line.get("level"), "warning");
    assert_eq!(line.json["context"]["ms"], 7);
    assert_eq!(line.get("app.time"), "mine");
    assert_eq!((line.get("process"), line.get("instance")), ("p", "p-0"));
    assert_eq!((line.get("stream"), line.get("team")), ("stdout", "shop"));
    assert!(finished.has(|line| line.get("message") == "{broken"));
}

#[test]
fn every_line_of_json_is_json() {
    let finished = run(
        "[sh, -c, 'head -c 300000 /dev/urandom; printf \"\\n{\\\"a\\\":1,\\\"a\\\":2}\\n{}\\n[1]\\n\\\"\\n\"']",
        "",
    );
    assert!(finished.lines.len() > 100);
    for line in &finished.lines {
        assert!(line.json.is_object(), "{:?}", line.text);
    }
}

#[test]
fn text_is_one_aligned_line_each() {
    let finished = run(
        "[sh, -c, 'echo out; echo err >&2; printf unfinished']",
        ", logging: {format: Text}",
    );
    let has = |end: &str| {
        finished.has(|line| {
            let (time, rest) = line.text.split_at_checked(12).unwrap_or_default();
            time.matches([':', '.']).count() == 3 && rest == end
        })
    };
    for want in [" p-0     | out", " p-0     ! err", " p-0     | unfinished"] {
        assert!(has(want), "{want}\n{}", finished.story());
    }
}

#[test]
fn raw_is_the_child_s_own_bytes_in_whole_lines() {
    let finished = run(
        "[sh, -c, 'printf \"%s\\n\" \"{not json\" \"  spaces  \"; printf unfinished']",
        ", logging: {format: Raw}",
    );
    for want in ["{not json", "  spaces  ", "unfinished"] {
        assert!(
            finished.has(|line| line.text == want),
            "{}",
            finished.story()
        );
    }
}

#[test]
fn a_process_with_another_user_can_open_its_streams_by_name() {
    let script = "echo out > /dev/stdout; echo err > /dev/stderr; echo again >> /proc/self/fd/1";
    for mode in [As::Pid1, As::PlainChild] {
        let finished = Start::spec(&format!(
            "  processes: [{{name: p, restartPolicy: Never, command: [sh, -c, '{script}'], securityContext: {{runAsUser: 12345, runAsGroup: 12345}}}}]"
        ))
        .mode(mode)
        .run();
        assert_eq!(finished.code, 0, "{}", finished.story());
        assert_eq!(messages(&finished, "stdout"), ["out", "again"]);
        assert_eq!(messages(&finished, "stderr"), ["err"]);
    }
}
