//! Probes, with the exact Kubernetes meaning, and their handlers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;

/// A check of an instance, as in a Pod: exactly one handler, and when to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [
    {"required": ["exec"]},
    {"required": ["httpGet"]},
    {"required": ["tcpSocket"]},
    {"required": ["grpc"]},
    {"required": ["fastCgi"]},
    {"required": ["notify"]},
]))]
pub struct Probe {
    /// Passes when the command exits with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,

    /// Passes when the answer's status is 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,

    /// Passes when the connection opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocketAction>,

    /// Passes when the gRPC health service answers SERVING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcAction>,

    /// Passes when a FastCGI request (php-fpm's ping or status page) is answered with a status below 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast_cgi: Option<FastCgiAction>,

    /// Passes when the process itself says READY=1 over the sd_notify protocol; with WATCHDOG=1 as liveness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifyAction>,

    /// Seconds from the start of the run to the first check, 0 to 86400. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86400))]
    pub initial_delay_seconds: u32,

    /// Seconds after which a check fails, 1 to 3600. Default 1.
    #[serde(default = "defaults::number::<1>")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,

    /// Seconds between checks, 1 to 86400. Default 10.
    #[serde(default = "defaults::number::<10>")]
    #[schemars(range(min = 1, max = 86400))]
    pub period_seconds: u32,

    /// How many checks must pass in a row after a failure, 1 to 1000; 1 for liveness and startup. Default 1.
    #[serde(default = "defaults::number::<1>")]
    #[schemars(range(min = 1, max = 1000))]
    pub success_threshold: u32,

    /// How many checks must fail in a row, 1 to 100000. Default 3.
    #[serde(default = "defaults::number::<3>")]
    #[schemars(range(min = 1, max = 100_000))]
    pub failure_threshold: u32,

    /// The grace period of a restart this probe causes, in seconds, 1 to 86400. By default the process's own. Not for
    /// readiness.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub termination_grace_period_seconds: Option<u32>,
}

/// A command to run; no shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecAction {
    /// The program and its arguments. 1 to 128 strings of at most 32768 characters.
    #[schemars(length(min = 1, max = 128), inner(length(max = 32768)), extend("x-kubernetes-list-type" = "atomic"))]
    pub command: Vec<String>,
}

/// An HTTP GET request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGetAction {
    /// The host to connect to. Default 127.0.0.1 (a Pod has its own IP here). For another Host header use httpHeaders. At
    /// most 253 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,

    /// The path, with a query if need be. Default /. At most 4096 characters.
    #[serde(default = "defaults::root_path")]
    #[schemars(length(max = 4096))]
    pub path: String,

    /// The port, a number from 1 to 65535. By default the instance's own, if the process has a portBase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,

    /// HTTP or HTTPS; certificates are not verified. Default HTTP.
    #[serde(default)]
    pub scheme: HttpScheme,

    /// Headers to send. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub http_headers: Vec<HttpHeader>,
}

/// The scheme of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum HttpScheme {
    /// Plain.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// Over TLS; the certificate is not verified.
    #[serde(rename = "HTTPS")]
    Https,
}

/// An HTTP header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// The name. 1 to 256 characters.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,

    /// The value, a string. At most 4096 characters.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpSocketAction {
    /// The host to connect to. Default 127.0.0.1. At most 253 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,

    /// The port, a number from 1 to 65535. By default the instance's own, if the process has a portBase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
}

/// A call of the gRPC health service on 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcAction {
    /// The port, a number from 1 to 65535. By default the instance's own, if the process has a portBase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,

    /// The service name in the request. By default empty: the server as a whole. At most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub service: Option<String>,
}

/// A FastCGI request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FastCgiAction {
    /// Where php-fpm listens: HOST:PORT such as 127.0.0.1:9000, or the path of a socket. 1 to 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,

    /// The script path, php-fpm's ping.path or pm.status_path. Default /ping. At most 4096 characters.
    #[serde(default = "defaults::ping_path")]
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,

    /// The query string, without `?`. By default empty. At most 4096 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub query: Option<String>,
}

/// The process reports by itself over the sd_notify protocol ($NOTIFY_SOCKET).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NotifyAction {}
