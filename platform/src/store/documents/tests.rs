//! The sums of usage against the tables they are sums of.

use super::*;
use crate::store::Database;
use crate::store::uploads::{self, Upload};
use crate::store::usage;

/// A generator of numbers that are the same at each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn uuid(&mut self, limit: u64) -> Uid {
        let mut bytes = [0; 16];
        bytes[15] = u8::try_from(self.below(limit)).unwrap();
        Uid::from_random(bytes)
    }
}

fn document(id: DocumentId, owner: Uid, version: u64, stored: u64, now: Timestamp) -> Document {
    Document {
        id,
        owner,
        version,
        revision: 0,
        created: now,
        updated: now,
        stored,
        content: Some(Content { blob: format!("{id}-{version}"), file_size: stored, skip: 0 }),
        size: stored,
        upload: None,
        committed: None,
        shared: None,
        receipt: None,
        metadata: None,
    }
}

#[test]
fn the_sums_are_those_of_the_tables_whatever_happens() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::create(&dir.path().join("a.db")).unwrap();
    let mut numbers = Numbers(7);
    let mut now = Timestamp::from_unix(1_800_000_000).unwrap();
    database
        .write(|tx| {
            (0..4).try_for_each(|index| {
                let mut uid = [0; 16];
                uid[15] = index;
                let uid = Uid::from_random(uid);
                tx.execute("INSERT INTO account VALUES (?, 1, 0)", [uid.as_bytes()])?;
                Ok::<_, Error>(())
            })
        })
        .unwrap();
    let mut seen = [0; 3];
    for _ in 0..30 {
        for _ in 0..50 {
            now = now.plus(u32::try_from(numbers.below(7200)).unwrap());
            database.write(|tx| step(tx, &mut numbers, now)).unwrap();
        }
        let counts = database.read(compare).unwrap();
        seen.iter_mut().zip(counts).for_each(|(seen, count)| *seen += count);
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

/// Something that a request may do.
fn step(tx: &Connection, numbers: &mut Numbers, now: Timestamp) -> Result<(), Error> {
    let (owner, id) = (numbers.uuid(4), DocumentId(numbers.uuid(250)));
    let known = owned(tx, id, owner)?.filter(|document| document.content.is_some());
    match (numbers.below(8), known) {
        (0..2, known) => {
            if known.is_none() && standing(tx, id)?.is_some() {
                return Ok(());
            }
            let version = known.map_or(1, |known| known.version + 1);
            let next = document(id, owner, version, numbers.below(1000), now);
            put(tx, &next)?;
            put_header(tx, id, b"header")?;
            let readers = (0..numbers.below(3)).map(|_| numbers.uuid(4)).filter(|uid| *uid != owner);
            set_readers(tx, &next, &readers.collect())
        }
        (2, Some(known)) => delete(tx, known, now).map(drop),
        (3, _) => {
            let upload: UploadId = [u8::try_from(numbers.below(5)).unwrap(); 16];
            match uploads::find(tx, owner, upload, now)? {
                Some(known) => {
                    let received = known.received + numbers.below(100);
                    uploads::advance(tx, &Upload { received, ..known }).map(drop)
                }
                None => {
                    uploads::give_up(tx, owner, upload)?;
                    let blob = format!("{}", now.unix());
                    let (received, expires) = (numbers.below(100), now.plus(500_000));
                    let (id, document, version) = (upload, id, 1);
                    uploads::insert(tx, &Upload { owner, id, document, version, blob, received, expires })
                }
            }
        }
        (4, _) => uploads::give_up_all(tx, owner, id),
        (5, _) => uploads::sweep(tx, now),
        (6, _) => sweep(tx, now).map(drop),
        _ => Ok(()),
    }
}

/// Compares, and returns how many documents, uploads and readers there are.
fn compare(connection: &Connection) -> Result<[u64; 3], Error> {
    let sum = |sql: &str, uid: Uid| -> Result<u64, Error> {
        Ok(connection.query_row(sql, [uid.as_bytes()], |row| row.get(0))?)
    };
    let (mut documents, mut uploads, mut readers) = (0, 0, 0);
    for index in 0..4 {
        let mut bytes = [0; 16];
        bytes[15] = index;
        let uid = Uid::from_random(bytes);
        let used = usage::documents(connection, uid)?;
        let stored = sum("SELECT COALESCE(SUM(stored), 0) FROM document WHERE owner = ?", uid)?;
        let received = sum("SELECT COALESCE(SUM(received), 0) FROM document_upload WHERE owner = ?", uid)?;
        assert_eq!(
            used.documents,
            sum("SELECT COALESCE(SUM(counted), 0) FROM document WHERE owner = ?", uid)?
        );
        assert_eq!(used.uploads, sum("SELECT COUNT(*) FROM document_upload WHERE owner = ?", uid)?);
        assert_eq!(used.bytes, stored + received);
        let of_others = "SELECT COUNT(*) FROM document_access WHERE owner = ? AND uid <> owner";
        assert_eq!(used.readers, sum(of_others, uid)?);
        documents += used.documents;
        uploads += used.uploads;
        readers += used.readers;
    }
    Ok([documents, uploads, readers])
}
