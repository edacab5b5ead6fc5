//! The control socket and `podinit prestop`.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{As, Podinit, SOON, Start, within};
use crate::{NOBODY, WEB, one_line, prestop};

#[test]
fn it_is_ours_alone_and_gone_with_us() {
    let podinit = Start::spec(WEB).start();
    podinit.wait_started("web-0");
    let path = podinit.path("podinit.sock");
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & 0o7777, 0o600);
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(!finished.dir().join("podinit.sock").exists());
}

#[test]
fn one_of_the_dead_is_replaced_and_one_of_the_living_is_not() {
    let start = Start::spec(WEB);
    let path = start.dir().join("podinit.sock");
    let text = path.to_str().unwrap().to_owned();
    drop(UnixListener::bind(&path).unwrap());
    let podinit = start.start();
    podinit.wait_started("web-0");
    let first = std::fs::symlink_metadata(&path).unwrap().ino();

    let thief = Start::spec("  processes: [{name: a, command: [touch, ran]}]")
        .env("PODINIT_SOCKET", &text)
        .run();
    assert_eq!(thief.code, 70, "{}", thief.story());
    let told = one_line(&thief.stderr);
    assert_eq!(
        told,
        format!(
            "podinit: failed to take the control socket `{text}`: another podinit has it; set PODINIT_SOCKET to a path in a directory that podinit can write to"
        )
    );
    assert!(!thief.dir().join("ran").exists());
    assert_eq!(std::fs::symlink_metadata(&path).unwrap().ino(), first);

    let (output, _) = prestop(&[], &[("PODINIT_SOCKET", &text)]);
    assert!(output.status.success(), "{output:?}");
    podinit.stop();
}

#[test]
fn one_that_was_asked_for_and_cannot_be_had_is_a_start_error() {
    let start = Start::spec(WEB);
    std::fs::write(start.dir().join("message"), "").unwrap();
    let finished = start
        .arg("--termination-log")
        .arg("message")
        .env("PODINIT_SOCKET", "/proc/podinit/x.sock")
        .run();
    assert_eq!(finished.code, 70, "{}", finished.story());
    let told = one_line(&finished.stderr);
    let message = std::fs::read_to_string(finished.dir().join("message")).unwrap();
    let reason = told.strip_prefix("podinit: ").unwrap();
    assert_eq!(message, format!("exit code 70: {reason}\n"));
    assert!(
        told.starts_with("podinit: failed to make directory `/proc/podinit`: "),
        "{told}"
    );
    assert!(told.contains("PODINIT_SOCKET"), "{told}");
}

/// One that may not write to /run/podinit, and its TMPDIR.
fn in_tmp_of_nobody() -> (Podinit, String) {
    let start = Start::spec(WEB).under(&NOBODY);
    let tmp = start.dir().to_str().unwrap().to_owned();
    let podinit = start
        .env_remove("PODINIT_SOCKET")
        .env("TMPDIR", &tmp)
        .mode(As::PlainChild)
        .start();
    podinit.wait_started("web-0");
    (podinit, tmp)
}

#[test]
fn without_run_podinit_it_is_in_a_directory_of_its_own_under_tmp() {
    let (podinit, tmp) = in_tmp_of_nobody();
    let directory = podinit.path("podinit-54329");
    let found = std::fs::symlink_metadata(&directory).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (54329, 0o700));
    let found = std::fs::symlink_metadata(directory.join("podinit.sock")).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o600);
    let (output, _) = prestop(&NOBODY, &[("TMPDIR", &tmp)]);
    assert!(output.status.success(), "{output:?}");
    podinit.stop();
}

/// `kubectl exec` as root into a container whose podinit is somebody else.
#[test]
fn root_finds_the_podinit_of_the_only_other_user() {
    let (podinit, tmp) = in_tmp_of_nobody();
    // Made by somebody else than its name says.
    std::fs::create_dir(podinit.path("podinit-54331")).unwrap();
    // Of two, one may have been made to be found.
    let other = podinit.path("podinit-54330");
    std::fs::create_dir(&other).unwrap();
    std::os::unix::fs::chown(&other, Some(54330), None).unwrap();
    let (output, _) = prestop(&[], &[("TMPDIR", &tmp)]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    std::fs::remove_dir(&other).unwrap();
    let (output, _) = prestop(&[], &[("TMPDIR", &tmp)]);
    assert!(output.status.success(), "{output:?}");
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 0, "{}", finished.story());
}

#[test]
fn another_user_gets_no_answer_whatever_it_may_open() {
    let podinit = Start::spec(WEB).start();
    podinit.wait_started("web-0");
    let path = podinit.path("podinit.sock");
    let post = |under: &[&str]| {
        let request = [
            under,
            &[
                "curl",
                "-s",
                "-m",
                "20",
                "-X",
                "POST",
                "-w",
                "%{http_code}",
                "-o",
                "/dev/null",
            ],
            &[
                "--unix-socket",
                path.to_str().unwrap(),
                "http://podinit/v1/nothing",
            ],
        ]
        .concat();
        let output = Command::new(request[0])
            .args(&request[1..])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let strong = [
        "setpriv",
        "--reuid",
        "54330",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    ];
    assert_eq!(post(&[]), "404");
    assert_eq!(post(&strong), "000");
    podinit.stop();
}

#[test]
fn prestop_is_answered_at_once() {
    let podinit = Start::spec(WEB).start();
    podinit.wait_started("web-0");
    let path = podinit.path("podinit.sock");
    let (output, took) = prestop(&[], &[("PODINIT_SOCKET", path.to_str().unwrap())]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(finished.has(|line| line.get("message") == "stopping on podinit prestop"));
    assert_eq!(
        finished.summary().get("message"),
        "finished: stopped by podinit prestop"
    );
}

/// The kubelet sends TERM when the hook has ended: the clock runs since the hook.
#[test]
fn a_term_after_prestop_changes_nothing() {
    let podinit = Start::spec(
        "  terminationGracePeriodSeconds: 20\n  shutdown: {drain: 3s}\n  processes: [{name: web, command: [sleep, infinity]}]",
    )
    .start();
    podinit.wait_started("web-0");
    let path = podinit.path("podinit.sock");
    let socket = [("PODINIT_SOCKET", path.to_str().unwrap())];
    let t0 = Instant::now();
    assert!(prestop(&[], &socket).0.status.success());
    let deadline = podinit.path("state/deadline/web-0");
    let told = within(SOON, "the deadline", || {
        std::fs::read_to_string(&deadline).ok()
    });
    within(SOON, "a second", || {
        (t0.elapsed() > Duration::from_secs(1)).then_some(())
    });
    podinit.signal(15);
    podinit.wait_for("an answer to it", |line| {
        line.get("message") == "SIGTERM again: the stop goes on"
    });
    // Asked twice it says so, and goes on.
    assert!(prestop(&[], &socket).0.status.success());
    assert_eq!(std::fs::read_to_string(&deadline).unwrap(), told);
    let finished = podinit.finish(SOON);
    let whole = t0.elapsed();
    assert_eq!(finished.code, 0, "{}", finished.story());
    let stops: Vec<&str> = (finished.lines.iter())
        .map(|line| line.get("message"))
        .filter(|message| message.starts_with("stopping on "))
        .collect();
    assert_eq!(stops, ["stopping on podinit prestop"]);
    // Three seconds from the hook on, not from the signal.
    let used = finished.summary().number("stopSeconds").unwrap();
    assert!((3.0..3.9).contains(&used), "{used}");
    assert!(whole < Duration::from_millis(3_900), "{whole:?}");
}

#[test]
fn prestop_without_a_podinit_is_69_and_says_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("podinit.sock");
    let text = path.to_str().unwrap();
    drop(UnixListener::bind(&path).unwrap());
    let missing = dir.path().join("missing.sock");
    for given in [text, missing.to_str().unwrap()] {
        let (output, _) = prestop(&[], &[("PODINIT_SOCKET", given)]);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        let wanted = format!("podinit: no podinit answers at `{given}`; ");
        assert!(one_line(&told).starts_with(&wanted), "{told}");
    }
    let tmp = dir.path().to_str().unwrap();
    let (output, _) = prestop(&NOBODY, &[("TMPDIR", tmp)]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        one_line(&told).contains(&format!("`{tmp}/podinit-54329/podinit.sock`"))
            || told.contains("/run/podinit"),
        "{told}"
    );
}

#[test]
fn prestop_says_what_answers_when_it_is_no_podinit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        for answer in [
            "220 hello\r\n",
            "HTTP/1.1 503 No\r\n\r\npodinit is leaving\n",
            "",
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
        // The last one asks again whether anybody is there.
        let _ = listener.accept().unwrap();
    });
    for wanted in [
        "podinit: what answered does not speak HTTP: ",
        "podinit: podinit did not take the request: podinit is leaving (status 503)",
        "podinit: podinit did not answer: ",
    ] {
        let (output, _) = prestop(&[], &[("PODINIT_SOCKET", path.to_str().unwrap())]);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(one_line(&told).starts_with(wanted), "{told}");
    }
    server.join().unwrap();
}

/// It was not asked to stop, so that this is no success.
#[test]
fn prestop_fails_when_a_podinit_is_there_and_takes_nothing() {
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
    };
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let kind = SockType::Stream;
    let listener = socket(AddressFamily::Unix, kind, SockFlag::empty(), None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    // Room for one.
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let listener = UnixListener::from(listener);
    let other = path.clone();
    let server = std::thread::spawn(move || {
        let first = listener.accept().unwrap();
        let second = UnixStream::connect(other).unwrap();
        drop(first);
        (listener, second)
    });
    let path = path.to_str().unwrap();
    let (output, _) = prestop(&[], &[("PODINIT_SOCKET", path)]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    let wanted = "podinit: podinit did not answer: ";
    assert!(one_line(&told).starts_with(wanted), "{told}");
    drop(server.join().unwrap());
}
