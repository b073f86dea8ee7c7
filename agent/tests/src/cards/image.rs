//! Personalised cards: keys made on the card by OpenSC, certificates put on it by Yubico's tool; once for a build, copied
//! for a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{BigUint, RsaPublicKey};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::Reader;
use crate::dev::{openssl, text};

/// The slots with a key and a certificate, as key references: authentication, signature, key management (SP 800-73-4).
pub const SLOTS: [&str; 3] = ["9A", "9C", "9D"];

/// The management key of a new card, as piv-tool reads it from a file.
const MANAGEMENT_KEY: &str = "01:02:03:04:05:06:07:08:01:02:03:04:05:06:07:08:01:02:03:04:05:06:07:08";

/// A P-256 SubjectPublicKeyInfo up to the point (RFC 5480).
const P256_HEAD: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// What kind of keys a card has, the same in each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKey {
    /// P-256.
    P256,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
}

impl CardKey {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P256, Self::Rsa2048, Self::Rsa3072];

    /// The algorithm's identifier on the card (SP 800-78-4 table 6-2; RSA-3072 as SP 800-78-5 has it).
    fn identifier(self) -> &'static str {
        match self {
            Self::P256 => "11",
            Self::Rsa2048 => "07",
            Self::Rsa3072 => "05",
        }
    }
}

/// The card's program, built once in a test run, beside the workspace's own build.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("card-rig");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--target-dir"])
        .arg(target())
        .current_dir(source)
        .status()
        .unwrap();
    assert!(built.success(), "the card does not build");
    target().join("debug/life-card-rig")
});

/// Where the card is built: target/card-rig.
fn target() -> PathBuf {
    // The test executable is target/PROFILE/deps/NAME-HASH.
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(3).unwrap().join("card-rig")
}

/// The card's program.
pub(super) fn binary() -> &'static Path {
    &BINARY
}

/// A card in a folder of the test's own, personalised: beside what it remembers lie `9A.pem`, `9C.pem` and `9D.pem`, its
/// certificates. None where there can be no reader to make it in.
#[must_use]
pub fn personalised(key: CardKey) -> Option<TempDir> {
    let image = image(key)?;
    let folder = TempDir::with_prefix("life-card-").unwrap();
    for entry in fs::read_dir(image).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    Some(folder)
}

/// A new card, in a folder of the test's own: no keys, no certificates.
#[must_use]
pub fn fresh() -> TempDir {
    TempDir::with_prefix("life-card-").unwrap()
}

/// The image that is copied, made where there is none of this build of the card.
fn image(key: CardKey) -> Option<PathBuf> {
    let age = |path: &Path| fs::metadata(path).and_then(|about| about.modified());
    let folder = target().join("images").join(format!("{key:?}"));
    fs::create_dir_all(target().join("images")).unwrap();
    // Several tests may want it at once, in several processes.
    let lock = fs::File::create(target().join(format!("images/{key:?}.lock"))).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if age(&folder).is_ok_and(|made| made > age(binary()).unwrap()) {
        return Some(folder);
    }
    let reader = Reader::start()?;
    let work = TempDir::new_in(target().join("images")).unwrap();
    personalise(&reader, key, work.path());
    let _old = fs::remove_dir_all(&folder);
    fs::rename(work.keep(), &folder).unwrap();
    Some(folder)
}

fn personalise(reader: &Reader, key: CardKey, folder: &Path) {
    let card = reader.insert(folder);
    fs::write(reader.path("management-key"), MANAGEMENT_KEY).unwrap();
    let authority = ["key.pem", "root.pem"].map(|name| reader.path(name).display().to_string());
    let [key_file, root] = authority.each_ref().map(String::as_str);
    openssl([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=Root of a test",
        "-keyout",
        key_file,
        "-out",
        root,
    ]);
    let piv_tool = |arguments: &[&str]| {
        let output = reader
            .command("piv-tool")
            .args(["-A", "M:9B:03"])
            .args(arguments)
            .env("PIV_EXT_AUTH_KEY", reader.path("management-key"))
            .output()
            .expect("install the Debian package opensc");
        let said = text(&[output.stdout, output.stderr].concat());
        assert!(output.status.success(), "piv-tool {arguments:?}: {said}");
        said
    };
    for slot in SLOTS {
        let made = piv_tool(&["-s", &format!("00:47:00:{slot}:05:AC:03:80:01:{}:00", key.identifier())]);
        let [public, certificate] = [reader.path("public.pem"), folder.join(format!("{slot}.pem"))];
        fs::write(&public, public_key(&answer(&made))).unwrap();
        openssl([
            "x509",
            "-new",
            "-days",
            "30",
            "-subj",
            &format!("/CN=Slot {slot} of a card"),
            "-force_pubkey",
            public.to_str().unwrap(),
            "-CA",
            root,
            "-CAkey",
            key_file,
            "-out",
            certificate.to_str().unwrap(),
        ]);
        // Yubico's tool, for OpenSC's ends with a failure when it has succeeded.
        let import =
            ["--reader", "Virtual PCD", "--action", "import-certificate", "--slot", &slot.to_lowercase()];
        let _said = reader
            .runs("yubico-piv-tool", &[&import[..], &["--input", certificate.to_str().unwrap()]].concat());
    }
    card.pull();
}

/// The bytes that piv-tool prints behind `Received (SW1=0x90, SW2=0x00):`, sixteen a line, with their letters beside them.
fn answer(said: &str) -> Vec<u8> {
    let (_, dump) = said.split_once("SW1=0x90, SW2=0x00):").unwrap_or_else(|| panic!("piv-tool: {said}"));
    let bytes = |line: &str| -> Vec<u8> {
        let columns = line.split(' ').take(16);
        columns.map_while(|byte| (byte.len() == 2).then(|| u8::from_str_radix(byte, 16).ok())?).collect()
    };
    dump.lines().skip(1).flat_map(bytes).collect()
}

/// The public key in a template 7F49 (SP 800-73-4 part 2, 3.3.2) as PEM.
fn public_key(template: &[u8]) -> String {
    let (tag, inner, _) = object(&template[1..]);
    assert_eq!((template[0], tag), (0x7f, 0x49));
    let (tag, first, rest) = object(inner);
    match tag {
        0x86 => {
            let spki = [&hex::decode(P256_HEAD).unwrap(), first].concat();
            let pem = openssl_public(&spki);
            String::from_utf8(pem).unwrap()
        }
        0x81 => {
            let (_, exponent, _) = object(rest);
            let key =
                RsaPublicKey::new(BigUint::from_bytes_be(first), BigUint::from_bytes_be(exponent)).unwrap();
            key.to_public_key_pem(LineEnding::LF).unwrap()
        }
        other => panic!("a public key with tag {other:#x}"),
    }
}

/// Tag, content and what follows.
fn object(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, at) = match bytes[1] {
        0x81 => (usize::from(bytes[2]), 3),
        0x82 => (usize::from(bytes[2]) << 8 | usize::from(bytes[3]), 4),
        short => (usize::from(short), 2),
    };
    let (content, rest) = bytes[at..].split_at(length);
    (bytes[0], content, rest)
}

fn openssl_public(spki: &[u8]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("public.der");
    fs::write(&file, spki).unwrap();
    openssl(["pkey", "-pubin", "-inform", "DER", "-in", file.to_str().unwrap()])
}
