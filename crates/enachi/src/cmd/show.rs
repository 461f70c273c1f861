//! `enachi show`.

/// Arguments of `enachi show`.
#[derive(clap::Args)]
pub struct Args {}

/// Run the command.
pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`enachi show` is not part of this build")
}
