//! Chains of our own authority, good and bad.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::authority::{Authority, day, name};
use life_pki::chain::{ChainError, MAX_CRL_SIZE, MAX_CRLS, Purpose, Revocation, RevocationList, verify};
use life_pki::profile::ProfileError;
use life_pki::{Certificate, KeySlot, PrivateKey, PublicKey, Timestamp, TrustBundle, Uid};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};

struct Case {
    authority: Authority,
    uid: Uid,
    key: PublicKey,
}

impl Case {
    fn new() -> Self {
        Self {
            authority: Authority::new(),
            uid: Uid::from_random([5; 16]),
            key: PrivateKey::generate_p256().unwrap().public_key().clone(),
        }
    }

    fn issue(&self, slot: KeySlot) -> Vec<u8> {
        self.authority.issue(&self.uid, slot, &self.key)
    }

    fn edited(&self, slot: KeySlot, edit: impl FnOnce(&mut CertificateParams)) -> Result<(), ChainError> {
        self.judge(&self.authority.issue_edited(&self.uid, slot, &self.key, edit), slot)
    }

    fn judge(&self, leaf: &[u8], slot: KeySlot) -> Result<(), ChainError> {
        self.judge_at(leaf, slot, Revocation::Unchecked, day(2026, 6, 10))
    }

    fn judge_at(
        &self,
        leaf: &[u8],
        slot: KeySlot,
        revocation: Revocation<'_>,
        at: Timestamp,
    ) -> Result<(), ChainError> {
        let certificate = verify(
            leaf,
            &[&self.authority.issuing],
            &self.authority.root,
            revocation,
            at,
            Purpose::Slot(slot),
        )?;
        assert_eq!(certificate.uid(), Some(self.uid));
        assert_eq!(certificate.slot(), Some(slot));
        Ok(())
    }
}

#[test]
fn every_slot_and_key_family_is_believed_for_its_purpose_only() {
    let mut case = Case::new();
    for key in [PrivateKey::generate_p256().unwrap(), PrivateKey::generate_rsa(3072).unwrap()] {
        case.key = key.public_key().clone();
        for slot in KeySlot::ALL {
            let leaf = case.issue(*slot);
            for purpose in KeySlot::ALL {
                let verdict = case.judge(&leaf, *purpose);
                if purpose == slot {
                    assert_eq!(verdict, Ok(()));
                } else {
                    assert_eq!(verdict, Err(ChainError::WrongPurpose), "{slot} as {purpose}");
                }
            }
        }
    }
}

#[test]
fn a_small_key_is_no_root_credential() {
    let mut case = Case::new();
    case.key = PrivateKey::generate_rsa(2048).unwrap().public_key().clone();
    assert_eq!(case.judge(&case.issue(KeySlot::Encryption), KeySlot::Encryption), Ok(()));
    let verdict = case.judge(&case.issue(KeySlot::Root), KeySlot::Root);
    assert_eq!(verdict, Err(ChainError::Profile(ProfileError::SmallKey)));
}

#[test]
fn validity_is_judged_to_the_second() {
    let case = Case::new();
    let leaf = case.issue(KeySlot::Signature);
    let certificate = Certificate::from_der(&leaf).unwrap();
    let judge = |at| case.judge_at(&leaf, KeySlot::Signature, Revocation::Unchecked, at);
    assert_eq!(judge(certificate.not_before().minus(1)), Err(ChainError::NotYetValid));
    assert_eq!(judge(certificate.not_before()), Ok(()));
    assert_eq!(judge(certificate.not_after()), Ok(()));
    assert_eq!(judge(certificate.not_after().plus(1)), Err(ChainError::Expired));
    assert_eq!(judge(day(2036, 1, 1)), Err(ChainError::Expired));
    assert_eq!(judge(day(2024, 1, 1)), Err(ChainError::NotYetValid));
}

#[test]
fn another_root_or_a_missing_link_is_untrusted() {
    let case = Case::new();
    let leaf = case.issue(KeySlot::Signature);
    let at = day(2026, 6, 10);
    let purpose = Purpose::Slot(KeySlot::Signature);
    let other = Authority::new();
    let verdict = verify(&leaf, &[&case.authority.issuing], &other.root, Revocation::Unchecked, at, purpose);
    assert_eq!(verdict, Err(ChainError::Untrusted));
    let none: [&[u8]; 0] = [];
    let verdict = verify(&leaf, &none, &case.authority.root, Revocation::Unchecked, at, purpose);
    assert_eq!(verdict, Err(ChainError::Untrusted));
    let many = vec![case.authority.issuing.clone(); 9];
    let verdict = verify(&leaf, &many, &case.authority.root, Revocation::Unchecked, at, purpose);
    assert_eq!(verdict, Err(ChainError::Untrusted));
    // Garbage beside the right certificate does no harm.
    let mixed =
        [vec![1, 2, 3], other.issuing, case.authority.issuing.clone(), case.authority.root.der().to_vec()];
    assert!(verify(&leaf, &mixed, &case.authority.root, Revocation::Unchecked, at, purpose).is_ok());
    // A leaf is no root.
    let leaf_root = Certificate::from_der(&leaf).unwrap();
    let verdict = verify(&leaf, &none, &leaf_root, Revocation::Unchecked, at, purpose);
    assert_eq!(verdict, Err(ChainError::Untrusted));
}

#[test]
fn a_flipped_bit_is_refused_anywhere() {
    let case = Case::new();
    let leaf = case.issue(KeySlot::Signature);
    for byte in 0..leaf.len() {
        let mut changed = leaf.clone();
        changed[byte] ^= 1 << (byte % 8);
        assert!(case.judge(&changed, KeySlot::Signature).is_err(), "byte {byte}");
    }
}

#[test]
fn a_user_cannot_issue() {
    let case = Case::new();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let public = PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&key)).unwrap();
    let mut params = common::authority::slot_params(&case.uid, KeySlot::Signature, &public);
    let user = params.signed_by(&key, &case.authority.issuer).unwrap().der().to_vec();
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let user_issuer = rcgen::Issuer::new(params, key);
    let leaf = common::authority::slot_params(&case.uid, KeySlot::Signature, &case.key);
    let leaf = leaf.signed_by(&common::authority::Subject(&case.key), &user_issuer).unwrap();
    let chain = [&user, &case.authority.issuing];
    let purpose = Purpose::Slot(KeySlot::Signature);
    let at = day(2026, 6, 10);
    let verdict = verify(leaf.der(), &chain, &case.authority.root, Revocation::Unchecked, at, purpose);
    assert_eq!(verdict, Err(ChainError::Untrusted));
}

#[test]
fn an_authority_needs_key_cert_sign() {
    let case = Case::new();
    for usages in [vec![], vec![KeyUsagePurpose::CrlSign]] {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = name("LIFE test weak");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = usages;
        let weak = params.signed_by(&key, &case.authority.root_issuer).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let leaf = common::authority::slot_params(&case.uid, KeySlot::Signature, &case.key);
        let leaf = leaf.signed_by(&common::authority::Subject(&case.key), &issuer).unwrap();
        let at = day(2026, 6, 10);
        let purpose = Purpose::Slot(KeySlot::Signature);
        let verdict =
            verify(leaf.der(), &[weak.der()], &case.authority.root, Revocation::Unchecked, at, purpose);
        assert_eq!(verdict, Err(ChainError::Untrusted));
    }
}

#[test]
fn the_profile_is_followed_to_the_letter() {
    let case = Case::new();
    let refused = |error| Err(ChainError::Profile(error));
    let slot = KeySlot::Signature;
    let other = Uid::from_random([6; 16]);
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());

    assert_eq!(
        case.edited(slot, |params| params.subject_alt_names = vec![uri(&other.urn())]),
        refused(ProfileError::Subject)
    );
    assert_eq!(
        case.edited(slot, |params| params.subject_alt_names.push(uri(&other.urn()))),
        refused(ProfileError::Subject)
    );
    assert_eq!(
        case.edited(slot, |params| params.subject_alt_names.clear()),
        refused(ProfileError::Extensions)
    );
    assert_eq!(
        case.edited(slot, |params| params.distinguished_name = name("LIFE signature")),
        refused(ProfileError::Subject)
    );
    assert_eq!(
        case.edited(slot, |params| {
            params.distinguished_name.push(rcgen::DnType::OrganizationName, "somebody");
        }),
        refused(ProfileError::Subject)
    );
    assert_eq!(
        case.edited(slot, |params| params.distinguished_name.push(rcgen::DnType::CommonName, "LIFE other")),
        refused(ProfileError::Usage)
    );
    assert_eq!(
        case.edited(slot, |params| params.key_usages.push(KeyUsagePurpose::KeyEncipherment)),
        refused(ProfileError::Usage)
    );
    assert_eq!(case.edited(slot, |params| params.key_usages.clear()), refused(ProfileError::Extensions));
    assert_eq!(
        case.edited(slot, |params| params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth)),
        refused(ProfileError::Usage)
    );
    assert_eq!(
        case.edited(slot, |params| params.extended_key_usages.clear()),
        refused(ProfileError::Extensions)
    );
    assert_eq!(
        case.edited(slot, |params| params.key_identifier_method = rcgen::KeyIdMethod::Sha256),
        refused(ProfileError::KeyIdentifier)
    );
    assert_eq!(
        case.edited(slot, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        Err(ChainError::Untrusted)
    );
    assert_eq!(case.edited(slot, |params| params.is_ca = IsCa::NoCa), refused(ProfileError::KeyIdentifier));
    let strange = |critical| {
        let mut extension =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 9], vec![5, 0]);
        extension.set_criticality(critical);
        case.edited(slot, |params| params.custom_extensions.push(extension))
    };
    assert_eq!(strange(false), Ok(()));
    assert!(strange(true).is_err());
}

#[test]
fn revocation_needs_a_current_list_and_looks_at_the_time() {
    let case = Case::new();
    let slot = KeySlot::Signature;
    let leaf = case.issue(slot);
    let other = case.authority.issue_edited(&case.uid, slot, &case.key, |params| {
        params.serial_number = Some(rcgen::SerialNumber::from(77u64));
    });
    let certificate = Certificate::from_der(&leaf).unwrap();
    let another = Certificate::from_der(&other).unwrap();
    assert_ne!(certificate.serial(), another.serial());
    let judge = |crls: &[&[u8]], at, now| case.judge_at(&leaf, slot, Revocation::Crls { crls, now }, at);
    let june = |date| day(2026, 6, date);

    let clean = case.authority.crl(&[(&another, 5)]);
    assert_eq!(judge(&[&clean], june(10), june(10)), Ok(()));
    assert_eq!(judge(&[], june(10), june(10)), Err(ChainError::CrlStale));
    assert_eq!(judge(&[&clean], june(10), day(2026, 7, 1)), Err(ChainError::CrlStale));
    assert_eq!(judge(&[b"crl"], june(10), june(10)), Err(ChainError::Malformed));

    // Revoked on 15 June: good before, not after, whenever one looks.
    let list = case.authority.crl(&[(&certificate, 15)]);
    assert_eq!(judge(&[&list], june(20), june(20)), Err(ChainError::Revoked));
    assert_eq!(judge(&[&list], june(15), june(20)), Err(ChainError::Revoked));
    assert_eq!(judge(&[&list], june(14), june(20)), Ok(()));

    // A list of somebody else of the same name neither clears nor is believed.
    let forger = Authority::new();
    let forged = forger.crl(&[]);
    assert_eq!(judge(&[&forged], june(10), june(10)), Err(ChainError::Untrusted));
    assert_eq!(judge(&[&forged, &list], june(20), june(20)), Err(ChainError::Untrusted));
    let late = forger.crl(&[(&certificate, 25)]);
    assert_eq!(judge(&[&list, &late], june(20), june(20)), Err(ChainError::Revoked));

    // A bad chain stays bad without a list.
    assert_eq!(judge(&[], day(2024, 1, 1), june(10)), Err(ChainError::NotYetValid));
}

#[test]
fn the_newest_list_counts_in_any_order() {
    let case = Case::new();
    let slot = KeySlot::Signature;
    let leaf = case.issue(slot);
    let certificate = Certificate::from_der(&leaf).unwrap();
    let list = |revoked: &[_], day, number| {
        case.authority.crl_edited(revoked, |params| {
            params.this_update = rcgen::date_time_ymd(2026, 6, day);
            params.crl_number = rcgen::SerialNumber::from(number);
        })
    };
    let now = day(2026, 6, 20);
    let judge = |crls: &[&[u8]]| case.judge_at(&leaf, slot, Revocation::Crls { crls, now }, now);
    let revoked = [(&certificate, 15)];
    // Both are current for weeks; the older one does not know of the revocation yet.
    for (older, newer) in
        [(list(&[], 1, 1u64), list(&revoked, 16, 1)), (list(&[], 16, 1), list(&revoked, 16, 2))]
    {
        assert_eq!(judge(&[&older]), Ok(()));
        assert_eq!(judge(&[&older, &newer]), Err(ChainError::Revoked));
        assert_eq!(judge(&[&newer, &older]), Err(ChainError::Revoked));
    }

    // A list from the future is none, and hides nothing.
    let future = list(&[], 21, 9);
    assert_eq!(judge(&[&future]), Err(ChainError::CrlStale));
    assert_eq!(judge(&[&future, &list(&revoked, 16, 1)]), Err(ChainError::Revoked));
    let midnight: Timestamp = "2026-06-21T00:00:00Z".parse().unwrap();
    let at = |now| case.judge_at(&leaf, slot, Revocation::Crls { crls: &[&future], now }, now);
    assert_eq!(at(midnight.minus(301)), Err(ChainError::CrlStale));
    assert_eq!(at(midnight.minus(300)), Ok(()));
}

#[test]
fn lists_are_capped() {
    let case = Case::new();
    let slot = KeySlot::Signature;
    let leaf = case.issue(slot);
    let now = day(2026, 6, 20);
    let judge = |crls: &[&[u8]]| case.judge_at(&leaf, slot, Revocation::Crls { crls, now }, now);
    let list = case.authority.crl(&[]);
    assert_eq!(judge(&[list.as_slice(); MAX_CRLS]), Ok(()));
    assert_eq!(judge(&[list.as_slice(); MAX_CRLS + 1]), Err(ChainError::Malformed));
    let long = vec![0x30; MAX_CRL_SIZE + 1];
    assert_eq!(judge(&[&list, &long]), Err(ChainError::Malformed));
}

#[test]
fn a_trust_bundle_holds_two_separate_roots() {
    let (server, user) = (Authority::new().root, Authority::new().root);
    let bundle = TrustBundle::new(server.clone(), user.clone()).unwrap();
    let der = bundle.to_der().unwrap();
    assert_eq!(TrustBundle::from_der(&der).unwrap(), bundle);
    assert_eq!(bundle.fingerprint().unwrap(), aws_lc_sha256(&der));
    assert!(TrustBundle::new(server.clone(), server.clone()).is_err());
    let case = Case::new();
    let leaf = Certificate::from_der(&case.issue(KeySlot::Signature)).unwrap();
    assert!(TrustBundle::new(server, leaf).is_err());
    for length in 0..der.len() {
        assert!(TrustBundle::from_der(&der[..length]).is_err());
    }
}

fn aws_lc_sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().unwrap()
}

#[test]
fn a_list_to_keep_is_verified_up_to_the_root() {
    let authority = Authority::new();
    let now = day(2026, 6, 20);
    let read =
        |der: &[u8], authorities: &[Vec<u8>]| RevocationList::verify(der, authorities, &authority.root, now);
    let list = |this_update, number| {
        authority.crl_edited(&[], |params| {
            params.this_update = rcgen::date_time_ymd(2026, 6, this_update);
            params.crl_number = rcgen::SerialNumber::from(number);
        })
    };
    let issuing = [authority.issuing.clone()];
    let kept = read(&list(10, 5u64), &issuing).unwrap();
    assert!(kept.is_current(now) && !kept.is_current(kept.next_update()));
    for (this_update, number, older) in [(9, 9, true), (10, 4, true), (10, 5, false), (11, 1, false)] {
        let other = read(&list(this_update, number), &issuing).unwrap();
        assert_eq!(other.is_older_than(&kept), older, "{this_update} {number}");
    }

    let mut flipped = list(10, 5);
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let forger = Authority::new();
    assert_eq!(read(&flipped, &issuing).unwrap_err(), ChainError::Untrusted);
    assert_eq!(read(&forger.crl(&[]), &issuing).unwrap_err(), ChainError::Untrusted);
    // The forger's own authority is of another root, though the names are the same.
    assert_eq!(
        read(&forger.crl(&[]), std::slice::from_ref(&forger.issuing)).unwrap_err(),
        ChainError::Untrusted
    );
    assert_eq!(read(&list(10, 5), &[]).unwrap_err(), ChainError::Untrusted);
    assert_eq!(read(&list(22, 5), &issuing).unwrap_err(), ChainError::CrlStale);
    assert_eq!(read(b"junk", &issuing).unwrap_err(), ChainError::Malformed);
}
