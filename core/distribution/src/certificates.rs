//! Which certificates a registry is checked by, and which we show it.
//!
//! ```text
//! <certs.d>/<host>[:<port>]/*.crt            authorities for this registry, besides the system's
//!                           <name>.cert      what we show
//!                           <name>.key       its key
//! ```

use crate::{Config, Error};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Bytes of one file of certificates.
const FILE_MAX: u64 = 4 << 20;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The TLS settings for a server. Reads files: belongs on a blocking thread.
pub(crate) fn client_config(
    config: &Config,
    host: &str,
    port: u16,
    insecure: bool,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let directory = directory(config, host, port);
    let failed = |path: &Path, why: String| Error::Certificates {
        host: host.to_owned(),
        path: path.display().to_string(),
        why,
    };
    let mut roots = RootCertStore::empty();
    if !insecure {
        if let Some(path) = config.authorities.iter().find(|path| path.exists()) {
            let bundle = read(path).map_err(|error| failed(path, error.to_string()))?;
            // A bundle may have certificates that this library does not take; the others count.
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).flatten());
        }
        for path in
            files(&directory, "crt").map_err(|error| failed(&directory, error.to_string()))?
        {
            let bytes = read(&path).map_err(|error| failed(&path, error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&bytes) {
                let certificate = certificate.map_err(|error| failed(&path, error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(&path, error.to_string()))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&directory, error.to_string()))?;
    let builder = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
    } else {
        builder.with_root_certificates(roots)
    };
    let identity = identity(&directory).map_err(|(path, why)| failed(&path, why))?;
    let mut client = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| failed(&directory, error.to_string()))?,
    };
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// The directory for a server: with the port, if there is one of that name or the port is not the usual one.
fn directory(config: &Config, host: &str, port: u16) -> PathBuf {
    let with_port = config.certificates.join(format!("{host}:{port}"));
    if port != 443 || with_port.exists() { with_port } else { config.certificates.join(host) }
}

/// The files with an ending, in the order of their names; none when there is no directory.
fn files(directory: &Path, ending: &str) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|have| have == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The first certificate with its key that lies in a directory.
fn identity(directory: &Path) -> Result<Option<Identity>, (PathBuf, String)> {
    let found = files(directory, "cert").map_err(|why| (directory.to_owned(), why.to_string()))?;
    let Some(path) = found.into_iter().next() else { return Ok(None) };
    let bytes = read(&path).map_err(|why| (path.clone(), why.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|why| (path.clone(), why.to_string()))?;
    let path = path.with_extension("key");
    let bytes = read(&path).map_err(|why| (path.clone(), why.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|why| (path, why.to_string()))?;
    Ok(Some((chain, key)))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes any certificate: for registries that the settings call insecure.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
