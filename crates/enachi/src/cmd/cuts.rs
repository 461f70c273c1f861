//! `enachi cuts`.

/// Arguments of `enachi cuts`.
#[derive(clap::Args)]
pub struct Args {}

/// Run the command.
pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`enachi cuts` is not part of this build")
}
