-- What the shop writes to people. key: the id of the event that it tells of, or the sender's: what comes twice is here once.
-- user_id: whose it is; null when it is for the shop's own people. recipient: the address; null until it is asked for.
-- reference: what it is about, such as order/17. data: what it says: the event's payload, or, with a code, what only the
-- recipient may read.
-- due_at: when it is to be sent, or, while somebody is sending it, when that is given up; null when it is settled.
-- attempts: how often it was begun. Whoever has begun the last one may say how it ended. sends: 1, and one more each time
-- that an admin has it sent again. give_up_after: so many attempts. key_since: when the first of them was begun under the
-- present idempotency key. letter: what the mail API was asked for first, and is asked for again; null when it is settled.
CREATE TABLE mails (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  key            TEXT   NOT NULL UNIQUE,
  user_id        BIGINT,
  recipient      TEXT,
  kind           TEXT   NOT NULL,
  reference      TEXT,
  data           TEXT   NOT NULL,
  status         TEXT   NOT NULL,
  attempts       BIGINT NOT NULL,
  sends          BIGINT NOT NULL,
  give_up_after  BIGINT NOT NULL,
  key_since      BIGINT NOT NULL,
  letter         TEXT,
  last_error     TEXT,
  due_at         BIGINT,
  sent_at        BIGINT,
  keep_until     BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  CHECK ((status = 'pending') = (due_at IS NOT NULL))
);

CREATE INDEX mails_of_user ON mails (user_id, id);

CREATE INDEX mails_by_kind ON mails (kind, id);

CREATE INDEX mails_by_status ON mails (status, id);

CREATE INDEX mails_by_status_and_kind ON mails (status, kind, id);

CREATE INDEX mails_due ON mails (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX mails_by_end ON mails (keep_until);

-- One row, once the mail API has had too many mails: it wants none until then.
CREATE TABLE pause (
  id       BIGINT PRIMARY KEY CHECK (id = 1),
  ends_at  BIGINT NOT NULL
);

-- What accounts say of people, so that nobody need be asked for most mails. said_at: when they said it.
CREATE TABLE users (
  id       BIGINT PRIMARY KEY,
  email    TEXT   NOT NULL,
  name     TEXT   NOT NULL,
  locale   TEXT,
  said_at  BIGINT NOT NULL
);

-- Users who are gone: a mail to one of them that was under way by then is not kept.
CREATE TABLE forgotten_users (
  user_id     BIGINT PRIMARY KEY,
  keep_until  BIGINT NOT NULL
);

CREATE INDEX forgotten_users_by_end ON forgotten_users (keep_until);
