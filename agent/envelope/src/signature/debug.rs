//! Debug output without content: neither the content itself nor its digest, which would confirm a guess at it.

use std::fmt::{Debug, Formatter, Result};

use super::{Signed, SignedData, Verified};
use crate::SignedAttributes;

impl Debug for Signed<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self {
            Self::Enclosed => out.write_str("Enclosed"),
            Self::Content(content) => write!(out, "Content({} bytes)", content.len()),
            Self::Digest(_) => out.write_str("Digest"),
        }
    }
}

impl Debug for SignedData<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        out.debug_struct("SignedData")
            .field("content_length", &self.content().map(<[u8]>::len))
            .field("certificates", &self.certificates.len())
            .field("algorithm", &self.signer.algorithm)
            .finish_non_exhaustive()
    }
}

impl Debug for SignedAttributes {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        out.debug_struct("SignedAttributes")
            .field("signing_time", &self.signing_time())
            .field("algorithm", &self.algorithm())
            .field("context", self.context())
            .finish_non_exhaustive()
    }
}

impl Debug for Verified {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        out.debug_struct("Verified").field("attributes", &self.attributes).finish_non_exhaustive()
    }
}
