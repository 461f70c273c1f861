//! The file must stay small: a profile is meant to be committed.
mod common;

#[test]
fn a_typical_profile_stays_below_its_budget() {
    let size = common::Size {
        features: 7,
        images: 600,
        checkpoints: 17,
        streams: 4,
        classes: 1000,
    };
    let bytes = enachi_data::profile::to_bytes(&common::profile(&size)).expect("a valid profile");
    assert!(bytes.len() < 1_200_000, "{} bytes", bytes.len());
}
