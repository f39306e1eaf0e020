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
