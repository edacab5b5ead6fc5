//! FastCGI probes of a real php-fpm: its ping and status pages, a script, a page that is not there, and none at all.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test is at the edge: it runs a server and reads its files"
)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use podinit::domain::event::Event;
use podinit::domain::id::RunId;
use podinit::domain::plan::{FastCgiAddress, Request};
use podinit::ports::Requests as _;
use podinit::probe::Client;
use tempfile::TempDir;
use tokio::sync::mpsc;

const PHP_FPM: &str = "/usr/sbin/php-fpm8.2";

/// What no test waits for.
const LONG: Duration = Duration::from_secs(20);

/// A php-fpm with one pool on a TCP port and one on a Unix socket, of one worker each. Dropped, it is ended.
struct Fpm {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Fpm {
    fn start() -> Fpm {
        assert!(
            Path::new(PHP_FPM).exists(),
            "php-fpm is missing. As root: apt-get install php8.2-fpm"
        );
        let dir = tempfile::tempdir().unwrap();
        // Taken and given back: php-fpm does not tell which port it got.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let at = dir.path().display();
        let pool = |name: &str, listen: &str| {
            // A user is wanted when root runs it, and only noted otherwise.
            format!(
                "[{name}]\nuser = www-data\ngroup = www-data\nlisten = {listen}\nlisten.mode = 0666\n\
                 pm = static\npm.max_children = 1\nping.path = /ping\npm.status_path = /status\n\
                 php_admin_flag[display_errors] = off\nphp_admin_flag[log_errors] = on\n"
            )
        };
        let config = format!(
            "[global]\nerror_log = {at}/log\ndaemonize = no\n{}{}",
            pool("tcp", &format!("127.0.0.1:{port}")),
            pool("unix", &format!("{at}/fpm.sock")),
        );
        fs::write(dir.path().join("fpm.conf"), config).unwrap();
        let child = Command::new(PHP_FPM)
            .args(["--nodaemonize", "--no-php-ini", "--fpm-config"])
            .arg(dir.path().join("fpm.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let fpm = Fpm { child, dir, port };
        let start = Instant::now();
        // The probe that is tested is what tells that it is up, as in a pod.
        while let Err(why) = fpm.asked(&fpm.unix(), "/ping", "") {
            assert!(start.elapsed() < LONG, "{why}: {}", fpm.log());
            std::thread::yield_now();
        }
        fpm
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn tcp(&self) -> FastCgiAddress {
        FastCgiAddress::Tcp {
            host: "127.0.0.1".to_owned(),
            port: self.port,
        }
    }

    fn unix(&self) -> FastCgiAddress {
        let path = self.dir.path().join("fpm.sock");
        FastCgiAddress::Unix(path.to_str().unwrap().to_owned())
    }

    fn asked_within(
        &self,
        timeout: Duration,
        address: &FastCgiAddress,
        path: &str,
        query: &str,
    ) -> Result<(), String> {
        let (sender, mut mailbox) = mpsc::channel(1);
        let request = Request::FastCgi {
            address: address.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
        };
        let mut client = Client::new(sender);
        client.ask(RunId(1), Arc::new(request), timeout);
        match mailbox.blocking_recv().and_then(|message| message.event) {
            Some(Event::Responded { result, .. }) => result,
            other => panic!("{other:?}: {}", self.log()),
        }
    }

    fn asked(&self, address: &FastCgiAddress, path: &str, query: &str) -> Result<(), String> {
        self.asked_within(LONG, address, path, query)
    }

    /// A script that every user can read.
    fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path: PathBuf = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        for open in [self.dir.path(), &path] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
        }
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        // TERM ends its workers too, which KILL would leave behind.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_php_fpm_answers_its_probes() {
    let fpm = Fpm::start();
    for address in [fpm.tcp(), fpm.unix()] {
        let asked = |path: &str, query: &str| fpm.asked(&address, path, query);
        assert_eq!(asked("/ping", ""), Ok(()));
        assert_eq!(asked("/status", ""), Ok(()));
        assert_eq!(asked("/status", "json&full"), Ok(()));
        let missing = "status 404: Primary script unknown".to_owned();
        assert_eq!(asked("/nothing", ""), Err(missing));
    }
}

#[test]
fn what_a_script_says_decides() {
    let fpm = Fpm::start();
    let script = fpm.script(
        "health.php",
        "<?php parse_str($_SERVER['QUERY_STRING'], $query);
        if (isset($query['sleep'])) { sleep(600); }
        if (isset($query['throw'])) { throw new Exception('no database'); }
        if ($_SERVER['REQUEST_METHOD'] !== 'GET' || $_SERVER['REMOTE_ADDR'] !== '127.0.0.1') { $query['status'] = 400; }
        http_response_code((int) ($query['status'] ?? 200));
        echo str_repeat('x', (int) ($query['bytes'] ?? 2));",
    );
    let asked = |query: &str| fpm.asked(&fpm.tcp(), &script, query);
    assert_eq!(asked(""), Ok(()));
    assert_eq!(asked("status=302"), Ok(()));
    assert_eq!(asked("status=503"), Err("status 503".to_owned()));
    assert_eq!(asked("bytes=5000000"), Ok(()));
    let error = asked("throw=1").unwrap_err();
    assert!(error.starts_with("status 500: PHP message: "), "{error}");
    // A worker that hangs: the probe ends, and so does the next one, which finds no worker.
    let short = Duration::from_millis(300);
    for query in ["sleep=1", ""] {
        let late = fpm.asked_within(short, &fpm.tcp(), &script, query);
        assert_eq!(late, Err("no answer in 300ms".to_owned()));
    }
    assert_eq!(fpm.asked(&fpm.unix(), "/ping", ""), Ok(()));
}
