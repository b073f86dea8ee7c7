-- Version 2.

-- Files of messages that were deleted, until they are gone. Only what stands here is ever removed unasked.
CREATE TABLE doomed (
    blob TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE INDEX message_deleted ON message (deleted) WHERE deleted IS NOT NULL;
CREATE INDEX registration_expiring ON registration (expires) WHERE genesis IS NULL AND state <> 4;
CREATE INDEX credential_unsent ON credential (id) WHERE revoked IS NOT NULL AND revocation_sent = 0;

-- A message that is complete, but stays invisible until its depositor asks for its receipt.
CREATE TABLE pending (
    owner BLOB NOT NULL REFERENCES account (uid),
    id TEXT NOT NULL,
    depositor BLOB NOT NULL REFERENCES account (uid),
    blob TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT;
CREATE INDEX pending_since ON pending (since);

-- What one depositor takes up, in one inbox and in all.
CREATE INDEX pending_of_depositor ON pending (depositor, owner, size);
CREATE INDEX message_of_depositor ON message (depositor, owner, deleted, size);

-- What names one account only: hashes of keys and ids of credentials, taken when a commit is accepted.
CREATE TABLE claim (
    name BLOB PRIMARY KEY,
    uid BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO claim SELECT spki_hash, uid FROM key;
INSERT INTO claim SELECT id, uid FROM credential;
