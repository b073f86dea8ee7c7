//! The file `env`, which a shell sources.

use std::fmt::Write;

/// Variables for a POSIX shell.
#[derive(Default)]
pub struct Environment(String);

impl Environment {
    /// Adds a comment.
    pub fn comment(&mut self, text: &str) {
        for line in text.lines() {
            let _infallible = writeln!(self.0, "# {line}");
        }
    }

    /// Exports a variable.
    pub fn export(&mut self, name: &str, value: &str) {
        let _infallible = writeln!(self.0, "export {name}={}", quote(value));
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Quotes a word: inside single quotes everything but a single quote stands for itself.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_every_value_back() {
        for value in ["/tmp/life", "it's a $HOME `pwd` \\ \"x\"", "two\nlines", "", "-n"] {
            let mut environment = Environment::default();
            environment.comment("for\ntests");
            environment.export("VALUE", value);
            let script = format!("{}printf %s \"$VALUE\"", environment.text());
            let printed = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), value);
        }
    }
}
