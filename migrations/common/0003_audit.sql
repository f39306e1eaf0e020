-- What admins did, written in the transaction that did it. Kept for 400 days.
-- action: a word such as `order.shipped`; subject: such as `order/17`; details: JSON, of persons only their ids.
CREATE TABLE audit_log (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  at           BIGINT NOT NULL,
  actor        BIGINT NOT NULL,
  role         TEXT   NOT NULL,
  action       TEXT   NOT NULL,
  subject      TEXT   NOT NULL,
  details      TEXT   NOT NULL,
  request_id   TEXT   NOT NULL,
  traceparent  TEXT
);

-- Each stands for the filters that it begins with, in the order of the list. Those of one column are on expressions: the
-- engine would take them also for both together, and read what of the other column is not wanted.
CREATE INDEX audit_log_by_time ON audit_log (at, id);

CREATE INDEX audit_log_of_actor ON audit_log ((actor + 0), at, id);

CREATE INDEX audit_log_of_action ON audit_log ((action || ''), at, id);

CREATE INDEX audit_log_of_both ON audit_log (actor, action, at, id);

CREATE INDEX audit_log_of_subject ON audit_log (subject, at, id);
