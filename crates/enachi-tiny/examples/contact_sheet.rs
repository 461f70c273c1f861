//! Draws a contact sheet: `cargo run -p enachi-tiny --example contact_sheet -- sheet.png`. One column per class; from
//! top to bottom the pictures become harder.

use enachi_tiny::{CLASSES, Picture, SIDE, Split, image};

const ROWS: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("name the PNG file to write")?;
    let mut columns: Vec<Vec<Picture>> = vec![Vec::new(); CLASSES];
    for index in 0..(ROWS * CLASSES) as u32 {
        let picture = image(Split::Test, index);
        columns[usize::from(picture.label)].push(picture);
    }
    let side = SIDE as usize;
    let pitch = side + 2;
    let (width, height) = (CLASSES * pitch, ROWS * pitch);
    let mut sheet = vec![255u8; width * height * 3];
    for (column, pictures) in columns.iter_mut().enumerate() {
        pictures.sort_by(|a, b| a.hardness.total_cmp(&b.hardness));
        for (row, picture) in pictures.iter().enumerate() {
            for (y, line) in picture.pixels.chunks(side * 3).enumerate() {
                let start = ((row * pitch + y) * width + column * pitch) * 3;
                sheet[start..start + side * 3].copy_from_slice(line);
            }
        }
    }
    let (width, height) = (width as u32, height as u32);
    ::image::save_buffer(
        path,
        &sheet,
        width,
        height,
        ::image::ExtendedColorType::Rgb8,
    )?;
    Ok(())
}
