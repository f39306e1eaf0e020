-- How many orders have each status: counted by the database in the transaction that changes one, because nobody wants to
-- count a million. Sixteen rows for each status, so that where writers do not wait for each other anyway (Postgres),
-- two orders seldom meet in one.
CREATE TABLE order_counts (
  status  TEXT   NOT NULL,
  shard   BIGINT NOT NULL,
  orders  BIGINT NOT NULL,
  PRIMARY KEY (status, shard)
);

CREATE TRIGGER order_counts_inserted AFTER INSERT ON orders BEGIN
  INSERT INTO order_counts (status, shard, orders) VALUES (NEW.status, NEW.id % 16, 1)
    ON CONFLICT (status, shard) DO UPDATE SET orders = order_counts.orders + 1;
END;

CREATE TRIGGER order_counts_moved AFTER UPDATE OF status ON orders WHEN NEW.status <> OLD.status BEGIN
  UPDATE order_counts SET orders = orders - 1 WHERE status = OLD.status AND shard = OLD.id % 16;
  INSERT INTO order_counts (status, shard, orders) VALUES (NEW.status, NEW.id % 16, 1)
    ON CONFLICT (status, shard) DO UPDATE SET orders = order_counts.orders + 1;
END;

CREATE TRIGGER order_counts_deleted AFTER DELETE ON orders BEGIN
  UPDATE order_counts SET orders = orders - 1 WHERE status = OLD.status AND shard = OLD.id % 16;
END;
