//! The admin port and the readiness file.

use std::net::TcpListener;

use crate::support::{As, SOON, Start, within};
use crate::{NOBODY, WEB, ask, one_line, port_of};

#[test]
fn every_endpoint_answers_and_nothing_else_does() {
    let podinit = Start::spec(WEB)
        .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
        .start();
    let address = port_of(&podinit);
    assert_eq!(ask(&address, "GET", "/livez"), (200, "ok\n".to_owned()));
    let (status, body) = ask(&address, "GET", "/livez?verbose");
    assert_eq!(status, 200);
    assert!(body.starts_with("[+]engine ok\n"), "{body}");
    assert!(body.ends_with("\nlivez check passed\n"), "{body}");
    for path in ["/readyz", "/startupz"] {
        let (status, body) = ask(&address, "GET", path);
        assert!(matches!(status, 200 | 503), "{path}: {status}");
        assert!(body.ends_with('\n') && body.len() > 1, "{path}: {body:?}");
        let (_, body) = ask(&address, "GET", &format!("{path}?verbose"));
        assert!(body.contains("]plan "), "{path}: {body:?}");
    }
    for (method, path, wanted) in [
        ("GET", "/", 404),
        ("GET", "/v1/prestop", 404),
        ("POST", "/v1/prestop", 404),
        ("POST", "/livez", 405),
        ("HEAD", "/livez", 200),
    ] {
        assert_eq!(ask(&address, method, path).0, wanted, "{method} {path}");
    }
    assert_eq!(podinit.stop().code, 0);
}

/// Also `:9480` and `9480`: see the unit tests of addresses. In a network of its own, so that 9480 is free.
#[test]
fn without_a_word_it_is_9480_of_ipv4_and_ipv6() {
    let look = "for host in 127.0.0.1 '[::1]'; do echo $host says $(curl -sg http://$host:9480/livez); done; exec sleep infinity";
    let spec = format!("  processes: [{{name: look, command: [sh, -c, \"{look}\"]}}]");
    for (without, hosts) in [
        ("true", &["127.0.0.1", "[::1]"][..]),
        (
            "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6",
            &["127.0.0.1"],
        ),
    ] {
        let script = format!("ip link set lo up && {without} && exec \"$@\"");
        let podinit = Start::spec(&spec)
            .under(&["unshare", "--net", "sh", "-c", &script, "sh"])
            .env_remove("PODINIT_ADMIN_ADDR")
            .start();
        for host in hosts {
            let says = format!("{host} says ok");
            podinit.wait_for(&says, |line| line.get("message") == says);
        }
        let finished = podinit.stop();
        assert_eq!(finished.code, 0, "{}", finished.story());
        assert!(
            !finished.has(|line| line.get("message").contains("admin port")),
            "{}",
            finished.story()
        );
    }
}

#[test]
fn a_port_that_is_busy_is_a_warning_outside_kubernetes() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let podinit = Start::spec(WEB)
        .env("PODINIT_ADMIN_ADDR", &address)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .start();
    podinit.wait_started("web-0");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    let warnings: Vec<&str> = finished
        .lines
        .iter()
        .filter(|line| line.get("level") == "warn")
        .map(|line| line.get("message"))
        .collect();
    let wanted = format!(
        "failed to listen on {address} for the admin port: Address already in use (os error 98); give another address with --admin-addr or PODINIT_ADMIN_ADDR, or `off`"
    );
    assert_eq!(warnings, [wanted], "{}", finished.story());
}

#[test]
fn a_port_that_is_busy_is_a_start_error_in_kubernetes() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let finished = Start::spec("  processes: [{name: a, command: [touch, ran]}]")
        .env("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .arg("--admin-addr")
        .arg(&address)
        .run();
    assert_eq!(finished.code, 70, "{}", finished.story());
    let told = one_line(&finished.stderr);
    let wanted = format!("podinit: failed to listen on {address} for the admin port: ");
    assert!(told.starts_with(&wanted), "{told}");
    assert!(told.contains("--admin-addr"), "{told}");
    assert!(!finished.dir().join("ran").exists());
}

#[test]
fn off_is_no_port_at_all() {
    let podinit = Start::spec(WEB).arg("--admin-addr=off").start();
    podinit.wait_started("web-0");
    let fds = std::fs::read_dir(format!("/proc/{}/fd", podinit.pid())).unwrap();
    let held: Vec<String> = fds
        .filter_map(|fd| {
            std::fs::read_link(fd.ok()?.path())
                .ok()?
                .into_os_string()
                .into_string()
                .ok()
        })
        .collect();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines() {
            // proc_net_tcp: the tenth field is the inode.
            let inode = line.split_whitespace().nth(9).unwrap_or_default();
            let name = format!("socket:[{inode}]");
            assert!(!held.contains(&name), "{table}: {line}");
        }
    }
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn what_is_no_address_is_wrong_usage_and_named() {
    for (start, from) in [
        (
            Start::spec(WEB).arg("--admin-addr=localhost:1"),
            "--admin-addr",
        ),
        (
            Start::spec(WEB).env("PODINIT_ADMIN_ADDR", "localhost:1"),
            "PODINIT_ADMIN_ADDR",
        ),
    ] {
        let finished = start.run();
        assert_eq!(finished.code, 64, "{}", finished.story());
        let told = one_line(&finished.stderr);
        let wanted = format!("podinit: {from} is `localhost:1`: expected ");
        assert!(told.starts_with(&wanted), "{told}");
    }
}

#[test]
fn one_process_without_a_file_has_no_port_and_no_socket() {
    let podinit = Start::args(&["--", "sh", "-c", "echo up; exec sleep infinity"])
        .env("PODINIT_ADMIN_ADDR", "nonsense")
        .start();
    podinit.wait_for("up", |line| line.text == "up");
    assert!(!podinit.path("podinit.sock").exists());
    assert_eq!(podinit.stop().code, 143);
}

/// A pod of the `restricted` kind: no root, no rights, nothing writable.
#[test]
fn it_works_as_anybody_on_a_read_only_root() {
    let script = "mount -o remount,bind,ro / && mount -t tmpfs -o ro none /run && exec \"$@\"";
    let under = [
        &["unshare", "--mount", "sh", "-c", script, "sh"],
        &NOBODY[..],
    ]
    .concat();
    let podinit = Start::args(&["-f", "-"])
        .stdin("apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec: {processes: [{name: web, command: [sleep, infinity]}]}\n")
        .under(&under)
        .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
        .env_remove("PODINIT_SOCKET")
        .env_remove("PODINIT_STATE_DIR")
        .env_remove("TMPDIR")
        .start();
    let address = port_of(&podinit);
    podinit.wait_started("web-0");
    assert_eq!(ask(&address, "GET", "/livez").0, 200);
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    let warnings: Vec<&str> = finished
        .lines
        .iter()
        .filter(|line| line.get("level") == "warn")
        .map(|line| line.get("message"))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", finished.story());
    assert!(
        warnings[0].starts_with(
            "there is no control socket: failed to make directory `/tmp/podinit-54329`: "
        ) && warnings[0].contains("PODINIT_SOCKET"),
        "{warnings:?}"
    );
}

/// That it comes and goes with the pod's readiness: unit tests of `http`.
#[test]
fn a_readiness_file_of_an_earlier_life_is_removed() {
    for by_flag in [true, false] {
        let start = Start::spec(
            "  initProcesses: [{name: wait, command: [sleep, infinity], onStop: Signal}]\n  processes: [{name: web, command: [sleep, infinity]}]",
        );
        let file = start.dir().join("ready");
        std::fs::write(&file, "stale").unwrap();
        let start = if by_flag {
            start.arg("--readiness-file=ready")
        } else {
            start.env("PODINIT_READINESS_FILE", "ready")
        };
        let podinit = start.mode(As::PlainChild).start();
        within(SOON, "the file to go", || (!file.exists()).then_some(()));
        podinit.wait_started("wait");
        assert!(!file.exists());
        podinit.stop();
    }
}
