//! The admin port and the readiness file.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{As, Line, SOON, Start, within};
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
    podinit.wait_started("web-0");
    for path in ["/readyz", "/startupz"] {
        becomes(&address, path, 200);
        assert_eq!(ask(&address, "GET", path), (200, "ok\n".to_owned()));
    }
    let verbose = |path: &str| ask(&address, "GET", &format!("{path}?verbose")).1;
    assert_eq!(
        verbose("/readyz"),
        "[+]plan ok\n[+]shutdown ok\n[+]web-0 ok\nreadyz check passed\n"
    );
    assert_eq!(
        verbose("/startupz"),
        "[+]plan ok\n[+]web-0 ok\nstartupz check passed\n"
    );
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

/// A Serving process that becomes ready, is unready for a while and serves during a drain; its file `up` decides.
const SERVING: &str = "
  terminationGracePeriodSeconds: 20
  shutdown: {drain: 1s}
  initProcesses: [{name: wait, command: [sh, -c, 'until [ -e go ]; do sleep 0.05; done']}]
  processes:
    - name: web
      command: [sleep, infinity]
      readinessProbe: {exec: {command: [test, -e, up]}, periodSeconds: 1, failureThreshold: 1}
    - {name: queue, command: [sleep, infinity], traffic: Background}";

/// Waits for a status.
fn becomes(address: &str, path: &str, status: u16) {
    within(SOON, &format!("{status} of {path}"), || {
        (ask(address, "GET", path).0 == status).then_some(())
    });
}

#[test]
fn the_start_the_readiness_and_the_stop_of_a_pod_as_its_probes_see_them() {
    let podinit = Start::spec(SERVING)
        .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
        .env("PODINIT_READINESS_FILE", "ready")
        .start();
    let address = port_of(&podinit);
    let file = podinit.path("ready");
    let get = |path: &str| ask(&address, "GET", path);

    podinit.wait_started("wait");
    let waits = "wait not started: runs, and is not as far yet (init process)\nweb-0 not started: waits for its dependencies\n";
    within(SOON, "who waits for whom", || {
        (get("/startupz") == (503, waits.to_owned())).then_some(())
    });
    assert_eq!(get("/readyz").0, 503);
    assert!(!file.exists());

    std::fs::write(podinit.path("go"), "").unwrap();
    becomes(&address, "/startupz", 200);
    assert_eq!(get("/readyz").0, 503, "it has started and is not ready");
    within(SOON, "why", || {
        let why = "web-0 not ready: readinessProbe: exit code 1\n";
        (get("/readyz") == (503, why.to_owned())).then_some(())
    });
    assert!(!file.exists());

    std::fs::write(podinit.path("up"), "").unwrap();
    becomes(&address, "/readyz", 200);
    within(SOON, "the file", || file.exists().then_some(()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "ready\n");

    std::fs::remove_file(podinit.path("up")).unwrap();
    becomes(&address, "/readyz", 503);
    within(SOON, "the file to go", || (!file.exists()).then_some(()));
    assert_eq!(get("/startupz").0, 200, "what has started stays started");

    std::fs::write(podinit.path("up"), "").unwrap();
    becomes(&address, "/readyz", 200);
    within(SOON, "the file", || file.exists().then_some(()));

    podinit.signal(15);
    let t0 = Instant::now();
    becomes(&address, "/readyz", 503);
    within(SOON, "the file to go", || (!file.exists()).then_some(()));
    let took = t0.elapsed();
    assert!(took < Duration::from_millis(500), "{took:?}");
    let (status, body) = get("/readyz?verbose");
    assert_eq!(status, 503);
    assert!(
        body.contains(
            "[-]shutdown not ready: stopping on SIGTERM\n[+]wait ok (init process)\n[+]web-0 ok\n"
        ),
        "it serves on: {body}"
    );
    assert_eq!(get("/startupz").0, 200);
    assert_eq!(get("/livez").0, 200);
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(!finished.dir().join("ready").exists());
}

#[test]
fn background_processes_do_not_count() {
    let podinit = Start::spec(
        "
  processes:
    - {name: web, command: [sleep, infinity]}
    - {name: queue, command: ['false'], traffic: Background, restartPolicy: Never}
    - {name: slow, command: [sleep, infinity], traffic: Background, startupProbe: {exec: {command: ['false']}, failureThreshold: 1000}}",
    )
    .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
    .start();
    let address = port_of(&podinit);
    becomes(&address, "/readyz", 200);
    becomes(&address, "/startupz", 200);
    within(SOON, "what is said of them", || {
        let (status, body) = ask(&address, "GET", "/readyz?verbose");
        (status == 200
            && body.contains("[ ]queue-0 not ready: exit code 1 (Background)\n")
            && body.contains("[ ]slow-0 not ready: startupProbe: exit code 1 (Background)\n"))
        .then_some(())
    });
    // One that was to complete has not.
    assert_eq!(podinit.stop().code, 143);
}

#[test]
fn what_failed_for_good_makes_the_pod_unready_and_what_completed_does_not() {
    let podinit = Start::spec(
        "
  processes:
    - {name: once, command: ['true'], restartPolicy: OnFailure}
    - {name: web, command: [sh, -c, 'until [ -e fail ]; do sleep 0.05; done; exit 3'], restartPolicy: Never}
    - {name: db, command: [sleep, infinity]}",
    )
    .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
    .start();
    let address = port_of(&podinit);
    becomes(&address, "/readyz", 200);
    podinit.wait_for("once to complete", |line| {
        line.is_own("once-0", "completed")
    });
    assert_eq!(ask(&address, "GET", "/readyz").0, 200);
    std::fs::write(podinit.path("fail"), "").unwrap();
    becomes(&address, "/readyz", 503);
    let (_, body) = ask(&address, "GET", "/readyz");
    assert!(
        body.starts_with("web not ready: web-0 failed for good: exit code 3\n"),
        "{body}"
    );
    podinit.stop();
}

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

/// The port is open to whoever reaches the pod.
#[test]
fn connections_leave_descriptors_to_the_processes() {
    let podinit = Start::spec(
        "
  processes:
    - name: web
      command: [sleep, infinity]
      livenessProbe: {exec: {command: [sh, -c, 'echo >> checks']}, periodSeconds: 1, failureThreshold: 1}
    - {name: job, command: [sh, -c, 'sleep 0.1; echo >> runs; exit 1'], traffic: Background, restartBackoff: {initial: 100ms, max: 100ms}}",
    )
    .mode(As::PlainChild)
    .under(&["prlimit", "--nofile=100:100"])
    .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
    .start();
    let address = port_of(&podinit);
    podinit.wait_started("web-0");
    let held: Vec<TcpStream> = (0..120)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    assert_eq!(ask(&address, "GET", "/livez").0, 200);
    let size = |name: &str| std::fs::metadata(podinit.path(name)).map_or(0, |file| file.len());
    for name in ["checks", "runs"] {
        let before = size(name);
        within(SOON, name, || (size(name) > before).then_some(()));
    }
    drop(held);
    let finished = podinit.stop();
    let starved = |line: &_| Line::get(line, "message").contains("Too many open files");
    assert!(!finished.has(starved), "{}", finished.story());
}
