//! Registering and unlocking the throwaway users.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use life_proto::v1;
use life_proto::v1::new_software_certificate::KeyAlgorithm;
use life_sys::files::write_atomically;

use super::layout::Layout;
use super::passphrase;
use crate::connection::Connection;
use crate::descriptor::pipe_with_secret;
use crate::error::Error;
use crate::verbs::register::{self, Kind, Way};
use crate::verbs::unlock::unlock_with;
use crate::verbs::user::pem;

/// A user who was registered and unlocked.
pub struct User {
    /// What kind.
    pub kind: Kind,
    /// The bare user id.
    pub uid: String,
    /// The folder with the user's files.
    pub folder: PathBuf,
}

/// Registers a user with RSA-3072 keys, writes the files, and unlocks.
pub async fn make(connection: &Connection, layout: &Layout, kind: Kind) -> Result<User, Error> {
    let folder = layout.users().join(kind.word());
    DirBuilder::new().mode(0o700).create(&folder).map_err(|error| Error::create(&folder, error))?;
    let (new, pipe) = {
        let secret =
            passphrase::generate().map_err(|error| Error::Dev(format!("no random numbers: {error}")))?;
        // EXPOSE: the passphrase of a throwaway user lies beside the certificate, for its developer to use.
        write(&folder.join("passphrase"), secret.expose())?;
        let new = Way::Descriptor { pipe: pipe_with_secret(&secret)?, twice: false };
        (new, pipe_with_secret(&secret)?)
    };
    let request = register::request(kind, KeyAlgorithm::Rsa3072);
    let register::New { user, pkcs12, .. } = register::register(connection, request, new).await?;
    write(&folder.join("software-certificate.p12"), &pkcs12)?;
    write(&folder.join("uid"), user.uid.as_bytes())?;
    unlock_with(connection.credentials(), user.name, pkcs12, pipe).await?;
    Ok(User { kind, uid: user.uid, folder })
}

/// The certificates of the user CA, PEM: the root first.
pub async fn authorities(connection: &Connection, user: &User) -> Result<String, Error> {
    let name = format!("users/{}", user.uid);
    let request = v1::LookupUserRequest { name: name.clone(), caller: name };
    let response = connection.directory().lookup_user(request).await?.into_inner();
    let issuers = response.user.map(|user| user.issuers).unwrap_or_default();
    Ok(issuers.iter().rev().map(|der| pem(der)).collect())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_atomically(path, bytes, 0o600).map_err(|error| Error::write(path.display().to_string(), error))
}
