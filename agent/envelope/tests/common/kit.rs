//! The users of the fixtures in `testkit`. Their private keys are public: they are for these tests and nothing else.

use std::path::PathBuf;

use life_pki::{PrivateKey, Uid};

use super::{Ca, Use, User};

/// Who takes part in the fixtures.
pub struct Kit {
    /// P-256; signs.
    pub sender: User,
    /// RSA-2048; reads, and signs sharing statements.
    pub reader: User,
    /// P-256; nobody the sender meant.
    pub outsider: User,
}

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testkit")
}

const NAMES: [&str; 3] = ["sender", "reader", "outsider"];

fn uid(number: usize) -> Uid {
    Uid::from_random([number as u8 + 1; 16])
}

impl Kit {
    pub fn load() -> Self {
        let keys = folder().join("keys");
        let [sender, reader, outsider] = [0, 1, 2].map(|number| {
            let file =
                |extension| std::fs::read(keys.join(format!("{}.{extension}", NAMES[number]))).unwrap();
            let key = PrivateKey::from_pkcs8(&file("key")).unwrap();
            User { uid: uid(number), key, certificate: file("crt") }
        });
        Self { sender, reader, outsider }
    }

    pub fn load_or_write() -> Self {
        let keys = folder().join("keys");
        if !keys.join("sender.key").exists() {
            std::fs::create_dir_all(&keys).unwrap();
            let ca = Ca::new();
            for (number, name) in NAMES.iter().enumerate() {
                let key = match *name {
                    "reader" => PrivateKey::generate_rsa(2048).unwrap(),
                    _ => PrivateKey::generate_p256().unwrap(),
                };
                let user = ca.issue_to(uid(number), key, Use::Sign);
                // EXPOSE: a key of the fixtures, which is no secret.
                std::fs::write(keys.join(format!("{name}.key")), user.key.to_pkcs8().expose()).unwrap();
                std::fs::write(keys.join(format!("{name}.crt")), &user.certificate).unwrap();
            }
        }
        Self::load()
    }
}
