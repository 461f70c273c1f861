//! The generated pictures: balance, determinism, files.

use std::collections::HashSet;

use enachi_model::images::{LabelledImages, Preprocess, decode_rgb_crop, read_image};
use enachi_tiny::{CLASSES, MEAN, SIDE, STD, Split, image, write_folder};
use sha2::{Digest, Sha256};

const SPLITS: [Split; 3] = [Split::Train, Split::Calibration, Split::Test];

#[test]
fn every_block_of_twelve_has_every_class_once_in_its_own_order() {
    let mut orders = HashSet::new();
    for split in SPLITS {
        for block in 0..20 {
            let first = block * CLASSES as u32;
            let order: Vec<u16> = (first..first + CLASSES as u32)
                .map(|index| image(split, index).label)
                .collect();
            let different: HashSet<u16> = order.iter().copied().collect();
            assert_eq!(different.len(), CLASSES);
            assert!(order.iter().all(|&label| usize::from(label) < CLASSES));
            orders.insert(order);
        }
    }
    assert_eq!(orders.len(), 60, "an order came twice");
}

#[test]
fn no_picture_comes_twice_within_or_across_splits() {
    let mut seen = HashSet::new();
    for split in SPLITS {
        for index in 0..150 {
            let picture = image(split, index);
            assert_eq!(picture.pixels.len(), (SIDE * SIDE * 3) as usize);
            assert!((0.0..=1.0).contains(&picture.hardness));
            assert!(seen.insert(picture.pixels), "{split:?} {index}");
        }
    }
}

#[test]
fn hardness_varies_and_most_pictures_are_easy() {
    let n = 600;
    let below = |limit: f32| {
        (0..n)
            .filter(|&i| image(Split::Test, i).hardness < limit)
            .count() as f64
            / f64::from(n)
    };
    // The hardness is 0.55 times the cube of a uniform number. Four standard errors.
    for limit in [0.01, 0.1, 0.5] {
        let share = (f64::from(limit) / 0.55).cbrt();
        let error = (share * (1.0 - share) / f64::from(n)).sqrt();
        assert!((below(limit) - share).abs() < 4.0 * error, "{limit}");
    }
}

/// The committed profile belongs to exactly these pictures: if this fails, the network must be trained and its profile
/// measured again.
#[test]
fn pictures_are_the_ones_the_network_was_trained_and_measured_on() {
    let mut hash = Sha256::new();
    for split in SPLITS {
        for index in [0, 1, 2, 3, 50, 1000, u32::MAX] {
            let picture = image(split, index);
            hash.update(picture.label.to_le_bytes());
            hash.update(&picture.pixels);
        }
    }
    let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        found,
        "767f1b6e51b1954b2207db34a2793298c6f01643ff45cf7669a9f9671d202aa9"
    );
}

#[test]
fn input_is_the_picture_channel_by_channel() {
    let picture = image(Split::Test, 7);
    let input = picture.input();
    let plane = (SIDE * SIDE) as usize;
    for (channel, x, y) in [(0, 0, 0), (1, 63, 0), (2, 10, 33), (0, 63, 63)] {
        let place = y * SIDE as usize + x;
        let expected =
            (f32::from(picture.pixels[place * 3 + channel]) / 255.0 - MEAN[channel]) / STD[channel];
        assert_eq!(input[channel * plane + place], expected);
    }
    assert_eq!(input.len(), 3 * plane);
}

#[test]
fn a_written_folder_reads_back_as_the_same_pictures() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("new/pictures");
    write_folder(&folder, Split::Calibration, 5..20).expect("written");
    let found = LabelledImages::find(&folder, None, CLASSES).expect("a labelled folder");
    let how = Preprocess {
        resize: SIDE,
        crop: SIDE,
        mean: MEAN,
        std: STD,
    };
    assert_eq!(found.items.len(), 15);
    for (item, index) in found.items.iter().zip(5..) {
        let picture = image(Split::Calibration, index);
        let bytes = read_image(&item.path).expect("readable");
        let read = decode_rgb_crop(&bytes, &how).expect("a picture");
        assert_eq!(item.label, picture.label);
        assert_eq!(read.pixels, picture.pixels, "{}", item.name);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = write_folder(&file.join("below"), Split::Test, 0..1).expect_err("no folder");
    assert!(error.to_string().contains("below"), "{error}");
}
