//! Bodies of the fuzz targets: the first look at a PKCS#12 file, and what a card says.

use crate::card;
use crate::pfx::survey;

/// Reads the bytes as each kind of object that comes from a card.
pub fn card_object(bytes: &[u8]) {
    card::read_anything(bytes);
}

/// Surveys the bytes as a PKCS#12 file, and takes its parts apart; no key derivation runs.
pub fn pkcs12(bytes: &[u8]) {
    if let Ok(survey) = survey(bytes) {
        survey.parts().for_each(drop);
    }
}
