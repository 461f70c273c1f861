//! A small certificate authority for a laboratory: one key that signs the edge's and the devices' certificates, and the
//! list of devices that are known.
//!
//! A folder holds `ca.pem` and `ca.key`, `edge.pem` and `edge.key`, `NAME.pem` and `NAME.key` per device, and
//! `devices.txt`: a line `SHA-256 NAME` per certificate that is admitted, `SHA-256 NAME revoked` for one that no longer is.
//! A device needs `ca.pem` and its own two files; an edge `ca.pem`, its own two and `devices.txt`.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// List of devices.
pub const DEVICES_FILE: &str = "devices.txt";
/// Name of the edge in its certificate.
pub const EDGE_NAME: &str = "edge.enachi";
/// Longest list of devices that is read \[byte\].
const MOST_LIST_BYTES: u64 = 16 << 20;

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A name that cannot be used.
    #[error(
        "{0:?}: a name must be 1 to 64 of a-z, A-Z, 0-9, `-`, `_` and `.`, and not begin with `.`"
    )]
    Name(String),
    /// It is there already.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// No such device.
    #[error("{path}: no certificate of {name:?} is admitted")]
    Unknown {
        /// The list.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Making a certificate.
    #[error("making a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

fn file_error(path: &Path, reason: impl ToString) -> PkiError {
    PkiError::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn check_name(name: &str) -> Result<(), PkiError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let reserved = matches!(name, "ca" | "edge");
    if name.is_empty()
        || name.len() > 64
        || name.starts_with('.')
        || reserved
        || !name.chars().all(fits)
    {
        return Err(PkiError::Name(name.to_owned()));
    }
    Ok(())
}

/// Parameters of the authority; a fixed name makes its key file enough to sign with.
fn authority() -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "enachi laboratory");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(params)
}

/// Make a new authority in `folder`, with a certificate for an edge that may be reached at `hosts`. Nothing that is there
/// is replaced.
pub fn init(folder: &Path, hosts: &[String], days: u32) -> Result<(), PkiError> {
    std::fs::create_dir_all(folder).map_err(|e| file_error(folder, e))?;
    let ca = folder.join("ca.key");
    if ca.exists() {
        return Err(PkiError::Exists(ca));
    }
    let key = KeyPair::generate()?;
    let mut params = authority()?;
    set_validity(&mut params, days);
    let certificate = params.self_signed(&key)?;
    write(&ca, key.serialize_pem().as_bytes(), true)?;
    write(&folder.join("ca.pem"), certificate.pem().as_bytes(), false)?;
    write(&folder.join(DEVICES_FILE), b"", false)?;
    let mut names = vec![
        EDGE_NAME.to_owned(),
        "localhost".into(),
        "127.0.0.1".into(),
        "::1".into(),
    ];
    names.extend_from_slice(hosts);
    issue(
        folder,
        "edge",
        names,
        ExtendedKeyUsagePurpose::ServerAuth,
        days,
    )?;
    Ok(())
}

/// Make a certificate for the device `name` and admit it.
pub fn admit(folder: &Path, name: &str, days: u32) -> Result<(), PkiError> {
    check_name(name)?;
    let der = issue(
        folder,
        name,
        Vec::new(),
        ExtendedKeyUsagePurpose::ClientAuth,
        days,
    )?;
    let list = folder.join(DEVICES_FILE);
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&list)
        .map_err(|e| file_error(&list, e))?;
    let line = format!("{} {name}\n", fingerprint(&der));
    file.write_all(line.as_bytes())
        .map_err(|e| file_error(&list, e))
}

/// Admit none of the certificates of `name` any more. An edge sees it at the next connection.
pub fn revoke(folder: &Path, name: &str) -> Result<(), PkiError> {
    let list = folder.join(DEVICES_FILE);
    let text = std::fs::read_to_string(&list).map_err(|e| file_error(&list, e))?;
    let mut found = false;
    let mut out = String::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (print, known, mark) = (words.next(), words.next(), words.next());
        let hit = known == Some(name) && mark.is_none();
        found |= hit;
        match print {
            Some(print) if hit => out.push_str(&format!("{print} {name} revoked\n")),
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    if !found {
        return Err(PkiError::Unknown {
            path: list,
            name: name.to_owned(),
        });
    }
    let part = list.with_extension("part");
    std::fs::write(&part, out).map_err(|e| file_error(&part, e))?;
    std::fs::rename(&part, &list).map_err(|e| file_error(&list, e))
}

/// Name of the device whose certificate this is; `None` if it is unknown or revoked.
pub fn known_device(folder: &Path, certificate: &[u8]) -> Result<Option<String>, PkiError> {
    let list = folder.join(DEVICES_FILE);
    let size = std::fs::metadata(&list)
        .map_err(|e| file_error(&list, e))?
        .len();
    if size > MOST_LIST_BYTES {
        return Err(file_error(&list, "is larger than 16 MiB"));
    }
    let text = std::fs::read_to_string(&list).map_err(|e| file_error(&list, e))?;
    let wanted = fingerprint(certificate);
    let found = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let print = words.next()?;
        let name = words.next()?;
        (print == wanted && words.next().is_none()).then(|| name.to_owned())
    });
    Ok(found)
}

fn fingerprint(der: &[u8]) -> String {
    format!("{:x}", Sha256::digest(der))
}

fn set_validity(params: &mut CertificateParams, days: u32) {
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates are dated by the wall clock"
    )]
    let now = OffsetDateTime::now_utc();
    // Clocks of small devices are not exact.
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(i64::from(days));
}

fn issue(
    folder: &Path,
    name: &str,
    hosts: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    days: u32,
) -> Result<Vec<u8>, PkiError> {
    let ca = folder.join("ca.key");
    let pem = std::fs::read_to_string(&ca).map_err(|e| file_error(&ca, e))?;
    let issuer = Issuer::new(authority()?, KeyPair::from_pem(&pem)?);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    set_validity(&mut params, days);
    let certificate = params.signed_by(&key, &issuer)?;
    write(
        &folder.join(format!("{name}.key")),
        key.serialize_pem().as_bytes(),
        true,
    )?;
    write(
        &folder.join(format!("{name}.pem")),
        certificate.pem().as_bytes(),
        false,
    )?;
    Ok(certificate.der().to_vec())
}

/// Write a new file; keys are for their owner alone.
fn write(path: &Path, bytes: &[u8], secret: bool) -> Result<(), PkiError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => PkiError::Exists(path.to_owned()),
        _ => file_error(path, e),
    })?;
    file.write_all(bytes).map_err(|e| file_error(path, e))
}

/// Certificate and key of one side, and the authority that it trusts.
pub struct Credentials {
    /// The authority's certificate.
    pub authority: CertificateDer<'static>,
    /// Own certificate.
    pub certificate: CertificateDer<'static>,
    /// Own key.
    pub key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// The trusted authority, as TLS wants it.
    pub(crate) fn roots(&self) -> Result<Arc<RootCertStore>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone())?;
        Ok(Arc::new(roots))
    }
}

/// The cryptography of every connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Read `ca.pem`, `NAME.pem` and `NAME.key` of a folder. A certificate that the other side will not accept (expired, of another
/// authority) is refused here, where its file can be named.
pub fn credentials(folder: &Path, name: &str) -> Result<Credentials, PkiError> {
    let certificate = |file: &str| {
        let path = folder.join(file);
        CertificateDer::from_pem_file(&path).map_err(|e| file_error(&path, e))
    };
    let key = folder.join(format!("{name}.key"));
    let own = format!("{name}.pem");
    let found = Credentials {
        authority: certificate("ca.pem")?,
        certificate: certificate(&own)?,
        key: PrivateKeyDer::from_pem_file(&key).map_err(|e| file_error(&key, e))?,
    };
    accepted(&found, name == "edge").map_err(|e| file_error(&folder.join(own), e))?;
    Ok(found)
}

/// Look at a certificate as the other side will.
fn accepted(found: &Credentials, edge: bool) -> Result<(), rustls::Error> {
    let (roots, provider) = (found.roots()?, provider());
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates are dated by the wall clock"
    )]
    let now = UnixTime::now();
    let general = |e: VerifierBuilderError| rustls::Error::General(e.to_string());
    if edge {
        let name = ServerName::try_from(EDGE_NAME).expect("invariant: a name");
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        verifier
            .map_err(general)?
            .verify_server_cert(&found.certificate, &[], &name, &[], now)?;
    } else {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
        verifier
            .map_err(general)?
            .verify_client_cert(&found.certificate, &[], now)?;
    }
    Ok(())
}
