//! `enachi simulate`.

/// Arguments of `enachi simulate`.
#[derive(clap::Args)]
pub struct Args {}

/// Run the command.
pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`enachi simulate` is not part of this build")
}
