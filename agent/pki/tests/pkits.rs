//! NIST's Public Key Interoperability Test Suite: every path validation test, with the reason where one does not
//! apply to a product without certificate policies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::vectors;
use der::asn1::AnyRef;
use der::{Decode, SliceReader, Tag, Tagged};
use life_pki::Timestamp;
use life_pki::chain::{AuthorityKeyUsage, ChainError, PathRules, Revocation, verify_path};
use webpki::{ExtendedKeyUsageValidator, KeyPurposeIdIter, RevocationCheckDepth};
use x509_cert::crl::CertificateList;
use x509_cert::name::Name;

const CASES: &str = include_str!("../testkit/pkits/cases.tsv");
/// PKITS has 224 tests (sections 4.1 to 4.16 of its document).
const TESTS: usize = 224;

/// One line of the table.
struct Case {
    id: &'static str,
    target: &'static str,
    verdict: &'static str,
    applies: bool,
}

fn cases() -> Vec<Case> {
    let lines = CASES.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &'static str| match line.split('\t').collect::<Vec<_>>()[..] {
        [id, target, verdict, applies] => Case { id, target, verdict, applies: applies == "applies" },
        _ => panic!("{line}"),
    };
    lines.map(parse).collect()
}

/// PKITS asks for no extended key usage.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// A certificate or list with the names that tie it to others.
struct Item {
    der: Vec<u8>,
    subject: String,
    issuer: String,
}

struct Suite {
    certificates: BTreeMap<String, Item>,
    lists: Vec<Item>,
}

/// A name as RFC 5280 §7.1 compares it, roughly: enough to collect what belongs to a path.
fn loose(name: &Name) -> String {
    name.to_string().to_lowercase().split_whitespace().collect()
}

/// Issuer and subject of a certificate that may be odd in every other field.
fn names(der: &[u8]) -> der::Result<(String, String)> {
    let certificate = AnyRef::from_der(der)?;
    let mut fields = SliceReader::new(certificate.value())?;
    let tbs = AnyRef::decode(&mut fields)?;
    let mut fields = SliceReader::new(tbs.value())?;
    let first = AnyRef::decode(&mut fields)?;
    // Version (absent in version 1), serial number, algorithm; then issuer, validity, subject.
    for _ in 0..if first.tag() == Tag::Integer { 1 } else { 2 } {
        AnyRef::decode(&mut fields)?;
    }
    let issuer = Name::decode(&mut fields)?;
    AnyRef::decode(&mut fields)?;
    Ok((loose(&issuer), loose(&Name::decode(&mut fields)?)))
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

impl Suite {
    fn load() -> Self {
        let folder = vectors::pkits();
        let certificate = |(name, der): (String, Vec<u8>)| {
            let (issuer, subject) = names(&der).unwrap();
            (name, Item { der, subject, issuer })
        };
        let list = |(_, der): (String, Vec<u8>)| {
            let parsed = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&der).unwrap();
            let issuer = loose(&parsed.tbs_cert_list.issuer);
            Item { der, subject: String::new(), issuer }
        };
        Self {
            certificates: files(&folder.join("certs")).into_iter().map(certificate).collect(),
            lists: files(&folder.join("crls")).into_iter().map(list).collect(),
        }
    }

    /// Gives the validator what PKITS gives it: the authorities above the target and all their lists.
    fn judge(&self, target: &str) -> Result<(), ChainError> {
        let root = &self.certificates["TrustAnchorRootCertificate"];
        let leaf = &self.certificates[target];
        let mut names = vec![leaf.issuer.clone()];
        let mut above: Vec<&Item> = Vec::new();
        loop {
            let is_new = |item: &&Item| {
                names.contains(&item.subject)
                    && item.subject != root.subject
                    && !std::ptr::eq(*item, leaf)
                    && !above.iter().any(|known| std::ptr::eq(*known, *item))
            };
            let Some(item) = self.certificates.values().find(is_new) else { break };
            names.push(item.issuer.clone());
            above.push(item);
        }
        let above: Vec<&[u8]> = above.iter().map(|item| item.der.as_slice()).collect();
        let lists: Vec<&[u8]> = (self.lists.iter())
            .filter(|list| names.contains(&list.issuer))
            .map(|list| list.der.as_slice())
            .collect();
        let at: Timestamp = "2020-06-01T00:00:00Z".parse().unwrap();
        let rules = PathRules {
            algorithms: &[webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256],
            depth: RevocationCheckDepth::Chain,
            usage: AnyUsage,
            key_usage: AuthorityKeyUsage::IfPresent,
        };
        let revocation = Revocation::Crls { crls: &lists, now: at };
        verify_path(&leaf.der, &above, &root.der, revocation, at, &rules)
    }
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the counts are what this test is read for")]
fn path_validation_does_as_pkits_says() {
    let suite = Suite::load();
    let cases = cases();
    assert_eq!(cases.len(), TESTS);
    let (mut applying, mut accepted, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let judged = suite.judge(case.target);
        let right = match (case.verdict, &judged) {
            ("accept", verdict) => verdict.is_ok() || !case.applies,
            ("refuse", verdict) => verdict.is_err(),
            ("-", _) => true,
            (reason, verdict) => verdict.is_err_and(|error| format!("{error:?}") == reason),
        };
        if !right {
            wrong.push(format!("{} {}: {judged:?}", case.id, case.target));
        }
        if case.applies {
            applying += 1;
            accepted += usize::from(judged.is_ok());
        }
    }
    println!(
        "PKITS: {applying} of {TESTS} path validation tests apply: {accepted} accepted, {} refused",
        applying - accepted
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
