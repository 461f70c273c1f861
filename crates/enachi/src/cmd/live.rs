//! What `serve`, `device` and `demo` share: the network with its profile and tables, scenarios, logs, inputs.

use anyhow::{Context, bail};
use enachi_core::profile::Profile;
use enachi_model::images::{ImageError, Preprocess, decode_rgb_crop, read_image, to_tensor};
use enachi_runtime::device::{Input, Inputs};
use enachi_runtime::network::Network;
use enachi_sim::scenario::{Scenario, load, parse};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Scenario of the demonstration, and what runs without arguments.
pub const DEMO_SCENARIO: &str = include_str!("../../../../scenarios/demo.toml");
const TINY_PROFILE: &[u8] = include_bytes!("../../../../profiles/tiny.parquet");
const TINY_TABLES: &[u8] = include_bytes!("../../../../profiles/tiny.tables.safetensors");

/// Files of a network; without them, the tiny network that comes with the program.
#[derive(clap::Args)]
pub struct NetworkArgs {
    /// Network as an ONNX file; without it, the small network that comes with the program.
    #[arg(long, value_name = "FILE", requires = "profile")]
    model: Option<PathBuf>,
    /// Its profile.
    #[arg(long, value_name = "FILE", requires = "tables")]
    profile: Option<PathBuf>,
    /// Codec tables written with the profile.
    #[arg(long, value_name = "FILE", requires = "model")]
    tables: Option<PathBuf>,
}

impl NetworkArgs {
    /// Load them.
    pub fn load(&self) -> anyhow::Result<(Profile, Network)> {
        let (Some(model), Some(profile), Some(tables)) = (&self.model, &self.profile, &self.tables)
        else {
            return tiny();
        };
        let read = |path: &Path| {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let found = enachi_data::profile::read(profile)?;
        let network = Network::new(&found, &read(model)?, &read(tables)?)?;
        Ok((found, network))
    }

    /// Whether the network is the one that comes with the program.
    pub fn is_tiny(&self) -> bool {
        self.model.is_none()
    }
}

/// The network that comes with the program.
pub fn tiny() -> anyhow::Result<(Profile, Network)> {
    let profile = enachi_data::profile::read_bytes("tiny (embedded)", TINY_PROFILE)?;
    let network = Network::new(&profile, enachi_tiny::MODEL, TINY_TABLES)?;
    Ok((profile, network))
}

/// A scenario file, or the demonstration's.
pub fn scenario(path: Option<&Path>, overrides: &[String]) -> anyhow::Result<Scenario> {
    Ok(match path {
        Some(path) => load(path, overrides)?,
        None => parse(DEMO_SCENARIO, "demo.toml (embedded)", overrides)?,
    })
}

/// Write logs to standard error; `RUST_LOG` is not read, `level` decides.
pub fn logs(level: tracing::Level, json: bool) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level);
    // A second call, in tests, keeps the first.
    let _ = if json {
        log.json().try_init()
    } else {
        log.try_init()
    };
}

/// Drawn pictures of the tiny network's test split.
pub struct Drawn {
    /// Next picture.
    pub next: u32,
    /// Distance from one to the next.
    pub step: u32,
}

impl Inputs for Drawn {
    fn next(&mut self) -> Option<Result<Input, String>> {
        let picture = enachi_tiny::image(enachi_tiny::Split::Test, self.next);
        self.next = self.next.wrapping_add(self.step);
        Some(Ok(Input {
            values: picture.input(),
            label: Some(picture.label),
        }))
    }
}

/// Image files, from a folder, a list, or as their names come in on a pipe.
pub struct Files<I> {
    /// Paths, each perhaps with a label behind a comma.
    pub paths: I,
    /// How they become inputs.
    pub preprocess: Preprocess,
}

impl<I: Iterator<Item = std::io::Result<String>> + Send> Inputs for Files<I> {
    fn next(&mut self) -> Option<Result<Input, String>> {
        let line = loop {
            match self.paths.next()? {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => break line,
                Err(error) => return Some(Err(error.to_string())),
            }
        };
        let line = line.trim();
        let labelled = line.rsplit_once(',');
        let labelled = labelled.and_then(|(path, label)| Some((path, label.trim().parse().ok()?)));
        let (path, label) = labelled.map_or((line, None), |(path, label)| (path, Some(label)));
        let read = || -> Result<Vec<f32>, ImageError> {
            let bytes = read_image(Path::new(path))?;
            let picture = decode_rgb_crop(&bytes, &self.preprocess)?;
            Ok(to_tensor(&picture, &self.preprocess).data)
        };
        let values = read().map_err(|error| format!("{path}: {error}"));
        Some(values.map(|values| Input { values, label }))
    }
}

/// Names of images as they come.
pub type Names = Box<dyn Iterator<Item = std::io::Result<String>> + Send>;

/// Lines of a list: a file, or `-` for standard input.
pub fn lines(list: &Path) -> anyhow::Result<Names> {
    if list == Path::new("-") {
        return Ok(Box::new(std::io::BufReader::new(std::io::stdin()).lines()));
    }
    let file = std::fs::File::open(list);
    let file = file.with_context(|| format!("--list {}", list.display()))?;
    Ok(Box::new(std::io::BufReader::new(file).lines()))
}

/// Image files of a folder, in order of their names.
pub fn folder(path: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(path);
    let entries = entries.with_context(|| format!("--images {}", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let known = path.extension().and_then(|e| e.to_str());
        let known = known.map(str::to_ascii_lowercase);
        if matches!(known.as_deref(), Some("png" | "jpg" | "jpeg" | "webp")) {
            names.push(path.display().to_string());
        }
    }
    if names.is_empty() {
        bail!(
            "--images {}: holds no PNG, JPEG or WebP file",
            path.display()
        );
    }
    names.sort();
    Ok(names)
}
