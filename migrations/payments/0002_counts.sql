-- How many payments have each status: counted by the database in the transaction that changes one, because nobody wants to
-- count a million. Sixteen rows for each status, so that where writers do not wait for each other anyway (Postgres),
-- two payments seldom meet in one.
CREATE TABLE payment_counts (
  status    TEXT   NOT NULL,
  shard     BIGINT NOT NULL,
  payments  BIGINT NOT NULL,
  PRIMARY KEY (status, shard)
);

CREATE TRIGGER payment_counts_inserted AFTER INSERT ON payments BEGIN
  INSERT INTO payment_counts (status, shard, payments) VALUES (NEW.status, NEW.id % 16, 1)
    ON CONFLICT (status, shard) DO UPDATE SET payments = payment_counts.payments + 1;
END;

CREATE TRIGGER payment_counts_moved AFTER UPDATE OF status ON payments WHEN NEW.status <> OLD.status BEGIN
  UPDATE payment_counts SET payments = payments - 1 WHERE status = OLD.status AND shard = OLD.id % 16;
  INSERT INTO payment_counts (status, shard, payments) VALUES (NEW.status, NEW.id % 16, 1)
    ON CONFLICT (status, shard) DO UPDATE SET payments = payment_counts.payments + 1;
END;

CREATE TRIGGER payment_counts_deleted AFTER DELETE ON payments BEGIN
  UPDATE payment_counts SET payments = payments - 1 WHERE status = OLD.status AND shard = OLD.id % 16;
END;
