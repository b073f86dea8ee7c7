-- Version 4: working credentials that are added, and SuperPINs.

-- A credential on its way into an account.
CREATE TABLE addition (
    id BLOB PRIMARY KEY,
    uid BLOB NOT NULL REFERENCES account (uid),
    expires INTEGER NOT NULL,
    authentication_csr BLOB NOT NULL,
    signature_csr BLOB NOT NULL,
    encryption_spki BLOB NOT NULL,
    nonce BLOB NOT NULL,
    challenge BLOB NOT NULL
) STRICT;
CREATE INDEX addition_expiring ON addition (expires);
CREATE INDEX addition_of_account ON addition (uid);

CREATE TABLE super_pin (
    lookup BLOB PRIMARY KEY,
    credential BLOB NOT NULL UNIQUE REFERENCES credential (id),
    -- SubjectPublicKeyInfo of the key that answers challenges.
    verifier BLOB NOT NULL,
    -- Null once the credential was revoked.
    bundle BLOB
) STRICT, WITHOUT ROWID;

-- Challenges that were given to whoever asked. They outlive their use, to be counted.
CREATE TABLE super_pin_login (
    id BLOB PRIMARY KEY,
    lookup BLOB NOT NULL,
    nonce BLOB NOT NULL,
    -- The network that asked: 16 bytes.
    network BLOB NOT NULL,
    begun INTEGER NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX super_pin_login_begun ON super_pin_login (begun);
CREATE INDEX super_pin_login_of_network ON super_pin_login (network, begun);
