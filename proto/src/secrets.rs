//! How messages that carry a person's secret are printed: without it.

use std::fmt;

use crate::v1::{NewSoftwareCertificate, Secret, secret::Source};

impl fmt::Debug for NewSoftwareCertificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NewSoftwareCertificate")
            .field("key_algorithm", &self.key_algorithm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Secret").field("source", &self.source).finish()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => out.write_str("Inline(..)"),
            Self::Prompt(prompt) => out.debug_tuple("Prompt").field(prompt).finish(),
            Self::Descriptor(_) => out.write_str("Descriptor"),
        }
    }
}
