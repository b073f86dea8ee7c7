//! Crate `rsa` is the second implementation: AWS-LC and it must agree on everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::OnceLock;

use life_pki::{PrivateKey, PublicKey};
use proptest::prelude::*;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::pss::{Signature, VerifyingKey};
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner, SignatureEncoding, Verifier};
use rsa::{Oaep, RsaPrivateKey, RsaPublicKey, rand_core};

/// Random numbers for crate `rsa` that proptest chose.
struct Numbers(u64);

impl rand_core::RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        // SplitMix64; any numbers do here.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl rand_core::CryptoRng for Numbers {}

struct Both {
    ours: PrivateKey,
    theirs: RsaPrivateKey,
}

/// Keys of the sizes of the suite, made once.
fn keys() -> &'static [Both] {
    static KEYS: OnceLock<Vec<Both>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let make = |bits| {
            let ours = PrivateKey::generate_rsa(bits).unwrap();
            // EXPOSE: a key of this test, for the second implementation.
            let theirs = RsaPrivateKey::from_pkcs8_der(ours.to_pkcs8().expose()).unwrap();
            Both { ours, theirs }
        };
        [2048, 3072, 4096].map(make).into()
    })
}

fn their_public(key: &PublicKey) -> RsaPublicKey {
    RsaPublicKey::from_public_key_der(key.spki()).unwrap()
}

fn they_verify(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::<Sha256>::new(their_public(key));
    Signature::try_from(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

/// 24 cases in everyday tests; as many as `PROPTEST_CASES` says where that is set.
fn configuration() -> ProptestConfig {
    let everyday = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        everyday
    } else {
        ProptestConfig { cases: 24, ..everyday }
    }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn signatures_verify_both_ways(which in 0..3usize, message: Vec<u8>, seed: u64) {
        let both = &keys()[which];
        let public = both.ours.public_key();
        let ours = both.ours.sign(&message).unwrap();
        prop_assert!(they_verify(public, &message, &ours));
        let signer = rsa::pss::SigningKey::<Sha256>::new(both.theirs.clone());
        let theirs = signer.sign_with_rng(&mut Numbers(seed), &message).to_vec();
        prop_assert!(public.verify(&message, &theirs).is_ok());
    }

    #[test]
    fn verdicts_on_spoiled_signatures_agree(
        which in 0..3usize,
        message: Vec<u8>,
        spoil in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let public = keys()[which].ours.public_key();
        let mut signature = keys()[which].ours.sign(&message).unwrap();
        for (index, value) in spoil {
            let at = index.index(signature.len());
            signature[at] = value;
        }
        if let Some(cut) = cut {
            signature.truncate(cut.index(signature.len()));
        }
        let ours = public.verify(&message, &signature).is_ok();
        prop_assert_eq!(ours, they_verify(public, &message, &signature));
    }

    #[test]
    fn oaep_opens_both_ways(
        which in 0..3usize,
        message in prop::collection::vec(any::<u8>(), 0..190),
        seed: u64,
        spoil in prop::option::of((any::<prop::sample::Index>(), 1..=255u8)),
    ) {
        let both = &keys()[which];
        let padding = Oaep::new::<Sha256>();
        let sealed = their_public(both.ours.public_key()).encrypt(&mut Numbers(seed), padding, &message);
        let mut sealed = sealed.unwrap();
        if let Some((index, value)) = spoil {
            let at = index.index(sealed.len());
            sealed[at] ^= value;
        }
        let ours = both.ours.oaep_decrypt(&sealed);
        let theirs = both.theirs.decrypt(Oaep::new::<Sha256>(), &sealed);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        prop_assert_eq!(ours.is_ok(), spoil.is_none());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert!(ours.ct_eq(&theirs) && theirs == message);
        }
    }
}
