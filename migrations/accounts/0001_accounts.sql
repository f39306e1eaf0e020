-- Accounts. The address is stored as it is compared: in lower case. A deleted account is an empty row: others still
-- know its id, and nothing says any more who it was.
CREATE TABLE users (
  id                   INTEGER PRIMARY KEY AUTOINCREMENT,
  email                TEXT   UNIQUE,
  username             TEXT   NOT NULL,
  -- By which it can sign in as well: the name in lower case, of the first account that took it. Names need not be unique.
  login_name           TEXT   UNIQUE,
  password_hash        TEXT   NOT NULL,
  role                 TEXT   NOT NULL,
  status               TEXT   NOT NULL,
  created_at           BIGINT NOT NULL,
  first_name           TEXT,
  last_name            TEXT,
  phone                TEXT,
  locale               TEXT,
  -- Whether its orders are charged as soon as they are placed.
  charge_at_once       BOOLEAN NOT NULL DEFAULT FALSE,
  -- Of `addresses` and `payment_methods`: a column holds one, so there is never more than one default.
  shipping_address_id  BIGINT,
  billing_address_id   BIGINT,
  payment_method_id    BIGINT,
  deleted_at           BIGINT,
  -- How a number to call is looked for, however it was written.
  phone_digits         TEXT   GENERATED ALWAYS AS (replace(replace(replace(replace(replace(replace(replace(
    phone, ' ', ''), '+', ''), '-', ''), '(', ''), ')', ''), '.', ''), '/', '')) STORED,
  CHECK ((email IS NULL) = (deleted_at IS NOT NULL))
);

-- Lists are of accounts that are not deleted, the newest first.
CREATE INDEX users_by_age ON users (id) WHERE deleted_at IS NULL;

CREATE INDEX users_by_role ON users (role, id) WHERE deleted_at IS NULL;

CREATE INDEX users_by_status ON users (status, id) WHERE deleted_at IS NULL;

CREATE INDEX users_by_phone ON users (phone_digits, id) WHERE phone_digits IS NOT NULL;

-- Addresses for which the first admin's account was opened. It is opened once, even if it is deleted later.
CREATE TABLE first_admins (
  address        TEXT   PRIMARY KEY
);

CREATE TABLE addresses (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id        BIGINT NOT NULL REFERENCES users (id),
  name           TEXT   NOT NULL,
  line1          TEXT   NOT NULL,
  line2          TEXT,
  city           TEXT   NOT NULL,
  region         TEXT,
  postal_code    TEXT   NOT NULL,
  country        TEXT   NOT NULL,
  phone          TEXT
);

CREATE INDEX addresses_of_user ON addresses (user_id, id);

-- The provider's tokens, and what people recognize a card by. Never its number.
CREATE TABLE payment_methods (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id        BIGINT NOT NULL REFERENCES users (id),
  token          TEXT   NOT NULL,
  label          TEXT,
  brand          TEXT,
  last4          TEXT,
  created_at     BIGINT NOT NULL
);

CREATE INDEX payment_methods_of_user ON payment_methods (user_id, id);

-- What clients of older shops write into an account, as they wrote it: JSON texts and objects. Never the number of a card.
CREATE TABLE written_details (
  user_id           BIGINT PRIMARY KEY REFERENCES users (id),
  shipping_address  TEXT,
  billing_address   TEXT,
  payment_method    TEXT
);

-- Sign-ins. A session is the family of the refresh tokens that follow one another in it.
CREATE TABLE sessions (
  id             TEXT   PRIMARY KEY,
  user_id        BIGINT NOT NULL REFERENCES users (id),
  user_agent     TEXT,
  created_at     BIGINT NOT NULL,
  used_at        BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  revoked_at     BIGINT
);

CREATE INDEX sessions_of_user ON sessions (user_id, id);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Refresh tokens, by their SHA-256. Used ones stay until they expire: one that comes again has been stolen.
CREATE TABLE refresh_tokens (
  hash           TEXT   PRIMARY KEY,
  session_id     TEXT   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  expires_at     BIGINT NOT NULL,
  used_at        BIGINT
);

CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- Failed proofs of who one is, by the SHA-256 of the address: also of addresses that have no account, so that these do
-- not behave otherwise. Forgotten a day after the last one.
CREATE TABLE failures (
  address        TEXT   PRIMARY KEY,
  count          BIGINT NOT NULL,
  open_at        BIGINT NOT NULL,
  forget_at      BIGINT NOT NULL
);

CREATE INDEX failures_by_age ON failures (forget_at);

-- Codes for a forgotten password, by the SHA-256 of the address, again with or without an account. Only the code's
-- hash.
CREATE TABLE reset_codes (
  address        TEXT   PRIMARY KEY,
  hash           TEXT   NOT NULL,
  tries          BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL
);

CREATE INDEX reset_codes_by_expiry ON reset_codes (expires_at);

-- The keys of access tokens: the newest signs, the one before it still checks.
CREATE TABLE signing_keys (
  kid            TEXT   PRIMARY KEY,
  secret         TEXT   NOT NULL,
  created_at     BIGINT NOT NULL
);

CREATE INDEX signing_keys_by_age ON signing_keys (created_at, kid);
