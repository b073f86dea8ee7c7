//! Where the binaries under test are.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// The folder of the binaries, built once per test run.
///
/// `LIFE_BIN_DIR` names another folder, such as `target/release`; then nothing is built.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(folder) = std::env::var_os("LIFE_BIN_DIR") {
        return folder.into();
    }
    // The test executable is target/PROFILE/deps/NAME-HASH.
    let exe = std::env::current_exe().unwrap();
    let folder = exe.parent().and_then(|deps| deps.parent()).unwrap().to_path_buf();
    let target = folder.parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--workspace", "--bins", "--quiet"])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status()
        .unwrap();
    assert!(built.success(), "the binaries under test do not build");
    folder
});

/// The path of one of the project's binaries.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let path = FOLDER.join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}
