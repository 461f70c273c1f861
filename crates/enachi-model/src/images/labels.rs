//! A folder of images with their classes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{ImageError, Preprocess, decode_rgb_crop, read_image};

/// One labelled image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Name under which the image is known: the file name, or `class/file` in a folder of class folders.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// True class index.
    pub label: u16,
}

/// Labelled images, sorted by name, whatever the order of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImages {
    /// Sorted by name, each name once.
    pub items: Vec<Item>,
}

/// Why a label file or folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// What was to be read.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The label file is larger than [`MAX_LABEL_BYTES`].
    #[error("{path} has more than {MAX_LABEL_BYTES} bytes")]
    TooLarge {
        /// The label file.
        path: String,
    },
    /// A line is not `file,label`.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The label file.
        path: String,
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many images cannot be decoded.
    #[error(
        "{bad} of {all} images cannot be decoded, more than the share of {limit} that is tolerated; the first is {first}"
    )]
    TooManyBad {
        /// Images that cannot be decoded.
        bad: usize,
        /// All images.
        all: usize,
        /// Largest share tolerated, 0..=1.
        limit: f64,
        /// Name of the first one and what is wrong with it.
        first: String,
    },
    /// No images at all.
    #[error("{path} names no images")]
    Empty {
        /// The label file or folder.
        path: String,
    },
}

/// Largest label file accepted \[byte\].
pub const MAX_LABEL_BYTES: u64 = 256 << 20;

const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

impl LabelledImages {
    /// Images in `folder`, with the classes of `labels` or, if that is `None`, of `folder/labels.csv`,
    /// `folder/../labels.csv`, or of class folders named by their index (`folder/0/…`, `folder/1/…`), the first of
    /// these that exists. Labels must lie in 0..`classes`.
    pub fn find(folder: &Path, labels: Option<&Path>, classes: usize) -> Result<Self, LabelError> {
        if let Some(labels) = labels {
            return Self::from_csv(folder, labels, classes);
        }
        let beside = [Some(folder), folder.parent()];
        for csv in beside.iter().flatten().map(|dir| dir.join("labels.csv")) {
            if csv.is_file() {
                return Self::from_csv(folder, &csv, classes);
            }
        }
        Self::from_class_folders(folder, classes)
    }

    /// A file of lines `file,label` with a header line; names are relative to `folder` (or to its sub-folder
    /// `images`).
    pub fn from_csv(folder: &Path, csv: &Path, classes: usize) -> Result<Self, LabelError> {
        let shown = csv.display().to_string();
        let text = read_text(csv)?;
        let bad = |line: usize, reason: String| LabelError::Line {
            path: shown.clone(),
            line,
            reason,
        };
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(i, line)| (i + 1, line.trim()));
        match lines.next() {
            Some((_, header)) if header_is_right(header) => {}
            Some((line, header)) => {
                return Err(bad(
                    line,
                    format!("the header must be `file,label` (or `file,class`), not `{header}`"),
                ));
            }
            None => return Err(LabelError::Empty { path: shown }),
        }
        let mut seen = HashMap::new();
        let mut items = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            let (name, label) = text
                .rsplit_once(',')
                .ok_or_else(|| bad(line, format!("`{text}` is not `file,label`")))?;
            let (name, label) = (name.trim().trim_matches('"'), label.trim());
            let label = parse_label(label, classes).map_err(|reason| bad(line, reason))?;
            let path = locate(folder, name)
                .ok_or_else(|| bad(line, format!("there is no image `{name}` in the folder")))?;
            if let Some(first) = seen.insert(name.to_string(), line) {
                return Err(bad(
                    line,
                    format!("`{name}` was already named in line {first}"),
                ));
            }
            items.push(Item {
                name: name.to_string(),
                path,
                label,
            });
        }
        Self::sorted(items, shown)
    }

    /// A folder of class folders, each named by its class index and holding that class's images.
    pub fn from_class_folders(folder: &Path, classes: usize) -> Result<Self, LabelError> {
        let mut items = Vec::new();
        for class_folder in read_folder(folder)? {
            if !class_folder.is_dir() {
                continue;
            }
            let class = file_name(&class_folder);
            let label = parse_label(&class, classes).map_err(|reason| LabelError::Line {
                path: class_folder.display().to_string(),
                line: 0,
                reason: format!("a class folder is named by its class index, but {reason}"),
            })?;
            for path in read_folder(&class_folder)? {
                let known = path
                    .extension()
                    .and_then(|e| e.to_str())
                    .is_some_and(|e| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()));
                if known && path.is_file() {
                    items.push(Item {
                        name: format!("{class}/{}", file_name(&path)),
                        path,
                        label,
                    });
                }
            }
        }
        Self::sorted(items, folder.display().to_string())
    }

    /// Decode every image once and leave out those that cannot be decoded; also returns their names and what is
    /// wrong with them. More than `tolerated` (a share of all images, 0..=1) is an error, and so are unusable
    /// settings.
    pub fn without_undecodable(
        self,
        how: &Preprocess,
        tolerated: f64,
    ) -> Result<(Self, Vec<(String, ImageError)>), LabelError> {
        let all = self.items.len();
        let outcomes: Vec<_> = self
            .items
            .into_par_iter()
            .map(|item| {
                let decoded = read_image(&item.path).and_then(|b| decode_rgb_crop(&b, how));
                (item, decoded.err())
            })
            .collect();
        let mut items = Vec::with_capacity(all);
        let mut bad = Vec::new();
        for (item, error) in outcomes {
            match error {
                None => items.push(item),
                Some(error) => bad.push((item.name, error)),
            }
        }
        if let Some((name, error)) = bad.first()
            && (items.is_empty() || bad.len() as f64 > tolerated * all as f64)
        {
            return Err(LabelError::TooManyBad {
                bad: bad.len(),
                all,
                limit: tolerated,
                first: format!("{name}: {error}"),
            });
        }
        Ok((Self { items }, bad))
    }

    fn sorted(mut items: Vec<Item>, path: String) -> Result<Self, LabelError> {
        if items.is_empty() {
            return Err(LabelError::Empty { path });
        }
        items.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { items })
    }
}

fn header_is_right(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').to_ascii_lowercase();
    matches!(
        line.split_once(',').map(|(a, b)| (a.trim(), b.trim())),
        Some(("file" | "image" | "name", "label" | "class"))
    )
}

fn parse_label(text: &str, classes: usize) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(label) if usize::from(label) < classes => Ok(label),
        _ => Err(format!(
            "label `{text}` is not a class index from 0 to {}",
            classes.saturating_sub(1)
        )),
    }
}

/// The file called `name` in the folder or its `images`; a name never leaves the folder.
fn locate(folder: &Path, name: &str) -> Option<PathBuf> {
    use std::path::Component;
    let relative = Path::new(name);
    let inside = !name.is_empty()
        && relative
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
    [folder.join(relative), folder.join("images").join(relative)]
        .into_iter()
        .find(|path| inside && path.is_file())
}

fn read_text(path: &Path) -> Result<String, LabelError> {
    use std::io::Read;
    let io = |source| LabelError::Io {
        path: path.display().to_string(),
        source,
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .map_err(io)?
        .take(MAX_LABEL_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(io)?;
    if text.len() as u64 > MAX_LABEL_BYTES {
        return Err(LabelError::TooLarge {
            path: path.display().to_string(),
        });
    }
    Ok(text)
}

fn read_folder(folder: &Path) -> Result<Vec<PathBuf>, LabelError> {
    let io = |source| LabelError::Io {
        path: folder.display().to_string(),
        source,
    };
    std::fs::read_dir(folder)
        .map_err(io)?
        .map(|entry| entry.map(|e| e.path()).map_err(io))
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
