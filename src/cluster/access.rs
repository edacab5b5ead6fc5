//! The client, and who we are.

#![expect(
    clippy::disallowed_methods,
    reason = "the edge: reads the service account's volume"
)]

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use http::{Request, Response};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::Body;
use kube::client::middleware::BaseUriLayer;
use kube::config::InClusterError;
use kube::{Client, Config};
use serde::Deserialize;
use tower::Layer as _;

use super::guard::Guard;
pub(super) use super::guard::LIMIT;
use super::tls;
use super::trouble::Trouble;

const VOLUME: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// For the connection.
const CONNECT: Duration = Duration::from_secs(3);

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The pod's name: `PODINIT_POD_NAME`, else `POD_NAME`, else the host's name.
    pub pod: Option<String>,
    /// The pod's uid: `PODINIT_POD_UID`, else `POD_UID`.
    pub uid: Option<String>,
    /// Its namespace: `PODINIT_POD_NAMESPACE`, else `POD_NAMESPACE`.
    pub namespace: Option<String>,
    /// The container: `PODINIT_CONTAINER`, else `main`.
    pub container: Option<String>,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The pod, if it is known.
    pub(super) pod: Option<Pod>,
    pub(super) container: String,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// The namespace of the pod, as its service account's volume has it.
pub fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string(format!("{VOLUME}/namespace")).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Identity {
    /// The projected token says it best: the kubelet bound it to this pod. Else the environment.
    pub(super) fn find(surroundings: &Surroundings) -> Identity {
        let token = std::fs::read_to_string(format!("{VOLUME}/token")).ok();
        let claimed = token.and_then(|token| of_token(token.trim()));
        let given = || {
            Some(Pod {
                namespace: surroundings.namespace.clone().or_else(own_namespace)?,
                name: surroundings.pod.clone()?,
                uid: surroundings.uid.clone()?,
            })
        };
        let container = surroundings.container.clone();
        Identity {
            pod: claimed.or_else(given),
            container: container.unwrap_or_else(|| "main".to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    pod: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    uid: String,
}

/// The claims of a service account token. Nobody has to be kept out by it: it is our own.
fn of_token(token: &str) -> Option<Pod> {
    let payload = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .ok()?;
    let claims: Claims = serde_json::from_slice(&bytes).ok()?;
    Some(Pod {
        namespace: claims.kubernetes.namespace,
        name: claims.kubernetes.pod.name,
        uid: claims.kubernetes.pod.uid,
    })
}

/// The client.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) client: Client,
    guard: Guard,
}

impl Access {
    /// As the pod's service account, and never as anybody's kubeconfig says. Needs a runtime.
    pub(super) fn incluster() -> Result<Access, String> {
        let config = Config::incluster().map_err(|error| no_config(&error))?;
        Access::over(config, PathBuf::from(format!("{VOLUME}/token")))
    }

    /// One small client with limits of its own: where and whose certificates are the configuration's. A proxy of the
    /// environment is for the application: it is not used. Nor is what else kube's own client can do and a pod never needs
    /// (programs for credentials, JSONPath, tracing, retries that wait for minutes).
    pub(super) fn over(config: Config, token: PathBuf) -> Result<Access, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(config.root_cert_file)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let mut connector = TimeoutConnector::new(connector);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_write_timeout(Some(LIMIT));
        let client: HttpClient<_, Body> =
            HttpClient::builder(TokioExecutor::new()).build(connector);
        let guard = Guard::new(token);
        let service = guard.layer(BaseUriLayer::new(config.cluster_url).layer(client));
        Ok(Access {
            client: Client::new(service, config.default_namespace),
            guard,
        })
    }

    /// With a client that needs no server.
    #[cfg(test)]
    pub(super) fn of(client: Client) -> Access {
        let guard = Guard::new(PathBuf::new());
        Access { client, guard }
    }

    /// The last watch of this path was taken by the server.
    pub(super) fn watches(&self, path: &str) -> bool {
        self.guard.watches(path)
    }

    /// An answer as it came.
    pub(super) async fn get(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, Trouble> {
        let answer = super::pause::within(LIMIT, async {
            let answer = self.client.send(request.map(Body::from)).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect_bytes().await?;
            Ok(Response::from_parts(head, body.to_vec()))
        });
        let answer = answer.await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status: Result<kube::core::Status, _> = serde_json::from_slice(answer.body());
        let status = status.unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(answer.body()).trim().to_owned();
            kube::core::Status::failure(&text, "").with_code(answer.status().as_u16())
        });
        Err(Trouble::of(&kube::Error::Api(Box::new(status))))
    }
}

/// Why there is no API for us, in words.
fn no_config(error: &InClusterError) -> String {
    match error {
        InClusterError::ReadEnvironmentVariable(_) => {
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod"
                .to_owned()
        }
        InClusterError::ReadDefaultNamespace(_) | InClusterError::ReadCertificateBundle(_) => {
            format!("{error}; is automountServiceAccountToken off?")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projected_token_says_who_we_are() {
        let payload = r#"{"aud":["x"],"kubernetes.io":{"namespace":"shop","node":{"name":"n"},
            "pod":{"name":"web-7","uid":"u-1"},"serviceaccount":{"name":"default","uid":"s"}}}"#;
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload);
        let pod = of_token(&format!("e30.{payload}.sig"));
        assert_eq!(
            pod,
            Some(Pod {
                namespace: "shop".to_owned(),
                name: "web-7".to_owned(),
                uid: "u-1".to_owned(),
            })
        );
        for other in ["", "a", "a.b.c", "a.e30.c", "..", "legacy-token"] {
            assert_eq!(of_token(other), None, "{other}");
        }
    }
}
