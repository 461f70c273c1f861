//! From JSON lines to Parquet, in as much memory as a batch takes.

use super::columns::{self, Cell, Column, Kind, Table};
use super::{ParquetFile, RecordsError};
use enachi_core::record::Names;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

type Line = Map<String, Value>;

/// Lines that are turned into columns at a time; they take far more room than rows.
const BATCH: usize = 4096;

/// Write the device-frames that [`super::append_frames`] has appended to the file `lines` to the Parquet file `to`: the same bytes as
/// [`super::write_frames`] makes of the same rows, but that a number which JSON lacks is missing. Returns how many there are.
pub fn lines_to_parquet(lines: &Path, to: &Path, names: &Names) -> Result<u64, RecordsError> {
    // Optional columns are those that some line has.
    let mut optional = vec![];
    let every = columns::frames(names);
    let rare: Vec<&str> = every
        .iter()
        .filter(|c| c.optional)
        .map(|c| c.name)
        .collect();
    read(lines, |batch| {
        let has = |name: &&str| {
            batch
                .iter()
                .any(|line| line.get(*name).is_some_and(|v| !v.is_null()))
        };
        optional.extend(rare.iter().copied().filter(has));
        Ok(())
    })?;
    let kept: Vec<(&'static str, Kind)> = every
        .iter()
        .filter(|c| !c.optional || optional.contains(&c.name))
        .map(|c| (c.name, c.kind))
        .collect();
    let io = |source| RecordsError::Io {
        file: to.display().to_string(),
        source,
    };
    let mut out = BufWriter::new(File::create(to).map_err(io)?);
    let mut file = ParquetFile::new(&mut out, to, &table(&kept))?;
    let mut rows = 0;
    read(lines, |batch| {
        rows += batch.len() as u64;
        let batch: Vec<&Line> = batch.iter().collect();
        file.write(&table(&kept), &batch)
    })?;
    file.close()?;
    out.flush().map_err(io)?;
    Ok(rows)
}

/// Hand the lines of a file on, a batch at a time.
fn read(
    path: &Path,
    mut each: impl FnMut(&[Line]) -> Result<(), RecordsError>,
) -> Result<(), RecordsError> {
    let file = || path.display().to_string();
    let io = |source| RecordsError::Io {
        file: file(),
        source,
    };
    let mut batch = Vec::new();
    for (number, text) in (1..).zip(BufReader::new(File::open(path).map_err(io)?).lines()) {
        let line = serde_json::from_str(&text.map_err(io)?);
        batch.push(line.map_err(|e| RecordsError::Line {
            file: file(),
            line: number,
            reason: e.to_string(),
        })?);
        if batch.len() == BATCH {
            each(&batch)?;
            batch.clear();
        }
    }
    each(&batch)
}

/// Columns of lines.
fn table<'a>(kept: &[(&'static str, Kind)]) -> Table<'a, &'a Line> {
    let column = |(name, kind): &(&'static str, Kind)| Column {
        name,
        kind: *kind,
        optional: false,
        cell: cell(name, *kind),
    };
    kept.iter().map(column).collect()
}

fn cell<'a>(name: &'static str, kind: Kind) -> Box<dyn Fn(&&'a Line) -> Cell<'a> + 'a> {
    Box::new(move |line: &&'a Line| {
        let line: &'a Line = line;
        let found = line.get(name);
        let cell = found.and_then(|value| match kind {
            Kind::Text => value.as_str().map(Cell::Text),
            Kind::Count => value.as_u64().map(Cell::Count),
            Kind::Number => value.as_f64().map(Cell::Number),
            Kind::Flag => value.as_bool().map(Cell::Flag),
        });
        cell.unwrap_or(Cell::Missing)
    })
}
