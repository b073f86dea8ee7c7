//! What `serve` stores: everything but content in SQLite, content in files ([`blobs`]).
//!
//! The database runs in WAL mode with `synchronous = FULL`: what a commit acknowledged survives a kill and a power
//! cut. Several processes may have it open; the operator's commands do.

pub mod accounts;
pub mod additions;
pub mod blobs;
pub mod crl;
pub mod documents;
pub mod messages;
pub mod parts;
pub mod pending;
pub mod registrations;
pub mod shape;
pub mod super_pins;
pub mod uploads;
pub mod usage;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::Error;

/// The schema, one step for each version. A step that was released never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
];

/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// Idle read connections that are kept.
const READERS: usize = 8;

/// Whether a file has to be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is made when it is not there. For `init` alone.
    Create,
    /// Without it nothing begins: an empty one would silently stand for everything that was lost.
    Expect,
}

/// The platform's database.
pub struct Database {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Database {
    /// Opens the database that `init` made and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::Config`] when there is none, or only an empty file; [`Error::Database`]; [`Error::Stored`] for one
    /// written by a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::start(path, Presence::Expect)
    }

    /// Makes the database.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn create(path: &Path) -> Result<Self, Error> {
        Self::start(path, Presence::Create)
    }

    fn start(path: &Path, presence: Presence) -> Result<Self, Error> {
        let writer = open(path, MIGRATIONS, presence)?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), readers: Mutex::default() })
    }

    /// Runs a read-write transaction; it is durable once this returns without an error.
    ///
    /// # Errors
    /// What `work` returns, and [`Error::Database`]; nothing is written then.
    pub fn write<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Error::from)?;
        let value = work(&tx)?;
        tx.commit().map_err(Error::from)?;
        Ok(value)
    }

    /// Reads one consistent snapshot; never waits for a writer.
    ///
    /// # Errors
    /// What `work` returns, and [`Error::Database`].
    pub fn read<T, E: From<Error>>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => connect(&self.path)?,
        };
        let tx = reader.transaction().map_err(Error::from)?;
        let value = work(&tx);
        drop(tx);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS {
            readers.push(reader);
        }
        value
    }
}

/// Opens a SQLite file and brings its schema up to date.
///
/// # Errors
/// [`Error::Config`] when it is expected and not there, or empty; otherwise as [`migrate`].
pub fn open(path: &Path, steps: &[&str], presence: Presence) -> Result<Connection, Error> {
    if presence == Presence::Expect && !path.exists() {
        return Err(missing(path));
    }
    if presence == Presence::Create {
        drop(Connection::open(path)?);
    }
    let mut connection = connect(path)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if presence == Presence::Expect && version == 0 {
        return Err(missing(path));
    }
    migrate(&mut connection, steps)?;
    Ok(connection)
}

fn missing(path: &Path) -> Error {
    Error::Config(format!(
        "{} is missing or empty: put it back from a backup; only `init` makes one, for a new platform",
        path.display()
    ))
}

/// Opens a SQLite file that is there, with this crate's settings.
///
/// # Errors
/// [`Error::Database`], also when it is not there.
fn connect(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Applies the steps a database lacks, each in its own transaction.
///
/// # Errors
/// [`Error::Database`]; [`Error::Stored`] when the file is of a newer version, which is never guessed at.
pub fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), Error> {
    for (index, step) in steps.iter().enumerate() {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if usize::try_from(version).is_ok_and(|version| version == index) {
            tx.execute_batch(step)?;
            tx.pragma_update(None, "user_version", version + 1)?;
            tx.commit()?;
        }
    }
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if usize::try_from(version).is_ok_and(|version| version == steps.len()) {
        Ok(())
    } else {
        Err(Error::Stored("the database was written by a newer version"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_and_a_newer_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        drop(Connection::open(&path).unwrap());
        let mut connection = connect(&path).unwrap();
        migrate(&mut connection, &["CREATE TABLE a (x) STRICT;"]).unwrap_err();
        let steps = ["CREATE TABLE a (x INTEGER) STRICT;", "ALTER TABLE a ADD y INTEGER;"];
        migrate(&mut connection, &steps[..1]).unwrap();
        connection.execute("INSERT INTO a VALUES (7)", []).unwrap();
        migrate(&mut connection, &steps).unwrap();
        migrate(&mut connection, &steps).unwrap();
        let x: i64 = connection.query_row("SELECT x FROM a WHERE y IS NULL", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 7);
        assert!(matches!(migrate(&mut connection, &steps[..1]), Err(Error::Stored(_))));
    }

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::create(&dir.path().join("a.db")).unwrap();
        let failed: Result<(), Error> = database.write(|tx| {
            tx.execute("INSERT INTO crl VALUES (1, x'00', 1, 2)", [])?;
            Err(Error::Stored("on purpose"))
        });
        assert!(failed.is_err());
        assert!(database.read(crl::get).unwrap().is_none());
    }

    #[test]
    fn what_is_missing_or_empty_is_not_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        assert!(matches!(Database::open(&path), Err(Error::Config(_))));
        assert!(!path.exists());
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(Database::open(&path), Err(Error::Config(_))));
        Database::create(&path).unwrap();
        Database::open(&path).unwrap();
    }

    #[test]
    fn no_sweep_reads_a_whole_table() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("a.db"), MIGRATIONS, Presence::Create).unwrap();
        for (sql, index) in [
            (
                documents::list_sql().as_str(),
                "SEARCH document_access USING PRIMARY KEY (uid=? AND sequence>?)",
            ),
            (documents::READERS, "document_readers"),
            (registrations::SWEEP, "registration_expiring"),
            (additions::SWEEP, "addition_expiring"),
            (super_pins::SWEEP, "super_pin_login_begun"),
            (messages::SWEEP, "message_deleted"),
            (documents::SWEEP, "document_deleted"),
            (uploads::SWEEP, "document_upload_expiring"),
            (accounts::UNSENT, "credential_unsent"),
        ] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let parameters = vec![0; plan.parameter_count()];
            let plan: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(plan.iter().any(|line| line.contains(index)), "{plan:?}");
            assert!(!plan.iter().any(|line| line.contains("TEMP")), "{plan:?}");
        }
    }

    #[test]
    fn a_database_of_every_earlier_version_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        for version in 1..MIGRATIONS.len() {
            let path = dir.path().join(format!("{version}.db"));
            let steps = MIGRATIONS.get(..version).unwrap();
            let before = open(&path, steps, Presence::Create).unwrap();
            before.execute("INSERT INTO crl VALUES (1, x'00', 1, 2)", []).unwrap();
            drop(before);
            let database = Database::open(&path).unwrap();
            assert!(database.read(crl::get).unwrap().is_some());
            let named = database.read(|connection| messages::has_blob(connection, "none")).unwrap();
            assert!(!named);
        }
    }

    #[test]
    fn settings_are_the_durable_ones() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("a.db"), MIGRATIONS, Presence::Create).unwrap();
        let get =
            |name| connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        assert_eq!(get("journal_mode").unwrap(), rusqlite::types::Value::Text("wal".to_owned()));
        assert_eq!(get("synchronous").unwrap(), rusqlite::types::Value::Integer(2));
    }
}
