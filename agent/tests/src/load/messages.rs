//! Messages under load: sent, and sent again where that failed; received, deleted.

use life_proto::v1;

use super::ledger::Message;
use super::{Caller, Refused, content};
use crate::agent::Clients;
use crate::streams;

impl Caller {
    pub(super) async fn send(&mut self) -> Result<(), Refused> {
        // Half of the time something that failed is sent once more, under the same id.
        let again = self.random.below(2) == 0;
        let failed = self.shared.ledger().messages.iter_mut().find_map(|(id, message)| {
            let open = again && !message.acknowledged && !message.in_flight;
            open.then(|| {
                message.in_flight = true;
                (id.clone(), message.clone())
            })
        });
        let (id, message) = match failed {
            Some(failed) => failed,
            None => {
                let longest = *self.random.pick(&[2000, 2000, 2000, 2_500_000]);
                let message = Message {
                    from: self.user(),
                    to: self.user(),
                    content: self.content(longest).0,
                    in_flight: true,
                    acknowledged: false,
                    delete_tried: false,
                    deleted: false,
                };
                let id = self.random.uuid();
                self.shared.ledger().messages.insert(id.clone(), message.clone());
                (id, message)
            }
        };
        let header = v1::SendHeader {
            user: self.name(message.from),
            recipient: self.name(message.to),
            message_id: id.clone(),
        };
        let plaintext = content(message.content.0, message.content.1);
        let send = |mut it: Clients| {
            let (header, plaintext) = (header.clone(), &plaintext);
            async move { streams::send(&mut it, header, plaintext).await }
        };
        let sent = self.act("send", message.from, &[], send).await;
        if let Some(message) = self.shared.ledger().messages.get_mut(&id) {
            message.in_flight = false;
            message.acknowledged = sent.is_ok();
        }
        assert_eq!(sent?.message_id, id);
        Ok(())
    }

    pub(super) async fn receive(&mut self) -> Result<(), Refused> {
        let all: Vec<_> = self
            .shared
            .ledger()
            .messages
            .iter()
            .filter(|(_, message)| message.acknowledged && !message.delete_tried)
            .map(|(id, message)| (id.clone(), message.clone()))
            .collect();
        if all.is_empty() {
            return self.send().await;
        }
        let (id, message) = self.random.pick(&all).clone();
        self.fetch(&id, &message).await
    }

    /// Receives a message that was acknowledged.
    ///
    /// # Errors
    /// As [`Caller::call`]; panics when it is not there, or not whole.
    pub async fn fetch(&mut self, id: &str, message: &Message) -> Result<(), Refused> {
        let name = self.name(message.to);
        let receive = |mut it: Clients| {
            let name = &name;
            async move { streams::receive(&mut it, name, id).await }
        };
        let received = self.act("receive", message.to, &["MESSAGE_NOT_FOUND"], receive).await;
        if received == Err(Refused::Reason("MESSAGE_NOT_FOUND".to_owned())) {
            let tried = self.shared.ledger().messages.get(id).is_some_and(|message| message.delete_tried);
            assert!(tried, "{id} was acknowledged and is lost");
        }
        let (plaintext, _) = received?;
        assert!(plaintext == content(message.content.0, message.content.1), "{id} is not whole");
        Ok(())
    }

    pub(super) async fn delete(&mut self) -> Result<(), Refused> {
        let chosen = {
            let ledger = &mut *self.shared.ledger();
            let mut all = ledger.messages.iter_mut().filter(|(_, it)| it.acknowledged && !it.delete_tried);
            let chosen = all.next();
            chosen.map(|(id, message)| {
                message.delete_tried = true;
                (id.clone(), message.to)
            })
        };
        let Some((id, owner)) = chosen else { return self.send().await };
        let request = v1::DeleteMessageRequest { user: self.name(owner), message_id: id.clone() };
        let delete = |mut it: Clients| {
            let request = request.clone();
            async move { it.messages.delete(request).await }
        };
        self.act("delete", owner, &[], delete).await?;
        if let Some(message) = self.shared.ledger().messages.get_mut(&id) {
            message.deleted = true;
        }
        Ok(())
    }
}
