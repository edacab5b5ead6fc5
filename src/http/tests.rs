#![expect(
    clippy::disallowed_methods,
    reason = "a test is at the edge: it has clients and a clock"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::*;
use crate::domain::event::Event;

const SOON: Duration = Duration::from_secs(20);

/// A thread `admin` with an engine that the test plays.
struct Rig {
    snapshots: watch::Sender<Arc<Snapshot>>,
    mailbox: mpsc::Receiver<Message>,
    port: SocketAddr,
    notes: Arc<Mutex<Vec<Record>>>,
    dir: tempfile::TempDir,
    _admin: Admin,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready");
        Rig::with_file(dir, path)
    }

    fn with_file(dir: tempfile::TempDir, file: PathBuf) -> Rig {
        let uid = nix::unistd::geteuid().as_raw();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let place = socket::Place::Given(dir.path().join("sock"));
        let wanted = Wanted {
            admin: Some(listener),
            control: Some(socket::Socket::take(&place, uid).unwrap()),
            readiness_file: Some(file),
        };
        let (snapshots, seen) = watch::channel(Arc::default());
        let (sender, mailbox) = mpsc::channel(4);
        let notes: Arc<Mutex<Vec<Record>>> = Arc::default();
        let sink = Arc::clone(&notes);
        let note: Note = Arc::new(move |record: Record| {
            let is_panic = record.message.contains("/panic/");
            sink.lock().unwrap().push(record);
            assert!(!is_panic, "on purpose");
        });
        let admin = start(wanted, uid, seen, sender, note).unwrap();
        Rig {
            snapshots,
            mailbox,
            port,
            notes,
            dir,
            _admin: admin,
        }
    }

    fn ask(&self, method: &str, path: &str) -> String {
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
    }

    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.port).unwrap();
        exchange(&mut stream, request)
    }

    fn control(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.dir.path().join("sock")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn show(&self, ready: bool) {
        self.snapshots.send_replace(Arc::new(Snapshot {
            loaded: true,
            started: true,
            ready,
            ..Snapshot::default()
        }));
    }
}

fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn within(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn snapshots_decide_and_every_answer_is_short_and_plain() {
    let rig = Rig::new();
    let answer = rig.ask("GET", "/readyz");
    assert_eq!(status(&answer), "503");
    assert_eq!(
        body(&answer),
        "plan not ready: the ProcessSet is being loaded\n"
    );
    assert_eq!(status(&rig.ask("GET", "/startupz")), "503");
    rig.show(true);
    for path in ["/readyz", "/startupz", "/readyz?x=1"] {
        let answer = rig.ask("GET", path);
        assert_eq!((status(&answer), body(&answer)), ("200", "ok\n"), "{path}");
        assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain"), "{answer}");
    }
    let verbose = "[+]plan ok\n[+]shutdown ok\nreadyz check passed\n";
    assert_eq!(body(&rig.ask("GET", "/readyz?verbose")), verbose);
    let head = rig.ask("HEAD", "/readyz");
    assert_eq!((status(&head), body(&head)), ("200", ""));
}

#[test]
fn what_is_not_there_is_404_and_nothing_takes_a_method_or_a_body_of_its_own() {
    let rig = Rig::new();
    for path in [
        "/",
        "/readyz/",
        "/READYZ",
        "/v1/prestop",
        "/readyz/x",
        "//readyz",
    ] {
        let answer = rig.ask("GET", path);
        assert_eq!(
            (status(&answer), body(&answer)),
            ("404", "no such path\n"),
            "{path}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = rig.ask(method, "/readyz");
        assert_eq!(
            (status(&answer), body(&answer)),
            ("405", "no such method here\n"),
            "{method}"
        );
        assert!(answer.contains("allow: GET,HEAD\r\n"), "{answer}");
    }
    for header in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n",
    ] {
        let answer = rig.send(&format!("GET /readyz HTTP/1.1\r\nHost: x\r\n{header}"));
        assert_eq!(status(&answer), "413", "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[test]
fn livez_is_what_the_engine_answers_within_a_second() {
    let mut rig = Rig::new();
    let began = Instant::now();
    // The fifth finds the mailbox full, and that is no answer either.
    for _ in 0..5 {
        let answer = rig.ask("GET", "/livez");
        assert_eq!(status(&answer), "503");
        assert_eq!(
            body(&answer),
            "engine not alive: it does not answer within 1 s\n"
        );
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(5), "{took:?}");
    while rig.mailbox.try_recv().is_ok() {}

    let request = "GET /livez?verbose HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(rig.port).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let message = rig.mailbox.blocking_recv().unwrap();
    assert!(message.event.is_none(), "{message:?}");
    message.taken.unwrap().send(()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), "200");
    assert_eq!(body(&answer), "[+]engine ok\nlivez check passed\n");

    rig.mailbox.close();
    let answer = rig.ask("GET", "/livez?verbose");
    assert_eq!(status(&answer), "503");
    assert_eq!(
        body(&answer),
        "[-]engine not alive: it has ended\nlivez check failed\n"
    );
}

#[test]
fn a_prestop_is_answered_once_the_engine_took_it() {
    let rig = Rig::new();
    let request = "POST /v1/prestop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&rig.control(&request.replace("POST", "GET"))), "405");
    assert_eq!(status(&rig.control(&request.replace("/v1", "/v2"))), "404");
    let browser = request.replace("Host: x", "Host: x\r\nOrigin: http://evil");
    assert_eq!(status(&rig.control(&browser)), "403");

    let mut stream = UnixStream::connect(rig.dir.path().join("sock")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let Rig { mut mailbox, .. } = rig;
    let message = mailbox.blocking_recv().unwrap();
    assert!(
        matches!(
            message.event,
            Some(Event::StopRequested {
                by: "podinit prestop"
            })
        ),
        "{message:?}"
    );
    stream.set_nonblocking(true).unwrap();
    let early = stream.read(&mut [0]).unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    message.taken.unwrap().send(()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!((status(&answer), body(&answer)), ("200", "stopping\n"));
}

#[test]
fn the_readiness_file_is_there_exactly_while_the_pod_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ready");
    std::fs::write(&file, "stale").unwrap();
    let rig = Rig::with_file(dir, file.clone());
    within("a stale file to go", || !file.exists());
    for _ in 0..3 {
        rig.show(true);
        within("the file to come", || file.exists());
        rig.show(false);
        within("the file to go", || !file.exists());
    }
    rig.show(true);
    within("the file to come", || file.exists());
    drop(rig);
    assert!(!file.exists());
}

#[test]
fn a_readiness_file_that_cannot_be_written_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::with_file(dir, Path::new("/proc/podinit/ready").to_owned());
    for _ in 0..3 {
        rig.show(true);
        within("a note", || !rig.notes.lock().unwrap().is_empty());
        rig.show(false);
    }
    // Whatever was shown before this answer has been dealt with, or will be in silence.
    rig.ask("GET", "/readyz");
    let notes = rig.notes.lock().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0]
            .message
            .starts_with("readiness file `/proc/podinit/ready` is not kept: "),
        "{notes:?}"
    );
}

#[test]
fn connections_are_bounded_in_headers_time_and_number() {
    let rig = Rig::new();
    rig.show(true);
    let mut endless = TcpStream::connect(rig.port).unwrap();
    endless.set_read_timeout(Some(SOON)).unwrap();
    let long = format!("GET /readyz HTTP/1.1\r\nX: {}\r\n", "x".repeat(64 * 1024));
    let _ = endless.write_all(long.as_bytes());
    let mut start = [0; 12];
    // Refused with a status, or cut while it still writes.
    if endless.read_exact(&mut start).is_ok() {
        assert_eq!(&start[9..], b"431");
    }

    // Silent: closed in time.
    let began = Instant::now();
    let mut silent = TcpStream::connect(rig.port).unwrap();
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "closed by the server");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(4), "{waited:?}: not patient");

    // So is one that asked once and stays.
    let mut kept = TcpStream::connect(rig.port).unwrap();
    let answer = exchange(&mut kept, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status(&answer), "200");
}

#[test]
fn whoever_holds_all_connections_keeps_nobody_out() {
    const HELD: usize = 300;
    let rig = Rig::new();
    rig.show(true);
    let began = Instant::now();
    let mut held: Vec<TcpStream> = (0..HELD)
        .map(|_| {
            let mut stream = TcpStream::connect(rig.port).unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            // Not idle: it has asked, and may ask again.
            let request = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
            stream.write_all(request.as_bytes()).unwrap();
            let mut start = [0; 12];
            stream.read_exact(&mut start).unwrap();
            assert_eq!(&start[9..], b"200");
            stream
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(status(&rig.ask("GET", "/readyz")), "200");
    }
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}: they waited");

    // The oldest made room, the rest is still there.
    held[0].read_to_end(&mut Vec::new()).unwrap();
    let last = &mut held[HELD - 1];
    let answer = exchange(
        last,
        "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn after_a_panic_over_the_readiness_file_it_is_kept_again() {
    let dir = tempfile::tempdir().unwrap();
    // To tell that this file cannot be written panics, on its thread.
    let file = dir.path().join("missing/panic/ready");
    let rig = Rig::with_file(dir, file.clone());
    rig.show(true);
    within("a second start", || rig.notes.lock().unwrap().len() >= 2);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    within("the file", || file.exists());
}

#[test]
fn after_a_panic_it_serves_on_the_same_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (_snapshots, seen) = watch::channel(Arc::default());
    let (mailbox, _messages) = mpsc::channel(1);
    let snapshots = seen;
    let post = Post {
        admin: Some(listener),
        control: None,
        uid: 0,
        context: routes::Context { snapshots, mailbox },
    };
    let runs = AtomicU32::new(0);
    // Ends with the test.
    let serving = move || {
        let note: Note = Arc::new(drop);
        keep_running("admin", &note, || {
            if runs.fetch_add(1, Ordering::Relaxed) > 0 {
                return run(&post);
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()?;
            let _inside = runtime.enter();
            let listener = post.admin.as_ref().unwrap().try_clone()?;
            let _listener = tokio::net::TcpListener::from_std(listener)?;
            panic!("on purpose");
        });
    };
    std::thread::Builder::new().spawn(serving).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&exchange(&mut stream, request)), "503");
}

#[test]
fn a_panic_on_the_thread_is_told_and_it_begins_anew() {
    let notes: Arc<Mutex<Vec<Record>>> = Arc::default();
    let sink = Arc::clone(&notes);
    let note: Note = Arc::new(move |record| sink.lock().unwrap().push(record));
    let runs = AtomicU32::new(0);
    keep_running("admin", &note, || {
        match runs.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("on purpose"),
            1 => Err(io::Error::other("no descriptors")),
            _ => Ok(()),
        }
    });
    let notes = notes.lock().unwrap();
    let told: Vec<&str> = notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "the admin thread starts again: internal error",
            "the admin thread starts again: no descriptors"
        ]
    );
}
