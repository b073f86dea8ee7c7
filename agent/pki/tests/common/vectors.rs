//! Finds the test data of PyPI `cryptography-vectors`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of NIST's PKITS, asked of the Python that has `cryptography-vectors`: `LIFE_TEST_PYTHON`, or the
/// virtual environment in the root of the repository.
pub fn pkits() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("LIFE_TEST_PYTHON").map_or(root.join(".venv/bin/python"), PathBuf::from);
    let program =
        "import cryptography_vectors, os; print(os.path.dirname(cryptography_vectors.__file__), end='')";
    let output = Command::new(&python).args(["-c", program]).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run `make test`", python.display()));
    assert!(output.status.success(), "{} lacks cryptography-vectors; run `make test`", python.display());
    PathBuf::from(String::from_utf8(output.stdout).unwrap()).join("x509/PKITS_data")
}
