//! How messages that carry a person's secret, or what stands for one, are printed: without it.

use std::fmt;

use crate::v1::{DescriptorTicket, NewSecret, Secret, new_secret, secret};

impl fmt::Debug for DescriptorTicket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DescriptorTicket")
            .field("socket", &self.socket)
            .field("expire_time", &self.expire_time)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NewSecret").field("source", &self.source).finish()
    }
}

impl fmt::Debug for new_secret::Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => out.write_str("Inline(..)"),
            Self::Prompt(prompt) => out.debug_tuple("Prompt").field(prompt).finish(),
            Self::Descriptor(source) => out.debug_tuple("Descriptor").field(source).finish(),
            Self::Generated(_) => out.write_str("Generated"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Secret").field("source", &self.source).finish()
    }
}

impl fmt::Debug for secret::Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => out.write_str("Inline(..)"),
            Self::Prompt(prompt) => out.debug_tuple("Prompt").field(prompt).finish(),
            Self::Descriptor(_) => out.write_str("Descriptor"),
        }
    }
}
