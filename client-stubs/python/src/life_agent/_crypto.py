"""Encrypting, decrypting, signing, verifying."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import grpc

from life_agent import _convert, _files, errors, model
from life_agent._calls import UNARY_LIMIT, Transport, raising
from life_agent._contract.life.agent.v1 import crypto_pb2
from life_agent._streams import Outgoing, receive

_MAGIC = b"LIFESTRM"
# What stands between envelope and segments, and the shortest segment or trailer.
_STREAM_HEADER = 40
_TAG = 16

Path = str | os.PathLike[str]


class CryptoCalls:
    """The part of Agent that works on content."""

    _transport: Transport

    # What Agent itself has.

    def _acting(self, user: str | None) -> str:
        raise NotImplementedError

    @staticmethod
    def _names(users: Iterable[str]) -> list[str]:
        raise NotImplementedError

    # Contents in memory, up to 16 MiB

    @raising
    def encrypt(
        self,
        plaintext: bytes,
        to: Iterable[str],
        *,
        user: str | None = None,
        sign: bool = True,
        purpose: model.Purpose = model.Purpose.DOCUMENT,
        document_id: str = "",
        document_version: int = 1,
    ) -> model.Encrypted:
        """Encrypts up to 16 MiB for several users into one CMS envelope, and signs. The sender can open it too."""
        request = crypto_pb2.EncryptRequest(
            user=self._acting(user),
            recipients=self._names(to),
            plaintext=plaintext,
            signing=crypto_pb2.SIGNING_SIGN if sign else crypto_pb2.SIGNING_NONE,
            purpose=purpose.value,
            document_id=document_id,
            document_version=document_version,
        )
        answer = self._transport.call(self._transport.crypto.Encrypt, request)
        recipients = _convert.recipients_of(answer.recipients)
        return model.Encrypted(
            answer.envelope, answer.document_id, answer.signature_digest, recipients, len(plaintext)
        )

    @raising
    def decrypt(
        self,
        envelope: bytes,
        *,
        user: str | None = None,
        accept_unsigned: bool = False,
        purpose: model.Purpose = model.Purpose.DOCUMENT,
        receipt: bytes = b"",
    ) -> model.Decrypted:
        """Opens an envelope. Raises SignatureMissing for an unsigned one, unless told to accept it."""
        request = crypto_pb2.DecryptRequest(
            user=self._acting(user),
            envelope=envelope,
            accept_unsigned=accept_unsigned,
            purpose=purpose.value,
            receipt=receipt,
        )
        answer = self._transport.call(self._transport.crypto.Decrypt, request)
        recipients = _convert.recipients_of(answer.recipients)
        signature = _convert.signature_of(answer.signature)
        return model.Decrypted(answer.plaintext, signature, recipients, len(answer.plaintext))

    @raising
    def sign(self, content: bytes, *, user: str | None = None, detached: bool = False) -> bytes:
        """Signs a content: CMS SignedData, DER, with the content inside or left out."""
        form = crypto_pb2.SIGNATURE_FORM_DETACHED if detached else crypto_pb2.SIGNATURE_FORM_ATTACHED
        request = crypto_pb2.SignRequest(user=self._acting(user), content=content, form=form)
        return self._transport.call(self._transport.crypto.Sign, request).signed_data

    @raising
    def verify(
        self, signed_data: bytes, content: bytes | None = None, *, user: str | None = None, receipt: bytes = b""
    ) -> model.Verified:
        """Judges a signature; `content` is that of a detached one. A bad signature is an answer, not an error."""
        request = crypto_pb2.VerifyRequest(
            user=self._acting(user), signed_data=signed_data, content=content, receipt=receipt
        )
        answer = self._transport.call(self._transport.crypto.Verify, request)
        size = len(answer.content if content is None else content)
        return model.Verified(_convert.signature_of(answer.signature), answer.content, size)

    @raising
    def share(self, envelope: bytes, to: Iterable[str], *, user: str | None = None, trailer: bytes = b"") -> bytes:
        """Lets further users open an envelope, or what stands before a sealed stream's first segment.

        Gives what takes its place.
        """
        request = crypto_pb2.ShareRequest(
            user=self._acting(user), recipients=self._names(to), envelope=envelope, trailer=trailer
        )
        return self._transport.call(self._transport.crypto.Share, request).envelope

    # Streams and files of any size

    def encrypt_stream(
        self,
        source: Iterable[bytes],
        sink: BinaryIO,
        to: Iterable[str],
        *,
        user: str | None = None,
        sign: bool = True,
        purpose: model.Purpose = model.Purpose.DOCUMENT,
    ) -> model.Encrypted:
        """Encrypts chunks of any size into a sealed stream. What `sink` has got counts only once this returns."""
        header = crypto_pb2.EncryptStreamHeader(
            user=self._acting(user),
            recipients=self._names(to),
            signing=crypto_pb2.SIGNING_SIGN if sign else crypto_pb2.SIGNING_NONE,
            purpose=purpose.value,
        )
        outgoing = Outgoing(crypto_pb2.EncryptStreamRequest, header, iter(source))
        result = self._pump(self._transport.crypto.EncryptStream, outgoing, sink)
        recipients = _convert.recipients_of(result.recipients)
        return model.Encrypted(
            b"", result.document_id, result.signature_digest, recipients, result.plaintext_size
        )

    def decrypt_stream(
        self,
        source: Iterable[bytes],
        *,
        user: str | None = None,
        accept_unsigned: bool = False,
        purpose: model.Purpose = model.Purpose.DOCUMENT,
        receipt: bytes = b"",
    ) -> tuple[model.Decrypted, BinaryIO]:
        """Opens a sealed stream, or an envelope, of any size.

        Gives the verdict and a file without a name, set to its start; close it when done. Nothing is given before
        everything is verified.
        """
        spool = _files.spool()
        try:
            opened = self._decrypt_into(source, spool, user, accept_unsigned, purpose, receipt)
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        return opened, spool

    def encrypt_file(
        self, source: Path, target: Path, to: Iterable[str], *, overwrite: bool = False, **options: Any
    ) -> model.Encrypted:
        """Encrypts a file of any size into a sealed stream, which appears only when it is complete.

        Options as of encrypt_stream. Raises OutputExists for a target that exists, unless it may be overwritten.
        """
        with open(source, "rb") as file, _files.staged(target, overwrite=overwrite, mode=0o666) as sink:
            return self.encrypt_stream(_files.chunks(file), sink, to, **options)

    def decrypt_file(
        self,
        source: Path,
        target: Path,
        *,
        overwrite: bool = False,
        user: str | None = None,
        accept_unsigned: bool = False,
        purpose: model.Purpose = model.Purpose.DOCUMENT,
        receipt: bytes = b"",
    ) -> model.Decrypted:
        """Opens a file of any size into another, which appears, for its owner alone, only when all is verified."""
        with open(source, "rb") as file, _files.staged(target, overwrite=overwrite, mode=0o600) as sink:
            return self._decrypt_into(_files.chunks(file), sink, user, accept_unsigned, purpose, receipt)

    def sign_file(self, source: Path, *, user: str | None = None) -> bytes:
        """Signs a file of any size; gives the detached signature."""
        header = crypto_pb2.SignStreamHeader(user=self._acting(user))
        with open(source, "rb") as file:
            outgoing = Outgoing(crypto_pb2.SignStreamRequest, header, _files.chunks(file))
            return self._send(self._transport.crypto.SignStream, outgoing).signed_data

    def verify_file(
        self, signed_data: bytes, content: Path, *, user: str | None = None, receipt: bytes = b""
    ) -> model.Verified:
        """Judges a detached signature over a file of any size."""
        header = crypto_pb2.VerifyStreamHeader(user=self._acting(user), signed_data=signed_data, receipt=receipt)
        with open(content, "rb") as file:
            outgoing = Outgoing(crypto_pb2.VerifyStreamRequest, header, _files.chunks(file))
            answer = self._send(self._transport.crypto.VerifyStream, outgoing)
        return model.Verified(_convert.signature_of(answer.signature), b"", answer.content_size)

    def share_file(self, path: Path, to: Iterable[str], *, user: str | None = None) -> None:
        """Lets further users open an encrypted file, which is replaced in one step; its content stays as it is."""
        with open(path, "rb") as file, _files.staged(path, overwrite=True, mode=0o666) as sink:
            os.fchmod(sink.fileno(), os.fstat(file.fileno()).st_mode & 0o777)
            if file.read(len(_MAGIC)) != _MAGIC:
                file.seek(0)
                sink.write(self.share(_files.whole(file, UNARY_LIMIT + _files.CHUNK), to, user=user))
                return
            header, trailer = _outer_form(file)
            sink.write(self.share(header, to, user=user, trailer=trailer))
            file.seek(len(header))
            shutil.copyfileobj(file, sink, _files.CHUNK)

    def _decrypt_into(
        self,
        source: Iterable[bytes],
        sink: BinaryIO,
        user: str | None,
        accept_unsigned: bool,
        purpose: model.Purpose,
        receipt: bytes,
    ) -> model.Decrypted:
        header = crypto_pb2.DecryptStreamHeader(
            user=self._acting(user),
            accept_unsigned=accept_unsigned,
            # Nobody sees the spool before the result has come.
            allow_unverified_sender=True,
            purpose=purpose.value,
            receipt=receipt,
        )
        outgoing = Outgoing(crypto_pb2.DecryptStreamRequest, header, iter(source))
        result = self._pump(self._transport.crypto.DecryptStream, outgoing, sink)
        recipients = _convert.recipients_of(result.recipients)
        return model.Decrypted(b"", _convert.signature_of(result.signature), recipients, result.plaintext_size)

    def _pump(self, method: Any, outgoing: Outgoing, sink: BinaryIO) -> Any:
        """A stream both ways: chunks go to the sink; gives the result, without which nothing counts."""
        stream = self._transport.call(method, iter(outgoing))
        try:
            return receive(stream, sink)
        except grpc.RpcError as error:
            raise outgoing.told(error) from None

    def _send(self, method: Any, outgoing: Outgoing) -> Any:
        try:
            return self._transport.call(method, iter(outgoing))
        except grpc.RpcError as error:
            raise outgoing.told(error) from None


def _outer_form(file: BinaryIO) -> tuple[bytes, bytes]:
    """Header and sealed trailer: `magic | u8 version | u32be length | envelope | 40 bytes` and `trailer | u32be`."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    fixed = file.read(len(_MAGIC) + 5)
    if len(fixed) < len(_MAGIC) + 5:
        raise errors.StreamTruncated("the sealed stream is cut off", reason="STREAM_TRUNCATED")
    end = len(fixed) + struct.unpack(">I", fixed[-4:])[0] + _STREAM_HEADER
    if end + 2 * _TAG + 4 > size or end > UNARY_LIMIT:
        raise errors.StreamTruncated("the sealed stream ends before its first part does")
    file.seek(0)
    header = file.read(end)
    file.seek(size - 4)
    length = struct.unpack(">I", file.read(4))[0]
    if not _TAG <= length <= 256 * 1024 + _TAG or end + _TAG + length + 4 > size:
        raise errors.StreamTruncated("the sealed stream does not end as one does: it is damaged or cut off")
    file.seek(size - 4 - length)
    return header, file.read(length)
