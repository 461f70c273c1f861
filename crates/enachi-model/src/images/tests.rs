use super::*;
use crate::fixtures::png;

fn pattern(width: u32, height: u32) -> RgbCrop {
    let pixel = |x: u32, y: u32| {
        [
            x * 37 + y * 91,
            x * x * 5 + y * 17,
            255u32.wrapping_sub(x * y * 13),
        ]
        .map(|v| (v % 256) as u8)
    };
    RgbCrop {
        width,
        height,
        pixels: (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)))
            .collect(),
    }
}

/// Values printed by Pillow 12: `Image.fromarray(pattern).resize((W, H), Image.BILINEAR)`; the number is
/// Σ value·(i + 1) mod 1000003.
#[test]
fn resizing_is_pillows() {
    let check = |from: (u32, u32), to: (u32, u32), start: &[u8], sum: u64| {
        let found = resize_bilinear(&pattern(from.0, from.1), to.0, to.1);
        assert_eq!((found.width, found.height), to);
        assert_eq!(&found.pixels[..start.len()], start, "{from:?} to {to:?}");
        let weighted: u64 = found
            .pixels
            .iter()
            .zip(1u64..)
            .map(|(v, i)| u64::from(*v) * i)
            .sum();
        assert_eq!(weighted % 1_000_003, sum, "{from:?} to {to:?}");
    };
    let shrunk = [
        58, 10, 252, 116, 31, 243, 162, 86, 233, 137, 159, 225, 137, 37, 241, 88, 58, 201, 117,
        113, 153, 132, 186, 113, 88, 64, 231, 146, 85, 159, 109, 140, 102, 126, 213, 140,
    ];
    check((7, 5), (4, 3), &shrunk, 91_593);
    check(
        (3, 2),
        (5, 4),
        &[0, 0, 255, 15, 2, 255, 37, 5, 255, 59, 14, 255],
        230_432,
    );
    check(
        (5, 3),
        (5, 7),
        &[0, 0, 255, 37, 5, 255, 74, 20, 255, 111, 45, 255],
        737_150,
    );
    check(
        (40, 31),
        (9, 8),
        &[113, 65, 207, 121, 130, 159, 124, 122, 157],
        18_766,
    );
}

#[test]
fn the_short_side_is_fitted_and_the_centre_cut() {
    assert_eq!(fit_short_side(227, 227, 256), (256, 256));
    assert_eq!(fit_short_side(500, 375, 256), (341, 256));
    assert_eq!(fit_short_side(375, 500, 256), (256, 341));
    assert_eq!(fit_short_side(1, 60_000, 256), (256, 64 * 256));
    // Same size: the crop is a window of the picture. (9 − 4)/2 = 2.5 goes to 2, (11 − 4)/2 = 3.5 to 4.
    let picture = pattern(9, 11);
    let crop = centre_crop(&picture, 4);
    for y in 0..4 {
        for x in 0..4 {
            let at = ((y + 4) * 9 + x + 2) * 3;
            let found = ((y * 4 + x) * 3) as usize;
            assert_eq!(
                crop.pixels[found..found + 3],
                picture.pixels[at as usize..at as usize + 3]
            );
        }
    }
}

#[test]
fn a_picture_becomes_a_tensor() {
    let how = Preprocess {
        resize: 8,
        crop: 6,
        ..Preprocess::IMAGENET
    };
    let file = png(8, 8, |x, y| [(x * 30) as u8, (y * 30) as u8, 255]);
    let crop = decode_rgb_crop(&file, &how).unwrap();
    assert_eq!((crop.width, crop.height), (6, 6));
    assert_eq!(crop.pixels[..3], [30, 30, 255]);
    let tensor = to_tensor(&crop, &how);
    assert_eq!(tensor.shape, [1, 3, 6, 6]);
    // Row 2, column 4 of the crop is row 3, column 5 of the picture.
    let at = |channel: usize| tensor.data[channel * 36 + 2 * 6 + 4];
    let expected = [
        (150.0 / 255.0 - 0.485) / 0.229,
        (90.0 / 255.0 - 0.456) / 0.224,
        (1.0 - 0.406) / 0.225,
    ];
    for (channel, value) in expected.iter().enumerate() {
        assert!((at(channel) - value).abs() < 1e-6);
    }
    // The other preset is x/127.5 − 1.
    let tf = to_tensor(&crop, &Preprocess::TF);
    assert!((tf.data[2 * 6 + 4] - (150.0 / 127.5 - 1.0)).abs() < 1e-6);
}

#[test]
fn bad_pictures_are_errors() {
    let how = Preprocess::IMAGENET;
    let good = png(30, 20, |x, y| [x as u8, y as u8, 0]);
    assert!(decode_rgb_crop(&good, &how).is_ok());
    for bad in [&good[..good.len() / 2], b"plain text", b"", &good[..20]] {
        assert!(decode_rgb_crop(bad, &how).is_err());
    }
    // A header that promises 60,000 × 60,000 pixels.
    let mut bomb = good.clone();
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    // The checksum of the header chunk follows its 13 bytes.
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(
        decode_rgb_crop(&bomb, &how),
        Err(ImageError::TooManyPixels {
            width: 60_000,
            height: 60_000
        })
    ));
    let settings = [
        Preprocess {
            crop: 300,
            ..how.clone()
        },
        Preprocess {
            crop: 0,
            ..how.clone()
        },
        Preprocess {
            resize: 1 << 20,
            ..how.clone()
        },
        Preprocess {
            std: [0.0, 1.0, 1.0],
            ..how.clone()
        },
        Preprocess {
            mean: [f32::NAN; 3],
            ..how
        },
    ];
    for how in settings {
        assert!(matches!(
            decode_rgb_crop(&good, &how),
            Err(ImageError::Preprocess(_))
        ));
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// A folder that is removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("enachi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn labels_from_a_file() {
    let folder = Folder::new("labels");
    for name in ["b.png", "a.png", "images/c.png"] {
        folder.put(name, b"x");
    }
    let read = |text: &str| {
        folder.put("labels.csv", text.as_bytes());
        LabelledImages::find(&folder.0, None, 10)
    };
    let images = read("file,label\nb.png,3\nimages/c.png,0\na.png,9\n").unwrap();
    let found: Vec<_> = images
        .items
        .iter()
        .map(|i| (i.name.as_str(), i.label))
        .collect();
    assert_eq!(found, [("a.png", 9), ("b.png", 3), ("images/c.png", 0)]);
    assert_eq!(read("file,class\r\nc.png,1\r\n").unwrap().items[0].label, 1);

    let fails = |text: &str, part: &str| {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?}: {error}");
    };
    fails(
        "file,label\na.png,1\nd.png,2\n",
        "line 3: there is no image `d.png`",
    );
    fails(
        "file,label\na.png,10\n",
        "label `10` is not a class index from 0 to 9",
    );
    fails("file,label\na.png,-1\n", "label `-1`");
    fails("file,label\na.png,cat\n", "label `cat`");
    fails(
        "file,label\na.png,1\nb.png,1\na.png,2\n",
        "line 4: `a.png` was already named in line 2",
    );
    fails("file,label\na.png\n", "line 2: `a.png` is not `file,label`");
    fails("a.png,1\n", "line 1: the header");
    fails("file,label\n", "names no images");
    fails("", "names no images");
    fails("file,label\n../labels/a.png,1\n", "there is no image");
    fails("file,label\n/etc/hostname,1\n", "there is no image");
}

#[test]
fn labels_from_class_folders() {
    let folder = Folder::new("folders");
    for name in ["0/a.png", "0/b.JPG", "2/a.png", "2/notes.txt", "readme.txt"] {
        folder.put(name, b"x");
    }
    let images = LabelledImages::find(&folder.0, None, 3).unwrap();
    let found: Vec<_> = images
        .items
        .iter()
        .map(|i| (i.name.as_str(), i.label))
        .collect();
    assert_eq!(found, [("0/a.png", 0), ("0/b.JPG", 0), ("2/a.png", 2)]);
    let error = LabelledImages::find(&folder.0, None, 2)
        .unwrap_err()
        .to_string();
    assert!(error.contains("label `2`"), "{error}");
    assert!(LabelledImages::find(&folder.0.join("missing"), None, 2).is_err());
}

#[test]
fn undecodable_images_are_counted_and_bounded() {
    let folder = Folder::new("undecodable");
    let good = png(8, 8, |x, y| [x as u8, y as u8, 7]);
    let mut csv = String::from("file,label\n");
    for i in 0..10 {
        let bytes = if i == 3 { b"broken" } else { good.as_slice() };
        folder.put(&format!("{i}.png"), bytes);
        csv += &format!("{i}.png,0\n");
    }
    folder.put("labels.csv", csv.as_bytes());
    let images = LabelledImages::find(&folder.0, None, 1).unwrap();
    let how = Preprocess {
        resize: 8,
        crop: 8,
        ..Preprocess::TF
    };
    let (left, bad) = images.clone().without_undecodable(&how, 0.1).unwrap();
    assert_eq!(left.items.len(), 9);
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].0, "3.png");
    let error = images.clone().without_undecodable(&how, 0.05).unwrap_err();
    assert!(matches!(
        error,
        LabelError::TooManyBad {
            bad: 1,
            all: 10,
            ..
        }
    ));
    // Nothing left is an error whatever is tolerated.
    let wrong = Preprocess { crop: 9, ..how };
    assert!(images.without_undecodable(&wrong, 1.0).is_err());
}

fn items(names: impl Iterator<Item = String>) -> LabelledImages {
    let item = |name: String| Item {
        path: name.clone().into(),
        name,
        label: 0,
    };
    LabelledImages {
        items: names.map(item).collect(),
    }
}

#[test]
fn a_split_is_disjoint_and_depends_on_names_and_seed_only() {
    let forwards = items((0..100).map(|i| format!("{i:03}")));
    let backwards = items((0..100).rev().map(|i| format!("{i:03}")));
    let (calibration, measured) = split(&forwards, 7, 30, 60).unwrap();
    assert_eq!((calibration.len(), measured.len()), (30, 60));
    assert!(
        calibration
            .iter()
            .all(|c| measured.iter().all(|m| m.name != c.name))
    );
    assert!(measured.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(
        split(&backwards, 7, 30, 60).unwrap(),
        (calibration.clone(), measured)
    );
    assert_ne!(split(&forwards, 8, 30, 60).unwrap().0, calibration);
    // An image that vanishes moves no other out of the calibration set.
    let gone = calibration[0].name.clone();
    let fewer = items((0..100).map(|i| format!("{i:03}")).filter(|n| *n != gone));
    let (fewer, _) = split(&fewer, 7, 30, 60).unwrap();
    assert!(calibration[1..].iter().all(|c| fewer.contains(c)));
    assert!(split(&forwards, 7, 50, 51).is_err());
    assert!(split(&forwards, 7, usize::MAX, 1).is_err());
}

#[test]
fn preprocessing_is_read_as_profiles_keep_it() {
    let own = Preprocess {
        resize: 300,
        crop: 299,
        mean: [0.1, 1e-9, -3.0],
        std: [1e10, 0.25, 7.0],
    };
    for how in [Preprocess::IMAGENET, Preprocess::TF, own] {
        assert_eq!(format!("{how:?}").parse::<Preprocess>().unwrap(), how);
    }
    for wrong in ["", "imagenet", "Preprocess { resize: 256 }"] {
        assert!(wrong.parse::<Preprocess>().is_err());
    }
}

#[test]
fn a_picture_comes_back_from_the_input_it_became() {
    let pixels: Vec<u8> = (0..3 * 16 * 16).map(|i| (i % 256) as u8).collect();
    let picture = RgbCrop {
        width: 16,
        height: 16,
        pixels,
    };
    for how in [Preprocess::IMAGENET, Preprocess::TF] {
        let tensor = to_tensor(&picture, &how);
        assert_eq!(to_picture(&tensor.data, 16, &how), picture);
    }
}
