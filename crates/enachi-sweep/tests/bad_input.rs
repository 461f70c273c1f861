//! Sweep files, parts and datasets that make no sense.

mod common;

use common::{SWEEP, bytes, options, sweep, workplace};
use enachi_data::sweep::{Dataset, MANIFEST_FILE, TABLES};
use enachi_sweep::journal::part_path;
use enachi_sweep::plan::Shard;
use enachi_sweep::{RunOptions, Sweep, SweepError, Unwatched, merge};

fn refused(text: &str) -> String {
    let (folder, out) = workplace();
    let path = folder.path().join("sweep.toml");
    let run = Sweep::parse(text, &path)
        .and_then(|sweep| sweep.run(&out, &options(Shard::WHOLE, 1), &Unwatched));
    assert!(
        !out.exists(),
        "nothing is written for a sweep that is refused: {text}"
    );
    run.expect_err("must be refused").to_string()
}

#[test]
fn bad_sweeps_are_refused_before_anything_runs() {
    for (from, to, expected) in [
        (
            "device.deadline_s",
            "device.deadlin_s",
            "did you mean `deadline_s`?",
        ),
        (
            "key = \"channel.fading\"",
            "key = \"channel.fadin\"",
            "axis \"fadin\": channel.fadin=\"none\": unknown field `fadin`",
        ),
        (
            "\"progressive-ftx@L2\"",
            "\"progresive-ftx@L2\"",
            "did you mean \"progressive-ftx\"?",
        ),
        (
            "\"progressive-ftx@L2\"",
            "\"progressive-ftx@L9\"",
            "no cut \"L9\"",
        ),
        (
            "\"progressive-ftx@L2\"",
            "\"enachi\"",
            "\"enachi\" is named twice",
        ),
        (
            "\"none\", \"rayleigh\"",
            "\"non\", \"rayleigh\"",
            "did you mean `none`?",
        ),
        (
            "[\"none\", \"rayleigh\"]",
            "[]",
            "axis \"channel.fading\": has no values",
        ),
        (
            "scenario = \"paper.toml\"",
            "scenario = \"nowhere.toml\"",
            "nowhere.toml",
        ),
        ("seeds = 3", "seeds = 0", "no point can run: "),
        ("seeds = 3", "sedes = 3", "did you mean `seeds`?"),
    ] {
        assert!(SWEEP.contains(from), "{from}");
        let message = refused(&SWEEP.replace(from, to));
        assert!(message.contains(expected), "{to}: {message}");
    }
    let (folder, out) = workplace();
    let error = sweep(folder.path(), SWEEP)
        .set(&["device.deadline_s=0.2".into()])
        .run(&out, &RunOptions::default(), &Unwatched)
        .expect_err("swept");
    assert!(
        error.to_string().contains("an axis sets device.deadline_s"),
        "{error}"
    );
}

#[test]
fn bad_parts_and_datasets_are_refused_and_kept() {
    let (folder, out) = workplace();
    let sweep = sweep(folder.path(), SWEEP).quick(true);
    for index in [0, 1, 3] {
        sweep
            .run(&out, &options(Shard { index, count: 4 }, 2), &Unwatched)
            .expect("runs");
    }
    let fails = |expected: &str| {
        let error = merge(&out, &[]).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    fails("shard 2/4 is missing");
    assert!(!out.join(MANIFEST_FILE).exists());
    sweep
        .run(&out, &options(Shard { index: 2, count: 4 }, 2), &Unwatched)
        .expect("runs");
    let part = |index| part_path(&out, Shard { index, count: 4 });
    let copy = out.join("parts/copy.jsonl");
    std::fs::copy(part(1), &copy).expect("copied");
    fails("shard 1/4 is there twice");
    std::fs::remove_file(&copy).expect("removed");
    let whole = std::fs::read(part(1)).expect("readable");
    std::fs::write(part(1), &whole[..whole.len() / 2]).expect("written");
    fails("1/4 has ");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(part(1), &damaged).expect("written");
    fails("is damaged");
    let again = sweep
        .run(&out, &options(Shard { index: 1, count: 4 }, 2), &Unwatched)
        .expect("mended");
    assert_eq!(again.left, 0);
    merge(&out, &[]).expect("merges");
    let good = bytes(&out);
    let other = Shard { index: 0, count: 2 };
    sweep
        .run(&out, &options(other, 2), &Unwatched)
        .expect("runs");
    fails("parts of different splits");
    assert!(
        good == bytes(&out),
        "a failed merge leaves the dataset as it was"
    );
    std::fs::remove_file(part_path(&out, other)).expect("removed");

    // Another sweep in the same folder, unless told to drop this one.
    let changed = sweep.clone().set(&["seeds=2".into()]);
    let error = changed
        .run(&out, &options(Shard::WHOLE, 2), &Unwatched)
        .expect_err("another sweep");
    assert!(matches!(error, SweepError::OtherSweep { .. }), "{error}");
    assert!(good == bytes(&out));
    // Truncated and foreign files.
    let reading = |expected: &str| {
        let error = Dataset::read(&out).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    for name in TABLES {
        let path = out.join(name);
        let whole = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
        reading("checksum");
        std::fs::write(&path, whole).expect("written");
    }
    let path = out.join(MANIFEST_FILE);
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(
        &path,
        text.replace("\"format_version\": 3", "\"format_version\": 7"),
    )
    .expect("written");
    reading("version 7, written by enachi");
    std::fs::write(&path, &text[..text.len() / 2]).expect("written");
    reading("damaged");
    std::fs::remove_file(&path).expect("removed");
    reading("holds no finished sweep");
    let plan = out.join("plan.json");
    let text = std::fs::read_to_string(&plan).expect("readable");
    std::fs::write(&plan, text.replace("\"quick\":true", "\"quick\":false")).expect("written");
    fails("plan.json: damaged");
    std::fs::write(
        &plan,
        text.replace("\"format_version\":3", "\"format_version\":1"),
    )
    .expect("written");
    fails("version 1");
    let dropped = RunOptions {
        force: true,
        ..options(Shard::WHOLE, 2)
    };
    changed
        .run(&out, &dropped, &Unwatched)
        .expect("starts anew");
    merge(&out, &[]).expect("merges");
    assert_eq!(Dataset::read(&out).expect("readable").points[0].seeds, 2);
    // A folder with something else in it.
    let theirs = folder.path().join("theirs");
    std::fs::create_dir(&theirs).expect("made");
    std::fs::write(theirs.join("thesis.tex"), "text").expect("written");
    let error = sweep
        .run(&theirs, &RunOptions::default(), &Unwatched)
        .expect_err("in use");
    assert!(matches!(error, SweepError::OtherSweep { .. }), "{error}");
}
