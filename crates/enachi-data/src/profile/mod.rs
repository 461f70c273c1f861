//! The profile file: one Parquet file that holds a [`Profile`], described in `docs/profile-format.md`.
//!
//! The long-form sample rows are the Parquet columns; everything else is JSON in the key-value metadata of the
//! footer, beside a format name, a version and a SHA-256 of the contents. Reading assumes nothing about the
//! file: sizes are bounded before memory is taken, and every number is checked before the profile is handed out.

mod columns;
mod pages;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use enachi_core::profile::{Image, Profile, Samples};
use enachi_core::profile_check::ProfileError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Value of the key [`KEY_FORMAT`] in every profile file.
pub const FORMAT: &str = "enachi-profile";
/// Version of the file format that this build writes and reads.
pub const VERSION: u32 = 1;
/// Metadata key of the format name.
pub const KEY_FORMAT: &str = "enachi.format";
/// Metadata key of the format version.
pub const KEY_VERSION: &str = "enachi.version";
/// Metadata key of the JSON document.
pub const KEY_JSON: &str = "enachi.profile";
/// Metadata key of the SHA-256 over the column data and the JSON document, hex.
pub const KEY_SHA256: &str = "enachi.sha256";

/// Largest profile file that is read \[bytes\].
pub const MAX_FILE_BYTES: u64 = 256 << 20;
/// Largest JSON document \[bytes\].
pub const MAX_JSON_BYTES: usize = 64 << 20;
/// Most sample rows in one profile. A row takes 15 bytes in memory.
pub const MAX_ROWS: usize = 32 << 20;
/// Steps per nat of the stored entropy: values are rounded to 2⁻¹⁰ nat.
pub const ENTROPY_STEPS_PER_NAT: f32 = 1024.0;

/// Length of the magic number that opens and closes a Parquet file.
const MAGIC_BYTES: usize = 4;
/// Length of the footer's own trailer: its length in 32 bits and the magic number.
const TRAILER_BYTES: usize = 8;

/// A profile file that cannot be read or written, and why.
#[derive(Debug, thiserror::Error)]
#[error("profile {file}: {problem}")]
pub struct ProfileFileError {
    /// The file as given by the caller.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a profile file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The target of a write is there already.
    #[error("the file exists; choose another name or ask for it to be overwritten")]
    Exists,
    /// The file is larger than any profile.
    #[error("{bytes} bytes is more than a profile may have ({limit})")]
    TooLarge {
        /// Size found.
        bytes: u64,
        /// Size allowed.
        limit: u64,
    },
    /// No readable Parquet footer: truncated, or a file of another kind.
    #[error("not a complete Parquet file (truncated, or of another kind): {0}")]
    NotParquet(String),
    /// A Parquet file that is not a profile.
    #[error(
        "a Parquet file, but not a profile: metadata key `{KEY_FORMAT}` is {0}, expected `{FORMAT}`"
    )]
    NotAProfile(String),
    /// A profile of another format version.
    #[error("format version {found}; this build reads version {VERSION}")]
    Version {
        /// The version found.
        found: String,
    },
    /// The metadata lacks a key or holds an unreadable value.
    #[error("metadata key `{key}`: {what}")]
    Metadata {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The contents are not those that were written.
    #[error("the contents do not match their checksum: the file is damaged")]
    Checksum,
    /// The sample columns are not what the metadata announces.
    #[error("sample rows: {0}")]
    Columns(String),
    /// The profile contradicts itself or holds values outside their range.
    #[error("{0}")]
    Invalid(#[from] ProfileError),
}

impl Problem {
    fn at(self, file: impl std::fmt::Display) -> ProfileFileError {
        ProfileFileError {
            file: file.to_string(),
            problem: self,
        }
    }
}

/// The JSON document beside the sample rows.
#[derive(Serialize, Deserialize)]
struct Document<P> {
    profile: P,
    images: Vec<Image>,
    /// Images with sample rows, per cut and stream.
    sampled_images: Vec<Vec<usize>>,
}

/// Rounds an entropy to the resolution of the file, 2⁻¹⁰ nat.
pub fn round_entropy(nats: f32) -> f32 {
    (nats * ENTROPY_STEPS_PER_NAT).round() / ENTROPY_STEPS_PER_NAT
}

/// Writes `profile` to `path`: to a temporary file beside it first, then renamed, so that a reader never sees half
/// a profile. The same profile gives the same bytes.
///
/// Entropies are rounded to 2⁻¹⁰ nat ([`round_entropy`]), predictions to 2⁻¹⁴
/// ([`round_prediction`](enachi_core::profile::round_prediction)); all else comes back exactly as it was.
///
/// # Errors
/// When the profile is not valid, when `path` exists and `overwrite` is false, or when writing fails. `path` is
/// untouched then.
pub fn write(path: &Path, profile: &Profile, overwrite: bool) -> Result<(), ProfileFileError> {
    let name = path.display();
    if !overwrite && path.exists() {
        return Err(Problem::Exists.at(name));
    }
    let bytes = encode(profile).map_err(|problem| problem.at(name))?;
    let name = path.display();
    write_atomically(path, &bytes, overwrite).map_err(|problem| problem.at(name))
}

/// The bytes of a profile file.
///
/// # Errors
/// When the profile is not valid or exceeds the limits of the format.
pub fn to_bytes(profile: &Profile) -> Result<Vec<u8>, ProfileFileError> {
    encode(profile).map_err(|problem| problem.at("(in memory)"))
}

/// Reads and checks a profile.
///
/// # Errors
/// Everything that is wrong with the file, see [`Problem`].
pub fn read(path: &Path) -> Result<Profile, ProfileFileError> {
    let name = path.display();
    let bytes = read_bounded(path).map_err(|problem| problem.at(name))?;
    decode(bytes).map_err(|problem| problem.at(path.display()))
}

/// Reads and checks a profile held in memory; `name` stands for the file in errors.
///
/// # Errors
/// Everything that is wrong with the bytes, see [`Problem`].
pub fn read_bytes(name: &str, bytes: &[u8]) -> Result<Profile, ProfileFileError> {
    decode(bytes.to_vec()).map_err(|problem| problem.at(name))
}

/// The profile that comes with the program: MobileNetV2 at the outputs of its stages, and the picture.
///
/// # Errors
/// None in a sound build: the tests read it.
pub fn embedded_default() -> Result<Profile, ProfileFileError> {
    const BYTES: &[u8] = include_bytes!("../../../../profiles/mobilenetv2.parquet");
    read_bytes(EMBEDDED_NAME, BYTES)
}

/// Stands for the file of [`embedded_default`] in messages and records.
pub const EMBEDDED_NAME: &str = "mobilenetv2 (embedded)";

fn encode(profile: &Profile) -> Result<Vec<u8>, Problem> {
    profile.validate()?;
    let sampled_images: Vec<Vec<usize>> = profile
        .cuts
        .iter()
        .map(|cut| cut.streams.iter().map(|s| s.samples.images).collect())
        .collect();
    let document = Document {
        profile,
        images: profile.images.clone(),
        sampled_images,
    };
    let json = serde_json::to_string(&document).map_err(|error| Problem::Metadata {
        key: KEY_JSON,
        what: error.to_string(),
    })?;
    if json.len() > MAX_JSON_BYTES {
        return Err(Problem::Metadata {
            key: KEY_JSON,
            what: format!("{} bytes, at most {MAX_JSON_BYTES} allowed", json.len()),
        });
    }
    let samples: Vec<columns::StreamSamples> = columns::streams(profile);
    columns::encode(&samples, |data| {
        [
            (KEY_FORMAT, FORMAT.to_owned()),
            (KEY_VERSION, VERSION.to_string()),
            (KEY_SHA256, digest(data, &json)),
            (KEY_JSON, json),
        ]
        .map(|(key, value)| KeyValue::new(key.to_owned(), value))
        .to_vec()
    })
}

fn decode(bytes: Vec<u8>) -> Result<Profile, Problem> {
    let size = bytes.len() as u64;
    if size > MAX_FILE_BYTES {
        return Err(Problem::TooLarge {
            bytes: size,
            limit: MAX_FILE_BYTES,
        });
    }
    let (data_len, metadata) = footer(&bytes)?;
    let json = checked_json(&metadata, &bytes[..data_len])?;
    let document: Document<Profile> =
        serde_json::from_str(json).map_err(|error| Problem::Metadata {
            key: KEY_JSON,
            what: error.to_string(),
        })?;
    let mut profile = document.profile;
    profile.images = document.images;
    columns::shape_samples(&mut profile, &document.sampled_images)?;
    columns::decode(bytes, data_len, &metadata, &mut profile)?;
    profile.validate()?;
    Ok(profile)
}

/// Where the column data ends, and the parsed footer.
fn footer(bytes: &[u8]) -> Result<(usize, ParquetMetaData), Problem> {
    let not_parquet = |what: &str| Problem::NotParquet(what.to_owned());
    let total = bytes.len();
    if total < MAGIC_BYTES + TRAILER_BYTES || &bytes[..MAGIC_BYTES] != b"PAR1" {
        return Err(not_parquet("it does not start with `PAR1`"));
    }
    let (body, trailer) = bytes.split_at(total - TRAILER_BYTES);
    if &trailer[4..] != b"PAR1" {
        return Err(not_parquet("it does not end with `PAR1`"));
    }
    let footer_len = u32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]) as usize;
    let data_len = body
        .len()
        .checked_sub(footer_len)
        .filter(|&end| end >= MAGIC_BYTES)
        .ok_or_else(|| not_parquet("its footer is longer than the file"))?;
    let metadata = ParquetMetaDataReader::decode_metadata(&body[data_len..])
        .map_err(|error| not_parquet(&error.to_string()))?;
    Ok((data_len, metadata))
}

/// The JSON document, once format, version and checksum are right.
fn checked_json<'a>(metadata: &'a ParquetMetaData, data: &[u8]) -> Result<&'a str, Problem> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let value = |key: &str| -> Option<&str> {
        let pair = pairs?.iter().find(|pair| pair.key == key)?;
        pair.value.as_deref()
    };
    match value(KEY_FORMAT) {
        Some(FORMAT) => {}
        Some(other) => return Err(Problem::NotAProfile(format!("`{}`", clip(other)))),
        None => return Err(Problem::NotAProfile("missing".to_owned())),
    }
    let version = value(KEY_VERSION).unwrap_or("missing");
    if version != VERSION.to_string() {
        return Err(Problem::Version {
            found: clip(version),
        });
    }
    let missing = |key| Problem::Metadata {
        key,
        what: "missing".to_owned(),
    };
    let json = value(KEY_JSON).ok_or_else(|| missing(KEY_JSON))?;
    if json.len() > MAX_JSON_BYTES {
        return Err(Problem::Metadata {
            key: KEY_JSON,
            what: format!("{} bytes, at most {MAX_JSON_BYTES} allowed", json.len()),
        });
    }
    let expected = value(KEY_SHA256).ok_or_else(|| missing(KEY_SHA256))?;
    if digest(data, json) != expected {
        return Err(Problem::Checksum);
    }
    Ok(json)
}

/// The first characters of text from a file, fit for a message.
fn clip(text: &str) -> String {
    text.chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect()
}

fn digest(data: &[u8], json: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(data);
    hasher.update(json.as_bytes());
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Problem> {
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    // One byte beyond the limit is enough to know that the file is too large, whatever its size claims to be.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Problem::TooLarge {
            bytes: std::fs::metadata(path)?.len(),
            limit: MAX_FILE_BYTES,
        });
    }
    Ok(bytes)
}

fn write_atomically(path: &Path, bytes: &[u8], overwrite: bool) -> Result<(), Problem> {
    let temporary = temporary_beside(path)?;
    let outcome = (|| {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        if overwrite {
            std::fs::rename(&temporary, path)?;
        } else {
            // A hard link refuses an existing target, which a rename would replace.
            match std::fs::hard_link(&temporary, path) {
                Ok(()) => std::fs::remove_file(&temporary)?,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    return Err(Problem::Exists);
                }
                // File systems without hard links: the check before the write has to do.
                Err(_) => std::fs::rename(&temporary, path)?,
            }
        }
        Ok(())
    })();
    if outcome.is_err() {
        // Nothing to add if this fails too: the first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    outcome
}

fn temporary_beside(path: &Path) -> Result<PathBuf, Problem> {
    let name = path.file_name().ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path names no file")
    })?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

/// An empty table of the given shape.
fn empty_samples(images: usize, checkpoints: usize) -> Samples {
    Samples {
        images,
        checkpoints,
        ..Samples::default()
    }
}
