//! Documents under load: stored and replaced, and once more where that failed; read by owner and reader; deleted.

use std::collections::BTreeMap;

use life_proto::v1;

use super::ledger::Document;
use super::{Caller, Refused, content};
use crate::agent::Clients;
use crate::documents::{header, try_download, upload};

const NOT_FOUND: &str = "DOCUMENT_NOT_FOUND";

impl Caller {
    /// Stores a new document, another version of one, or what failed before.
    pub(super) async fn store(&mut self) -> Result<(), Refused> {
        let (id, document) = self.document_to_store();
        let users = self.shared.users.clone();
        let version = document.acknowledged + 1;
        let (number, length) = document.contents[&version];
        let plaintext = content(number, length);
        let mut header = header(&users[document.owner], &id, &[&users[document.reader]]);
        header.replaces_version = document.acknowledged;
        let store = |mut it: Clients| {
            let (header, plaintext) = (header.clone(), &plaintext);
            async move { upload(&mut it, header, plaintext).await }
        };
        let stored = self.act("store", document.owner, &[], store).await;
        if let Some(document) = self.shared.ledger().documents.get_mut(&id) {
            document.in_flight = false;
            if stored.is_ok() {
                document.acknowledged = version;
            }
        }
        assert_eq!(stored?.version, version);
        Ok(())
    }

    /// Half of the time something that failed, else another version or a new document.
    fn document_to_store(&mut self) -> (String, Document) {
        let (again, another) = (self.random.below(2) == 0, self.random.below(3) == 0);
        let longest = *self.random.pick(&[3000, 3000, 3000, 2_500_000]);
        let fresh = self.content(longest).0;
        let (owner, reader, id) = (self.user(), self.user(), self.random.uuid());
        let mut ledger = self.shared.ledger();
        let mut free = ledger.documents.iter_mut().filter(|(_, it)| !it.in_flight && !it.delete_tried);
        let chosen = free.find(|(_, it)| {
            let failed = it.contents.contains_key(&(it.acknowledged + 1));
            if failed { again } else { another && it.acknowledged > 0 }
        });
        if let Some((id, document)) = chosen {
            document.in_flight = true;
            document.contents.entry(document.acknowledged + 1).or_insert(fresh);
            return (id.clone(), document.clone());
        }
        let document = Document {
            owner,
            reader,
            contents: BTreeMap::from([(1, fresh)]),
            acknowledged: 0,
            in_flight: true,
            delete_tried: false,
            deleted: false,
        };
        ledger.documents.insert(id.clone(), document.clone());
        (id, document)
    }

    /// Reads a document that was stored.
    pub(super) async fn read(&mut self) -> Result<(), Refused> {
        let stored: Vec<_> = self
            .shared
            .ledger()
            .documents
            .iter()
            .filter(|(_, document)| document.acknowledged > 0 && !document.delete_tried)
            .map(|(id, document)| (id.clone(), document.clone()))
            .collect();
        if stored.is_empty() {
            return self.store().await;
        }
        let (id, document) = self.random.pick(&stored).clone();
        let who = *self.random.pick(&[document.owner, document.reader]);
        self.check_document(&id, who, document.acknowledged).await
    }

    /// Reads a document, which has at least this version.
    ///
    /// # Errors
    /// As [`Caller::call`]; panics when it is not there, older, or not whole.
    pub async fn check_document(&mut self, id: &str, who: usize, at_least: u64) -> Result<(), Refused> {
        let user = self.shared.users[who].clone();
        let get = |mut it: Clients| {
            let user = &user;
            // What was given out before it was killed is verified; what is verified is compared below, when it is whole.
            async move { try_download(&mut it, user, id).await.map_err(|(status, _)| status) }
        };
        let read = self.act("read", who, &[NOT_FOUND], get).await;
        let known = self.shared.ledger().documents[id].clone();
        if let Err(Refused::Reason(reason)) = &read
            && reason == NOT_FOUND
        {
            assert!(known.delete_tried, "document {id} was acknowledged and is lost");
        }
        let read = read?;
        let version = read.document.version;
        assert!(
            version >= at_least,
            "document {id}: version {at_least} was acknowledged, and it has {version}"
        );
        let (number, length) = known.contents[&version];
        assert!(read.content == content(number, length), "document {id} is not whole");
        Ok(())
    }

    /// Deletes a document that was stored.
    pub(super) async fn remove(&mut self) -> Result<(), Refused> {
        let chosen = {
            let ledger = &mut *self.shared.ledger();
            let mut free = ledger
                .documents
                .iter_mut()
                .filter(|(_, it)| it.acknowledged > 0 && !it.in_flight && !it.delete_tried);
            free.next().map(|(id, document)| {
                document.delete_tried = true;
                (id.clone(), document.owner)
            })
        };
        let Some((id, owner)) = chosen else { return self.store().await };
        let request =
            v1::DeleteDocumentRequest { user: self.name(owner), document_id: id.clone(), version: 0 };
        let delete = |mut it: Clients| {
            let request = request.clone();
            async move { it.documents.delete(request).await }
        };
        self.act("remove", owner, &[], delete).await?;
        if let Some(document) = self.shared.ledger().documents.get_mut(&id) {
            document.deleted = true;
        }
        Ok(())
    }
}
