"""Documents stored on the platform, encrypted and signed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import grpc

from life_agent import _convert, _files, errors, model
from life_agent._calls import Transport, raising
from life_agent._contract.life.agent.v1 import documents_pb2
from life_agent._crypto import Path
from life_agent._streams import Outgoing, chunks_of, receive

# How many documents are listed.
_LIST_LIMIT = 1_000_000


class DocumentCalls:
    """The part of Agent that stores documents."""

    _transport: Transport

    def _acting(self, user: str | None) -> str:
        raise NotImplementedError

    @staticmethod
    def _names(users: Iterable[str]) -> list[str]:
        raise NotImplementedError

    def upload_document(
        self,
        content: bytes | Iterable[bytes],
        *,
        user: str | None = None,
        readers: Iterable[str] = (),
        document_id: str = "",
        replaces_version: int = 0,
        keep_readers: bool = False,
        title: str = "",
        type_: model.Coding | None = None,
        content_type: str = "",
        document_reference: bytes = b"",
    ) -> model.Stored:
        """Encrypts, signs and stores a document of any size, or a new version of one.

        The same `document_id` with the same content again stores nothing new, so that a lost answer does no harm.
        `document_reference` is a FHIR R4 DocumentReference, which the agent completes. Raises VersionConflict when the document
        is of another version than `replaces_version`.
        """
        header = documents_pb2.UploadDocumentHeader(
            user=self._acting(user),
            document_id=document_id,
            replaces_version=replaces_version,
            readers=self._names(readers),
            keep_readers=keep_readers,
            title=title,
            type=None if type_ is None else documents_pb2.Coding(**vars(type_)),
            content_type=content_type,
            document_reference=document_reference,
        )
        outgoing = Outgoing(documents_pb2.UploadDocumentRequest, header, chunks_of(content))
        try:
            answer = self._transport.call(self._transport.documents.Upload, iter(outgoing))
        except grpc.RpcError as error:
            raise outgoing.told(error) from None
        readers_now = _convert.recipients_of(answer.readers)
        return model.Stored(
            answer.document_id,
            answer.version,
            readers_now,
            answer.plaintext_size,
            answer.ciphertext_size,
            answer.existed,
            answer.resumed_size,
        )

    def upload_document_file(self, source: Path, **options: Any) -> model.Stored:
        """Stores a file of any size; options as of upload_document, the file's name as title unless told otherwise."""
        options.setdefault("title", os.path.basename(source))
        with open(source, "rb") as file:
            return self.upload_document(_files.chunks(file), **options)

    def download_document(
        self, document_id: str, *, user: str | None = None, version: int = 0
    ) -> tuple[model.Downloaded, BinaryIO]:
        """Fetches, opens and verifies a document; gives what it is and a file without a name, set to its start.

        With `version` raises VersionConflict when the document has another one.
        """
        spool = _files.spool()
        try:
            downloaded = self._download_into(document_id, version, spool, user)
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        return downloaded, spool

    def download_document_file(
        self, document_id: str, target: Path, *, user: str | None = None, version: int = 0, overwrite: bool = False
    ) -> model.Downloaded:
        """Fetches, opens and verifies a document into a file, which appears only when all is verified."""
        with _files.staged(target, overwrite=overwrite, mode=0o600) as sink:
            return self._download_into(document_id, version, sink, user)

    def documents(self, *, user: str | None = None) -> Iterator[model.Document]:
        """The documents that a user owns or may read. One whose description was refused has a `fault` instead."""
        token, listed = "", 0
        while True:
            request = documents_pb2.ListDocumentsRequest(user=self._acting(user), page_token=token)
            page = self._page_of_documents(request)
            yield from map(_convert.document_of, page.documents)
            listed += len(page.documents)
            if not page.next_page_token:
                return
            # A platform could say for ever that there is more.
            if page.next_page_token == token or listed >= _LIST_LIMIT:
                raise errors.FormatInvalid("the platform's list of documents does not come to an end")
            token = page.next_page_token

    @raising
    def document(self, document_id: str, *, user: str | None = None) -> model.Document:
        """What a document is. That this belongs to the content is verified when that is downloaded."""
        request = documents_pb2.GetDocumentRequest(user=self._acting(user), document_id=document_id)
        return _convert.document_of(self._transport.call(self._transport.documents.Get, request).document)

    @raising
    def share_document(
        self, document_id: str, to: Iterable[str], *, user: str | None = None, version: int = 0
    ) -> tuple[model.Recipient, ...]:
        """Lets further users read a document. Gives who can open it now."""
        request = documents_pb2.ShareDocumentRequest(
            user=self._acting(user), document_id=document_id, version=version, readers=self._names(to)
        )
        return _convert.recipients_of(self._transport.call(self._transport.documents.Share, request).readers)

    @raising
    def unshare_document(
        self, document_id: str, readers: Iterable[str], *, user: str | None = None, version: int = 0
    ) -> model.Unshared:
        """Lets users no longer read a document: a new version of the same content, under a new key."""
        request = documents_pb2.UnshareDocumentRequest(
            user=self._acting(user), document_id=document_id, version=version, readers=self._names(readers)
        )
        answer = self._transport.call(self._transport.documents.Unshare, request)
        return model.Unshared(answer.version, _convert.recipients_of(answer.readers))

    @raising
    def delete_document(self, document_id: str, *, user: str | None = None, version: int = 0) -> None:
        """Deletes a document with its content; it may be deleted already."""
        request = documents_pb2.DeleteDocumentRequest(
            user=self._acting(user), document_id=document_id, version=version
        )
        self._transport.call(self._transport.documents.Delete, request)

    @raising
    def _page_of_documents(self, request: documents_pb2.ListDocumentsRequest) -> documents_pb2.ListDocumentsResponse:
        return self._transport.call(self._transport.documents.List, request)

    def _download_into(self, document_id: str, version: int, sink: BinaryIO, user: str | None) -> model.Downloaded:
        request = documents_pb2.DownloadDocumentRequest(
            # Nobody sees the sink before the result has come.
            user=self._acting(user), document_id=document_id, version=version, allow_unverified_sender=True
        )
        heads: list[Any] = []
        try:
            result = receive(self._transport.call(self._transport.documents.Download, request), sink, heads)
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from None
        if len(heads) != 1:
            raise errors.Internal("the agent did not say which document it gave")
        readers = _convert.recipients_of(result.readers)
        signature = _convert.signature_of(result.signature)
        return model.Downloaded(_convert.document_of(heads[0].document), signature, readers, result.plaintext_size)
