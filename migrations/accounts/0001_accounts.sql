-- Accounts. The address is stored as it is compared: in lower case.
CREATE TABLE users (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  email          TEXT   NOT NULL UNIQUE,
  username       TEXT   NOT NULL,
  password_hash  TEXT   NOT NULL,
  role           TEXT   NOT NULL,
  status         TEXT   NOT NULL,
  created_at     BIGINT NOT NULL
);

-- Sign-ins. A session is the family of the refresh tokens that follow one another in it.
CREATE TABLE sessions (
  id             TEXT   PRIMARY KEY,
  user_id        BIGINT NOT NULL REFERENCES users (id),
  created_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  revoked_at     BIGINT
);

CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Refresh tokens, by their SHA-256. Used ones stay until they expire: one that comes again has been stolen.
CREATE TABLE refresh_tokens (
  hash           TEXT   PRIMARY KEY,
  session_id     TEXT   NOT NULL REFERENCES sessions (id),
  expires_at     BIGINT NOT NULL,
  used_at        BIGINT
);

CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- The keys of access tokens: the newest signs, the one before it still checks.
CREATE TABLE signing_keys (
  kid            TEXT   PRIMARY KEY,
  secret         TEXT   NOT NULL,
  created_at     BIGINT NOT NULL
);

CREATE INDEX signing_keys_by_age ON signing_keys (created_at, kid);
