//! Requests of probes and hooks, on a thread of their own (`edge`), so that the core never waits for a socket.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::{HttpGet, Request};
use crate::ports::{Message, Requests};

/// Requests that wait for the thread at most; the next one is answered with an error.
const QUEUE: usize = 256;

/// Small: its tasks are few and shallow.
const STACK: usize = 512 * 1024;

type Job = (RunId, Arc<Request>, Duration);

/// Makes requests; the thread starts with the first one.
#[derive(Debug)]
pub struct Client {
    mailbox: mpsc::Sender<Message>,
    jobs: Option<mpsc::Sender<Job>>,
}

impl Client {
    /// A client whose answers go to `mailbox`.
    pub fn new(mailbox: mpsc::Sender<Message>) -> Self {
        Client {
            mailbox,
            jobs: None,
        }
    }

    fn jobs(&mut self) -> std::io::Result<&mpsc::Sender<Job>> {
        if self.jobs.as_ref().is_none_or(mpsc::Sender::is_closed) {
            let (jobs, queue) = mpsc::channel(QUEUE);
            let mailbox = self.mailbox.clone();
            std::thread::Builder::new()
                .name("edge".to_owned())
                .stack_size(STACK)
                .spawn(move || serve(queue, &mailbox))?;
            self.jobs = Some(jobs);
        }
        self.jobs
            .as_ref()
            .ok_or_else(|| std::io::Error::other("no thread"))
    }
}

impl Requests for Client {
    fn ask(&mut self, run: RunId, request: Arc<Request>, timeout: Duration) {
        let sent = match self.jobs() {
            Ok(jobs) => jobs
                .try_send((run, request, timeout))
                .map_err(|_| "too many requests are waiting".to_owned()),
            Err(error) => Err(format!("failed to start the edge thread: {error}")),
        };
        if let Err(why) = sent {
            let result = Err(why);
            // A full mailbox here means that hundreds of answers wait already; the hook's own timeout stands in for it.
            let _ = self
                .mailbox
                .try_send(Event::Responded { run, result }.into());
        }
    }
}

/// The thread: ends when the client is dropped.
fn serve(mut queue: mpsc::Receiver<Job>, mailbox: &mpsc::Sender<Message>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        while let Some((run, request, timeout)) = queue.recv().await {
            let mailbox = mailbox.clone();
            tokio::task::spawn_local(async move {
                let result = match tokio::time::timeout(timeout, ask(&request)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(format!("{error:#}")),
                    Err(_) => Err("no answer in time".to_owned()),
                };
                // Closed: podinit is leaving.
                let _ = mailbox.send(Event::Responded { run, result }.into()).await;
            });
        }
    });
}

async fn ask(request: &Request) -> anyhow::Result<()> {
    match request {
        Request::Http(request) => match get(request).await? {
            200..=399 => Ok(()),
            status => anyhow::bail!("status {status}"),
        },
        Request::Tcp { host, port } => {
            TcpStream::connect((host.as_str(), *port)).await?;
            Ok(())
        }
        Request::Grpc { .. } | Request::FastCgi { .. } => anyhow::bail!("not built"),
    }
}

/// One GET on a connection of its own, without following redirects: the status code. The body is not read.
async fn get(request: &HttpGet) -> anyhow::Result<u16> {
    use anyhow::Context as _;
    let HttpGet {
        host, port, path, ..
    } = request;
    let stream = TcpStream::connect((host.as_str(), *port))
        .await
        .with_context(|| format!("failed to connect to {host} port {port}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("failed to speak HTTP")?;
    let driver = tokio::task::spawn_local(connection);
    let bracketed = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut builder = hyper::Request::get(path.as_str())
        .header(
            hyper::header::USER_AGENT,
            concat!("podinit/", env!("CARGO_PKG_VERSION")),
        )
        .header(hyper::header::ACCEPT, "*/*")
        .header(hyper::header::CONNECTION, "close");
    let mut host_given = false;
    for (name, value) in &request.headers {
        host_given |= name.eq_ignore_ascii_case("host");
        builder = builder.header(name.as_str(), value.as_str());
    }
    if !host_given {
        builder = builder.header(hyper::header::HOST, bracketed);
    }
    let request = builder
        .body(String::new())
        .context("failed to build the request")?;
    let answer = sender
        .send_request(request)
        .await
        .context("failed to get an answer");
    driver.abort();
    Ok(answer?.status().as_u16())
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test is at the edge: it runs a server of its own"
)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn answer_once(response: &'static str) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                request.push(byte[0]);
            }
            if response.is_empty() {
                // Never answers: holds the connection until the client gives up.
                let _ = stream.read_to_end(&mut request);
            } else {
                stream.write_all(response.as_bytes()).unwrap();
            }
            String::from_utf8(request).unwrap()
        });
        (port, server)
    }

    fn request(port: u16, headers: Vec<(String, String)>) -> Result<(), String> {
        let (sender, mut mailbox) = mpsc::channel(4);
        let mut client = Client::new(sender);
        let request = HttpGet {
            https: false,
            host: "127.0.0.1".to_owned(),
            port,
            path: "/hook?x=1".to_owned(),
            headers,
        };
        client.ask(
            RunId(7),
            Arc::new(Request::Http(request)),
            Duration::from_millis(500),
        );
        match mailbox.blocking_recv() {
            Some(Message {
                event:
                    Some(Event::Responded {
                        run: RunId(7),
                        result,
                    }),
                ..
            }) => result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_status_is_the_result() {
        let (port, server) = answer_once("HTTP/1.1 204 No Content\r\n\r\n");
        let headers = vec![("Host".to_owned(), "shop".to_owned())];
        assert_eq!(request(port, headers), Ok(()));
        let seen = server.join().unwrap().to_lowercase();
        assert!(seen.starts_with("get /hook?x=1 http/1.1\r\n"), "{seen}");
        assert!(seen.contains("\r\nhost: shop\r\n"), "{seen}");
        assert_eq!(seen.matches("host:").count(), 1);
    }

    #[test]
    fn a_server_that_never_answers_is_given_up() {
        let (port, server) = answer_once("");
        assert_eq!(
            request(port, Vec::new()),
            Err("no answer in time".to_owned())
        );
        server.join().unwrap();
    }

    #[test]
    fn nobody_there_is_said() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = request(port, Vec::new()).unwrap_err();
        assert!(error.contains("failed to connect to 127.0.0.1"), "{error}");
    }
}
