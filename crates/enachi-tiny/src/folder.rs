//! Pictures as files, for tools that want a folder of images and a label file.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{SIDE, Split, image};

/// Why the pictures could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}")]
pub struct WriteError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Write pictures `range` of a split into `dir` (made if need be) as PNG files, with a `labels.csv` of lines
/// `file,label` beside them. Files of the same names are replaced.
pub fn write_folder(dir: &Path, split: Split, range: Range<u32>) -> Result<(), WriteError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| WriteError { path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    let mut labels = String::from("file,label\n");
    for index in range {
        let picture = image(split, index);
        let name = format!("{}-{index:06}.png", split.name());
        let path = dir.join(&name);
        let format = ::image::ImageFormat::Png;
        let colour = ::image::ExtendedColorType::Rgb8;
        ::image::save_buffer_with_format(&path, &picture.pixels, SIDE, SIDE, colour, format)
            .map_err(|e| match e {
                ::image::ImageError::IoError(source) => source,
                other => io::Error::other(other),
            })
            .map_err(failed(&path))?;
        writeln!(labels, "{name},{}", picture.label).expect("writing to a string does not fail");
    }
    let path = dir.join("labels.csv");
    std::fs::write(&path, labels).map_err(failed(&path))
}
