-- Version 2.

-- Files of messages that were deleted, until they are gone. Only what stands here is ever removed unasked.
CREATE TABLE doomed (
    blob TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE INDEX message_deleted ON message (deleted) WHERE deleted IS NOT NULL;
CREATE INDEX registration_expiring ON registration (expires) WHERE genesis IS NULL AND state <> 4;
CREATE INDEX credential_unsent ON credential (id) WHERE revoked IS NOT NULL AND revocation_sent = 0;
