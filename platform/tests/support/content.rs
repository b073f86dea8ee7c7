//! Envelopes and sealed streams to deposit.

use life_envelope::stream::{Announced, Position, Sealer};
use life_envelope::{DocumentId, envelope};
use life_pki::PublicKey;

pub fn envelope(content: &[u8], to: &PublicKey) -> Vec<u8> {
    envelope::seal(content, std::slice::from_ref(to)).unwrap().0
}

/// An unsigned sealed stream of so many bytes of plaintext.
pub fn stream(length: usize, to: &PublicKey) -> Vec<u8> {
    stream_for(length, std::slice::from_ref(to))
}

/// The same for several recipients.
pub fn stream_for(length: usize, to: &[PublicKey]) -> Vec<u8> {
    let (mut out, mut sealer) = Sealer::new(DocumentId([7; 16]), 1, Announced::Nothing, to).unwrap();
    let mut left = length;
    loop {
        let size = sealer.segment_size();
        let (take, position) = if left > size { (size, Position::Inner) } else { (left, Position::Last) };
        let mut segment = vec![0x5a; take];
        let tag = sealer.seal_segment(&mut segment, position).unwrap();
        out.extend_from_slice(&segment);
        out.extend_from_slice(&tag);
        left -= take;
        if position == Position::Last {
            break;
        }
    }
    out.extend_from_slice(&sealer.finish(None).unwrap());
    out
}
