//! Probes of real processes, and what others see of them, through the real binary.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test"
)]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::http::{ask, port_of};
use support::{As, Finished, Line, Podinit, SOON, Start, descendants_of, within};

/// A server whose answer is the content of a file of the test's directory, and 503 without it.
const SERVER: &str = r#"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, body = 200, open("up").read().encode()
        except OSError:
            status, body = 503, b"down"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A podinit whose processes share the test's network.
fn start(spec: &str) -> Podinit {
    let start = Start::spec(spec)
        .mode(As::PlainChild)
        .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0");
    std::fs::write(start.dir().join("server.py"), SERVER).unwrap();
    start.start()
}

fn set_up(podinit: &Podinit, up: bool) {
    let file = podinit.path("up");
    if up {
        // At once as a whole: the server must not read half of it.
        std::fs::write(podinit.path("up.new"), "up").unwrap();
        std::fs::rename(podinit.path("up.new"), file).unwrap();
    } else {
        std::fs::remove_file(file).unwrap();
    }
}

fn status(address: &str, path: &str) -> u16 {
    ask(address, "GET", path).0
}

fn wait_status(address: &str, path: &str, want: u16) {
    within(SOON, path, || (status(address, path) == want).then_some(()));
}

fn own<'a>(instance: &'a str, message: &'a str) -> impl Fn(&Line) -> bool + 'a {
    move |line| line.is_own(instance, message)
}

#[test]
fn a_server_that_comes_up_late_goes_down_and_heals() {
    let port = free_port();
    let podinit = start(&format!(
        "
  processes:
    - name: app
      command: [python3, server.py, '{port}']
      readinessProbe: {{httpGet: {{port: {port}}}, periodSeconds: 1, failureThreshold: 2}}
    - {{name: web, command: [sleep, infinity], dependsOn: [{{name: app}}]}}"
    ));
    let address = port_of(&podinit);
    podinit.wait_for("a failure", own("app-0", "readinessProbe fails: "));
    let (code, body) = ask(&address, "GET", "/readyz");
    assert_eq!(code, 503);
    assert!(body.contains("app-0"), "{body}");
    // As soon as a check has said why, so does the answer.
    within(SOON, "why it is not ready", || {
        let (_, body) = ask(&address, "GET", "/readyz");
        body.contains("app-0 not ready: readinessProbe: ")
            .then_some(())
    });
    assert_eq!(status(&address, "/livez"), 200);
    assert_eq!(status(&address, "/startupz"), 503, "web has not started");
    assert!(!podinit.lines().iter().any(own("web-0", "started")));

    let healed = Instant::now();
    set_up(&podinit, true);
    podinit.wait_started("web-0");
    // One period, and what a busy machine takes.
    assert!(
        healed.elapsed() < Duration::from_secs(3),
        "{:?}",
        healed.elapsed()
    );
    wait_status(&address, "/readyz", 200);
    assert_eq!(status(&address, "/startupz"), 200);

    set_up(&podinit, false);
    wait_status(&address, "/readyz", 503);
    let (_, body) = ask(&address, "GET", "/readyz?verbose");
    assert!(body.contains("status 503"), "{body}");
    assert_eq!(
        status(&address, "/startupz"),
        200,
        "what has started stays started"
    );
    set_up(&podinit, true);
    wait_status(&address, "/readyz", 200);

    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    let started = |line: &&Line| line.is_own("app-0", "started");
    assert_eq!(
        finished.lines.iter().filter(started).count(),
        1,
        "never restarted"
    );
    let said =
        |line: &Line| line.is_own("app-0", "not ready: readinessProbe failed 2 times in a row");
    assert!(finished.has(said), "{}", finished.story());
}

#[test]
fn a_process_that_is_not_well_is_replaced_and_its_siblings_are_not() {
    let port = free_port();
    let podinit = start(&format!(
        "
  processes:
    - name: app
      command: [python3, server.py, '{port}']
      restartBackoff: {{initial: 10ms}}
      startupProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1, failureThreshold: 30}}
      livenessProbe: {{httpGet: {{port: {port}, path: /live}}, periodSeconds: 1, failureThreshold: 2}}
    - {{name: web, command: [sleep, infinity]}}"
    ));
    std::fs::write(podinit.path("up"), "up").unwrap();
    let address = port_of(&podinit);
    wait_status(&address, "/readyz", 200);
    set_up(&podinit, false);
    let why = "unhealthy: livenessProbe failed 2 times in a row: status 503";
    podinit.wait_for(why, own("app-0", why));
    set_up(&podinit, true);
    podinit.wait_for_nth("the next run", 2, own("app-0", "started"));
    wait_status(&address, "/readyz", 200);
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    let of = |instance: &'static str| {
        let lines = finished.lines.iter();
        lines
            .filter(|line| line.is_own(instance, "started"))
            .count()
    };
    assert_eq!((of("app-0"), of("web-0")), (2, 1), "{}", finished.story());
    assert!(finished.has(own("app-0", "stopping with SIGTERM")));
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_started_and_holds_nobody_up() {
    let podinit = start(
        "
  processes:
    - name: app
      command: [sleep, infinity]
      readinessProbe: {exec: {command: [sh, -c, 'trap \"\" TERM; sleep 1234 & sleep 1234']}, periodSeconds: 1, failureThreshold: 2}
      livenessProbe: {exec: {command: [sh, -c, 'echo not well; exit 3']}, periodSeconds: 1, failureThreshold: 1000}",
    );
    let address = port_of(&podinit);
    let said = "livenessProbe fails: exit code 3: not well";
    podinit.wait_for(said, own("app-0", said));
    let said = "readinessProbe fails: no answer in 1.0s";
    podinit.wait_for(said, own("app-0", said));
    assert_eq!(status(&address, "/livez"), 200);
    let pid = podinit.pid();
    // The process, and at most one check of each probe with its children.
    within(SOON, "a look between two checks", || {
        (descendants_of(pid).len() <= 2).then_some(())
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(2),
        "{:?}",
        finished.took
    );
}

#[test]
fn a_thousand_checks_leave_nothing_behind() {
    let podinit = start(
        "
  processes:
    - name: app
      command: [sleep, infinity]
      replicas: 100
      readinessProbe: {exec: {command: ['true']}, periodSeconds: 1}",
    );
    let address = port_of(&podinit);
    wait_status(&address, "/readyz", 200);
    let descriptors = || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", podinit.pid())).unwrap();
        fds.count()
    };
    let before = descriptors();
    let deadline = Instant::now() + Duration::from_secs(10);
    within(SOON, "a thousand checks", || {
        (Instant::now() > deadline).then_some(())
    });
    // Some check may be under way: a pipe for what it says, one for its answer.
    assert!(
        descriptors() <= before + 300,
        "{} then {before}",
        descriptors()
    );
    let finished = podinit.stop();
    let summary = finished.summary();
    assert!(summary.number("runs").unwrap() > 1000.0, "{}", summary.text);
    assert_eq!(summary.number("runs"), summary.number("exits"));
}

/// With the sd_notify protocol, from a child of the process and from a stranger.
#[test]
fn a_process_says_of_itself_how_it_is() {
    let notify = "python3 -c \"import os, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); \
                  s.sendto(sys.argv[1].encode(), chr(0) + os.environ['NOTIFY_SOCKET'][1:])\"";
    let podinit = start(&format!(
        "
  processes:
    - name: app
      command:
        - sh
        - -c
        - |
          until [ -e go ]; do sleep 0.05; done
          {notify} 'READY=1
          STATUS=Serving 7 shops'
          {notify} 'STATUS=Serving 8 shops'
          until [ -e reload ]; do sleep 0.05; {notify} WATCHDOG=1; done
          {notify} RELOADING=1
          {notify} READY=1
          until [ -e sick ]; do sleep 0.05; {notify} WATCHDOG=1; done
          exec sleep infinity
      restartBackoff: {{initial: 10ms}}
      startupProbe: {{notify: {{}}, periodSeconds: 1, failureThreshold: 60}}
      readinessProbe: {{notify: {{}}}}
      livenessProbe: {{notify: {{}}, periodSeconds: 1, failureThreshold: 2}}
    - {{name: web, command: [sleep, infinity], dependsOn: [{{name: app, condition: Started}}]}}"
    ));
    let address = port_of(&podinit);
    podinit.wait_started("app-0");
    assert_eq!(status(&address, "/readyz"), 503);
    std::fs::write(podinit.path("go"), "").unwrap();
    podinit.wait_started("web-0");
    wait_status(&address, "/readyz", 200);
    within(SOON, "the last status", || {
        let (_, body) = ask(&address, "GET", "/readyz?verbose");
        body.contains("app-0 ok: Serving 8 shops\n").then_some(())
    });
    std::fs::remove_file(podinit.path("go")).unwrap();
    std::fs::write(podinit.path("reload"), "").unwrap();
    let said = "not ready: the process said so";
    podinit.wait_for(said, own("app-0", said));
    wait_status(&address, "/readyz", 200);
    std::fs::write(podinit.path("sick"), "").unwrap();
    let why = "unhealthy: livenessProbe failed 2 times in a row";
    podinit.wait_for(why, own("app-0", why));
    podinit.wait_for_nth("the next run", 2, own("app-0", "started"));
    wait_status(&address, "/readyz", 503);
    assert_eq!(podinit.stop().code, 0);
}

/// Requests go on being answered while `/readyz` says no: the drain.
#[test]
fn a_stop_is_unready_at_once_and_serves_until_the_drain_is_over() {
    let port = free_port();
    let podinit = start(&format!(
        "
  terminationGracePeriodSeconds: 20
  shutdown: {{drain: 2s}}
  processes:
    - name: app
      command: [python3, server.py, '{port}']
      readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1}}
    - name: queue
      traffic: Background
      command: [sh, -c, 'trap \"cat $PODINIT_DEADLINE_FILE; exit 0\" TERM; echo up; while :; do sleep 0.05; done']"
    ));
    std::fs::write(podinit.path("up"), "up").unwrap();
    let address = port_of(&podinit);
    wait_status(&address, "/readyz", 200);
    podinit.wait_for("the queue", |line| line.get("message") == "up");
    let server = format!("127.0.0.1:{port}");
    let ready_file = podinit.path("state/draining");
    assert!(!ready_file.exists());

    podinit.signal(15);
    let t0 = Instant::now();
    wait_status(&address, "/readyz", 503);
    assert!(
        t0.elapsed() < Duration::from_millis(500),
        "{:?}",
        t0.elapsed()
    );
    let (mut answers, mut file) = (0, false);
    while t0.elapsed() < Duration::from_millis(1800) {
        assert_eq!(status(&server, "/"), 200, "{:?} after t0", t0.elapsed());
        assert_eq!(status(&address, "/livez"), 200);
        answers += 1;
        file |= ready_file.exists();
    }
    assert!(answers > 20 && file, "{answers} {file}");
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 0, "{}", finished.story());
    let drained = report(&finished)["drain"]["seconds"].as_f64().unwrap();
    assert!((2.0..2.5).contains(&drained), "{drained}");
    let asked = |instance| of(&finished, instance)["askedSeconds"].as_f64().unwrap();
    assert!(asked("queue-0") < 0.05 && asked("app-0") >= 2.0);
    // The process could read when it must be gone: in 18 s.
    let told = finished
        .lines
        .iter()
        .find(|line| line.get("process") == "queue" && line.get("message").split(' ').count() == 2);
    let told = told.unwrap_or_else(|| panic!("{}", finished.story()));
    let at: Vec<i64> = (told.get("message").split(' '))
        .map(|word| word.parse().unwrap())
        .collect();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let left = at[0] - now.as_millis() as i64;
    assert!((10_000..18_000).contains(&left), "{left} ms left");
}

/// The object of the report.
fn report(finished: &Finished) -> serde_json::Value {
    let line = finished
        .lines
        .iter()
        .find(|line| line.json.get("report").is_some());
    let line = line.unwrap_or_else(|| panic!("no report\n{}", finished.story()));
    line.json["report"].clone()
}

fn of(finished: &Finished, instance: &str) -> serde_json::Value {
    let report = report(finished);
    let all = report["processes"].as_array().unwrap();
    let one = all.iter().find(|one| one["instance"] == instance);
    one.unwrap_or_else(|| panic!("{report}")).clone()
}

#[test]
fn a_check_that_is_too_late_says_what_it_still_waited_for() {
    // Connections open, and nobody takes them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let podinit = start(&format!(
        "
  processes:
    - name: web
      command: [sleep, infinity]
      readinessProbe: {{httpGet: {{host: 127.0.0.1, port: {port}, scheme: HTTPS}}, periodSeconds: 1}}"
    ));
    let address = port_of(&podinit);
    let wanted = "readinessProbe: no TLS handshake in 1s";
    within(SOON, wanted, || {
        let (_, body) = ask(&address, "GET", "/readyz");
        body.contains(wanted).then_some(())
    });
    assert_eq!(podinit.stop().code, 0);
}
