//! TLS 1.3 with a certificate on both sides.
//!
//! Whoever has a certificate that `ca` signed is the peer: names are not compared, because the authority of a pair signs
//! for the two of them alone.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, PeerIncompatible, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::TlsFiles;

/// What both ends of a connection need.
#[derive(Clone)]
pub struct Tls {
    /// For the side that listens.
    pub acceptor: TlsAcceptor,
    /// For the side that connects.
    pub connector: TlsConnector,
    /// What the files held.
    pub certificates: Certificates,
}

/// Who a gateway is, and whom it believes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificates {
    chain: Vec<CertificateDer<'static>>,
    authorities: Vec<CertificateDer<'static>>,
}

/// Why TLS cannot be set up; says which file.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file cannot be read, or is not what it should be.
    #[error("{file}: {reason}")]
    File {
        /// Its path.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not belong together, or the certificate is unusable.
    #[error("{file}: {source}; the key must be that of the certificate")]
    Identity {
        /// The certificate.
        file: String,
        /// What rustls says.
        source: TlsError,
    },
}

impl Tls {
    /// Reads the three files.
    ///
    /// # Errors
    ///
    /// See [`SetupError`].
    pub fn load(files: &TlsFiles) -> Result<Self, SetupError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| unusable(&files.key, &error, "a private key"))?;
        let authorities = certificates(&files.ca)?;
        let mut roots = RootCertStore::empty();
        for certificate in &authorities {
            roots
                .add(certificate.clone())
                .map_err(|error| unusable(&files.ca, &error, "the authority's certificate"))?;
        }
        let roots = Arc::new(roots);
        let identity = |source| SetupError::Identity {
            file: files.cert.display().to_string(),
            source,
        };
        let clients =
            WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let clients =
            clients.map_err(|error| unusable(&files.ca, &error, "the authority's certificate"))?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(identity)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(identity)?;
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(identity)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(SignedByAuthority { roots, provider }))
            .with_client_auth_cert(chain.clone(), key)
            .map_err(identity)?;
        Ok(Self {
            acceptor: Arc::new(server).into(),
            connector: Arc::new(client).into(),
            certificates: Certificates { chain, authorities },
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let read = |error| unusable(path, &error, "a certificate in PEM");
    let certificates = CertificateDer::pem_file_iter(path).map_err(read)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(read)?;
    if certificates.is_empty() {
        return Err(unusable(path, &"none in it", "a certificate in PEM"));
    }
    Ok(certificates)
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display, wanted: &str) -> SetupError {
    SetupError::File {
        file: path.display().to_string(),
        reason: format!("{reason}; {wanted} belongs there"),
    }
}

/// Accepts every certificate that the authority signed, whatever name it has.
#[derive(Debug)]
struct SignedByAuthority {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SignedByAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
