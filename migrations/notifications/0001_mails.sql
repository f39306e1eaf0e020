-- What the shop writes to people. `key` is the sender's: a mail that is handed over twice is here once.
-- `data` is what only the recipient may read, and only until `secret_until`: then it is removed.
CREATE TABLE mails (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  key           TEXT   NOT NULL UNIQUE,
  user_id       BIGINT NOT NULL,
  recipient     TEXT   NOT NULL,
  kind          TEXT   NOT NULL,
  data          TEXT,
  secret_until  BIGINT,
  created_at    BIGINT NOT NULL
);

CREATE INDEX mails_of_user ON mails (user_id, id);

CREATE INDEX mails_with_secrets ON mails (secret_until) WHERE secret_until IS NOT NULL;
