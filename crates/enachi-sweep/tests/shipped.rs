//! The sweep files that come with the project load, and every point of them can run.

use enachi_sweep::Sweep;
use std::path::Path;

#[test]
fn every_point_of_the_shipped_sweeps_can_run() {
    // Name, points in full and quick, seeds and frames of each.
    let shipped = [
        ("paper", [37, 20], [(10, 1000), (3, 300)]),
        ("measured", [38, 16], [(10, 1000), (2, 200)]),
    ];
    for (name, points, extents) in shipped {
        let file = format!("../../sweeps/{name}.toml");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let sweep = Sweep::read(&path).expect("a sweep file");
        for (quick, (points, extent)) in [false, true]
            .into_iter()
            .zip(points.into_iter().zip(extents))
        {
            let plan = sweep.clone().quick(quick).plan().expect("a plan");
            assert_eq!(plan.points.len(), points, "{name}, quick: {quick}");
            for point in &plan.points {
                assert_eq!(point.error, None, "{name}: {:?}", point.values);
                assert_eq!((point.seeds, point.frames), extent);
            }
            let axes: Vec<&str> = plan.sweeps.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(axes, ["deadline", "bandwidth", "users", "v"]);
            for sweep in &plan.sweeps {
                // The paper's system first, as differences are taken to it, all of its benchmarks, and the bound at some points.
                assert_eq!(sweep.policies[0], "enachi");
                for policy in ["effect-dnn", "sc-cao", "edge-only", "device-only"] {
                    assert!(
                        sweep.policies.iter().any(|p| p == policy),
                        "{name}: {policy}"
                    );
                }
                let own = plan
                    .points
                    .iter()
                    .filter(|p| plan.sweeps[p.sweep].name == sweep.name);
                assert!(
                    own.into_iter().any(|p| p.oracle.is_some()),
                    "{name}: {}",
                    sweep.name
                );
            }
        }
    }
}
