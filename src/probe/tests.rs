//! The thread, its places and its times, and what the tests of the single requests stand on.
#![expect(
    clippy::disallowed_methods,
    reason = "a test is at the edge: it runs servers of its own"
)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::*;
use crate::domain::plan::{FastCgiAddress, HttpMethod, HttpRequest};

/// What no test waits for.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// The answer that the client gives within `timeout`.
pub(super) fn asked_within(timeout: Duration, request: Request) -> Result<(), String> {
    let (sender, mut mailbox) = mpsc::channel(4);
    let mut client = Client::new(sender);
    client.ask(RunId(7), Arc::new(request), timeout);
    responded(&mut mailbox)
}

pub(super) fn asked(request: Request) -> Result<(), String> {
    asked_within(LONG, request)
}

fn responded(mailbox: &mut mpsc::Receiver<Message>) -> Result<(), String> {
    match mailbox.blocking_recv().and_then(|message| message.event) {
        Some(Event::Responded {
            run: RunId(7),
            result,
        }) => result,
        other => panic!("{other:?}"),
    }
}

/// A server on a loopback address that hands each connection to `handle`, one after the other; its port.
pub(super) fn server(address: &str, mut handle: impl FnMut(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            handle(stream.unwrap());
        }
    });
    port
}

/// A port of 127.0.0.1 on which nobody listens.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn tcp(host: &str, port: u16) -> Request {
    let host = host.to_owned();
    Request::Tcp { host, port }
}

#[test]
fn a_connection_that_opens_passes() {
    let port = server("127.0.0.1", drop);
    assert_eq!(asked(tcp("127.0.0.1", port)), Ok(()));
    assert_eq!(asked(tcp("localhost", port)), Ok(()));
    let port = server("::1", drop);
    assert_eq!(asked(tcp("::1", port)), Ok(()));
    assert_eq!(asked(tcp("LOCALHOST", port)), Ok(()));
}

#[test]
fn nobody_there_is_said() {
    let refused = || Err("connection refused".to_owned());
    let port = free_port();
    assert_eq!(asked(tcp("127.0.0.1", port)), refused());
    assert_eq!(asked(tcp("localhost", port)), refused());
    let host = "127.0.0.1".to_owned();
    let address = FastCgiAddress::Tcp { host, port };
    let fast_cgi = |address| Request::FastCgi {
        address,
        path: "/ping".to_owned(),
        query: String::new(),
    };
    assert_eq!(asked(fast_cgi(address)), refused());
    let service = String::new();
    assert_eq!(asked(Request::Grpc { port, service }), refused());
    let path = "/nowhere/fpm.sock";
    let error = asked(fast_cgi(FastCgiAddress::Unix(path.to_owned()))).unwrap_err();
    assert_eq!(error, "no socket at `/nowhere/fpm.sock`");
}

#[test]
fn a_connection_to_oneself_is_nobody() {
    // The kernel joins a socket with itself when it is bound to the port that it connects to. Here it is told to.
    let (sender, mut mailbox) = mpsc::channel(1);
    let port = free_port();
    let own = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(own).unwrap();
        let stream = socket.connect(own).await.unwrap();
        let error = connect::not_oneself(stream, own).unwrap_err();
        let answer = Err(error.to_string());
        let run = RunId(7);
        let event = Event::Responded {
            run,
            result: answer,
        };
        sender.send(event.into()).await.unwrap();
    });
    let result = responded(&mut mailbox);
    assert_eq!(result, Err("connection refused".to_owned()));
}

#[test]
fn a_name_without_an_address_is_said() {
    let error = asked(tcp("nobody.invalid", 80)).unwrap_err();
    let expected = "failed to find the address of `nobody.invalid`: ";
    assert!(error.starts_with(expected), "{error}");
}

/// A server that reads and never answers, and what tells of each connection that it opened, and that the other side
/// closed it.
fn silent() -> (u16, std::sync::mpsc::Receiver<&'static str>) {
    let (teller, told) = std::sync::mpsc::channel();
    let port = server("127.0.0.1", move |mut stream| {
        let _ = teller.send("opened");
        let _ = stream.read_to_end(&mut Vec::new());
        let _ = teller.send("closed");
    });
    (port, told)
}

#[test]
fn a_server_that_never_answers_is_given_up_and_its_connection_closed() {
    let (port, told) = silent();
    let host = "127.0.0.1".to_owned();
    let get = |https| {
        Request::Http(HttpRequest {
            method: HttpMethod::Get,
            https,
            host: host.clone(),
            port,
            path: "/".to_owned(),
            headers: Vec::new(),
        })
    };
    let address = FastCgiAddress::Tcp {
        host: host.clone(),
        port,
    };
    let fast_cgi = Request::FastCgi {
        address,
        path: "/ping".to_owned(),
        query: String::new(),
    };
    let service = String::new();
    let cases = [
        (get(false), "no answer in 150ms"),
        (get(true), "no TLS handshake in 150ms"),
        (Request::Grpc { port, service }, "no answer in 150ms"),
        (fast_cgi, "no answer in 150ms"),
    ];
    for (request, expected) in cases {
        let start = Instant::now();
        // The client stays, so that it is not its end that closes the connection.
        let (sender, mut mailbox) = mpsc::channel(1);
        let mut client = Client::new(sender);
        client.ask(RunId(7), Arc::new(request), Duration::from_millis(150));
        assert_eq!(responded(&mut mailbox), Err(expected.to_owned()));
        assert!(start.elapsed() >= Duration::from_millis(140));
        assert_eq!(told.recv_timeout(LONG), Ok("opened"));
        assert_eq!(told.recv_timeout(LONG), Ok("closed"));
    }
}

#[test]
fn more_requests_than_there_are_places_wait_within_their_time() {
    let tasks = tokio::task::LocalSet::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (sender, mut mailbox) = mpsc::channel(1);
    let client = Client::new(sender);
    let edge = Rc::new(Edge {
        in_flight: Semaphore::new(0),
        ..Edge::default()
    });
    let port = server("127.0.0.1", drop);
    let job = |millis| Job {
        request: Arc::new(tcp("127.0.0.1", port)),
        timeout: Duration::from_millis(millis),
        answer: Answer {
            run: RunId(7),
            mailbox: client.mailbox.clone(),
            place: None,
            otherwise: None,
        },
    };
    tasks.block_on(&runtime, async {
        work(job(50), Rc::clone(&edge)).await;
        let message = mailbox.recv().await.unwrap();
        let late = "no free place among the requests in 50ms".to_owned();
        let expected = Event::Responded {
            run: RunId(7),
            result: Err(late),
        };
        assert_eq!(
            format!("{:?}", message.event),
            format!("{:?}", Some(expected))
        );
        let waiting = tokio::task::spawn_local(work(job(20_000), Rc::clone(&edge)));
        tokio::task::yield_now().await;
        edge.in_flight.add_permits(1);
        waiting.await.unwrap();
    });
    assert_eq!(responded(&mut mailbox), Ok(()));
}

#[test]
fn one_request_too_many_is_answered_at_once() {
    let (port, told) = silent();
    let (sender, mut mailbox) = mpsc::channel(4);
    let mut client = Client::new(sender);
    client.places = Arc::new(Semaphore::new(1));
    let service = String::new();
    let request = Arc::new(Request::Grpc { port, service });
    client.ask(RunId(7), Arc::clone(&request), LONG);
    client.ask(RunId(7), request, LONG);
    let error = "too many requests are waiting".to_owned();
    assert_eq!(responded(&mut mailbox), Err(error));
    assert_eq!(told.recv_timeout(LONG), Ok("opened"));
    // The end of the client ends its requests.
    drop(client);
    let error = "internal error on the edge thread".to_owned();
    assert_eq!(responded(&mut mailbox), Err(error));
    assert_eq!(told.recv_timeout(LONG), Ok("closed"));
}

#[test]
fn a_task_that_panics_is_answered_and_the_thread_lives() {
    let tasks = tokio::task::LocalSet::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (sender, mut mailbox) = mpsc::channel(1);
    let answer = Answer {
        run: RunId(7),
        mailbox: sender,
        place: None,
        otherwise: Some("internal error on the edge thread".to_owned()),
    };
    tasks.block_on(&runtime, async {
        let task = tokio::task::spawn_local(async move {
            let _answer = answer;
            panic!("a bug, made by this test");
        });
        assert!(task.await.unwrap_err().is_panic());
    });
    let error = "internal error on the edge thread".to_owned();
    assert_eq!(responded(&mut mailbox), Err(error));
}

#[test]
fn a_thread_that_died_is_replaced() {
    let port = server("127.0.0.1", drop);
    let (sender, mut mailbox) = mpsc::channel(4);
    let mut client = Client::new(sender);
    // What is left of a thread that died: its end of the channel is closed.
    client.jobs = Some(mpsc::channel(1).0);
    client.ask(RunId(7), Arc::new(tcp("127.0.0.1", port)), LONG);
    assert_eq!(responded(&mut mailbox), Ok(()));
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let port = server("127.0.0.1", |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    });
    let (sender, mut mailbox) = mpsc::channel(16);
    let mut client = Client::new(sender);
    let request = Arc::new(Request::Http(HttpRequest {
        method: HttpMethod::Get,
        https: false,
        host: "127.0.0.1".to_owned(),
        port,
        path: "/".to_owned(),
        headers: Vec::new(),
    }));
    for _ in 0..500 {
        client.ask(RunId(7), Arc::clone(&request), LONG);
    }
    for _ in 0..500 {
        assert_eq!(responded(&mut mailbox), Ok(()));
    }
    // Each has left its place.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let all = client.places.acquire_many(UNANSWERED as u32);
        assert!(tokio::time::timeout(LONG, all).await.is_ok());
    });
}

#[test]
fn what_a_server_says_is_told_in_few_words_and_safe_ones() {
    let port = server("127.0.0.1", |mut stream| {
        // What is not read would make the end of the connection a reset.
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        let place = "x\t\u{85}".repeat(5_000);
        let head = format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{place}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
    });
    let error = asked(Request::Http(HttpRequest {
        method: HttpMethod::Get,
        https: false,
        host: "127.0.0.1".to_owned(),
        port,
        path: "/".to_owned(),
        headers: Vec::new(),
    }))
    .unwrap_err();
    assert!(error.starts_with("a redirect to a place that "), "{error}");
    assert_eq!(error.chars().count(), WORDS);
    assert!(!error.contains(char::is_control), "{error}");
}
