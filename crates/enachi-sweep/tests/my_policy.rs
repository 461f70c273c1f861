//! The example of a policy of one's own runs, and its policy is in the dataset beside the others.

#[allow(dead_code)]
#[path = "../examples/my_policy.rs"]
mod example;

#[test]
fn a_policy_of_ones_own_is_in_the_dataset() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = example::sweep(folder.path(), true).expect("runs");
    assert_eq!(data.manifest.failed_runs, 0, "{:?}", data.manifest.failures);
    let policies: Vec<&str> = data.points.iter().map(|row| row.policy.as_str()).collect();
    let each = ["far-first", "enachi", "best-static-cut"];
    assert_eq!(policies, [each, each].concat());
    for row in &data.points {
        // Better than a guess among a thousand classes: something was sent and answered.
        assert!(row.accuracy > 0.1 && row.accuracy <= 1.0, "{row:?}");
        assert!(row.energy_j > 0.0 && row.bits > 0.0, "{row:?}");
    }
    assert!(
        data.pairs
            .iter()
            .any(|pair| pair.policy == "far-first" && pair.other == "enachi")
    );
}
