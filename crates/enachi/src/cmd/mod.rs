//! One module per subcommand.
pub mod cuts;
pub mod demo;
pub mod device;
pub mod explain;
pub mod least;
mod live;
pub mod pki;
pub mod plan;
pub mod profile;
pub mod report;
pub mod serve;
pub mod show;
pub mod signals;
pub mod simulate;
pub mod sweep;
pub mod trace;

/// A duration of the command line: a number of seconds up to a year.
fn seconds(text: &str) -> Result<f64, String> {
    let most = 365.0 * 86_400.0;
    match text.parse() {
        Ok(seconds) if (0.0..=most).contains(&seconds) => Ok(seconds),
        _ => Err(format!("must be a number of seconds in 0..={most:.0}")),
    }
}
