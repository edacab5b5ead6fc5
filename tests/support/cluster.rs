//! A real API server: etcd and kube-apiserver on the loopback, and podinit as a pod sees them.
//!
//! No kubelet and no controllers: a Pod is an object here, and podinit runs in a mount namespace that has the volume of
//! the Pod's service account.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::support::{Start, within};

/// Starting a server takes a few seconds on a quiet machine.
const UP: Duration = Duration::from_secs(120);
/// Where a pod has its service account.
const VOLUME: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The server with its store.
#[derive(Debug)]
pub struct Cluster {
    dir: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    etcd: (Child, u16),
    server: Mutex<Option<Child>>,
    namespaces: AtomicU32,
}

/// Ends with the test binary, whatever becomes of that. The kernel means the thread that forks, and a test's own ends with
/// the test: so it is one that stays.
fn spawn(mut command: Command, log: &Path) -> Child {
    let file = fs::File::create(log).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file);
    let parent = nix::unistd::getpid();
    // SAFETY: prctl and getppid are async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            if nix::unistd::getppid() != parent {
                return Err(std::io::Error::other("the test is gone"));
            }
            Ok(())
        });
    }
    let (sender, child) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        sender.send(command.spawn()).unwrap();
        loop {
            std::thread::park();
        }
    });
    child.recv().unwrap().unwrap()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Cluster {
    /// Starts both; `make test-api` builds them before.
    pub fn start() -> Cluster {
        let programs = std::env::var("KUBERNETES_PROGRAMS").map(PathBuf::from);
        let programs = programs.unwrap_or_else(|_| {
            panic!("KUBERNETES_PROGRAMS names no folder with Kubernetes: run `make test-api`")
        });
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path());
        fs::write(
            dir.path().join("tokens.csv"),
            "admin-token,admin,admin,\"system:masters\"\n",
        )
        .unwrap();
        let (client, peer) = (free_port(), free_port());
        let url = format!("http://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let mut etcd = Command::new(programs.join("etcd"));
        etcd.arg("--data-dir")
            .arg(dir.path().join("etcd"))
            .args(["--unsafe-no-fsync", "--log-level", "warn"])
            .args(["--listen-client-urls", &url])
            .args(["--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")]);
        let etcd = spawn(etcd, &dir.path().join("etcd.log"));
        let cluster = Cluster {
            dir,
            programs,
            port: free_port(),
            etcd: (etcd, client),
            server: Mutex::new(None),
            namespaces: AtomicU32::new(0),
        };
        cluster.start_server();
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the API server on the same port and store as before.
    pub fn start_server(&self) {
        let file = |name: &str| self.path(name).display().to_string();
        let mut server = Command::new(self.programs.join("kube-apiserver"));
        server
            .args([
                "--etcd-servers",
                &format!("http://127.0.0.1:{}", self.etcd.1),
            ])
            .args([
                "--bind-address",
                "127.0.0.1",
                "--advertise-address",
                "127.0.0.1",
            ])
            .args(["--secure-port", &self.port.to_string()])
            .args(["--tls-cert-file", &file("server.crt")])
            .args(["--tls-private-key-file", &file("server.key")])
            .args(["--client-ca-file", &file("ca.crt")])
            .args(["--token-auth-file", &file("tokens.csv")])
            .args(["--authorization-mode", "RBAC"])
            .args(["--service-cluster-ip-range", "10.0.0.0/24"])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .args(["--service-account-key-file", &file("accounts.pub")])
            .args(["--service-account-signing-key-file", &file("accounts.key")])
            .args(["--disable-admission-plugins", "ServiceAccount"])
            .args(["--endpoint-reconciler-type", "none"])
            .arg("--cert-dir")
            .arg(self.path("certs"));
        let child = spawn(server, &self.path("apiserver.log"));
        *self.server.lock().unwrap() = Some(child);
        within(UP, "the API server is ready", || {
            let ended = self
                .server
                .lock()
                .unwrap()
                .as_mut()
                .unwrap()
                .try_wait()
                .unwrap();
            if let Some(status) = ended {
                let log = fs::read_to_string(self.path("apiserver.log")).unwrap();
                panic!("{status}\n{log}");
            }
            let (ok, text) = self.try_kubectl(&["get", "--raw", "/readyz"], None);
            (ok && text == "ok").then_some(())
        });
    }

    /// Ends the API server; the store stays.
    pub fn stop_server(&self) {
        if let Some(mut child) = self.server.lock().unwrap().take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// The API server takes connections and never answers, until it is told to go on.
    pub fn freeze(&self, frozen: bool) {
        use nix::sys::signal::{Signal, kill};
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        let pid = self.server.lock().unwrap().as_ref().unwrap().id();
        kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
    }

    fn try_kubectl(&self, args: &[&str], stdin: Option<&str>) -> (bool, String) {
        self.kubectl_with("admin-token", args, stdin)
    }

    fn kubectl_with(&self, token: &str, args: &[&str], stdin: Option<&str>) -> (bool, String) {
        let mut child = Command::new(self.programs.join("kubectl"))
            .args(["--server", &format!("https://127.0.0.1:{}", self.port)])
            .arg("--certificate-authority")
            .arg(self.path("ca.crt"))
            .args(["--token", token, "--kubeconfig", "/dev/null"])
            .args(args)
            .env("HOME", self.dir.path())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = stdin.unwrap_or_default();
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        let output = child.wait_with_output().unwrap();
        let told = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        let told = String::from_utf8_lossy(&told).into_owned();
        (output.status.success(), told)
    }

    /// What kubectl prints; it must succeed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let (ok, text) = self.try_kubectl(args, None);
        assert!(ok, "kubectl {args:?}: {text}");
        text
    }

    /// What kubectl says with the token of a Pod; whether it succeeded.
    pub fn kubectl_as(&self, pod: &Pod<'_>, args: &[&str], stdin: Option<&str>) -> (bool, String) {
        let token = fs::read_to_string(pod.volume.path().join("token")).unwrap();
        self.kubectl_with(&token, args, stdin)
    }

    /// What kubectl prints as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["-o", "json"]);
        let text = self.kubectl(&all);
        if text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&text).unwrap()
    }

    /// Applies a manifest.
    pub fn apply(&self, namespace: &str, manifest: &str) -> String {
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "-n",
            namespace,
            "-f",
            "-",
        ];
        let (ok, text) = self.try_kubectl(&args, Some(manifest));
        assert!(ok, "{text}\n{manifest}");
        text
    }

    /// Applies a manifest that must be refused; says why.
    pub fn refuse(&self, namespace: &str, manifest: &str) -> String {
        let args = ["apply", "--server-side", "-n", namespace, "-f", "-"];
        let (ok, text) = self.try_kubectl(&args, Some(manifest));
        assert!(!ok, "it was taken: {manifest}");
        text
    }

    /// A namespace of the test's own.
    pub fn namespace(&self) -> String {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{number}");
        self.kubectl(&["create", "namespace", &name]);
        name
    }

    /// A Pod, the service account it runs as, and the rights of that.
    pub fn pod(&self, namespace: &str, name: &str, rules: &str) -> Pod<'_> {
        let account = format!("{name}-account");
        self.apply(
            namespace,
            &format!(
                "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {account}}}\n---\n\
                 apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {account}}}\nrules:\n{rules}\n---\n\
                 apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {account}}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {account}}}\n\
                 subjects: [{{kind: ServiceAccount, name: {account}}}]\n---\n\
                 apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  serviceAccountName: {account}\n  \
                 nodeName: nowhere\n  containers: [{{name: main, image: none}}]\n"
            ),
        );
        let uid = self.kubectl(&[
            "get",
            "pod",
            "-n",
            namespace,
            name,
            "-o",
            "jsonpath={.metadata.uid}",
        ]);
        let volume = tempfile::tempdir().unwrap();
        let token = self.kubectl(&[
            "create",
            "token",
            "-n",
            namespace,
            &account,
            "--bound-object-kind",
            "Pod",
            "--bound-object-name",
            name,
            "--bound-object-uid",
            &uid,
        ]);
        fs::write(volume.path().join("token"), token.trim()).unwrap();
        fs::write(volume.path().join("namespace"), namespace).unwrap();
        fs::copy(self.path("ca.crt"), volume.path().join("ca.crt")).unwrap();
        Pod {
            cluster: self,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid,
            volume,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop_server();
        let _ = self.etcd.0.kill();
        let _ = self.etcd.0.wait();
    }
}

/// A Pod of the API server.
#[derive(Debug)]
pub struct Pod<'a> {
    cluster: &'a Cluster,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    volume: tempfile::TempDir,
}

impl Pod<'_> {
    /// podinit as the first process of this Pod's container.
    pub fn podinit(&self, args: &[&str]) -> Start {
        let script = format!("mount --bind \"$0\" {VOLUME} && exec \"$@\"");
        fs::create_dir_all(VOLUME).unwrap();
        let volume = self.volume.path().to_str().unwrap();
        Start::args(args)
            .under(&["sh", "-c", &script, volume])
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", &self.cluster.port.to_string())
            .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
            // A proxy of the application's is nothing for the API server.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("https_proxy", "http://127.0.0.1:9")
    }
}

/// A CA, a server certificate of it, and the key of the service accounts' tokens.
fn certificates(dir: &Path) {
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "test CA");
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    write("ca.crt", &ca_certificate.pem());
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1", "kubernetes.default.svc"].map(str::to_owned);
    let server = CertificateParams::new(names).unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    write("server.crt", &certificate.pem());
    write("server.key", &key.serialize_pem());
    let accounts = KeyPair::generate().unwrap();
    write("accounts.key", &accounts.serialize_pem());
    write("accounts.pub", &accounts.public_key_pem());
}
