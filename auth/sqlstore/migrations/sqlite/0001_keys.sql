-- API keys, of which only hashes are kept. Times are microseconds since
-- 1970-01-01 UTC; NULL means that there is none. To read them:
-- SELECT id, datetime(last_used / 1000000, 'unixepoch') FROM spark_keys;
CREATE TABLE spark_keys (
    id               TEXT NOT NULL PRIMARY KEY,
    revision         INTEGER NOT NULL, -- goes up with every change
    prefix           TEXT NOT NULL,
    name             TEXT NOT NULL,
    owner            TEXT NOT NULL,
    plan             TEXT NOT NULL,
    scopes           TEXT NOT NULL, -- separated by spaces
    metadata         TEXT NOT NULL, -- a JSON object
    disabled         INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created          INTEGER NOT NULL,
    expires          INTEGER,
    rotated          INTEGER,
    previous_expires INTEGER,
    revoked          INTEGER,
    last_used        INTEGER,
    current_version  INTEGER NOT NULL, -- of the pepper
    current_sum      BLOB NOT NULL CHECK (length(current_sum) = 32),
    previous_version INTEGER,
    previous_sum     BLOB CHECK (length(previous_sum) = 32),
    CHECK ((previous_version IS NULL) = (previous_sum IS NULL))
) STRICT;

CREATE INDEX spark_keys_owner ON spark_keys (owner);
