-- Subscribers that take nothing at all right now, or did not a moment ago: others have no row.
-- failures: how often nobody was there, one after the other; 0 or less: somebody was there the last time.
-- probe_at: when to look after it again. since: when it began.
CREATE TABLE lanes (
  subscriber  TEXT   PRIMARY KEY,
  failures    BIGINT NOT NULL,
  probe_at    BIGINT NOT NULL,
  since       BIGINT NOT NULL
);

-- The copies that are held for them: they share one due_at, far away.
CREATE INDEX deliveries_held ON deliveries (subscriber, id) WHERE parked_at IS NULL AND due_at = 9007199254740991;
