"""Opens and seals streams with Tink: the judge of our sealed streams.

Usage: tink_judge.py FOLDER, with one case a line on standard input:
    open|seal INPUT OUTPUT KEY-HEX ASSOCIATED-DATA-HEX
INPUT and OUTPUT are files in FOLDER. Ends with an error when any case fails.
"""

import io
import pathlib
import sys

import tink
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

TYPE = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"


def primitive(key: bytes) -> streaming_aead.StreamingAead:
    """AES256_GCM_HKDF_1MB with this input key material."""
    value = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        version=0,
        key_value=key,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=1 << 20,
            derived_key_size=32,
            hkdf_hash_type=common_pb2.SHA256,
        ),
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_id=1,
        status=tink_pb2.ENABLED,
        output_prefix_type=tink_pb2.RAW,
        key_data=tink_pb2.KeyData(
            type_url=TYPE,
            value=value.SerializeToString(),
            key_material_type=tink_pb2.KeyData.SYMMETRIC,
        ),
    )
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class Kept(io.BytesIO):
    """A buffer that can be read after Tink has closed it."""

    result = b""

    def close(self) -> None:
        if not self.closed:
            self.result = self.getvalue()
        super().close()


def run(folder: pathlib.Path, verb: str, source: str, target: str, key: str, data: str) -> None:
    cipher = primitive(bytes.fromhex(key))
    aad = bytes.fromhex(data)
    given = (folder / source).read_bytes()
    if verb == "open":
        with cipher.new_decrypting_stream(io.BytesIO(given), aad) as stream:
            (folder / target).write_bytes(stream.read())
        return
    kept = Kept()
    with cipher.new_encrypting_stream(kept, aad) as stream:
        stream.write(given)
    (folder / target).write_bytes(kept.result)


def main() -> None:
    streaming_aead.register()
    for line in sys.stdin:
        run(pathlib.Path(sys.argv[1]), *line.split())


main()
