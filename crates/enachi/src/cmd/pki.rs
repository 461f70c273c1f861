//! `enachi pki`.

use enachi_runtime::pki;
use std::path::PathBuf;

/// Arguments of `enachi pki`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  enachi pki init lab --host edge.example.org\n  enachi pki admit lab camera-1 camera-2\n  enachi pki revoke lab camera-2"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make an authority and the edge's certificate in a new folder.
    Init {
        /// Folder.
        folder: PathBuf,
        /// Name or address under which devices reach the edge, beside localhost; may be repeated.
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
        /// Days for which the certificates are good.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Make certificates for devices and admit them.
    Admit {
        /// Folder of the authority.
        folder: PathBuf,
        /// Names of devices.
        #[arg(required = true)]
        names: Vec<String>,
        /// Days for which the certificates are good.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Admit the certificates of devices no longer; a running edge heeds it at the next connection.
    Revoke {
        /// Folder of the authority.
        folder: PathBuf,
        /// Names of devices.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Run the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Init {
            folder,
            hosts,
            days,
        } => {
            pki::init(&folder, &hosts, days)?;
            println!(
                "{0}: authority (ca.pem, ca.key) and edge (edge.pem, edge.key); keep ca.key to yourself",
                folder.display()
            );
        }
        Command::Admit {
            folder,
            names,
            days,
        } => {
            for name in names {
                pki::admit(&folder, &name, days)?;
                println!("{name}: copy ca.pem, {name}.pem and {name}.key to the device");
            }
        }
        Command::Revoke { folder, names } => {
            for name in names {
                pki::revoke(&folder, &name)?;
                println!("{name}: revoked");
            }
        }
    }
    Ok(())
}
