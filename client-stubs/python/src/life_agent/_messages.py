"""Messages between users, through the platform's inboxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import grpc

from life_agent import _convert, _files, errors, model
from life_agent._calls import Transport, raising
from life_agent._contract.life.agent.v1 import messages_pb2
from life_agent._crypto import Path
from life_agent._streams import Outgoing, chunks_of, receive

# How many messages an inbox is listed with.
_LIST_LIMIT = 100_000


class MessageCalls:
    """The part of Agent that sends and receives."""

    _transport: Transport

    def _acting(self, user: str | None) -> str:
        raise NotImplementedError

    def send(
        self, recipient: str, content: bytes | Iterable[bytes], *, user: str | None = None, message_id: str = ""
    ) -> str:
        """Encrypts, signs and deposits a content of any size; gives the message's id.

        The same `message_id` again deposits nothing new.
        """
        header = messages_pb2.SendHeader(
            user=self._acting(user), recipient=_convert.name_of(recipient), message_id=message_id
        )
        outgoing = Outgoing(messages_pb2.SendRequest, header, chunks_of(content))
        try:
            return self._transport.call(self._transport.messages.Send, iter(outgoing)).message_id
        except grpc.RpcError as error:
            raise outgoing.told(error) from None

    def inbox(self, *, user: str | None = None) -> Iterator[model.Message]:
        """The messages in one's inbox, oldest first."""
        token, listed = "", 0
        while True:
            request = messages_pb2.ListMessagesRequest(user=self._acting(user), page_size=500, page_token=token)
            page = self._page(request)
            for one in page.messages:
                time = _convert.time_of(one, "deposit_time")
                yield model.Message(one.message_id, _convert.uid_of(one.depositor) or "", one.size, time)
            listed += len(page.messages)
            if not page.next_page_token:
                return
            # A platform could say for ever that there is more.
            if not page.messages or page.next_page_token == token or listed >= _LIST_LIMIT:
                raise errors.FormatInvalid("the platform's list of messages does not come to an end")
            token = page.next_page_token

    def receive(self, message_id: str, *, user: str | None = None) -> tuple[model.Decrypted, BinaryIO]:
        """Opens and verifies a message; gives the verdict and a file without a name, set to its start."""
        spool = _files.spool()
        try:
            opened = self._receive_into(message_id, spool, user)
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        return opened, spool

    def receive_file(
        self, message_id: str, target: Path, *, user: str | None = None, overwrite: bool = False
    ) -> model.Decrypted:
        """Opens and verifies a message into a file, which appears only when all is verified."""
        with _files.staged(target, overwrite=overwrite, mode=0o600) as sink:
            return self._receive_into(message_id, sink, user)

    @raising
    def delete_message(self, message_id: str, *, user: str | None = None) -> None:
        """Deletes a message; it need not be there."""
        request = messages_pb2.DeleteMessageRequest(user=self._acting(user), message_id=message_id)
        self._transport.call(self._transport.messages.Delete, request)

    @raising
    def _page(self, request: messages_pb2.ListMessagesRequest) -> messages_pb2.ListMessagesResponse:
        return self._transport.call(self._transport.messages.List, request)

    def _receive_into(self, message_id: str, sink: BinaryIO, user: str | None) -> model.Decrypted:
        request = messages_pb2.ReceiveRequest(
            # Nobody sees the sink before the result has come.
            user=self._acting(user), message_id=message_id, allow_unverified_sender=True
        )
        try:
            result = receive(self._transport.call(self._transport.messages.Receive, request), sink)
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from None
        recipients = _convert.recipients_of(result.recipients)
        return model.Decrypted(b"", _convert.signature_of(result.signature), recipients, result.plaintext_size)
