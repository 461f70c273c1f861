//! Writes pictures and `labels.csv` for `enachi profile`: calibration and test pictures in one folder.
//!
//! `cargo run --release -p enachi-tiny --example write_pictures -- FOLDER [CALIBRATION TEST]`

use enachi_tiny::{Split, write_folder};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name the folder to write")?);
    let mut count = |default: u32| arguments.next().map_or(Ok(default), |n| n.parse::<u32>());
    let (calibration, test) = (count(300)?, count(1200)?);
    let mut labels = String::from("file,label\n");
    for (split, n) in [(Split::Calibration, calibration), (Split::Test, test)] {
        write_folder(&folder, split, 0..n)?;
        let written = std::fs::read_to_string(folder.join("labels.csv"))?;
        labels.extend(written.lines().skip(1).map(|line| format!("{line}\n")));
    }
    std::fs::write(folder.join("labels.csv"), labels)?;
    Ok(())
}
