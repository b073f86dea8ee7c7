//! The platform binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    life_platform::commands::run()
}
