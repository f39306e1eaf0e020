-- What the shop writes to people. `key` is the sender's: a mail that is handed over twice is here once.
-- `data` is what only the recipient may read.
CREATE TABLE mails (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  key         TEXT   NOT NULL UNIQUE,
  user_id     BIGINT NOT NULL,
  recipient   TEXT   NOT NULL,
  kind        TEXT   NOT NULL,
  data        TEXT   NOT NULL,
  keep_until  BIGINT NOT NULL,
  created_at  BIGINT NOT NULL
);

CREATE INDEX mails_of_user ON mails (user_id, id);

CREATE INDEX mails_by_end ON mails (keep_until);

-- Users who are gone: a mail to one of them that was under way by then is not kept.
CREATE TABLE forgotten_users (
  user_id     BIGINT PRIMARY KEY,
  keep_until  BIGINT NOT NULL
);

CREATE INDEX forgotten_users_by_end ON forgotten_users (keep_until);
