//! Sidecars with the endpoints of real ones, beside the real binary, each pod in a network of its own.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::http::{ask, port_of};
use support::{As, Finished, Line, Podinit, SOON, Start, within};

const SIDECAR: &str = include_str!("fixtures/sidecar.py");

/// A child of the test, and the lines it writes.
struct Talker {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Talker {
    fn start(words: &[&str]) -> Talker {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (output, sink) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Talker { child, lines }
    }

    fn wait_for(&self, line: &str) {
        within(SOON, line, || {
            let lines = self.lines.lock().unwrap();
            lines.iter().any(|known| known == line).then_some(())
        });
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; gives its code.
    fn code(&mut self) -> Option<i32> {
        let child = &mut self.child;
        within(SOON, "the sidecar to end", || child.try_wait().unwrap()).code()
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pod: a network, and containers in it.
struct Pod {
    /// Holds the network.
    pause: Talker,
}

impl Pod {
    fn new() -> Pod {
        let script = "ip link set lo up && echo up && exec sleep infinity";
        let pause = Talker::start(&["unshare", "--net", "sh", "-c", script]);
        pause.wait_for("up");
        Pod { pause }
    }

    /// The network, as an option of nsenter.
    fn net(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.pause.child.id())
    }

    /// A sidecar of this kind, which refuses to be ready so many times.
    fn sidecar(&self, kind: &str, unready: u32) -> Talker {
        let (net, unready) = (self.net(), unready.to_string());
        let words = ["nsenter", &net, "python3", "-c", SIDECAR, kind, &unready];
        let sidecar = Talker::start(&words);
        sidecar.wait_for("listening");
        sidecar
    }

    fn podinit(&self, spec: &str) -> Podinit {
        let start = Start::spec(spec).mode(As::PlainChild);
        start.under(&["nsenter", &self.net()]).start()
    }
}

/// A Job that takes a moment.
fn job(sidecar: &str) -> String {
    format!(
        "
  sidecars: [{sidecar}]
  processes: [{{name: job, command: [sleep, '0.2'], restartPolicy: Never}}]"
    )
}

fn has(finished: &Finished, instance: &str, message: &str) -> bool {
    finished.has(|line| line.is_own(instance, message))
}

#[test]
fn each_preset_is_waited_for_and_let_go_by_a_job() {
    for (preset, kind, name, expected) in [
        (
            "Istio",
            "istio",
            "istio-proxy",
            [
                "GET 15021 /healthz/ready 503",
                "GET 15021 /healthz/ready 503",
                "GET 15021 /healthz/ready 200",
                "POST 15020 /quitquitquit 200",
            ],
        ),
        (
            "Linkerd",
            "linkerd",
            "linkerd-proxy",
            [
                "GET 4191 /ready 503",
                "GET 4191 /ready 503",
                "GET 4191 /ready 200",
                "POST 4191 /shutdown 200",
            ],
        ),
        (
            "CloudSqlProxy",
            "sql",
            "cloud-sql-proxy",
            [
                "GET 9090 /startup 503",
                "GET 9090 /startup 503",
                "GET 9090 /startup 200",
                "POST 9091 /quitquitquit 200",
            ],
        ),
    ] {
        let pod = Pod::new();
        let mut sidecar = pod.sidecar(kind, 2);
        let began = Instant::now();
        let podinit = pod.podinit(&job(&format!(
            "{{name: {name}, preset: {preset}, quit: OnCompletion}}"
        )));
        let finished = podinit.finish(SOON);
        assert_eq!(finished.code, 0, "{}", finished.story());
        assert_eq!(sidecar.code(), Some(0), "it quits by itself");
        assert_eq!(sidecar.lines()[1..], expected, "{preset}");
        let took = began.elapsed();
        assert!(
            took >= Duration::from_secs(2),
            "asked each second: {took:?}"
        );
        let at = |instance: &str, message: &str| {
            finished.position(message, |line| line.is_own(instance, message))
        };
        let order = [
            at(name, "startupProbe fails: status 503"),
            at(name, "sidecar ready after "),
            at("job-0", "started"),
            at("job-0", "completed"),
            at(name, "sidecar told to quit"),
        ];
        assert!(order.is_sorted(), "{}", finished.story());
    }
}

#[test]
fn a_requested_stop_leaves_the_sidecar_to_kubernetes() {
    let pod = Pod::new();
    let mut sidecar = pod.sidecar("istio", 0);
    let podinit = pod.podinit(
        "
  sidecars: [{name: istio-proxy, preset: Istio, quit: OnCompletion}]
  processes: [{name: web, command: [sleep, infinity]}]",
    );
    podinit.wait_started("web-0");
    let finished = podinit.stop();
    assert_eq!(finished.code, 0, "{}", finished.story());
    assert_eq!(sidecar.lines()[1..], ["GET 15021 /healthz/ready 200"]);
    assert!(sidecar.is_alive());
}

#[test]
fn a_job_that_failed_lets_its_sidecar_go_too() {
    let pod = Pod::new();
    let mut sidecar = pod.sidecar("sql", 0);
    let podinit = pod.podinit(
        "
  sidecars: [{name: sql, preset: CloudSqlProxy, quit: OnCompletion}]
  initProcesses: [{name: migrate, command: [sh, -c, exit 3]}]
  processes: [{name: job, command: ['true'], restartPolicy: Never}]",
    );
    let finished = podinit.finish(SOON);
    assert_eq!(finished.code, 76, "{}", finished.story());
    assert_eq!(sidecar.code(), Some(0));
    assert!(!has(&finished, "job-0", "started"), "{}", finished.story());
}

#[test]
fn one_that_is_never_ready_is_code_69_or_nothing_as_is_written() {
    for (on_timeout, code) in [("Fail", 69), ("Start", 0)] {
        let pod = Pod::new();
        let mut sidecar = pod.sidecar("istio", 1000);
        let probe = "startupProbe: {httpGet: {port: 15021, path: /healthz/ready}, periodSeconds: 1, failureThreshold: 2}";
        let podinit = pod.podinit(&job(&format!(
            "{{name: istio-proxy, {probe}, onTimeout: {on_timeout}}}"
        )));
        let finished = podinit.finish(SOON);
        assert_eq!(finished.code, code, "{}", finished.story());
        assert_eq!(has(&finished, "job-0", "started"), code == 0);
        assert!(
            finished.has(|line| {
                line.is_own("istio-proxy", "sidecar not ready in ")
                    && line.get("error") == "status 503"
            }),
            "{}",
            finished.story()
        );
        if code == 69 {
            let said = finished.summary().get("message").to_owned();
            let begin = "finished: sidecar istio-proxy was not ready in ";
            assert!(said.starts_with(begin), "{said}");
            assert!(said.ends_with(": startupProbe: status 503"), "{said}");
        }
        assert!(sidecar.is_alive(), "it was to be left alone");
    }
}

#[test]
fn one_that_takes_connections_and_never_answers_holds_nobody_up_for_ever() {
    let pod = Pod::new();
    let _sidecar = pod.sidecar("mute", 0);
    let probe = "startupProbe: {httpGet: {port: 15021}, periodSeconds: 1, failureThreshold: 2}";
    // Neither at the start nor at the end.
    let podinit = pod.podinit(&job(&format!(
        "{{name: mute, {probe}, onTimeout: Start, quit: OnCompletion, quitHttpPost: {{port: 15021, path: /quit}}}}"
    )));
    let completed = podinit.wait_for("the job", |line| line.is_own("job-0", "completed"));
    let finished = podinit.finish(SOON);
    let last = finished.summary().since(&completed);
    assert_eq!(finished.code, 0, "{}", finished.story());
    let not_ready = |line: &Line| {
        line.is_own("mute", "sidecar not ready in ")
            && line.get("error").starts_with("no answer in 1")
    };
    assert!(finished.has(not_ready), "{}", finished.story());
    let not_confirmed = |line: &Line| {
        line.is_own(
            "mute",
            "sidecar told to quit, which is not confirmed: no answer in 1",
        )
    };
    assert!(finished.has(not_confirmed), "{}", finished.story());
    // The request is on its way a moment before the record of what ended is written.
    assert!(
        last >= Duration::from_millis(900),
        "it has a second: {last:?}"
    );
    assert!(last < Duration::from_secs(4), "and no more: {last:?}");
}

#[test]
fn one_that_does_not_let_itself_be_told_is_said_and_changes_no_code() {
    for (preset, kind, why) in [
        ("Linkerd", "locked", "status 404"),
        (
            "Istio",
            "rude",
            "the server closed the connection without an answer",
        ),
    ] {
        let pod = Pod::new();
        let _sidecar = pod.sidecar(kind, 0);
        let podinit = pod.podinit(&job(&format!(
            "{{name: proxy, preset: {preset}, quit: OnCompletion}}"
        )));
        let finished = podinit.finish(SOON);
        assert_eq!(finished.code, 0, "{}", finished.story());
        let said = format!("sidecar told to quit, which is not confirmed: {why}");
        assert!(has(&finished, "proxy", &said), "{}", finished.story());
    }
}

#[test]
fn a_stop_during_the_wait_is_obeyed_at_once() {
    let pod = Pod::new();
    let mut sidecar = pod.sidecar("istio", 1000);
    let podinit = pod.podinit(&job(
        "{name: istio-proxy, preset: Istio, quit: OnCompletion}",
    ));
    podinit.wait_for("the wait", |line| {
        line.is_own("istio-proxy", "startupProbe fails")
    });
    let finished = podinit.stop();
    assert_eq!(finished.code, 143, "{}", finished.story());
    assert!(
        finished.took < Duration::from_secs(1),
        "{:?}",
        finished.took
    );
    assert!(!has(&finished, "job-0", "started"), "{}", finished.story());
    assert!(sidecar.lines().iter().all(|line| !line.contains("POST")));
    assert!(sidecar.is_alive());
}

#[test]
fn a_command_asks_in_the_name_of_podinit_and_the_pod_is_not_ready_before() {
    let start = Start::spec(
        "
  sidecars:
    - name: secrets
      startupProbe: {exec: {command: [sh, -c, 'test -e token || { echo no token; exit 1; }']}, periodSeconds: 1, failureThreshold: 60}
  processes: [{name: queue, command: [sleep, infinity], traffic: Background}]",
    )
    .mode(As::PlainChild)
    .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0");
    let podinit = start.start();
    let address = port_of(&podinit);
    let failing = "startupProbe fails: exit code 1: no token";
    podinit.wait_for("the wait", |line| line.is_own("secrets", failing));
    for check in ["/startupz", "/readyz"] {
        let (code, body) = ask(&address, "GET", &format!("{check}?verbose"));
        assert_eq!(code, 503, "{body}");
        assert!(body.contains("[-]secrets not "), "{body}");
        assert!(body.contains("waits for sidecar secrets"), "{body}");
    }
    assert_eq!(ask(&address, "GET", "/livez").0, 200);
    std::fs::write(podinit.path("token"), "x").unwrap();
    podinit.wait_started("queue-0");
    for check in ["/startupz", "/readyz"] {
        within(SOON, check, || {
            (ask(&address, "GET", check).0 == 200).then_some(())
        });
    }
    assert_eq!(podinit.stop().code, 0);
}
