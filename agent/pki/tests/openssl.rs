//! OpenSSL judges what we make, and we judge what OpenSSL makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::authority::{Authority, day};
use common::openssl::OpenSsl;
use life_pki::chain::{self, ChainError, Purpose, Revocation};
use life_pki::profile::{KeyUse, SlotProfile};
use life_pki::{Certificate, KeySlot, PrivateKey, PublicKey, Timestamp, Uid, csr};

fn uid() -> Uid {
    Uid::from_random([4; 16])
}

fn families() -> [PrivateKey; 2] {
    [PrivateKey::generate_p256().unwrap(), PrivateKey::generate_rsa(3072).unwrap()]
}

fn request(slot: KeySlot, key: &PrivateKey) -> Vec<u8> {
    let tbs = csr::to_be_signed(&uid(), slot, key.public_key()).unwrap();
    csr::assemble(&tbs, key.public_key(), &key.sign(&tbs).unwrap()).unwrap()
}

#[test]
fn openssl_verifies_our_requests() {
    let openssl = OpenSsl::new();
    for (key, algorithm) in families().iter().zip(["ecdsa-with-SHA256", "rsassaPss"]) {
        for slot in [KeySlot::Authentication, KeySlot::Signature] {
            let der = request(slot, key);
            openssl.write("request", &der);
            let text = openssl.ok("req -inform DER -in request -verify -noout -text");
            assert!(text.contains("verify OK"), "{text}");
            assert!(text.contains(algorithm), "{text}");
            assert!(text.contains(&format!("URI:{}", uid().urn())), "{text}");
            assert!(text.contains(&format!("serialNumber = {}", uid().urn())), "{text}");

            let mut forged = der;
            let last = forged.len() - 1;
            forged[last] ^= 1;
            openssl.write("request", &forged);
            let output = openssl.run("req -inform DER -in request -verify -noout");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() || text.contains("verify failure"), "{text}");
            assert!(csr::verify(&forged).is_err());
        }
    }
}

#[test]
fn openssl_verifies_our_chains_and_revocations() {
    let openssl = OpenSsl::new();
    let authority = Authority::new();
    openssl.pem_certificate("root", authority.root.der());
    openssl.pem_certificate("issuing", &authority.issuing);
    for key in families() {
        for slot in KeySlot::ALL {
            let leaf = authority.issue(&uid(), *slot, key.public_key());
            openssl.pem_certificate("leaf", &leaf);
            let purpose = match slot {
                KeySlot::Authentication => "sslclient",
                KeySlot::Signature => "smimesign",
                // OpenSSL asks for keyEncipherment, which a key of P-256 cannot do; RFC 5753 §3.1 says keyAgreement.
                KeySlot::Encryption | KeySlot::Root if is_p256(&key) => "any",
                KeySlot::Encryption | KeySlot::Root => "smimeencrypt",
            };
            let verify = format!(
                "verify -x509_strict -attime {} -CAfile root.pem -untrusted issuing.pem -purpose {purpose}",
                day(2026, 6, 10).unix()
            );
            let text = openssl.ok(&format!("{verify} leaf.pem"));
            assert!(text.contains("leaf.pem: OK"), "{text}");

            let certificate = Certificate::from_der(&leaf).unwrap();
            for (revoked, good) in [(vec![], true), (vec![(&certificate, 5)], false)] {
                openssl.write("crl", authority.crl(&revoked));
                openssl.ok("crl -inform DER -in crl -out crl.pem");
                let output = openssl.run(&format!("{verify} -crl_check -CRLfile crl.pem leaf.pem"));
                assert_eq!(output.status.success(), good);
                let crl = authority.crl(&revoked);
                let revocation = Revocation::Crls { crls: &[&crl], now: day(2026, 6, 10) };
                let verdict = chain::verify(
                    &leaf,
                    &[&authority.issuing],
                    &authority.root,
                    revocation,
                    day(2026, 6, 10),
                    Purpose::Slot(*slot),
                );
                assert_eq!(verdict.map(|_| ()), if good { Ok(()) } else { Err(ChainError::Revoked) });
            }
        }
    }
}

/// How a CA of OpenSSL's signs.
struct Ca {
    new_key: &'static str,
    sign: &'static str,
}

const ECDSA: Ca = Ca { new_key: "ec -pkeyopt ec_paramgen_curve:P-256", sign: "-sha256" };
const PSS: Ca = Ca {
    new_key: "rsa:2048",
    sign: "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256",
};
const PKCS1: Ca = Ca { new_key: "rsa:2048", sign: "-sha256" };

/// A root and an issuing authority, made by OpenSSL.
fn make_authorities(openssl: &OpenSsl, ca: &Ca) {
    openssl.write(
        "config",
        "[req]\ndistinguished_name=dn\n[dn]\n\
         [root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\n\
         [issuing]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
         [ca]\ndefault_ca=x\n[x]\ndatabase=index\ndefault_md=sha256\ncrlnumber=number\n",
    );
    let Ca { new_key, sign } = ca;
    openssl.ok(&format!(
        "req -x509 -config config -extensions root -newkey {new_key} {sign} -nodes -keyout root.key -out root.pem \
         -subj /CN=OpenSSL-root -days 30"
    ));
    openssl.ok(&format!("req -config config -newkey {new_key} -nodes -keyout issuing.key -out issuing.csr -subj /CN=OpenSSL-issuing"));
    openssl.ok(&format!(
        "x509 -req -in issuing.csr -CA root.pem -CAkey root.key -extfile config -extensions issuing {sign} -days 30 \
         -out issuing.pem"
    ));
    for name in ["root", "issuing"] {
        openssl.ok(&format!("x509 -in {name}.pem -outform DER -out {name}.der"));
    }
}

/// A certificate of the profile, made by OpenSSL for a key of which it sees the public half only.
fn make_leaf(openssl: &OpenSsl, ca: &Ca, slot: KeySlot, key: &PublicKey) -> Vec<u8> {
    let profile = SlotProfile::of(slot);
    let usage = match profile.key_use(key.algorithm()) {
        KeyUse::DigitalSignature => "digitalSignature",
        KeyUse::KeyAgreement => "keyAgreement",
        KeyUse::KeyEncipherment => "keyEncipherment",
    };
    let (urn, identifier) = (uid().urn(), key.hash());
    openssl.write(
        "leaf.config",
        format!(
            "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={}\nserialNumber={urn}\n\
             [leaf]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,{usage}\nextendedKeyUsage={}\n\
             subjectAltName=URI:{urn}\nsubjectKeyIdentifier={identifier}\nauthorityKeyIdentifier=keyid\n",
            profile.common_name, profile.extended_key_usage
        ),
    );
    openssl.write("leaf.spki", key.spki());
    openssl.ok("pkey -pubin -inform DER -in leaf.spki -out leaf.pub");
    openssl.ok("req -config leaf.config -new -key issuing.key -out leaf.csr");
    openssl.ok(&format!(
        "x509 -req -in leaf.csr -force_pubkey leaf.pub -CA issuing.pem -CAkey issuing.key -extfile leaf.config \
         -extensions leaf {} -days 20 -outform DER -out leaf.der",
        ca.sign
    ));
    openssl.read("leaf.der")
}

#[test]
fn we_verify_certificates_that_openssl_made() {
    // OpenSSL's certificates begin at the second of their making.
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap().plus(60);
    for (ca, believed) in [(ECDSA, true), (PSS, true), (PKCS1, false)] {
        let openssl = OpenSsl::new();
        make_authorities(&openssl, &ca);
        let root = Certificate::from_der(&openssl.read("root.der")).unwrap();
        let issuing = [openssl.read("issuing.der")];
        for key in families() {
            for slot in KeySlot::ALL {
                let leaf = make_leaf(&openssl, &ca, *slot, key.public_key());
                let purpose = Purpose::Slot(*slot);
                let verdict = chain::verify(&leaf, &issuing, &root, Revocation::Unchecked, now, purpose);
                if believed {
                    let certificate = verdict.unwrap();
                    assert_eq!(certificate.uid(), Some(uid()));
                    assert_eq!(certificate.public_key(), key.public_key());
                } else {
                    // PKCS#1 v1.5 signatures are outside the suite.
                    assert_eq!(verdict, Err(ChainError::Untrusted));
                }
            }
        }
    }
}

#[test]
fn we_read_lists_that_openssl_made() {
    // OpenSSL's certificates begin at the second of their making.
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap().plus(60);
    let openssl = OpenSsl::new();
    make_authorities(&openssl, &ECDSA);
    let root = Certificate::from_der(&openssl.read("root.der")).unwrap();
    let issuing = [openssl.read("issuing.der")];
    let key = PrivateKey::generate_p256().unwrap();
    let leaf = make_leaf(&openssl, &ECDSA, KeySlot::Signature, key.public_key());
    let judge = |crl: &[u8], now| {
        let revocation = Revocation::Crls { crls: &[crl], now };
        let purpose = Purpose::Slot(KeySlot::Signature);
        chain::verify(&leaf, &issuing, &root, revocation, now, purpose).map(|_| ())
    };
    openssl.write("index", "");
    openssl.write("number", "01\n");
    let list = || {
        openssl.ok("ca -config config -name x -gencrl -keyfile issuing.key -cert issuing.pem -crldays 2 -out crl.pem");
        openssl.ok("crl -in crl.pem -outform DER -out crl.der");
        openssl.read("crl.der")
    };
    let clean = list();
    assert_eq!(judge(&clean, now), Ok(()));
    assert_eq!(judge(&clean, now.plus(3 * 86_400)), Err(ChainError::CrlStale));

    openssl.ok("x509 -inform DER -in leaf.der -out leaf.pem");
    openssl.ok("ca -config config -name x -revoke leaf.pem -keyfile issuing.key -cert issuing.pem");
    assert_eq!(judge(&list(), now.plus(60)), Err(ChainError::Revoked));
}

fn is_p256(key: &PrivateKey) -> bool {
    key.public_key().algorithm() == life_pki::key::KeyAlgorithm::P256
}
