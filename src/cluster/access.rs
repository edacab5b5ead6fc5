//! The client, and who we are.

#![expect(
    clippy::disallowed_methods,
    reason = "the edge: reads the service account's volume"
)]

use std::time::Duration;

use base64::Engine as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use kube::{Client, Config};
use serde::Deserialize;

use super::trouble::Trouble;

const VOLUME: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// For one request that is no watch.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// For the connection.
const CONNECT: Duration = Duration::from_secs(3);
/// The API server takes no object with a body over 3 MiB.
const LARGEST: usize = 3 << 20;

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
}

impl Access {
    /// As the pod's service account, and never as anybody's kubeconfig says. A proxy of the environment is for the
    /// application: it is not used. Needs a runtime.
    pub(super) fn incluster() -> Result<Access, String> {
        let mut config = Config::incluster().map_err(|error| match error.to_string() {
            text if text.contains("environment variable") => {
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod"
                    .to_owned()
            }
            text => format!("{text}; is automountServiceAccountToken off?"),
        })?;
        config.proxy_url = None;
        // One small client with a back-off of its own: the library's would wait for minutes.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        config.write_timeout = Some(LIMIT);
        let client = Client::try_from(config).map_err(|error| error.to_string())?;
        Ok(Access { client })
    }

    /// An answer as it came, its body bounded.
    pub(super) async fn get(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, Trouble> {
        super::pause::within(LIMIT, async {
            let answer = self.client.send(request.map(Body::from)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let bytes = match body {
                Ok(body) => Ok(body.to_bytes().to_vec()),
                Err(error) => Err(format!("{error}")),
            };
            Ok((head, bytes))
        })
        .await
        .and_then(|(head, bytes)| {
            let bytes = bytes
                .map_err(|error| Trouble::other(format!("the answer cannot be used: {error}")))?;
            if head.status.is_success() {
                return Ok(Response::from_parts(head, bytes));
            }
            let status: Result<kube::core::Status, _> = serde_json::from_slice(&bytes);
            Err(match status {
                Ok(status) => Trouble::of(&kube::Error::Api(Box::new(status))),
                Err(_) => Trouble::other(format!("status {}", head.status)),
            })
        })
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
