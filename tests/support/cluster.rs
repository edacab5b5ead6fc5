//! A real API server: etcd and kube-apiserver on the loopback, and podinit as a pod sees them.
//!
//! No kubelet, and controllers only where a test asks for them: a Pod is an object here, and podinit runs in a mount
//! namespace that has the volume of the Pod's service account.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::support::{Start, within};

/// Starting a server takes a few seconds on a quiet machine.
const UP: Duration = Duration::from_secs(120);
/// Where a pod has its service account.
const VOLUME: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the controllers do: owned objects and the content of namespaces go, namespaces get a ServiceAccount. None that
/// miss the Nodes of the Pods.
const CONTROLLERS: &str =
    "garbage-collector-controller,namespace-controller,serviceaccount-controller";

/// The server with its store.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    address: SocketAddr,
    etcd: Child,
    server: Mutex<Option<Child>>,
    controllers: Option<Child>,
    namespaces: AtomicU32,
    audited: bool,
    dir: Folder,
}

/// What the service accounts of Pods ask, without what is said.
const AUDIT: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]}"#;

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

/// A folder that goes when this process does, however that ends: a static is never dropped, and a killed test drops nothing.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    broom: (Option<ChildStdin>, Child),
}

impl Folder {
    fn new() -> Folder {
        let path = tempfile::tempdir().unwrap().keep();
        // Until the pipe is closed; then as long as somebody who is killed at the same time still makes files.
        let script = "read _; exec timeout 10 sh -c 'until rm -rf \"$0\"; do :; done' \"$0\" 2>&-";
        let mut broom = Command::new("sh")
            .args(["-c", script])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C is for the test.
            .process_group(0)
            .spawn()
            .unwrap();
        let stdin = broom.stdin.take();
        Folder {
            path,
            broom: (stdin, broom),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.broom.0.take());
        let _ = self.broom.1.wait();
    }
}

/// An address of this process's own among those of the loopback: no port has to be found, and one that was given up for
/// a while is not taken by somebody else.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // A pid has 22 bits.
    let pid = std::process::id() & 0x3f_ffff;
    let ip = Ipv4Addr::from((127 << 24) | (1 << 22) | pid);
    let port = 6443 + NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from((ip, port as u16))
}

/// The folder with Kubernetes: what `KUBERNETES_PROGRAMS` says, else where `make kubernetes` builds it.
fn programs() -> PathBuf {
    let folder = std::env::var("KUBERNETES_PROGRAMS").unwrap_or_else(|_| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/kind-e2e/build");
        let output = Command::new(script).arg("--folder").output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    });
    let folder = PathBuf::from(folder);
    assert!(
        folder.join("kube-apiserver").exists(),
        "no Kubernetes in {}: build it with `make kubernetes`",
        folder.display()
    );
    folder
}

impl Cluster {
    /// Starts both.
    pub fn start() -> Cluster {
        Cluster::begin(false)
    }

    /// Starts both; what Pods ask is written down.
    pub fn audited() -> Cluster {
        Cluster::begin(true)
    }

    fn begin(audited: bool) -> Cluster {
        let programs = programs();
        let (dir, address) = (Folder::new(), own_address());
        certificates(&dir.path, address);
        fs::write(
            dir.path.join("tokens.csv"),
            "admin-token,admin,admin,\"system:masters\"\n",
        )
        .unwrap();
        let url = format!("unix://{}/etcd.sock", dir.path.display());
        let peer = format!("unix://{}/peer.sock", dir.path.display());
        let mut etcd = Command::new(programs.join("etcd"));
        etcd.arg("--data-dir")
            .arg(dir.path.join("etcd"))
            .args(["--unsafe-no-fsync", "--log-level", "warn"])
            .args(["--listen-client-urls", &url])
            .args(["--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")]);
        let etcd = spawn(etcd, &dir.path.join("etcd.log"));
        let cluster = Cluster {
            programs,
            address,
            etcd,
            server: Mutex::new(None),
            controllers: None,
            namespaces: AtomicU32::new(0),
            audited,
            dir,
        };
        fs::write(cluster.path("audit.json"), AUDIT).unwrap();
        cluster.start_server();
        cluster
    }

    /// With the CRDs of this repository.
    #[must_use]
    pub fn with_crds(self) -> Cluster {
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
        self.kubectl(&["apply", "--server-side", "-f", crds]);
        let wait = ["wait", "--for=condition=Established", "crd", "--all"];
        self.kubectl(&wait);
        self
    }

    /// With what removes owned objects and the content of namespaces, and makes ServiceAccounts. What comes after the
    /// CRDs knows them at once.
    #[must_use]
    pub fn with_controllers(mut self) -> Cluster {
        let config = self.path("controllers.json");
        let server = json!({"server": self.url(), "certificate-authority": self.path("ca.crt")});
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "all",
            "clusters": [{"name": "all", "cluster": server}],
            "users": [{"name": "all", "user": {"token": "admin-token"}}],
            "contexts": [{"name": "all", "context": {"cluster": "all", "user": "all"}}],
        });
        fs::write(&config, text.to_string()).unwrap();
        let mut controllers = Command::new(self.program("kube-controller-manager"));
        controllers
            .arg("--kubeconfig")
            .arg(config)
            .args(["--controllers", CONTROLLERS])
            .args(["--leader-elect=false", "--secure-port=0"]);
        self.controllers = Some(spawn(controllers, &self.path("controllers.log")));
        self
    }

    /// A program of Kubernetes.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Where the API server is.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path.join(name)
    }

    /// Starts the API server on the same port and store as before.
    pub fn start_server(&self) {
        let file = |name: &str| self.path(name).display().to_string();
        let mut server = Command::new(self.program("kube-apiserver"));
        server
            .arg("--etcd-servers")
            .arg(format!("unix://{}", file("etcd.sock")))
            .args(["--bind-address", &self.address.ip().to_string()])
            .args(["--advertise-address", &self.address.ip().to_string()])
            .args(["--secure-port", &self.address.port().to_string()])
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
        if self.audited {
            let (policy, log) = (file("audit.json"), file("audit.log"));
            server.args(["--audit-policy-file", &policy, "--audit-log-path", &log]);
        }
        let child = spawn(server, &self.path("apiserver.log"));
        *self.server.lock().unwrap() = Some(child);
        within(UP, "the API server is ready", || {
            let mut server = self.server.lock().unwrap();
            if let Some(status) = server.as_mut().unwrap().try_wait().unwrap() {
                let log = fs::read_to_string(self.path("apiserver.log")).unwrap();
                panic!("{status}\n{log}");
            }
            drop(server);
            TcpStream::connect(self.address).ok()?;
            let (ok, text) = self.try_kubectl(&["get", "--raw", "/readyz"], None);
            (ok && text == "ok").then_some(())
        });
    }

    /// What this Pod's service account asked so far, each request when it was answered (a watch when it was begun, too).
    pub fn asked(&self, pod: &Pod<'_>) -> Vec<Value> {
        let log = fs::read_to_string(self.path("audit.log")).unwrap_or_default();
        let user = format!(
            "system:serviceaccount:{}:{}-account",
            pod.namespace, pod.name
        );
        let lines = log.lines().filter(|line| line.contains(&user));
        // The last one may be half written.
        let asked = lines.filter_map(|line| serde_json::from_str(line).ok());
        asked.collect()
    }

    /// A client that is an administrator, for what kubectl is too slow for. Needs a runtime.
    pub fn client(&self) -> kube::Client {
        let ca = CertificateDer::pem_file_iter(self.path("ca.crt")).unwrap();
        let ca = ca.map(|one| one.unwrap().to_vec()).collect();
        let mut config = kube::Config::new(self.url().parse().unwrap());
        config.root_cert = Some(ca);
        config.auth_info.token = Some("admin-token".to_owned().into());
        config.try_into().unwrap()
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

    /// kubectl with this token, and nothing of the caller's own configuration.
    fn kubectl_command(&self, token: &str) -> Command {
        let mut command = Command::new(self.program("kubectl"));
        command
            .args(["--server", &self.url(), "--request-timeout=60s"])
            .arg("--certificate-authority")
            .arg(self.path("ca.crt"))
            .args(["--token", token, "--kubeconfig", "/dev/null"])
            .env("HOME", &self.dir.path)
            .env_remove("KUBECONFIG");
        command
    }

    fn kubectl_with(&self, token: &str, args: &[&str], stdin: Option<&str>) -> (bool, String) {
        let mut child = self
            .kubectl_command(token)
            .args(args)
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

    /// Waits for an Event about such an object and with such a reason, by a watch: a loop of kubectls would have the CPU.
    pub fn wait_event(&self, namespace: &str, kind: &str, reason: &str) {
        let fields = format!("involvedObject.kind={kind},reason={reason}");
        let mut watch = self
            .kubectl_command("admin-token")
            .args(["get", "events", "--watch", "-o", "name", "-n", namespace])
            .args(["--field-selector", &fields])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line);
        let _ = watch.kill();
        watch.wait().unwrap();
        assert!(
            output.is_ok_and(|read| read > 0),
            "no Event {reason} about a {kind} within a minute"
        );
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

    /// The ProcessReport of a Pod; `Null`: there is none.
    pub fn report(&self, pod: &Pod<'_>) -> Value {
        let name = format!("{}.main", pod.name);
        self.json(&[
            "get",
            "prep",
            "-n",
            &pod.namespace,
            &name,
            "--ignore-not-found",
        ])
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

    /// A service account and what it may do: the rules of a Role as YAML, indented by two.
    pub fn service_account(&self, namespace: &str, name: &str, rules: &str) {
        self.apply(
            namespace,
            &format!(
                "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n---\n\
                 apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\nrules:\n{rules}\n---\n\
                 apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {name}}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}\n\
                 subjects: [{{kind: ServiceAccount, name: {name}}}]\n"
            ),
        );
    }

    /// A token of a service account; `bound` to a Pod of this name and uid, as the kubelet asks for it.
    pub fn token(&self, namespace: &str, account: &str, bound: Option<(&str, &str)>) -> String {
        let mut args = vec!["create", "token", "-n", namespace, account];
        if let Some((pod, uid)) = bound {
            args.extend(["--bound-object-kind", "Pod", "--bound-object-name", pod]);
            args.extend(["--bound-object-uid", uid]);
        }
        self.kubectl(&args).trim().to_owned()
    }

    /// A Pod, the service account it runs as, and the rights of that.
    pub fn pod(&self, namespace: &str, name: &str, rules: &str) -> Pod<'_> {
        self.pod_of(namespace, name, &self.account(namespace, name, rules))
    }

    /// The service account of a Pod, with these rights.
    pub fn account(&self, namespace: &str, pod: &str, rules: &str) -> String {
        let account = format!("{pod}-account");
        self.service_account(namespace, &account, rules);
        account
    }

    /// A Pod that runs as a service account that is there. Its Node is nowhere: nobody schedules it, nobody runs it.
    pub fn pod_of(&self, namespace: &str, name: &str, account: &str) -> Pod<'_> {
        self.pod_like(namespace, name, account, "")
    }

    /// The same, with more fields of its spec: lines that begin with two spaces.
    pub fn pod_like(&self, namespace: &str, name: &str, account: &str, more: &str) -> Pod<'_> {
        self.apply(
            namespace,
            &format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  serviceAccountName: {account}\n  \
                 nodeName: nowhere\n  containers: [{{name: main, image: none}}]\n{more}"
            ),
        );
        let pod = self.json(&["get", "pod", "-n", namespace, name]);
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let token = self.token(namespace, account, Some((name, &uid)));
        Pod {
            cluster: self,
            volume: self.volume(namespace, &token),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid,
        }
    }

    /// A token as the kubelet lays it out for a container.
    fn volume(&self, namespace: &str, token: &str) -> tempfile::TempDir {
        let volume = tempfile::tempdir().unwrap();
        let data = volume.path().join("..1");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("token"), token).unwrap();
        fs::write(data.join("namespace"), namespace).unwrap();
        fs::copy(self.path("ca.crt"), data.join("ca.crt")).unwrap();
        symlink("..1", volume.path().join("..data")).unwrap();
        for name in ["token", "namespace", "ca.crt"] {
            symlink(format!("..data/{name}"), volume.path().join(name)).unwrap();
        }
        volume
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop_server();
        for child in [Some(&mut self.etcd), self.controllers.as_mut()]
            .into_iter()
            .flatten()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
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
        let words = self.inside();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let start = Start::args(args)
            .under(&words)
            .env("PODINIT_ADMIN_ADDR", "127.0.0.1:0")
            // A proxy of the application's is nothing for the API server.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("https_proxy", "http://127.0.0.1:9");
        let env = self.environment();
        let set = |start: Start, (name, value): &(&str, String)| start.env(name, value);
        env.iter().fold(start, set)
    }

    /// Any command in this Pod's container.
    pub fn command(&self, program: &str) -> Command {
        let words = self.inside();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(program)
            .envs(self.environment());
        command
    }

    fn inside(&self) -> Vec<String> {
        inside(self.volume.path())
    }

    /// What the kubelet sets, and what a chart sets by the downward API.
    fn environment(&self) -> [(&'static str, String); 5] {
        let address = self.cluster.address;
        [
            ("KUBERNETES_SERVICE_HOST", address.ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", address.port().to_string()),
            ("POD_NAME", self.name.clone()),
            ("POD_NAMESPACE", self.namespace.clone()),
            ("POD_UID", self.uid.clone()),
        ]
    }
}

/// The rules of examples/rbac.yaml, which are for the set `shop`.
pub fn documented_rules() -> String {
    let path = format!("{}/examples/rbac.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let (_, rules) = text.split_once("rules:\n").unwrap();
    let (rules, _) = rules.split_once("---").unwrap();
    rules.to_owned()
}

/// A condition of an object's status; `Null`: it has none of this type.
pub fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let mut all = conditions.into_iter().flatten();
    all.find(|one| one["type"] == kind)
        .cloned()
        .unwrap_or_default()
}

/// A ProcessSet with this body of its spec.
pub fn set(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: {name}}}\nspec:\n{spec}\n"
    )
}

/// Puts a command into a mount namespace with this volume of a service account.
pub fn inside(volume: &Path) -> Vec<String> {
    fs::create_dir_all(VOLUME).unwrap();
    let script = format!("mount --bind \"$0\" {VOLUME} && exec \"$@\"");
    let volume = volume.to_str().unwrap();
    ["unshare", "--mount", "sh", "-c", &script, volume]
        .map(str::to_owned)
        .to_vec()
}

/// A CA, a server certificate of it, and the key of the service accounts' tokens.
pub fn certificates(dir: &Path, address: SocketAddr) {
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
    let names = [
        address.ip().to_string(),
        "kubernetes.default.svc".to_owned(),
    ];
    let server = CertificateParams::new(names).unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    write("server.crt", &certificate.pem());
    write("server.key", &key.serialize_pem());
    let accounts = KeyPair::generate().unwrap();
    write("accounts.key", &accounts.serialize_pem());
    write("accounts.pub", &accounts.public_key_pem());
}
