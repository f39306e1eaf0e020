-- How many payments have each status: counted by the database in the transaction that changes one, because nobody wants to
-- count a million. Sixteen rows for each status, so that where writers do not wait for each other anyway (Postgres),
-- two payments seldom meet in one.
CREATE TABLE payment_counts (
  status    TEXT   NOT NULL,
  shard     BIGINT NOT NULL,
  payments  BIGINT NOT NULL,
  PRIMARY KEY (status, shard)
);

CREATE FUNCTION count_payments() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN
    UPDATE payment_counts SET payments = payments - 1 WHERE status = OLD.status AND shard = OLD.id % 16;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO payment_counts (status, shard, payments) VALUES (NEW.status, NEW.id % 16, 1)
      ON CONFLICT (status, shard) DO UPDATE SET payments = payment_counts.payments + 1;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER payment_counts_changed AFTER INSERT OR DELETE ON payments FOR EACH ROW EXECUTE FUNCTION count_payments();

CREATE TRIGGER payment_counts_moved AFTER UPDATE OF status ON payments FOR EACH ROW
  WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION count_payments();
