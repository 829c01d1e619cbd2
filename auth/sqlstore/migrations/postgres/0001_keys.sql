-- API keys, of which only hashes are kept. Times are microseconds since
-- 1970-01-01 UTC; NULL means that there is none. To read them:
-- SELECT id, to_timestamp(last_used / 1e6) FROM spark_keys;
CREATE TABLE spark_keys (
    id               TEXT COLLATE "C" PRIMARY KEY,
    revision         BIGINT NOT NULL, -- goes up with every change
    prefix           TEXT NOT NULL,
    name             TEXT NOT NULL,
    owner            TEXT NOT NULL,
    plan             TEXT NOT NULL,
    scopes           TEXT NOT NULL, -- separated by spaces
    metadata         TEXT NOT NULL, -- a JSON object
    disabled         BOOLEAN NOT NULL,
    created          BIGINT NOT NULL,
    expires          BIGINT,
    rotated          BIGINT,
    previous_expires BIGINT,
    revoked          BIGINT,
    last_used        BIGINT,
    current_version  INTEGER NOT NULL, -- of the pepper
    current_sum      BYTEA NOT NULL CHECK (length(current_sum) = 32),
    previous_version INTEGER,
    previous_sum     BYTEA CHECK (length(previous_sum) = 32),
    CHECK ((previous_version IS NULL) = (previous_sum IS NULL))
);

CREATE INDEX spark_keys_owner ON spark_keys (owner);
