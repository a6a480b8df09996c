//! Mutual TLS over TCP.

use crate::transport::Transport;
use crate::{ClientError, TlsFiles};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Speaks TLS on a fresh connection.
pub(crate) async fn handshake(
    stream: TcpStream,
    address: &str,
    files: &TlsFiles,
    host: &str,
) -> Result<Box<dyn Transport>, ClientError> {
    let machine = address.rsplit_once(':').map_or(address, |(machine, _)| machine);
    let machine = machine.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(machine).map_err(|_| ClientError::Address(host.to_owned()))?;
    let connector = TlsConnector::from(Arc::new(config(files)?));
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|source| ClientError::Connect { host: host.to_owned(), source })?;
    Ok(Box::new(stream))
}

fn config(files: &TlsFiles) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(Path::new("TLS versions"), &error))?;
    let builder = if files.verify {
        builder.with_root_certificates(roots(files)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    };
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, &error))?;
            builder.with_client_auth_cert(chain, key_der).map_err(|error| refuse(cert, &error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn roots(files: &TlsFiles) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &files.ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| refuse(ca, &error))?;
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| refuse(path, &error))
}

fn refuse(path: &Path, error: &dyn std::fmt::Display) -> ClientError {
    ClientError::Tls { path: path.display().to_string(), reason: error.to_string() }
}

/// `--tls` without `--tlsverify`: the channel is encrypted, whoever is at the other end.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
