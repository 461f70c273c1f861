//! A profile made of the fitted curves that a scenario gives.

use crate::scenario::CurveProfile;
use enachi_core::profile::{CutKind, CutProfile, LadderKind, Meta, Profile, Stream, Surrogate};

/// The profile that a scenario's curves describe: the input sent whole, the cuts as raw maps in order of importance, and
/// all local.
pub fn curve_profile(curves: &CurveProfile) -> Profile {
    let floor = 1.0 / f64::from(curves.classes);
    let elements = |shape: [u32; 3]| shape.iter().map(|x| u64::from(*x)).product::<u64>();
    let bits = |shape| (elements(shape) * u64::from(curves.bits_per_element)) as f64;
    let cut = |name: &str, kind, shape: [u32; 3], head_macs, streams| CutProfile {
        name: name.into(),
        kind,
        maps: shape[0],
        height: shape[1],
        width: shape[2],
        head_macs,
        tail_macs: curves.total_macs - head_macs,
        head_time: None,
        tail_time: None,
        streams,
        top1_uncompressed: curves.top1,
    };
    let stream = |name: String, ladder, shape: [u32; 3], chunks, surrogate| Stream {
        name,
        ladder,
        encode_macs: 0,
        decode_macs: 0,
        encode_time: None,
        decode_time: None,
        total_bits: bits(shape),
        total_chunks: chunks,
        checkpoint_chunks: Vec::new(),
        surrogate,
        measured: None,
        predictor: None,
        samples: Default::default(),
    };
    let raw = format!("raw{}-energy", curves.bits_per_element);
    let whole = stream(
        format!("raw{}", curves.bits_per_element),
        LadderKind::Alternatives,
        curves.input_shape,
        1,
        None,
    );
    let mut cuts = vec![cut(
        "input",
        CutKind::Input,
        curves.input_shape,
        0,
        vec![whole],
    )];
    for c in &curves.cuts {
        let shape = [c.maps, c.height, c.width];
        let surrogate = Surrogate {
            a0: c.a0,
            a1: c.a1,
            a2: c.a2,
            floor,
            rmse: 0.0,
            max_error: 0.0,
        };
        let sent = stream(
            raw.clone(),
            LadderKind::Embedded,
            shape,
            c.maps,
            Some(surrogate),
        );
        cuts.push(cut(
            &c.name,
            CutKind::Feature,
            shape,
            c.head_macs,
            vec![sent],
        ));
    }
    let output = [curves.classes, 1, 1];
    cuts.push(cut(
        "local",
        CutKind::Local,
        output,
        curves.total_macs,
        Vec::new(),
    ));
    Profile {
        meta: Meta {
            model_name: curves.model.clone(),
            classes: curves.classes,
            top1_uncompressed: curves.top1,
            data_source: "fitted curves given in the scenario".into(),
            ..Meta::default()
        },
        cuts,
        images: Vec::new(),
    }
}
