-- Version 3: documents.

CREATE TABLE document (
    id BLOB PRIMARY KEY,
    owner BLOB NOT NULL REFERENCES account (uid),
    version INTEGER NOT NULL,
    -- How often this version was shared.
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER,
    -- What the owner answers for: bytes, and 1 for the id, until it was deleted long ago.
    stored INTEGER NOT NULL,
    counted INTEGER NOT NULL DEFAULT 1,
    -- Name of the file below blobs/; null once deleted. `header` stands for its first `skip` bytes.
    blob TEXT UNIQUE,
    file_size INTEGER NOT NULL,
    skip INTEGER NOT NULL,
    -- Bytes of the sealed stream with the present header.
    size INTEGER NOT NULL,
    -- The upload this version came by, and digests of what its commit and the last sharing said: a repeat is known by them.
    upload BLOB,
    committed BLOB,
    shared BLOB,
    receipt BLOB,
    metadata BLOB
) STRICT;
CREATE INDEX document_deleted ON document (deleted) WHERE deleted IS NOT NULL AND counted = 1;

-- The beginning of the sealed stream: all that sharing replaces.
CREATE TABLE document_header (
    document BLOB PRIMARY KEY REFERENCES document (id),
    bytes BLOB NOT NULL
) STRICT;

-- Who may read which document, the owner included, in the order in which it came to them.
CREATE TABLE document_access (
    uid BLOB NOT NULL REFERENCES account (uid),
    sequence INTEGER NOT NULL,
    document BLOB NOT NULL REFERENCES document (id),
    owner BLOB NOT NULL,
    PRIMARY KEY (uid, sequence)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX document_readers ON document_access (document, uid);

-- Content that arrives in several requests. The file may not be there yet, or be longer than what was acknowledged.
CREATE TABLE document_upload (
    owner BLOB NOT NULL REFERENCES account (uid),
    id BLOB NOT NULL,
    document BLOB NOT NULL,
    version INTEGER NOT NULL,
    blob TEXT NOT NULL UNIQUE,
    received INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT;
CREATE INDEX document_upload_expiring ON document_upload (expires);
CREATE INDEX document_upload_of ON document_upload (document, owner);

-- What each owner takes up: sums over the tables above, kept by the triggers below so that no write forgets them.
CREATE TABLE document_usage (
    uid BLOB PRIMARY KEY,
    documents INTEGER NOT NULL DEFAULT 0,
    uploads INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    -- Readers of all documents.
    readers INTEGER NOT NULL DEFAULT 0,
    -- The last place in this user's own list; never given twice.
    sequence INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TRIGGER document_made AFTER INSERT ON document BEGIN
    INSERT INTO document_usage (uid) VALUES (NEW.owner) ON CONFLICT DO NOTHING;
    UPDATE document_usage SET documents = documents + NEW.counted, bytes = bytes + NEW.stored
        WHERE uid = NEW.owner;
END;
CREATE TRIGGER document_changed AFTER UPDATE OF stored, counted ON document BEGIN
    UPDATE document_usage
        SET documents = documents + NEW.counted - OLD.counted, bytes = bytes + NEW.stored - OLD.stored
        WHERE uid = NEW.owner;
END;
CREATE TRIGGER document_upload_made AFTER INSERT ON document_upload BEGIN
    INSERT INTO document_usage (uid) VALUES (NEW.owner) ON CONFLICT DO NOTHING;
    UPDATE document_usage SET uploads = uploads + 1, bytes = bytes + NEW.received WHERE uid = NEW.owner;
END;
CREATE TRIGGER document_upload_changed AFTER UPDATE OF received ON document_upload BEGIN
    UPDATE document_usage SET bytes = bytes + NEW.received - OLD.received WHERE uid = NEW.owner;
END;
CREATE TRIGGER document_upload_gone AFTER DELETE ON document_upload BEGIN
    UPDATE document_usage SET uploads = uploads - 1, bytes = bytes - OLD.received WHERE uid = OLD.owner;
END;
CREATE TRIGGER document_access_given AFTER INSERT ON document_access WHEN NEW.uid <> NEW.owner BEGIN
    UPDATE document_usage SET readers = readers + 1 WHERE uid = NEW.owner;
END;
CREATE TRIGGER document_access_taken AFTER DELETE ON document_access WHEN OLD.uid <> OLD.owner BEGIN
    UPDATE document_usage SET readers = readers - 1 WHERE uid = OLD.owner;
END;
