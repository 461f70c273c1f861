//! `enachi profile`.

/// Arguments of `enachi profile`.
#[derive(clap::Args)]
pub struct Args {}

/// Run the command.
pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`enachi profile` is not part of this build")
}
