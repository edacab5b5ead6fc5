#![expect(clippy::disallowed_methods, reason = "the file of a test")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::*;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate by this CA for these names.
fn server(ca: &Ca, names: &[&str]) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

/// What the client says of this server under this name.
fn verdict(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<(), String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client
                .process_new_packets()
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

#[test]
fn a_server_by_the_ca_is_taken_and_no_other() {
    let (ours, other) = (ca(), ca());
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    let client = Arc::new(config(Some(file.path().to_owned())).unwrap());
    let names = ["kubernetes.default.svc", "10.96.0.1"];
    let (real, false_one) = (server(&ours, &names), server(&other, &names));

    write(&ours.pem());
    assert_eq!(verdict(&client, &real, "10.96.0.1"), Ok(()));
    assert_eq!(verdict(&client, &real, "kubernetes.default.svc"), Ok(()));
    let refused = verdict(&client, &real, "10.96.0.2").unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
    let refused = verdict(&client, &false_one, "10.96.0.1").unwrap_err();
    // Both CAs have the same name.
    assert!(refused.contains("BadSignature"), "{refused}");

    // The CA changes: first both are good, then the new one.
    write(&format!("{}{}", ours.pem(), other.pem()));
    assert_eq!(verdict(&client, &real, "10.96.0.1"), Ok(()));
    assert_eq!(verdict(&client, &false_one, "10.96.0.1"), Ok(()));
    write(&other.pem());
    assert_eq!(verdict(&client, &false_one, "10.96.0.1"), Ok(()));
    assert!(verdict(&client, &real, "10.96.0.1").is_err());

    // A file that says nothing lets nobody in.
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        write(text);
        let refused = verdict(&client, &real, "10.96.0.1").unwrap_err();
        let told = refused.contains("UnknownIssuer") || refused.contains("failed to read the CA");
        assert!(told, "{text:?}: {refused}");
    }
    let nobody = Arc::new(config(None).unwrap());
    assert!(verdict(&nobody, &real, "10.96.0.1").is_err());
}
