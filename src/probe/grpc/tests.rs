//! Health checks of servers of the test's own.

use std::io::{Read as _, Write as _};

use super::super::tests::{asked, server};
use crate::domain::plan::Request;

/// What a server does with a request.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// HTTP status, gRPC status and message in the head, and nothing more.
    Head(u16, Option<(&'static str, &'static str)>),
    /// A body, and a gRPC status behind it.
    Body(&'static [u8], Option<(&'static str, &'static str)>),
    /// Data without end.
    Endless,
    /// Gives up the stream.
    Reset,
}

type Stream = h2::server::SendResponse<hyper::body::Bytes>;

fn status(headers: &mut hyper::HeaderMap, status: Option<(&'static str, &'static str)>) {
    if let Some((code, words)) = status {
        headers.insert("grpc-status", code.parse().unwrap());
        headers.insert("grpc-message", words.parse().unwrap());
    }
}

/// Gives back what a dropped end would make of an answer that goes on.
fn answer(does: Does, stream: &mut Stream) -> Option<h2::SendStream<hyper::body::Bytes>> {
    let mut head = hyper::Response::new(());
    head.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    match does {
        Does::Head(http, grpc) => {
            *head.status_mut() = http.try_into().unwrap();
            status(head.headers_mut(), grpc);
            stream.send_response(head, true).unwrap();
        }
        Does::Body(body, grpc) => {
            let mut sender = stream.send_response(head, false).unwrap();
            // In two parts, so that a message is put together from them.
            let (one, two) = body.split_at(body.len() / 2);
            sender.send_data(one.into(), false).unwrap();
            sender.send_data(two.into(), grpc.is_none()).unwrap();
            if grpc.is_some() {
                let mut trailers = hyper::HeaderMap::new();
                status(&mut trailers, grpc);
                sender.send_trailers(trailers).unwrap();
            }
        }
        Does::Endless => {
            let mut sender = stream.send_response(head, false).unwrap();
            sender.send_data(vec![0; 1 << 20].into(), false).unwrap();
            return Some(sender);
        }
        Does::Reset => stream.send_reset(h2::Reason::REFUSED_STREAM),
    }
    None
}

/// The outcome for a server that does this. It checks the request.
fn outcome(does: Does) -> Result<(), String> {
    let port = server("127.0.0.1", move |stream| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _: Result<(), h2::Error> = runtime.block_on(async move {
            stream.set_nonblocking(true).unwrap();
            let stream = tokio::net::TcpStream::from_std(stream).unwrap();
            let mut connection = h2::server::handshake(stream).await?;
            let mut open = Vec::new();
            while let Some(request) = connection.accept().await {
                let (request, mut stream) = request?;
                let uri = request.uri().to_string();
                assert!(uri.ends_with("/grpc.health.v1.Health/Check"), "{uri}");
                assert!(uri.starts_with("http://127.0.0.1:"), "{uri}");
                assert_eq!(request.method(), "POST");
                assert_eq!(request.headers()["content-type"], "application/grpc");
                assert_eq!(request.headers()["te"], "trailers");
                open.extend(answer(does, &mut stream));
            }
            Ok(())
        });
    });
    let service = "shop".to_owned();
    asked(Request::Grpc { port, service })
}

const OK: Option<(&str, &str)> = Some(("0", ""));

#[test]
fn only_serving_passes() {
    let cases: &[(&[u8], Result<(), &str>)] = &[
        (b"\0\0\0\0\x02\x08\x01", Ok(())),
        (
            b"\0\0\0\0\x02\x08\x02",
            Err("service unhealthy (responded with NOT_SERVING)"),
        ),
        (
            b"\0\0\0\0\0",
            Err("service unhealthy (responded with UNKNOWN)"),
        ),
        (
            b"\0\0\0\0\x02\x08\x03",
            Err("service unhealthy (responded with SERVICE_UNKNOWN)"),
        ),
        (
            b"\0\0\0\0\x02\x08\x09",
            Err("service unhealthy (responded with 9)"),
        ),
        (b"\0\0\0\0\x02\x08", Err("the answer is no health message")),
        (b"", Err("the answer is no health message")),
        (
            b"\x01\0\0\0\0",
            Err("the answer is compressed, which was not asked for"),
        ),
    ];
    for (body, expected) in cases {
        let expected = expected.map_err(str::to_owned);
        assert_eq!(outcome(Does::Body(body, OK)), expected, "{body:?}");
    }
}

#[test]
fn a_grpc_status_is_told_from_the_head_and_from_the_trailers() {
    let cases = [
        (
            "12",
            "",
            "this server does not implement grpc.health.v1.Health",
        ),
        (
            "5",
            "unknown%20service",
            "the server does not know this service (gRPC status NOT_FOUND): unknown service",
        ),
        ("14", "down", "gRPC status UNAVAILABLE: down"),
        ("77", "x", "gRPC status 77: x"),
    ];
    for (code, words, expected) in cases {
        let status = Some((code, words));
        assert_eq!(outcome(Does::Head(200, status)), Err(expected.to_owned()));
        assert_eq!(outcome(Does::Body(b"", status)), Err(expected.to_owned()));
    }
}

#[test]
fn what_is_no_grpc_is_said() {
    let serving = b"\0\0\0\0\x02\x08\x01";
    let cases = [
        (Does::Head(404, None), "HTTP status 404, and no gRPC answer"),
        (Does::Head(200, None), "the answer is incomplete"),
        (Does::Head(200, OK), "the answer is incomplete"),
        (Does::Body(serving, None), "the answer is incomplete"),
        (Does::Endless, "the answer is longer than 4096 bytes"),
    ];
    for (does, expected) in cases {
        assert_eq!(outcome(does), Err(expected.to_owned()), "{does:?}");
    }
    let error = outcome(Does::Reset).unwrap_err();
    assert!(error.starts_with("failed to speak HTTP/2: "), "{error}");
}

#[test]
fn a_server_without_http_2_is_said() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..],
        b"",
    ] {
        let port = server("127.0.0.1", move |mut stream| {
            let _ = stream.read(&mut [0; 24]);
            let _ = stream.write_all(answer);
        });
        let service = String::new();
        let error = asked(Request::Grpc { port, service }).unwrap_err();
        assert!(error.starts_with("failed to speak HTTP/2: "), "{error}");
    }
}
