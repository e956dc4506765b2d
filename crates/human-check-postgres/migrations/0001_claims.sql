-- The tokens that were used. A row is a keyed digest of a token, and the time when it may be deleted.
CREATE TABLE IF NOT EXISTS human_check_claims (
    digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

-- For the deletion of rows that have expired.
CREATE INDEX IF NOT EXISTS human_check_claims_expires_at ON human_check_claims (expires_at);
