//! CSV and JSON lines.

use super::columns::{Cell, Table};
use std::io::{self, Write};

/// A header and one line per row; missing cells are empty.
pub fn csv<R>(out: &mut impl Write, table: &Table<R>, rows: &[R]) -> io::Result<()> {
    let names: Vec<&str> = table.iter().map(|column| column.name).collect();
    writeln!(out, "{}", names.join(","))?;
    for row in rows {
        for (index, column) in table.iter().enumerate() {
            if index > 0 {
                out.write_all(b",")?;
            }
            match (column.cell)(row) {
                Cell::Missing => {}
                Cell::Text(text) => quoted(out, text)?,
                Cell::Count(count) => write!(out, "{count}")?,
                Cell::Number(number) => write!(out, "{number}")?,
                Cell::Flag(flag) => write!(out, "{flag}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn quoted(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.contains([',', '"', '\n', '\r']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}

/// One JSON object per line; missing cells and numbers that JSON lacks are null.
pub fn json_lines<R>(out: &mut impl Write, table: &Table<R>, rows: &[R]) -> io::Result<()> {
    for row in rows {
        for (index, column) in table.iter().enumerate() {
            out.write_all(if index == 0 { b"{" } else { b"," })?;
            write!(out, "\"{}\":", column.name)?;
            match (column.cell)(row) {
                Cell::Missing => out.write_all(b"null")?,
                Cell::Text(text) => serde_json::to_writer(&mut *out, text)?,
                Cell::Count(count) => write!(out, "{count}")?,
                Cell::Number(number) => serde_json::to_writer(&mut *out, &number)?,
                Cell::Flag(flag) => write!(out, "{flag}")?,
            }
        }
        writeln!(out, "}}")?;
    }
    Ok(())
}
