//! The recipes of docs/sweeps.md, run as they stand there: the shell of each with what its scheduler would set, the schedulers
//! themselves replaced by a few lines of shell. Every one must give the dataset that one machine gives.
#![cfg(unix)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const DOCS: &str = include_str!("../../../docs/sweeps.md");
const SCENARIO: &str = include_str!("../../../scenarios/paper.toml");

const SWEEP: &str = r#"
name = "paper"
scenario = "../scenario.toml"
policies = ["enachi", "effect-dnn"]
[set]
frames = 10
warmup_frames = 2
seeds = 4
output.bootstrap_replicates = 100
[oracle]
points = 1
seeds = 1
frames = 5
[[sweep]]
name = "users"
[[sweep.axis]]
key = "devices.0.count"
values = [1, 2]
"#;

/// The code blocks below a heading of the docs.
fn recipe(heading: &str) -> Vec<&'static str> {
    let heading = format!("### {heading}\n");
    let (_, rest) = DOCS.split_once(&heading).expect("the heading is there");
    let section = rest.split("\n### ").next().unwrap_or(rest);
    let section = section.split("\n## ").next().unwrap_or(section);
    let blocks = section.split("```").skip(1).step_by(2);
    blocks
        .map(|block| block.split_once('\n').map_or("", |(_, code)| code))
        .collect()
}

/// A folder with the sweep, `enachi` and stand-ins for schedulers on the path.
struct Cluster {
    folder: tempfile::TempDir,
    /// What the recipe's last command may end with.
    code: i32,
}

impl Cluster {
    /// Clusters on which all goes well, and on which a point fails: both must come to their merged dataset.
    fn both(stand_ins: &[(&str, &str)]) -> [Self; 2] {
        let failing = SWEEP.replace("values = [1, 2]", "values = [1, 0, 2]");
        let failing = failing.replace(
            "\"effect-dnn\"]",
            "\"effect-dnn\", \"enachi+stop-marginal\"]",
        );
        [
            Self::new(SWEEP, 0, stand_ins),
            Self::new(&failing, 3, stand_ins),
        ]
    }

    fn new(sweep: &str, code: i32, stand_ins: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        for made in ["sweeps", "bin"] {
            std::fs::create_dir(at.join(made)).expect("made");
        }
        std::fs::write(at.join("sweeps/paper.toml"), sweep).expect("written");
        std::fs::write(at.join("scenario.toml"), SCENARIO).expect("written");
        symlink(env!("CARGO_BIN_EXE_enachi"), at.join("bin/enachi")).expect("linked");
        for (name, script) in stand_ins {
            let path = at.join("bin").join(name);
            std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .expect("executable");
        }
        Self { folder, code }
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn shell(&self, script: &str, variables: &[(&str, &str)]) {
        self.command(Command::new("bash").args(["-ec", script]), variables);
    }

    fn command(&self, command: &mut Command, variables: &[(&str, &str)]) {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = command
            .current_dir(self.at())
            .env(
                "PATH",
                format!("{}:{path}", self.at().join("bin").display()),
            )
            .envs(variables.iter().copied())
            .output()
            .expect("it starts");
        let code = output.status.code();
        assert!(
            code == Some(0) || code == Some(self.code),
            "{code:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Whether `folder` holds what one machine makes of the sweep.
    fn check(&self, folder: &str) {
        let script = format!(
            "enachi sweep sweeps/paper.toml --out alone --quiet || [ $? -eq {} ]",
            self.code
        );
        self.shell(&script, &[]);
        let mut compared = 0;
        for entry in std::fs::read_dir(self.at().join("alone")).expect("readable") {
            let entry = entry.expect("readable");
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".parquet") || name == "sweep.json" {
                let read = |folder: &str| {
                    std::fs::read(self.at().join(folder).join(&*name)).expect("there")
                };
                assert!(read("alone") == read(folder), "{name} differs");
                compared += 1;
            }
        }
        assert_eq!(compared, 12);
    }
}

#[test]
fn one_machine_after_another() {
    let blocks = recipe("One machine after another, no scheduler");
    assert_eq!(blocks.len(), 1);
    for cluster in Cluster::both(&[]) {
        // Somebody types one line after the other, whatever it ends with.
        let script = format!("set +e\n{}", blocks[0]);
        cluster.shell(&script, &[]);
        cluster.check("shared/paper");
    }
}

#[test]
fn slurm() {
    // `sbatch FILE` runs the array, one job after the other, and prints its number; `--wrap` runs a command.
    let sbatch = r#"
for argument; do
    case "$argument" in
        --parsable|--dependency=afterok:17) ;;
        --wrap) wrapped=1 ;;
        *) if [ -n "$wrapped" ]; then exec bash -c "$argument"; fi
           range=$(sed -n 's/^#SBATCH --array=//p' "$argument")
           cpus=$(sed -n 's/^#SBATCH --cpus-per-task=//p' "$argument")
           export SLURM_ARRAY_TASK_COUNT=$(( ${range#*-} - ${range%-*} + 1 )) SLURM_CPUS_PER_TASK=$cpus
           for id in $(seq "${range%-*}" "${range#*-}"); do
               SLURM_ARRAY_TASK_ID=$id bash "$argument" 1>&2 || exit 1
           done
           echo 17 ;;
    esac
done"#;
    let blocks = recipe("Slurm array");
    assert_eq!(blocks.len(), 2);
    for cluster in Cluster::both(&[("srun", "exec \"$@\""), ("sbatch", sbatch)]) {
        std::fs::write(cluster.at().join("sweep.sbatch"), blocks[0]).expect("written");
        let scratch = cluster.at().join("scratch").display().to_string();
        cluster.shell(blocks[1], &[("SCRATCH", &scratch)]);
        cluster.check("scratch/paper");
    }
}

#[test]
fn hyperqueue() {
    // `hq submit --array A-B ... -- COMMAND` runs COMMAND with every number.
    let hq = r#"
[ "$1" = submit ] || exit 0
while [ "$1" != -- ]; do
    [ "$1" = --array ] && range=$2
    shift
done
shift
for id in $(seq "${range%-*}" "${range#*-}"); do HQ_TASK_ID=$id "$@" || exit 1; done"#;
    let blocks = recipe("HyperQueue");
    assert_eq!(blocks.len(), 1);
    for cluster in Cluster::both(&[("hq", hq)]) {
        cluster.shell(blocks[0], &[]);
        cluster.check("shared/paper");
    }
}

#[test]
fn kubernetes() {
    let blocks = recipe("Kubernetes, indexed job");
    let yaml = blocks[0];
    let field = |name: &str| {
        let line = yaml.lines().find_map(|line| line.trim().strip_prefix(name));
        line.expect("the field is there").trim().to_owned()
    };
    assert_eq!(field("command:"), r#"["sh", "-c"]"#);
    let args = field("args:");
    let script = args.trim_start_matches("['").trim_end_matches("']");
    // The volume, mounted elsewhere.
    let script = script.replace("--out /out", "--out volume");
    assert!(script.contains("volume"));
    let completions: u32 = field("completions:").parse().expect("a number");
    for cluster in Cluster::both(&[]) {
        for index in 0..completions {
            // A pod that ends with anything but 0 is started again.
            let script = format!("({script}) || exit 99");
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            cluster.command(
                &mut command,
                &[("JOB_COMPLETION_INDEX", &index.to_string())],
            );
        }
        cluster.shell("enachi sweep merge volume", &[]);
        cluster.check("volume");
    }
}

#[test]
fn ray() {
    let there = Command::new("python3").arg("--version").output();
    if there.is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    // Tasks in sequence, in this process.
    let stand_in = r#"
def init():
    pass

def remote(**options):
    class Task:
        def __init__(self, function):
            self.function = function
        def remote(self, *arguments):
            return self.function(*arguments)
    return Task

def get(results):
    return results
"#;
    let blocks = recipe("Ray");
    for cluster in Cluster::both(&[]) {
        std::fs::write(cluster.at().join("ray.py"), stand_in).expect("written");
        std::fs::write(cluster.at().join("sweep.py"), blocks[0]).expect("written");
        cluster.command(Command::new("python3").arg("sweep.py"), &[]);
        cluster.check("shared/paper");
    }
}
