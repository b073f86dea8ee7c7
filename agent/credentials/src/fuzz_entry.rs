//! Body of the fuzz target: the first look at a PKCS#12 file.

use crate::pfx::survey;

/// Surveys the bytes as a PKCS#12 file, and takes its parts apart; no key derivation runs.
pub fn pkcs12(bytes: &[u8]) {
    if let Ok(survey) = survey(bytes) {
        survey.parts().for_each(drop);
    }
}
