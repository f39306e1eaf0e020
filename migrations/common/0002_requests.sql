-- Answers to requests that carried an Idempotency-Key, written in the transaction that did the work.
CREATE TABLE idempotency_keys (
  scope        TEXT   NOT NULL,
  key          TEXT   NOT NULL,
  fingerprint  TEXT   NOT NULL,
  status       BIGINT NOT NULL,
  body         TEXT   NOT NULL,
  created_at   BIGINT NOT NULL,
  PRIMARY KEY (scope, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Requests granted to instances, per client and window.
CREATE TABLE rate_limits (
  client       TEXT   NOT NULL,
  window_end   BIGINT NOT NULL,
  granted      BIGINT NOT NULL,
  PRIMARY KEY (client, window_end)
);

CREATE INDEX rate_limits_by_age ON rate_limits (window_end);

-- What instances have counted of their requests: a row each time one of them writes down what it has, and one with the sum
-- of those that were added up, whose counted_at is 0. Others are what was written in the last ten seconds or so, once each
-- tick adds up what is older.
-- counts: [{"method": "GET", "route": "/api/v1/products/{id}", "status": 200, "micros": 1234, "buckets": [0, 1, …]}].
CREATE TABLE request_counts (
  id          TEXT   PRIMARY KEY,
  counted_at  BIGINT NOT NULL,
  counts      TEXT   NOT NULL
);

CREATE INDEX request_counts_by_age ON request_counts (counted_at);
