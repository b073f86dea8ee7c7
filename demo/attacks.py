"""What an attacker on the way, a bad reader and the operator try; every attempt must be refused with its own reason."""
import hashlib
import os
import uuid

from common import check, children, der, openssl, openssl_stdin, run

# Every segment of a sealed stream; the first is shorter by the 40 bytes before it.
SEGMENT = 1 << 20


def attack_bytes(life, inbox, patient, outsider, work):
    raw = os.path.join(work, "scan.life")
    life("inbox", "get", inbox[2]["message_id"], "--raw", "-o", raw, user=patient)
    size = os.path.getsize(raw)
    out = os.path.join(work, "never")
    open_it = ["decrypt", "--purpose", "message", raw, "-o", out]

    def edited(offset, replace):
        with open(raw, "r+b") as file:
            file.seek(offset)
            old = file.read(len(replace))
            file.seek(offset)
            file.write(replace)
        return old

    middle = size // 2
    with open(raw, "rb") as file:
        file.seek(middle)
        flipped = bytes([file.read(1)[0] ^ 1])
    old = edited(middle, flipped)
    life.refused("one flipped bit in the scan", ["DECRYPTION_FAILED"], *open_it, user=patient)
    check(not os.path.exists(out), "something was written")
    edited(middle, old)

    trailer = sealed_trailer(raw)
    end = size - len(trailer)
    os.truncate(raw, end - (1 << 20))
    life.refused("the scan cut short", ["STREAM_TRUNCATED"], *open_it, user=patient)
    check(not os.path.exists(out), "something was written")
    # Exactly where a segment ends, and with the end of the whole scan put back: it looks complete from outside.
    first = first_segment(raw)
    boundary = first - 40 + ((end - first) // SEGMENT - 2) * SEGMENT
    os.truncate(raw, boundary)
    with open(raw, "ab") as file:
        file.write(trailer)
    life.refused("the scan cut between two segments, its trailer put back", ["DECRYPTION_FAILED"], *open_it, user=patient)
    check(not os.path.exists(out), "something was written")
    strip_signature(life, patient, out, work)


def sealed_trailer(path):
    """The end of a sealed stream: the sealed trailer and its length."""
    with open(path, "rb") as file:
        size = file.seek(-4, os.SEEK_END)
        length = int.from_bytes(file.read(4), "big")
        file.seek(size - length)
        return file.read()


def first_segment(path):
    """Where the first segment begins: magic, version, length, envelope, 40 bytes."""
    with open(path, "rb") as file:
        fixed = file.read(13)
        check(fixed[:8] == b"LIFESTRM", "the scan is no sealed stream")
        return len(fixed) + int.from_bytes(fixed[9:], "big") + 40


def strip_signature(life, patient, out, work):
    """Takes the signed trailer of a small stream away."""
    fact_file = os.path.join(work, "small.bin")
    with open(fact_file, "wb") as file:
        file.write(b"to be stripped " * 100_000)
    small = os.path.join(work, "small.life")
    life("encrypt", "--to", patient, "--stream", fact_file, "-o", small, user=patient)
    with open(small, "rb") as file:
        data = file.read()
    trailer = int.from_bytes(data[-4:], "big")
    with open(small, "wb") as file:
        file.write(data[:-4 - trailer] + bytes(4))
    open_small = ["decrypt", "--require-signature", small, "-o", out]
    life.refused("a trailer taken away", ["STREAM_TRUNCATED"], *open_small, user=patient)
    with open(small, "wb") as file:
        file.write(data[:-4 - trailer] + bytes(16) + (16).to_bytes(4, "big"))
    life.refused("a stripped signature", ["DECRYPTION_FAILED"], *open_small, user=patient)
    check(not os.path.exists(out), "something was written")


def key_hash(life, uid, user):
    pem = life("user", "certificate", uid, user=user)[0]["certificate"]
    public = openssl_stdin(["x509", "-noout", "-pubkey"], pem.encode())
    return hashlib.sha256(openssl_stdin(["pkey", "-pubin", "-outform", "DER"], public)).digest()


def attack_recipients(life, platform, users, doctor, clinic, patient, outsider, work):
    note = os.path.join(work, "note.txt")
    with open(note, "w", encoding="utf-8") as file:
        file.write("For the patient and the professional alone: the biopsy was benign.\n")
    sealed = os.path.join(work, "note.life")
    life("encrypt", "--to", patient, "--to", doctor, note, "-o", sealed, user=clinic)
    with open(sealed, "rb") as file:
        data = file.read()
    mine, theirs = key_hash(life, outsider, clinic), key_hash(life, patient, clinic)
    check(data.count(theirs) == 1, "the patient's key is not named once")
    swapped = os.path.join(work, "swapped.life")
    with open(swapped, "wb") as file:
        file.write(data.replace(theirs, mine))
    out = os.path.join(work, "never")
    life.refused("a recipient swapped for another", ["DECRYPTION_FAILED"], "decrypt", swapped, "-o", out, user=outsider)

    # A recipient who turns bad takes the signed letter out and addresses it to somebody else, as if the institution had
    # written to them. All of this with OpenSSL alone, from the professional's own software certificate.
    folder = os.path.join(users, "professional")
    with open(os.path.join(folder, "passphrase"), encoding="utf-8") as file:
        passphrase = file.read().strip()
    pem = run("openssl", "pkcs12", "-in", os.path.join(folder, "software-certificate.p12"), "-nodes", "-nocerts",
              "-passin", "stdin", stdin=passphrase.encode()).stdout.decode()
    seal = os.path.join(work, "seal.der")
    with open(seal, "wb") as file:
        file.write(platform.read("SELECT der FROM seal WHERE uid = ?", uuid.UUID(doctor).bytes)[0][0])
    payload = b""
    for block in pem.split("-----BEGIN PRIVATE KEY-----")[1:]:
        key = os.path.join(work, "key.pem")
        with open(key, "w", encoding="ascii") as file:
            file.write("-----BEGIN PRIVATE KEY-----" + block.split("-----END")[0] + "-----END PRIVATE KEY-----\n")
        done = run("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", seal, "-inkey", key)
        if done.returncode == 0:
            payload = done.stdout
    check(payload, "OpenSSL does not open the professional's own root key seal")
    root = os.path.join(work, "root.der")
    with open(root, "wb") as file:
        file.write(children(der(payload)[1])[4][1])
    letter = os.path.join(work, "letter.cms")
    openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-in", sealed, "-inkey", root, "-keyform", "DER", "-out", letter)
    certificate = os.path.join(work, "outsider.pem")
    with open(certificate, "w", encoding="ascii") as file:
        file.write(life("user", "certificate", outsider, user=clinic)[0]["certificate"])
    forwarded = os.path.join(work, "forwarded.life")
    openssl("cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER", "-in", letter, "-out", forwarded,
            "-recip", certificate, "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
    life.refused("a signed letter re-addressed by one of its readers", ["RECIPIENT_MISMATCH"], "decrypt", forwarded, "-o",
                 out, user=outsider)
    check(not os.path.exists(out), "something was written")


def attack_directory(life, platform, clinic, patient, doctor, outsider):
    """The operator lies about accounts the agent has met, and about one it has not."""
    raw = {name: uuid.UUID(name).bytes for name in (patient, doctor, outsider)}
    own = platform.read("SELECT der FROM certificate WHERE uid = ? AND slot = 4", raw[doctor])[0][0]
    other = platform.read("SELECT der FROM certificate WHERE uid = ? AND slot = 4", raw[outsider])[0][0]
    platform.edit("UPDATE certificate SET der = ? WHERE uid = ? AND slot = 4", b"", raw[outsider])
    platform.edit("UPDATE certificate SET der = ? WHERE uid = ? AND slot = 4", other, raw[doctor])
    life.refused("a substituted certificate", ["RECIPIENT_UNTRUSTED"], "user", "lookup", doctor, user=clinic)
    platform.edit("UPDATE certificate SET der = ? WHERE uid = ? AND slot = 4", own, raw[doctor])
    platform.edit("UPDATE certificate SET der = ? WHERE uid = ? AND slot = 4", other, raw[outsider])
    life("user", "lookup", doctor, user=clinic)

    entry = platform.read("SELECT der FROM log_entry WHERE uid = ? AND position = 1", raw[patient])[0][0]
    platform.edit("DELETE FROM log_entry WHERE uid = ? AND position = 1", raw[patient])
    life.refused("a rolled-back account log, after first contact", ["ACCOUNT_LOG_ROLLED_BACK"], "user", "lookup", patient,
                 user=clinic)
    platform.edit("INSERT INTO log_entry (uid, position, der) VALUES (?, 1, ?)", raw[patient], entry)
    life("user", "lookup", patient, user=clinic)
