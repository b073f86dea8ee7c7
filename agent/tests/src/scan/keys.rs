//! The secrets of a registered user, found out without the agent: by OpenSSL from the software certificate, and from
//! the root key seal that the platform keeps, which the software certificate's encryption key opens.

use std::collections::HashMap;
use std::process::Command;

use life_envelope::root_seal::{RootKeySeal, derive_pin_key};
use rusqlite::Connection;

use super::forms::{Kind, Secret};
use crate::{Platform, User, forge};

/// The order of P-256's group (SP 800-186).
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// Everything that must not be found: passphrase, the numbers of working and root credential, and derived keys.
#[must_use]
pub fn of_user(platform: &Platform, user: &User) -> Vec<Secret> {
    let mut secrets = vec![Secret::new("passphrase", Kind::Text, &user.passphrase)];
    secrets.extend(derived_keys(user));
    secrets.extend(working_keys(user).into_iter().flat_map(|(slot, key)| numbers(&slot, &key)));
    secrets.extend(root_credential(platform, user));
    secrets
}

/// The numbers of the key with which a user signs.
#[must_use]
pub fn of_signature_key(user: &User) -> Vec<Secret> {
    let keys = working_keys(user);
    let (slot, key) = keys.iter().find(|(slot, _)| slot == "LIFE signature").expect("a key that signs");
    numbers(slot, key)
}

/// The keys of the software certificate, in PEM, each with its name.
fn working_keys(user: &User) -> Vec<(String, Vec<u8>)> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    let pass = format!("pass:{}", passphrase(user));
    let pem = openssl(&["pkcs12", "-nodes", "-nocerts", "-passin", &pass], &user.pkcs12);
    let pem = String::from_utf8(pem).unwrap();
    let mut parts = pem.split(BEGIN);
    let mut attributes = parts.next().unwrap();
    let mut keys = Vec::new();
    for part in parts {
        let name = attributes.lines().find_map(|line| line.trim().strip_prefix("friendlyName: ")).unwrap();
        let (body, rest) = part.split_at(part.find("-----END").unwrap());
        keys.push((name.to_owned(), format!("{BEGIN}{body}-----END PRIVATE KEY-----\n").into_bytes()));
        attributes = rest;
    }
    assert_eq!(keys.len(), 3, "one key a slot");
    keys
}

/// The numbers of a private key, PKCS#8 in PEM or in DER.
#[must_use]
pub fn numbers(name: &str, key: &[u8]) -> Vec<Secret> {
    let form = if key.starts_with(b"-----") { "PEM" } else { "DER" };
    let text = openssl(&["pkey", "-noout", "-text", "-inform", form], key);
    let fields = hex_fields(&String::from_utf8(text).unwrap());
    let secret =
        |field: &str, kind: Kind| Secret::new(format!("{name}: {field}"), kind, significant(&fields[field]));
    if fields.contains_key("priv") {
        let modulus = Some(hex::decode(P256_ORDER).unwrap());
        return vec![secret("priv", Kind::Number { modulus })];
    }
    let prime = significant(&fields["prime1"]).to_vec();
    vec![
        secret("prime1", Kind::Prime),
        secret("prime2", Kind::Prime),
        secret("privateExponent", Kind::Number { modulus: None }),
        secret("exponent1", Kind::Number { modulus: None }),
        secret("exponent2", Kind::Number { modulus: None }),
        secret("coefficient", Kind::Number { modulus: Some(prime) }),
    ]
}

/// The root credential's key, its history key and the pin store's: none of it ever leaves the vault.
fn root_credential(platform: &Platform, user: &User) -> Vec<Secret> {
    let database = Connection::open(platform.database()).unwrap();
    let uid: life_pki::Uid = user.uid().parse().unwrap();
    let mut query = database.prepare("SELECT der FROM seal WHERE uid = ?").unwrap();
    let seals: Vec<Vec<u8>> =
        query.query_map([uid.as_bytes()], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(!seals.is_empty(), "{} has no root key seal", user.name);
    let keys = forge::keys_of(user);
    let mut secrets = Vec::new();
    for seal in seals {
        let seal = keys.iter().find_map(|key| RootKeySeal::open(&seal, key).ok()).expect("a seal opens");
        // EXPOSE: to be looked for.
        secrets.extend(numbers("root key", seal.root_key.expose()));
        secrets.push(Secret::new("history key", Kind::Key, seal.history_key.expose()));
        let pin_key = derive_pin_key(&seal.history_key).unwrap();
        secrets.push(Secret::new("pin key", Kind::Key, pin_key.expose()));
    }
    secrets
}

/// The keys that open the parts of the software certificate and check its MAC (RFC 8018, RFC 7292 appendix B).
fn derived_keys(user: &User) -> Vec<Secret> {
    const PBKDF2: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c";
    let file = &user.pkcs12;
    let mut secrets = Vec::new();
    let starts = file.windows(PBKDF2.len()).enumerate().filter(|(_, window)| *window == PBKDF2);
    for (at, _) in starts {
        let parameters = element(&file[at + PBKDF2.len()..]).0;
        let (salt, rest) = element(parameters);
        let (iterations, _) = element(rest);
        let pass = format!("pass:{}", passphrase(user));
        let key = derive("PBKDF2", &pass, salt, iterations, &[]);
        secrets.push(Secret::new(format!("PBKDF2 key {}", secrets.len()), Kind::Key, &key));
    }
    assert!(!secrets.is_empty(), "the software certificate derives no key");
    let (_version, rest) = element(element(file).0);
    let (_safe, rest) = element(rest);
    let (_digest, rest) = element(element(rest).0);
    let (salt, rest) = element(rest);
    let (iterations, _) = element(rest);
    let wide: Vec<u8> =
        passphrase(user).encode_utf16().chain([0]).flat_map(|unit| unit.to_be_bytes()).collect();
    let pass = format!("hexpass:{}", hex::encode(wide));
    let key = derive("PKCS12KDF", &pass, salt, iterations, &["-kdfopt", "id:3"]);
    secrets.push(Secret::new("MAC key", Kind::Key, &key));
    secrets
}

fn derive(function: &str, pass: &str, salt: &[u8], iterations: &[u8], further: &[&str]) -> Vec<u8> {
    let iterations = iterations.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let salt = format!("hexsalt:{}", hex::encode(salt));
    let iterations = format!("iter:{iterations}");
    let mut arguments = vec!["kdf", "-keylen", "32", "-binary"];
    for option in ["digest:SHA256", pass, &salt, &iterations] {
        arguments.extend(["-kdfopt", option]);
    }
    arguments.extend(further);
    arguments.push(function);
    run(&arguments)
}

/// The content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            (2 + count, der[2..2 + count].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
        }
    };
    (&der[header..header + length], &der[header + length..])
}

fn passphrase(user: &User) -> &str {
    std::str::from_utf8(&user.passphrase).unwrap()
}

/// What `openssl pkey -text` says: a name, and lines of hexadecimal numbers with colons.
fn hex_fields(text: &str) -> HashMap<String, Vec<u8>> {
    let mut fields: HashMap<String, Vec<u8>> = HashMap::new();
    let mut name = None;
    for line in text.lines() {
        match (line.strip_prefix("    "), &name) {
            (Some(digits), Some(name)) => {
                let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
                fields.entry(String::clone(name)).or_default().extend(hex::decode(digits).unwrap());
            }
            _ => name = line.strip_suffix(':').map(str::to_owned),
        }
    }
    fields
}

fn significant(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().position(|byte| *byte != 0).unwrap()..]
}

fn run(arguments: &[&str]) -> Vec<u8> {
    let out = Command::new("openssl").args(arguments).output().unwrap();
    assert!(out.status.success(), "{}: {}", arguments[0], String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// OpenSSL over some input, which it reads from a file.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    run(&[arguments, &["-in", file.path().to_str().unwrap()]].concat())
}
