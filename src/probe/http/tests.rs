//! GET requests to servers of the test's own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::super::tests::{LONG, asked, asked_within, server};
use super::*;
use crate::domain::plan::{HttpMethod, Request};

fn get(host: &str, port: u16, path: &str, headers: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Get,
        https: false,
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A server that gives these answers, one a connection, the last one for ever; its port and the heads it got.
fn answers(address: &str, answers: &[&str]) -> (u16, Receiver<String>) {
    let (seen, heads) = channel();
    let mut answers: Vec<String> = answers.iter().rev().map(|&text| text.to_owned()).collect();
    let port = server(address, move |mut stream| {
        let _ = seen.send(head(&mut stream));
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop().unwrap(),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    (port, heads)
}

/// The outcome for a server with this one answer.
fn outcome(answer: &str) -> Result<(), String> {
    let (port, _heads) = answers("127.0.0.1", &[answer]);
    asked(Request::Http(get("127.0.0.1", port, "/", &[])))
}

#[test]
fn the_status_decides() {
    for status in [200, 204, 299, 300, 302, 304, 399] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(outcome(&answer), Ok(()), "{status}");
    }
    for status in [400, 404, 500, 503, 599] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n");
        assert_eq!(outcome(&answer), Err(format!("status {status}")));
    }
    assert_eq!(outcome("HTTP/1.0 200 OK\r\n\r\nto the end"), Ok(()));
    let early = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(outcome(early), Ok(()));
}

#[test]
fn the_request_is_that_of_the_kubelet() {
    let (port, heads) = answers("::1", &["HTTP/1.1 204 No Content\r\n\r\n"]);
    let request = get("::1", port, "/a b?x=1#top", &[("X-One", "1")]);
    assert_eq!(asked(Request::Http(request)), Ok(()));
    let expected = format!(
        "GET /a%20b?x=1 HTTP/1.1\r\nHost: [::1]:{port}\r\nUser-Agent: podinit/{}\r\nAccept: */*\r\n\
         X-One: 1\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(heads.recv().unwrap(), expected);
}

#[test]
fn an_order_is_a_post_without_a_body_that_nobody_redirects() {
    let order = |port, path| {
        Request::Http(HttpRequest {
            method: HttpMethod::Post,
            ..get("127.0.0.1", port, path, &[])
        })
    };
    let (port, heads) = answers("127.0.0.1", &["HTTP/1.1 200 OK\r\n\r\nOK"]);
    assert_eq!(asked(order(port, "/quitquitquit")), Ok(()));
    let head = heads.recv().unwrap().to_ascii_lowercase();
    assert!(
        head.starts_with("post /quitquitquit http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    for status in [302, 307, 304, 403, 404, 405, 500] {
        let answer =
            format!("HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
        let (port, heads) = answers("127.0.0.1", &[&answer]);
        assert_eq!(asked(order(port, "/")), Err(format!("status {status}")));
        assert_eq!(heads.iter().take(1).count(), 1);
        assert!(heads.try_recv().is_err(), "asked once");
    }
}

#[test]
fn a_bad_answer_is_said() {
    let closed = "the server closed the connection without an answer";
    let early = "the body ended early: ";
    let cases = [
        ("", closed),
        ("HTTP/1.1 200 OK\r\nX: ", closed),
        ("SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP/1: "),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.", early),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            early,
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:x/\r\n\r\n",
            "a redirect to a place that cannot be read: http://127.0.0.1:x/",
        ),
    ];
    for (answer, expected) in cases {
        let error = outcome(answer).unwrap_err();
        assert!(error.starts_with(expected), "{answer:?}: {error}");
    }
}

#[test]
fn a_head_without_end_is_given_up() {
    let port = server("127.0.0.1", |mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-More: and more\r\n").is_ok() {}
    });
    let error = asked(Request::Http(get("127.0.0.1", port, "/", &[]))).unwrap_err();
    assert!(error.starts_with("the answer is not HTTP/1: "), "{error}");
}

#[test]
fn a_body_is_read_as_far_as_the_kubelet_reads_it() {
    // One that goes on after 10 KiB passes, one that stops before its end or its limit is waited for.
    for (bytes, expected) in [
        (BODY, Ok(())),
        (BODY - 1, Err("no answer in 200ms".to_owned())),
    ] {
        let port = server("127.0.0.1", move |mut stream| {
            head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let _ = stream.write_all(&vec![b'x'; bytes]);
            let _ = stream.read(&mut [0]);
        });
        let request = Request::Http(get("127.0.0.1", port, "/", &[]));
        let limit = if expected.is_ok() {
            LONG
        } else {
            Duration::from_millis(200)
        };
        assert_eq!(asked_within(limit, request), expected);
    }
}

#[test]
fn a_redirect_is_followed_on_the_same_host() {
    let (port, heads) = answers(
        "127.0.0.1",
        &[
            "HTTP/1.1 301 X\r\nLocation: /two\r\n\r\n",
            "HTTP/1.1 307 X\r\nLocation: three?x=1\r\nContent-Length: 99\r\n\r\n",
            "HTTP/1.1 500 X\r\n\r\n",
        ],
    );
    let request = get("127.0.0.1", port, "/one", &[("Host", "shop"), ("X", "y")]);
    assert_eq!(asked(Request::Http(request)), Err("status 500".to_owned()));
    let first = heads.recv().unwrap();
    assert!(first.starts_with("GET /one "), "{first}");
    assert!(!first.contains("Referer"), "{first}");
    for (path, referer) in [("/two", "/one"), ("/three?x=1", "/two")] {
        let head = heads.recv().unwrap();
        assert!(head.starts_with(&format!("GET {path} ")), "{head}");
        assert!(
            head.contains("Host: shop\r\n") && head.contains("X: y\r\n"),
            "{head}"
        );
        let referer = format!("Referer: http://127.0.0.1:{port}{referer}\r\n");
        assert!(head.contains(&referer), "{head}");
    }
}

#[test]
fn the_host_that_a_server_names_replaces_the_given_one() {
    let (second, heads) = answers("127.0.0.1", &["HTTP/1.1 200 X\r\n\r\n"]);
    let to = format!("HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:{second}\r\n\r\n");
    let (port, _first) = answers("127.0.0.1", &[&to]);
    let request = get("127.0.0.1", port, "/", &[("Host", "shop")]);
    assert_eq!(asked(Request::Http(request)), Ok(()));
    let head = heads.recv().unwrap();
    assert!(
        head.contains(&format!("Host: 127.0.0.1:{second}\r\n")),
        "{head}"
    );
}

#[test]
fn a_redirect_to_another_host_passes() {
    for place in ["https://shop.invalid/login", "//127.0.0.2/", "ftp://shop/"] {
        let answer = format!("HTTP/1.1 302 X\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(outcome(&answer), Ok(()), "{place}");
    }
    assert_eq!(outcome("HTTP/1.1 302 X\r\nLocation:\r\n\r\n"), Ok(()));
    assert_eq!(outcome("HTTP/1.1 304 X\r\nLocation: /x\r\n\r\n"), Ok(()));
}

#[test]
fn redirects_without_end_are_given_up() {
    let (port, heads) = answers("127.0.0.1", &["HTTP/1.1 308 X\r\nLocation: /\r\n\r\n"]);
    let error = asked(Request::Http(get("127.0.0.1", port, "/", &[]))).unwrap_err();
    assert_eq!(error, "stopped after 10 redirects");
    assert_eq!(heads.try_iter().count(), REQUESTS);
}

/// An HTTPS server with a certificate for nobody; tells the names it was asked for.
fn https(answer: &'static str) -> (u16, Receiver<Option<String>>) {
    let made = rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let (seen, names) = channel();
    let port = server("127.0.0.1", move |stream: TcpStream| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        head(&mut stream);
        let _ = seen.send(stream.conn.server_name().map(str::to_owned));
        let _ = stream.write_all(answer.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    (port, names)
}

#[test]
fn https_takes_any_certificate_and_tells_the_name() {
    let (port, names) = https("HTTP/1.1 200 OK\r\n\r\nfine");
    for (host, name) in [
        ("localhost", Some("localhost".to_owned())),
        ("127.0.0.1", None),
    ] {
        let mut get = get(host, port, "/", &[]);
        get.https = true;
        assert_eq!(asked(Request::Http(get)), Ok(()));
        assert_eq!(names.recv().unwrap(), name);
    }
    // A redirect from HTTP to HTTPS on the same host is followed.
    let to = format!("HTTP/1.1 302 X\r\nLocation: https://127.0.0.1:{port}/\r\n\r\n");
    assert_eq!(outcome(&to), Ok(()));
    assert_eq!(names.recv().unwrap(), None);
}

#[test]
fn a_server_without_tls_is_said() {
    let port = server("127.0.0.1", |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut get = get("127.0.0.1", port, "/", &[]);
    get.https = true;
    let error = asked(Request::Http(get)).unwrap_err();
    assert_eq!(
        error,
        "failed to speak TLS: the server speaks something else"
    );
}
