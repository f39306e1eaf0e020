-- The outbox: what happened, written in the transaction that made it happen.
CREATE TABLE outbox (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id    TEXT   NOT NULL UNIQUE,
  envelope    TEXT   NOT NULL,
  created_at  BIGINT NOT NULL
);

CREATE INDEX outbox_by_age ON outbox (created_at);

-- One row for each subscriber that does not have its copy yet; delivered copies are deleted.
-- since: when it came in line, again after a replay.
-- due_at: when to try (again). A relay that is at it has moved it into the future; if the relay dies, that time passes.
CREATE TABLE deliveries (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  outbox_id   BIGINT NOT NULL REFERENCES outbox (id),
  subscriber  TEXT   NOT NULL,
  subject     TEXT   NOT NULL,
  since       BIGINT NOT NULL,
  due_at      BIGINT NOT NULL,
  attempts    BIGINT NOT NULL DEFAULT 0,
  parked_at   BIGINT,
  last_error  TEXT
);

-- With since and parked_at, what waits is counted, and the oldest of it found, in the index alone.
CREATE INDEX deliveries_due ON deliveries (due_at, since, parked_at) WHERE parked_at IS NULL;

CREATE INDEX deliveries_in_order ON deliveries (subscriber, subject, id) WHERE parked_at IS NULL;

CREATE INDEX deliveries_of_event ON deliveries (outbox_id);

CREATE INDEX deliveries_parked ON deliveries (parked_at, id) WHERE parked_at IS NOT NULL;

-- The inbox: events of other services that have had their effect here.
CREATE TABLE inbox (
  event_id     TEXT   PRIMARY KEY,
  received_at  BIGINT NOT NULL
);

CREATE INDEX inbox_by_age ON inbox (received_at);
