//! Probes, resolved: what is asked of an instance, and how often.

use std::sync::Arc;
use std::time::Duration;

use super::Launch;
use crate::domain::id::Label;

/// The probes of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes {
    /// Gates the other two until it passes; a failure restarts the instance.
    pub startup: Option<Arc<Probe>>,
    /// A failure restarts the instance.
    pub liveness: Option<Arc<Probe>>,
    /// Says whether the instance is ready.
    pub readiness: Option<Arc<Probe>>,
}

impl Probes {
    /// Whether one of them is answered by the process itself, over the sd_notify protocol.
    pub fn use_notify(&self) -> bool {
        [&self.startup, &self.liveness, &self.readiness]
            .into_iter()
            .flatten()
            .any(|probe| matches!(probe.check, Check::Notify))
    }
}

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// startupProbe.
    Startup,
    /// livenessProbe.
    Liveness,
    /// readinessProbe.
    Readiness,
}

impl ProbeKind {
    /// Its field in a Pod spec.
    pub const fn field(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startupProbe",
            ProbeKind::Liveness => "livenessProbe",
            ProbeKind::Readiness => "readinessProbe",
        }
    }
}

/// One probe, with the meaning that the kubelet gives its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// From the start of the run to the first check.
    pub initial_delay: Duration,
    /// A check that takes longer failed.
    pub timeout: Duration,
    /// From check to check.
    pub period: Duration,
    /// So many must pass in a row; at least 1.
    pub success_threshold: u32,
    /// So many must fail in a row; at least 1.
    pub failure_threshold: u32,
    /// From the stop signal to KILL of a restart that it causes; `None`: the process's own.
    pub grace: Option<Duration>,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Runs a command, with the process's user, environment and directory; exit code 0 passes.
    Exec {
        /// What is executed.
        launch: Arc<Launch>,
        /// What logs call it.
        label: Arc<Label>,
    },
    /// Asks a server.
    Request(Arc<Request>),
    /// Waits to be told by the process.
    Notify,
}

/// Something asked of a server: by a probe or by a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// HTTP; see [`HttpMethod`] for what success is.
    Http(HttpRequest),
    /// A connection that opens is success.
    Tcp {
        /// Host to connect to; IPv6 without brackets.
        host: String,
        /// Port to connect to.
        port: u16,
    },
    /// `grpc.health.v1.Health/Check` on 127.0.0.1; SERVING is success.
    Grpc {
        /// Port to connect to.
        port: u16,
        /// The service asked about; empty: the server as a whole.
        service: String,
    },
    /// A FastCGI request, as to php-fpm's ping page; a status below 400 is success.
    FastCgi {
        /// Where the server listens.
        address: FastCgiAddress,
        /// SCRIPT_NAME and SCRIPT_FILENAME.
        path: String,
        /// QUERY_STRING, without `?`.
        query: String,
    },
}

/// Where a FastCGI server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FastCgiAddress {
    /// TCP.
    Tcp {
        /// Host to connect to; IPv6 without brackets.
        host: String,
        /// Port to connect to.
        port: u16,
    },
    /// A socket of the file system, absolute.
    Unix(String),
}

/// What an HTTP request is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// To learn something, with the meaning of a Pod's httpGet: 200 to 399 is success, redirects are followed.
    Get,
    /// To have something done, once: 200 to 299 is success, and nothing is followed. The body is empty.
    Post,
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// GET or POST.
    pub method: HttpMethod,
    /// Over TLS, without verification of the certificate, as the kubelet does it.
    pub https: bool,
    /// Host to connect to; IPv6 without brackets.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Path with query, beginning with `/`.
    pub path: String,
    /// Header lines. `Host` replaces the default one.
    pub headers: Vec<(String, String)>,
}
