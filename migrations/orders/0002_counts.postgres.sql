-- How many orders have each status: counted by the database in the transaction that changes one, because nobody wants to
-- count a million. Sixteen rows for each status, so that where writers do not wait for each other anyway (Postgres),
-- two orders seldom meet in one.
CREATE TABLE order_counts (
  status  TEXT   NOT NULL,
  shard   BIGINT NOT NULL,
  orders  BIGINT NOT NULL,
  PRIMARY KEY (status, shard)
);

CREATE FUNCTION count_orders() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN
    UPDATE order_counts SET orders = orders - 1 WHERE status = OLD.status AND shard = OLD.id % 16;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO order_counts (status, shard, orders) VALUES (NEW.status, NEW.id % 16, 1)
      ON CONFLICT (status, shard) DO UPDATE SET orders = order_counts.orders + 1;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER order_counts_changed AFTER INSERT OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION count_orders();

CREATE TRIGGER order_counts_moved AFTER UPDATE OF status ON orders FOR EACH ROW
  WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION count_orders();
