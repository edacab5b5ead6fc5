//! What requests of probes cost the thread that makes them: 1,000 a second to a server of this host, of each kind.
//!
//! `cargo bench --bench probes [-- SECONDS [HTTP_SERVER_PORT]]` prints, for each kind, the share of a core that the
//! `edge` thread used, the time a request, and how often it woke in an idle second afterwards. What the server does is
//! not in it, except for what the kernel does for a loopback connection on the side of whoever sends.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark runs servers, looks at the clock and prints"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use podinit::domain::event::Event;
use podinit::domain::id::RunId;
use podinit::domain::plan::{FastCgiAddress, HttpMethod, HttpRequest, Request};
use podinit::ports::Requests as _;
use podinit::probe::Client;
use tokio::sync::mpsc;

/// Requests a second, in bursts of `BURST`, as probes with the same period make them.
const RATE: u64 = 1000;
const BURST: u64 = 10;

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// An answer with one STDOUT and one END_REQUEST record.
const FAST_CGI: &[u8] =
    b"\x01\x06\x00\x01\x00\x08\x00\x00X: y\r\n\r\n\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0";

/// A server with three threads; its port.
fn server(handle: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let listener = Arc::new(listener);
    for _ in 0..3 {
        let listener = Arc::clone(&listener);
        std::thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || listener.incoming().flatten().for_each(handle))
            .expect("a thread");
    }
    port
}

fn answer(mut stream: TcpStream, with: &[u8]) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(with);
}

/// The directory of the `edge` thread.
fn edge() -> PathBuf {
    let tasks = fs::read_dir("/proc/self/task").expect("proc");
    tasks
        .flatten()
        .map(|task| task.path())
        .find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "edge\n"))
        .expect("the edge thread")
}

/// Nanoseconds on a core, and how often it went to sleep.
fn used(task: &std::path::Path) -> (u64, u64) {
    let first = |text: &str| text.split_whitespace().next()?.parse().ok();
    let stat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let status = fs::read_to_string(task.join("status")).unwrap_or_default();
    let sleeps = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        .and_then(first);
    (first(&stat).unwrap_or(0), sleeps.unwrap_or(0))
}

fn measure(name: &str, request: Request, seconds: u64) {
    let (sender, mut mailbox) = mpsc::channel(1024);
    let mut client = Client::new(sender);
    let request = Arc::new(request);
    let limit = Duration::from_secs(5);
    let mut failed = 0;
    let mut take = |mailbox: &mut mpsc::Receiver<podinit::ports::Message>| {
        let message = mailbox.blocking_recv().expect("the client lives");
        if let Some(Event::Responded { result, .. }) = message.event
            && let Err(why) = result
        {
            failed += 1;
            println!("{name}: {why}");
        }
    };
    // The thread is there, and the first request is not counted.
    client.ask(RunId(0), Arc::clone(&request), limit);
    take(&mut mailbox);
    let task = edge();
    let (before, _) = used(&task);
    let start = Instant::now();
    let bursts = seconds * RATE / BURST;
    for burst in 0..bursts {
        let due = start + Duration::from_micros(burst * BURST * 1_000_000 / RATE);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for _ in 0..BURST {
            client.ask(RunId(0), Arc::clone(&request), limit);
        }
        for _ in 0..BURST {
            take(&mut mailbox);
        }
    }
    let took = start.elapsed();
    let (after, _) = used(&task);
    // It goes to sleep once more after its last answer.
    std::thread::sleep(Duration::from_millis(200));
    let (_, asleep) = used(&task);
    std::thread::sleep(Duration::from_secs(1));
    let (_, awake) = used(&task);
    let spent = Duration::from_nanos(after - before);
    let share = spent.as_secs_f64() / took.as_secs_f64() * 100.0;
    let each = spent.as_secs_f64() * 1e6 / (seconds * RATE) as f64;
    println!(
        "{name:<10} {share:5.1} % of a core   {each:6.1} us a request   {:.0} requests a second   {failed} failed   {} wake-ups in an idle second",
        (seconds * RATE) as f64 / took.as_secs_f64(),
        awake - asleep,
    );
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let seconds = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(5);
    let http = args.next().and_then(|arg| arg.parse().ok());
    let host = "127.0.0.1".to_owned();
    let port = server(drop);
    measure(
        "TCP",
        Request::Tcp {
            host: host.clone(),
            port,
        },
        seconds,
    );
    let get = HttpRequest {
        method: HttpMethod::Get,
        https: false,
        host: host.clone(),
        port: http.unwrap_or_else(|| server(|stream| answer(stream, PAGE))),
        path: "/up".to_owned(),
        headers: Vec::new(),
    };
    measure("HTTP", Request::Http(get), seconds);
    let port = server(|stream| answer(stream, FAST_CGI));
    let request = Request::FastCgi {
        address: FastCgiAddress::Tcp { host, port },
        path: "/ping".to_owned(),
        query: String::new(),
    };
    measure("FastCGI", request, seconds);
}
