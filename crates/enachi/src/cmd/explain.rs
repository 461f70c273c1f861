//! `enachi explain`.

/// Arguments of `enachi explain`.
#[derive(clap::Args)]
pub struct Args {}

/// Run the command.
pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`enachi explain` is not part of this build")
}
