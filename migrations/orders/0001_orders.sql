-- lines: what was ordered, at the prices of that moment; never changed:
-- [{"productId": 1, "name": "Mug", "sku": null, "unitPrice": 9.9, "quantity": 2, "total": 19.8}].
CREATE TABLE orders (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id        BIGINT NOT NULL,
  status         TEXT   NOT NULL,
  reason         TEXT,
  lines          TEXT   NOT NULL,
  total          BIGINT NOT NULL,
  currency       TEXT   NOT NULL,
  payment_token  TEXT,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL
);

CREATE INDEX orders_by_user ON orders (user_id, id);

CREATE INDEX orders_unpaid ON orders (expires_at) WHERE status IN ('pending', 'reserved');

-- What happened to an order, for people: a status it took, or a note under the status it had.
CREATE TABLE order_history (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id  BIGINT NOT NULL,
  type      TEXT   NOT NULL,
  status    TEXT   NOT NULL,
  reason    TEXT,
  at        BIGINT NOT NULL
);

CREATE INDEX order_history_by_order ON order_history (order_id, id);
