//! Runs the `openssl` program in a folder of its own.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

pub struct OpenSsl {
    folder: TempDir,
}

impl OpenSsl {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), contents).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `openssl` with arguments that are separated by blanks.
    pub fn run(&self, arguments: &str) -> Output {
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("the openssl program is needed for this test")
    }

    /// As `run`, and fails the test when openssl does; returns both outputs as text.
    pub fn ok(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "openssl {arguments}: {text}");
        text
    }

    /// Converts a DER certificate file to PEM, appending `.pem`.
    pub fn pem_certificate(&self, name: &str, der: &[u8]) {
        self.write(name, der);
        self.ok(&format!("x509 -inform DER -in {name} -out {name}.pem"));
    }
}
