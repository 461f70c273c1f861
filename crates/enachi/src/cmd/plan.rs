//! `enachi plan`.

/// Arguments of `enachi plan`.
#[derive(clap::Args)]
pub struct Args {}

/// Run the command.
pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`enachi plan` is not part of this build")
}
