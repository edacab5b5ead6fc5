//! An API server that does what a real one does seldom or never: no child notices, nothing is held, and nobody storms.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::cluster::{certificates, inside};
use crate::support::{Podinit, SOON, Start, children_of, within};
use crate::{STUB, cpu, memory};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// As it should; the set has this generation.
    Well(u32),
    /// With this status, to everything.
    Refusing(u16),
    /// It has too many requests, and says how many seconds to wait, or does not.
    Busy(Option<u32>),
    /// Well, but it has forgotten the version that a watch begins with.
    Gone,
    /// With 30 MB.
    Huge,
    /// With something that is no JSON.
    Garbage,
    /// With half an answer, and the connection breaks.
    Torn,
    /// Never.
    Deaf,
}

struct State {
    mood: Mood,
    /// When something was asked in this mood.
    asked: Vec<Instant>,
    targets: Vec<String>,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

struct Server {
    address: SocketAddr,
    state: Shared,
    /// As a service account's, and the certificates.
    volume: tempfile::TempDir,
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

impl Server {
    fn start() -> Server {
        let volume = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        certificates(volume.path(), address);
        fs::write(volume.path().join("token"), "token").unwrap();
        fs::write(volume.path().join("namespace"), "shop").unwrap();
        let state: Shared = Arc::new((
            Mutex::new(State {
                mood: Mood::Well(1),
                asked: Vec::new(),
                targets: Vec::new(),
            }),
            Condvar::new(),
        ));
        let file = |name: &str| volume.path().join(name);
        let chain = CertificateDer::pem_file_iter(file("server.crt")).unwrap();
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (config, shared) = (Arc::new(config), state.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, shared) = (config.clone(), shared.clone());
                let stream = stream.unwrap();
                std::thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let mut stream = StreamOwned::new(connection, stream);
                    // Whatever goes wrong here is the other end's doing.
                    while serve(&mut stream, &shared).is_ok_and(|more| more) {}
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        Server {
            address,
            state,
            volume,
        }
    }

    fn set(&self, mood: Mood) {
        let mut state = self.state.0.lock().unwrap();
        state.mood = mood;
        state.asked.clear();
        state.targets.clear();
        self.state.1.notify_all();
    }

    /// When something was asked in this mood, once that was so often.
    fn asked(&self, count: usize) -> Vec<Instant> {
        let limit = Duration::from_secs(90);
        within(limit, "requests", || {
            let state = self.state.0.lock().unwrap();
            (state.asked.len() >= count).then(|| state.asked.clone())
        })
    }

    fn podinit(&self) -> Podinit {
        let words = inside(self.volume.path());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Start::args(&["--processset", "web"])
            .under(&words)
            .env("KUBERNETES_SERVICE_HOST", &self.address.ip().to_string())
            .env("KUBERNETES_SERVICE_PORT", &self.address.port().to_string())
            .env("POD_NAME", "web-1")
            .env("POD_UID", "u-1")
            .start()
    }
}

/// False: the connection is at its end.
fn serve(stream: &mut Stream, shared: &Shared) -> std::io::Result<bool> {
    let Some((method, target, body)) = read(stream)? else {
        return Ok(false);
    };
    let mood = {
        let mut state = shared.0.lock().unwrap();
        state.asked.push(Instant::now());
        state.targets.push(format!("{method} {target}"));
        state.mood
    };
    let watch = target.contains("watch=true");
    let answer = match mood {
        Mood::Well(generation) => well(&method, &target, body, generation),
        Mood::Gone if watch => {
            let gone = json!({"type": "ERROR", "object": status(410)});
            (200, String::new(), format!("{gone}\n"))
        }
        Mood::Gone => well(&method, &target, body, 1),
        Mood::Refusing(code) => (code, String::new(), status(code).to_string()),
        Mood::Busy(seconds) => {
            let header = seconds.map_or(String::new(), |seconds| {
                format!("Retry-After: {seconds}\r\n")
            });
            (429, header, status(429).to_string())
        }
        Mood::Huge => (
            200,
            String::new(),
            format!("{{\"a\":\"{}\"}}", "x".repeat(30 << 20)),
        ),
        Mood::Garbage => (200, String::new(), "\u{0}{]\"<html>".repeat(9)),
        Mood::Torn => (200, "X-Torn: yes\r\n".to_owned(), "{\"kind\":".to_owned()),
        Mood::Deaf => {
            until_another(shared, mood);
            return Ok(false);
        }
    };
    if watch && matches!(mood, Mood::Well(_)) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        stream.flush()?;
        until_another(shared, mood);
        return Ok(false);
    }
    let (code, header, text) = answer;
    let length = text.len() + if mood == Mood::Torn { 100 } else { 0 };
    let head = format!(
        "HTTP/1.1 {code} Told\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{header}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())?;
    stream.flush()?;
    Ok(mood != Mood::Torn)
}

fn until_another(shared: &Shared, mood: Mood) {
    let state = shared.0.lock().unwrap();
    let _state = shared
        .1
        .wait_while(state, |state| state.mood == mood)
        .unwrap();
}

/// Method, target and body.
fn read(stream: &mut Stream) -> std::io::Result<Option<(String, String, Value)>> {
    // One request at a time is on its way: nothing of the next one is in the buffer.
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let [method, target, _] = &words[..] else {
        return Ok(None);
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some((method.clone(), target.clone(), body)))
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "not now",
        "reason": "Test", "code": code})
}

fn well(method: &str, target: &str, sent: Value, generation: u32) -> (u16, String, String) {
    let metadata = json!({"name": "web", "namespace": "shop", "uid": "u", "generation": generation,
        "resourceVersion": generation.to_string()});
    let answer = match method {
        "GET" if target.contains("/processsets/web") => {
            json!({"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "metadata": metadata,
                "spec": spec(generation)})
        }
        "GET" if target.contains("/processsets") => {
            let item = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata});
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                "metadata": {"resourceVersion": "1"}, "items": [item]})
        }
        // What is written is taken; of what else there is, there is nothing.
        "GET" => return (404, String::new(), status(404).to_string()),
        _ => sent,
    };
    (200, String::new(), answer.to_string())
}

/// As many of b as the generation says, and a probe that a child has to pass each second.
fn spec(generation: u32) -> Value {
    json!({"shutdown": {"drain": "0s"}, "processes": [
        {"name": "a", "command": [STUB, "--say", "up", "--forever"],
            "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1}},
        {"name": "b", "traffic": "Background", "replicas": generation, "command": [STUB, "--forever"]}]})
}

#[test]
fn whatever_the_server_says_no_child_notices_and_nobody_storms() {
    let server = Server::start();
    let podinit = server.podinit();
    podinit.wait_started("a-0");
    podinit.wait_started("b-0");
    server.asked(8);
    let runs = |podinit: &Podinit| (podinit.starts("a-0"), podinit.starts("b-0"));
    let (used, before, began) = (cpu(podinit.pid()), memory(podinit.pid()).1, Instant::now());
    for mood in [
        Mood::Refusing(403),
        Mood::Refusing(500),
        Mood::Busy(None),
        Mood::Busy(Some(1)),
        Mood::Gone,
        Mood::Huge,
        Mood::Garbage,
        Mood::Torn,
        Mood::Deaf,
    ] {
        server.set(mood);
        // One for each part of podinit; what comes then shows how often they try.
        let (first, all) = if mood == Mood::Deaf { (1, 4) } else { (7, 14) };
        let asked = server.asked(all);
        let took = asked[all - 1] - asked[first];
        let rate = (all - 1 - first) as f64 / took.as_secs_f64();
        println!("{mood:?}: {rate:.1} requests a second");
        let state = server.state.0.lock().unwrap();
        assert!(
            rate < 5.0,
            "{mood:?}: {rate} a second of {:#?}",
            state.targets
        );
        drop(state);
        assert_eq!(runs(&podinit), (1, 1), "{mood:?}");
    }
    let time = began.elapsed().as_secs_f64();
    let share = (cpu(podinit.pid()) - used) / time;
    let more = memory(podinit.pid()).1.saturating_sub(before);
    println!(
        "in {time:.0} s {:.2} % of a core, {more} KiB more of memory",
        share * 100.0
    );
    assert!(more < 4096, "{more} KiB");
    let back = Instant::now();
    server.set(Mood::Well(2));
    podinit.wait_started("b-1");
    println!("back after {:?}", back.elapsed());
    assert!(
        back.elapsed() < Duration::from_secs(5),
        "{:?}",
        back.elapsed()
    );
    assert_eq!(runs(&podinit), (1, 1));
    assert!(!children_of(podinit.pid()).is_empty());
    within(SOON, "it is followed again", || {
        let lines = podinit.lines();
        lines
            .iter()
            .any(crate::tells("is followed again"))
            .then_some(())
    });
    assert_eq!(podinit.stop().code, 0);
}
