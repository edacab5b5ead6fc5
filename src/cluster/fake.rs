//! An API server that does what a real one does seldom or never, and what the tests of this link stand on.
#![expect(
    clippy::disallowed_methods,
    reason = "a test is at the edge: it runs a server of its own"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Config;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, watch};

use super::access::{Access, Identity, Pod};
use super::{News, Surroundings, Wiring};
use crate::domain::snapshot::{Snapshot, SpecView};
use crate::domain::time::{Mono, Now, Wall};
use crate::ports::{Message, ObjectName, Record};

/// What no test waits for.
const LONG: Duration = Duration::from_secs(30);

/// What a client asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) token: String,
    pub(super) accept: String,
    pub(super) body: Value,
    pub(super) at: Instant,
    /// How many like this one came before.
    pub(super) before: usize,
}

impl Asked {
    /// LIST, GET, WATCH, PATCH, POST; the way the fake's handlers tell requests apart.
    pub(super) fn verb(&self) -> &'static str {
        let selects = self.target.contains("fieldSelector");
        match self.method.as_str() {
            "GET" if self.target.contains("watch=true") => "WATCH",
            "GET" if selects => "LIST",
            "GET" => "GET",
            "PATCH" if self.target.contains("/status?") => "STATUS",
            "PATCH" => "PATCH",
            "POST" => "POST",
            other => panic!("{other}"),
        }
    }
}

/// What the server does then.
pub(super) enum Answer {
    Json(u16, Value),
    /// With one header more.
    With(u16, &'static str, String, Value),
    Text(u16, String),
    /// These lines, until the other end is dropped; then the end of the answer.
    Lines(Receiver<String>),
    /// This, and the connection breaks.
    Torn(String),
    /// Bytes without an end; how many were written.
    Endless(Arc<Mutex<u64>>),
    /// Never anything.
    Silence,
}

/// The status that goes with an error.
pub(super) fn status(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": "Test", "code": code})
}

pub(super) fn refused(code: u16, message: &str) -> Answer {
    Answer::Json(code, status(code, message))
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// The server, its client, and what comes out of that.
pub(super) struct Fake {
    pub(super) access: Access,
    pub(super) wiring: Wiring,
    pub(super) me: Identity,
    /// Their other ends are in use.
    ends: (watch::Sender<Arc<Snapshot>>, mpsc::Receiver<Message>),
    pub(super) token: tempfile::NamedTempFile,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    news: Mutex<Vec<News>>,
    notes: Mutex<Vec<String>>,
    more: Notify,
}

fn now() -> Now {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.unwrap();
    Now {
        mono: Mono::ZERO + since,
        wall: Wall(since.as_micros() as i64),
    }
}

impl Fake {
    /// Needs a runtime.
    pub(super) fn new(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Fake::of_url(&format!("http://127.0.0.1:{port}"));
        fake.serve(listener, handler);
        fake
    }

    /// From now on there is a server.
    pub(super) fn serve(
        &self,
        listener: TcpListener,
        handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) {
        let handler: Arc<Handler> = Arc::new(handler);
        let seen = self.seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, seen) = (handler.clone(), seen.clone());
                let stream = stream.unwrap();
                std::thread::spawn(move || serve(&stream, &*handler, &seen));
            }
        });
    }

    /// A client of whatever is there.
    pub(super) fn of_url(url: &str) -> Fake {
        let seen = Arc::new(Seen::default());
        let mut token = tempfile::NamedTempFile::new().unwrap();
        writeln!(token, "first").unwrap();
        let config = Config::new(url.parse().unwrap());
        let access = Access::over(config, token.path().to_owned()).unwrap();
        let (snapshots, receiver) = watch::channel(Arc::new(Snapshot::default()));
        let (sender, mailbox) = mpsc::channel(16);
        let (teller, queue) = super::queue();
        let (news, notes) = (seen.clone(), seen.clone());
        let wiring = Wiring {
            name: ObjectName {
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
            },
            follows: true,
            desk: super::desk().1.into(),
            surroundings: Surroundings::default(),
            snapshots: receiver,
            mailbox: sender,
            news: Box::new(move |one| {
                news.news.lock().unwrap().push(one);
                news.more.notify_one();
            }),
            notices: (teller, queue.into()),
            note: Arc::new(move |record: Record| {
                let text = format!("{}: {}", record.level, record.message);
                notes.notes.lock().unwrap().push(text);
                notes.more.notify_one();
            }),
            clock: now,
        };
        let me = Identity {
            pod: Some(Pod {
                namespace: "shop".to_owned(),
                name: "web-1".to_owned(),
                uid: "pod-uid".to_owned(),
            }),
            container: "main".to_owned(),
        };
        Fake {
            access,
            wiring,
            me,
            ends: (snapshots, mailbox),
            token,
            seen,
        }
    }

    /// What the pod's podinit knows of specs.
    pub(super) fn spec(&self, change: impl FnOnce(&mut SpecView)) {
        self.snapshot(|snapshot| change(&mut snapshot.spec));
    }

    /// How the set is.
    pub(super) fn snapshot(&self, change: impl FnOnce(&mut Snapshot)) {
        self.ends
            .0
            .send_modify(|snapshot| change(Arc::make_mut(snapshot)));
    }

    /// What the engine was told next.
    pub(super) fn message(&mut self) -> Option<Message> {
        self.ends.1.try_recv().ok()
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.seen.asked.lock().unwrap().clone()
    }

    /// How many requests of this verb came.
    pub(super) fn count(&self, verb: &str) -> usize {
        let asked = self.seen.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.verb() == verb).count()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.seen.notes.lock().unwrap().clone()
    }

    /// How many notes have this in them.
    pub(super) fn noted(&self, part: &str) -> usize {
        let notes = self.seen.notes.lock().unwrap();
        notes.iter().filter(|note| note.contains(part)).count()
    }

    pub(super) fn news(&self) -> Vec<News> {
        self.seen.news.lock().unwrap().clone()
    }

    /// The generations that were found.
    pub(super) fn found(&self) -> Vec<i64> {
        let news = self.seen.news.lock().unwrap();
        let found = news.iter().filter_map(|news| match news {
            News::Found(object) => Some(object.version.generation),
            _ => None,
        });
        found.collect()
    }

    /// Lets the work go on until this holds.
    pub(super) async fn until(
        &self,
        work: &mut (impl Future<Output = ()> + Unpin),
        what: &str,
        holds: impl Fn(&Fake) -> bool,
    ) {
        let reached = async {
            while !holds(self) {
                self.seen.more.notified().await;
            }
        };
        let reached = tokio::time::timeout(LONG, reached);
        tokio::select! {
            () = work => panic!("it ended before: {what}"),
            reached = reached => {
                assert!(reached.is_ok(), "never: {what}; {:?}; {:?}", self.notes(), self.asked());
            }
        }
    }
}

/// On a runtime as the thread's.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

fn serve(stream: &TcpStream, handler: &Handler, seen: &Seen) {
    let mut reader = BufReader::new(stream);
    while let Some(mut asked) = read(&mut reader) {
        {
            let mut all = seen.asked.lock().unwrap();
            let same = all.iter().filter(|other| other.verb() == asked.verb());
            asked.before = same.count();
            all.push(asked.clone());
        }
        let answer = handler(&asked);
        // After the answer is made, so that what it changed is seen too.
        seen.more.notify_one();
        if !write_answer(stream, answer) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (mut token, mut accept, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = value,
            "accept" => accept = value,
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        target,
        token,
        accept,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        at: Instant::now(),
        before: 0,
    })
}

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

/// False: no further request on this connection.
fn write_answer(mut stream: &TcpStream, answer: Answer) -> bool {
    let whole = |code: u16, more: &str, body: &str| {
        format!(
            "HTTP/1.1 {code} Told\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{more}\r\n{body}",
            body.len()
        )
    };
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    match answer {
        Answer::Json(code, body) => {
            let text = whole(code, "", &body.to_string());
            stream.write_all(text.as_bytes()).is_ok()
        }
        Answer::With(code, name, value, body) => {
            let text = whole(code, &format!("{name}: {value}\r\n"), &body.to_string());
            stream.write_all(text.as_bytes()).is_ok()
        }
        Answer::Text(code, body) => stream.write_all(whole(code, "", &body).as_bytes()).is_ok(),
        Answer::Lines(lines) => {
            let mut good = stream.write_all(CHUNKED.as_bytes()).is_ok();
            for line in lines {
                good = good && stream.write_all(chunk(&line).as_bytes()).is_ok();
            }
            good && stream.write_all(b"0\r\n\r\n").is_ok()
        }
        Answer::Torn(text) => {
            let _ = stream.write_all(format!("{CHUNKED}{}", chunk(&text)).as_bytes());
            false
        }
        Answer::Endless(written) => {
            let _ = stream.write_all(CHUNKED.as_bytes());
            let piece = chunk(&"x".repeat(1 << 16));
            while stream.write_all(piece.as_bytes()).is_ok() {
                *written.lock().unwrap() += 1 << 16;
            }
            false
        }
        Answer::Silence => {
            let _ = stream.read(&mut [0; 1]);
            false
        }
    }
}
