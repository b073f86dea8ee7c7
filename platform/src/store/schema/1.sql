-- Version 1. Times are Unix seconds, ids and hashes raw bytes, enumerations the numbers of life-pki.

CREATE TABLE registration (
    id BLOB PRIMARY KEY,
    uid BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    -- SubjectPublicKeyInfo of the ephemeral key that speaks for this registration.
    client_key BLOB NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    authentication_csr BLOB,
    signature_csr BLOB,
    encryption_spki BLOB,
    root_spki BLOB,
    encryption_nonce BLOB,
    root_nonce BLOB,
    encryption_challenge BLOB,
    root_challenge BLOB,
    -- Set by the first valid commit; what comes later must be the same.
    genesis BLOB,
    first_root BLOB,
    seal BLOB
) STRICT;
CREATE INDEX registration_by_state ON registration (state, expires);

CREATE TABLE account (
    uid BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE log_entry (
    uid BLOB NOT NULL REFERENCES account (uid),
    position INTEGER NOT NULL,
    der BLOB NOT NULL,
    PRIMARY KEY (uid, position)
) STRICT, WITHOUT ROWID;

-- Every key of every account: one key never speaks for two.
CREATE TABLE key (
    spki_hash BLOB PRIMARY KEY,
    uid BLOB NOT NULL REFERENCES account (uid),
    slot INTEGER NOT NULL
) STRICT;

CREATE TABLE credential (
    id BLOB PRIMARY KEY,
    uid BLOB NOT NULL REFERENCES account (uid),
    kind INTEGER NOT NULL,
    revoked INTEGER,
    -- Whether the CA knows of the revocation.
    revocation_sent INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX credential_of_account ON credential (uid);

CREATE TABLE certificate (
    sha256 BLOB PRIMARY KEY,
    uid BLOB NOT NULL REFERENCES account (uid),
    -- Null for a root credential.
    credential BLOB REFERENCES credential (id),
    slot INTEGER NOT NULL,
    -- Of a root credential; null for a working credential.
    generation INTEGER,
    der BLOB NOT NULL
) STRICT;
CREATE INDEX certificate_of_account ON certificate (uid, slot);

CREATE TABLE seal (
    uid BLOB NOT NULL REFERENCES account (uid),
    credential BLOB NOT NULL REFERENCES credential (id),
    generation INTEGER NOT NULL,
    der BLOB NOT NULL,
    PRIMARY KEY (uid, credential, generation)
) STRICT;

CREATE TABLE message (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    owner BLOB NOT NULL REFERENCES account (uid),
    id TEXT NOT NULL,
    depositor BLOB NOT NULL REFERENCES account (uid),
    -- Name of the file below blobs/; null once the owner deleted the message.
    blob TEXT UNIQUE,
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    deposited INTEGER NOT NULL,
    deleted INTEGER,
    receipt BLOB,
    receipt_digest BLOB,
    UNIQUE (owner, id)
) STRICT;
CREATE INDEX message_of_owner ON message (owner, sequence) WHERE blob IS NOT NULL;

CREATE TABLE crl (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    der BLOB NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL
) STRICT;
