//! `podinit check` on everything that can stand in the place of a spec: one clear error, within two seconds (of CPU time) and 100 MB.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests are at the edge"
)]

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

const BINARY: &str = env!("CARGO_BIN_EXE_podinit");
const HEAD: &str = "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\n";

/// Runs `podinit check FILE` with 100 MB of address space and two seconds of CPU time. The minute is for machines that are
/// busy with something else: only what blocks takes that long.
fn check(file: &Path, stdin: Stdio) -> Output {
    let child = Command::new("sh")
        .args([
            "-c",
            "ulimit -t 2 && ulimit -v 102400 && exec \"$0\" check \"$1\"",
            BINARY,
        ])
        .arg(file)
        .env_clear()
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = receive.recv_timeout(Duration::from_mins(1)) else {
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        panic!("{} does not end", file.display());
    };
    output.unwrap()
}

/// The file is refused with one problem that contains these words.
#[track_caller]
fn refused(file: &Path, words: &str) {
    let output = check(file, Stdio::null());
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(65),
        "{}: {text}{errors}",
        file.display()
    );
    assert_eq!(errors, "");
    assert!(text.contains(words), "expected {words:?} in: {text}");
    assert!(
        text.ends_with(": 1 error\n"),
        "expected one problem: {text}"
    );
    assert!(text.len() < 1000, "{} bytes of output", text.len());
}

#[test]
fn what_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("dir")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    File::create(at("sparse"))
        .unwrap()
        .set_len(50 << 20)
        .unwrap();
    fs::write(at("large"), "# a comment\n".repeat(50 << 20 >> 3)).unwrap();
    refused(&at("missing"), "no such file");
    refused(&at("dir"), "found a directory");
    refused(&at("pipe"), "found a named pipe");
    refused(&at("loop"), "failed to read it");
    refused(&at("sparse"), "more than 1048576 bytes");
    refused(&at("large"), "more than 1048576 bytes");
    refused(Path::new("/dev/zero"), "found a device");
    refused(Path::new("/dev/null"), "found a device");
}

#[test]
fn what_is_no_text() {
    let dir = tempfile::tempdir().unwrap();
    for (bytes, words) in [
        (b"".as_slice(), "the text is empty"),
        (b"\n# nothing\n---\n", "the text is empty"),
        (b"a: \0\n", "1:4: a NUL byte is not allowed"),
        (b"a: 1\nb: \xff\n", "invalid byte at offset 8 (line 2)"),
        (b"\xfe\xff\0a", "save it as UTF-8"),
        (b"\x7fELF\x02\x01\x01\0\0", "a NUL byte is not allowed"),
        (b"{\"a\": ", "not valid YAML"),
    ] {
        let file = dir.path().join("file");
        fs::write(&file, bytes).unwrap();
        refused(&file, words);
    }
}

#[test]
fn what_is_made_to_hurt() {
    let dir = tempfile::tempdir().unwrap();
    let laughs = (1..12).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, i| {
            let before = format!("*a{}", i - 1);
            text + &format!("a{i}: &a{i} [{}]\n", [before.as_str(); 10].join(", "))
        },
    );
    let merges = (1..12).fold("a0: &a0 {x0: 1}\n".to_owned(), |text, i| {
        let before = format!("*a{}", i - 1);
        text + &format!(
            "a{i}: &a{i} {{<<: [{}]}}\n",
            [before.as_str(); 20].join(", ")
        )
    });
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(900_000),
        "*a, ".repeat(200)
    );
    let flow = "[".repeat(500_000);
    let block = (0..1000)
        .map(|i| " ".repeat(i) + "a:\n")
        .collect::<String>();
    let dashes = "- ".repeat(500_000);
    let questions = "? ".repeat(500_000);
    for (text, words) in [
        (laughs, "that aliases repeat"),
        (merges, "the key `apiVersion` is missing"),
        (long, "repeat more than 1048576 bytes"),
        (flow, "nested deeper than 64 levels"),
        (block, "nested deeper than 64 levels"),
        (dashes, "nested deeper than 64 levels"),
        (questions, "nested deeper than 64 levels"),
        ("a: 1\n".repeat(200_000), "more than 100000 values"),
        ("- [a, b]\n".repeat(100_000), "more than 100000 values"),
        ("\"".repeat(1_000_001), "not valid YAML"),
        ("!!str ".repeat(170_000), "not valid YAML"),
        ("%TAG ! x\n".repeat(100_000), "not valid YAML"),
        (format!("{HEAD}---\n{HEAD}"), "a second document"),
        (
            format!("{HEAD}spec: &s {{processes: *s}}\n"),
            "an alias inside the anchor",
        ),
    ] {
        let file = dir.path().join("file");
        fs::write(&file, &text).unwrap();
        refused(&file, words);
    }
}

#[test]
fn the_number_of_problems_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let keys: Vec<String> = (0..20_000).map(|i| format!("  key{i}: {{x: y}}")).collect();
    for text in [
        format!("{HEAD}spec:\n{}\n", keys.join("\n")),
        format!("{HEAD}spec: {{}}\n{}", "x: 1\n".repeat(30_000)),
    ] {
        fs::write(&file, text).unwrap();
        let output = check(&file, Stdio::null());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(65));
        assert!(
            text.contains("there are more problems: mend these first"),
            "{text}"
        );
        assert!(text.len() < 50_000, "{}", text.len());
    }
}

#[test]
fn standard_input_may_be_a_pipe_but_not_endless() {
    let endless = check(Path::new("-"), File::open("/dev/zero").unwrap().into());
    let text = String::from_utf8(endless.stdout).unwrap();
    assert!(
        text.starts_with("<stdin>: more than 1048576 bytes"),
        "{text}"
    );
    assert_eq!(endless.status.code(), Some(65));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(
        &file,
        format!("\u{feff}{HEAD}spec: {{processes: [{{name: a, command: [b]}}]}}\n"),
    )
    .unwrap();
    let good = check(Path::new("-"), File::open(&file).unwrap().into());
    assert_eq!(
        String::from_utf8(good.stdout).unwrap(),
        "<stdin>: valid: default with 1 process\n"
    );
    assert_eq!(good.status.code(), Some(0));
}

#[test]
fn a_forgotten_file_is_an_error_that_says_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let run = |variable: Option<&str>| {
        let mut command = Command::new(BINARY);
        command.arg("check").env_clear().current_dir(dir.path());
        command.envs(variable.map(|file| ("PODINIT_CONFIG", file)));
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(
        run(Some("/nowhere.yaml")),
        (
            Some(65),
            "/nowhere.yaml: no such file\n/nowhere.yaml: 1 error\n".into()
        )
    );
    if !Path::new("/etc/podinit/processset.yaml").exists() {
        let (code, text) = run(None);
        assert_eq!(code, Some(65));
        assert!(
            text.starts_with(
                "no ProcessSet found: looked at $PODINIT_CONFIG (not set), /etc/podinit/"
            ),
            "{text}"
        );
    }
}

#[test]
fn wrong_usage_is_64() {
    for args in [
        ["check", "--colour"].as_slice(),
        &["check", "-o", "xml"],
        &["nonsense"],
    ] {
        let output = Command::new(BINARY).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}
