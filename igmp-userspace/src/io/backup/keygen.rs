//! Certificates for two gateways: a certificate authority that signs one for each, and is then forgotten.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// The directories, one for each gateway.
pub const GATEWAYS: [&str; 2] = ["a", "b"];
/// Of `tls = { cert, key, ca }`.
pub const FILES: [&str; 3] = ["cert.pem", "key.pem", "ca.pem"];

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum KeygenError {
    /// A file is there already, or cannot be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The library refused.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Writes `a/` and `b/` into `directory`, each with the [`FILES`] of one gateway, good for `days`. Nothing that is there
/// is overwritten. The key that signed both is not kept: nobody can make a third certificate.
///
/// # Errors
///
/// See [`KeygenError`].
pub fn run(directory: &Path, days: u16) -> Result<(), KeygenError> {
    let days = Duration::days(days.into());
    let mut ca = params("igmpd backup authority", days);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    for gateway in GATEWAYS {
        let mut params = params(&format!("igmpd gateway {gateway}"), days);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Either may be the one that connects.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &ca)?;
        let contents = [certificate.pem(), key.serialize_pem(), ca.pem()];
        let directory = directory.join(gateway);
        let failed = |error| KeygenError::Write {
            path: directory.clone(),
            error,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        for (name, content) in FILES.into_iter().zip(contents) {
            write(directory.join(name), &content)?;
        }
    }
    Ok(())
}

fn params(name: &str, days: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    // The two clocks may differ.
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + days;
    params
}

fn write(path: PathBuf, content: &str) -> Result<(), KeygenError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    let written = file.and_then(|mut file| file.write_all(content.as_bytes()));
    written.map_err(|error| KeygenError::Write { path, error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_gateway_gets_three_files_that_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        run(directory.path(), 30).unwrap();
        for gateway in GATEWAYS {
            for file in FILES {
                let path = directory.path().join(gateway).join(file);
                let mode = path.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{}", path.display());
            }
        }
        let refused = run(directory.path(), 30).unwrap_err().to_string();
        assert!(
            refused.ends_with("a/cert.pem: File exists (os error 17)"),
            "{refused}"
        );
    }
}
