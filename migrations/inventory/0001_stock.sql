-- One row for each product. What can be ordered is on_hand - reserved.
-- The catalog says whose a product is. Until it has (announced), a record may have been added by hand: by a supplier, who
-- is then believed, or by an admin (then supplier_id is null).
CREATE TABLE stock (
  product_id    BIGINT  PRIMARY KEY,
  supplier_id   BIGINT,
  announced     BOOLEAN NOT NULL,
  for_sale      BOOLEAN NOT NULL,
  on_hand       BIGINT  NOT NULL CHECK (on_hand >= 0),
  reserved      BIGINT  NOT NULL CHECK (reserved >= 0 AND reserved <= on_hand),
  threshold     BIGINT  NOT NULL,
  version       BIGINT  NOT NULL,
  discontinued  BOOLEAN NOT NULL,
  updated_at    BIGINT  NOT NULL
);

CREATE INDEX stock_of_supplier ON stock (supplier_id, product_id);

-- What is held for whom: by an order's saga, until the order ends, or by hand (then order_id is null), until expires_at.
-- lines: [{"productId": 1, "quantity": 2}].
CREATE TABLE reservations (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id    BIGINT UNIQUE,
  status      TEXT   NOT NULL,
  lines       TEXT   NOT NULL,
  expires_at  BIGINT,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);

CREATE INDEX reservations_expiring ON reservations (expires_at) WHERE status = 'held' AND expires_at IS NOT NULL;

-- Every change of stock. The sums of a product's deltas are its on_hand and reserved.
CREATE TABLE movements (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  product_id      BIGINT NOT NULL,
  kind            TEXT   NOT NULL,
  on_hand_delta   BIGINT NOT NULL,
  reserved_delta  BIGINT NOT NULL,
  reservation_id  BIGINT,
  reason          TEXT,
  at              BIGINT NOT NULL
);

CREATE INDEX movements_by_product ON movements (product_id, id);
