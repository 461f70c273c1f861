//! The `enachi` command.
fn main() {}
