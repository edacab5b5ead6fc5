//! Requests to servers of the test's own, over TCP and Unix sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::super::tests::{asked, asked_within, server};
use super::records::{kind, push};
use crate::domain::plan::{FastCgiAddress, Request};

fn request(address: FastCgiAddress) -> Request {
    Request::FastCgi {
        address,
        path: "/ping".to_owned(),
        query: "full".to_owned(),
    }
}

fn at(port: u16) -> FastCgiAddress {
    let host = "127.0.0.1".to_owned();
    FastCgiAddress::Tcp { host, port }
}

/// Reads a request up to its empty STDIN record.
fn read(stream: &mut impl Read) -> bool {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(&[1, kind::STDIN, 0, 1, 0, 0, 0, 0]) {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return false;
        }
        request.push(byte[0]);
    }
    true
}

fn answer(status: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    push(&mut answer, kind::STDERR, b"not found\n");
    push(
        &mut answer,
        kind::STDOUT,
        format!("{status}X: y\r\n\r\npong").as_bytes(),
    );
    push(&mut answer, kind::STDOUT, b"");
    push(&mut answer, kind::END_REQUEST, &[0; 8]);
    answer
}

#[test]
fn the_status_decides_over_tcp() {
    for (status, expected) in [
        ("", Ok(())),
        ("Status: 302 Found\r\n", Ok(())),
        (
            "Status: 404 Not Found\r\n",
            Err("status 404: not found".to_owned()),
        ),
    ] {
        let port = server("127.0.0.1", move |mut stream| {
            if read(&mut stream) {
                // In pieces, each in a packet of its own.
                let _ = stream.set_nodelay(true);
                for piece in answer(status).chunks(5) {
                    let _ = stream.write_all(piece);
                }
            }
        });
        assert_eq!(asked(request(at(port))), expected);
    }
}

#[test]
fn a_unix_socket_is_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fpm.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(read(&mut stream));
            stream.write_all(&answer("")).unwrap();
        });
        let path = path.to_str().unwrap().to_owned();
        assert_eq!(asked(request(FastCgiAddress::Unix(path))), Ok(()));
    });
}

#[test]
fn a_unix_socket_with_a_full_queue_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fpm.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let _waiting = runtime.block_on(async {
        let mut waiting = Vec::new();
        while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
            waiting.push(stream);
        }
        waiting
    });
    let error = "the server's queue of connections is full".to_owned();
    assert_eq!(asked(request(FastCgiAddress::Unix(path))), Err(error));
}

#[test]
fn hostile_servers_end_in_one_error() {
    let cases: [(&[u8], &str); 4] = [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "the server does not speak FastCGI",
        ),
        (b"", "the server closed the connection without an answer"),
        (
            b"\x01\x06",
            "the server closed the connection within its answer",
        ),
        (
            &[
                1,
                kind::END_REQUEST,
                0,
                1,
                0,
                8,
                0,
                0,
                0,
                0,
                0,
                0,
                2,
                0,
                0,
                0,
            ],
            "the server is overloaded",
        ),
    ];
    for (answer, expected) in cases {
        let port = server("127.0.0.1", move |mut stream| {
            read(&mut stream);
            let _ = stream.write_all(answer);
        });
        assert_eq!(asked(request(at(port))), Err(expected.to_owned()));
    }
    // STDERR without end.
    let port = server("127.0.0.1", |mut stream| {
        read(&mut stream);
        let mut record = Vec::new();
        push(&mut record, kind::STDERR, &vec![b'x'; 65_535]);
        while stream.write_all(&record).is_ok() {}
    });
    let error = asked(request(at(port))).unwrap_err();
    assert!(error.contains("beside its answer"), "{error}");
}

#[test]
fn an_answer_without_its_end_is_late() {
    let port = server("127.0.0.1", |mut stream| {
        read(&mut stream);
        let answer = answer("");
        let _ = stream.write_all(&answer[..answer.len() - 1]);
        let _ = stream.read(&mut [0]);
    });
    let late = asked_within(Duration::from_millis(200), request(at(port)));
    assert_eq!(late, Err("no answer in 200ms".to_owned()));
}
