-- lines: what was ordered, at the prices of that moment; never changed once it is paid:
-- [{"productId": 1, "name": "Mug", "sku": null, "unitPrice": 9.9, "quantity": 2, "total": 19.8, "discount": 0}].
-- revision: how often the customer has changed it.
-- hidden: its customer does not want to see it any more. It stays in the books.
-- placement_key: under which somebody else knows it: the cart that it was, and the use of discount_code that carts count.
-- expires_at: until when it must be paid; null once it has been, or is over.
-- promised: what is on its way back to the customer; refunded: what has arrived.
CREATE TABLE orders (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id           BIGINT NOT NULL,
  status            TEXT   NOT NULL,
  reason            TEXT,
  lines             TEXT   NOT NULL,
  revision          BIGINT NOT NULL DEFAULT 0,
  hidden            BOOLEAN NOT NULL DEFAULT FALSE,
  subtotal          BIGINT NOT NULL,
  discount          BIGINT NOT NULL,
  shipping          BIGINT NOT NULL,
  tax               BIGINT NOT NULL,
  total             BIGINT NOT NULL CHECK (total >= 0),
  currency          TEXT   NOT NULL,
  discount_code     TEXT,
  placement_key     TEXT,
  shipping_address  TEXT,
  billing_address   TEXT,
  payment_token     TEXT,
  tracking          TEXT,
  promised          BIGINT NOT NULL DEFAULT 0 CHECK (promised >= 0),
  refunded          BIGINT NOT NULL DEFAULT 0 CHECK (refunded >= 0),
  created_at        BIGINT NOT NULL,
  updated_at        BIGINT NOT NULL,
  expires_at        BIGINT,
  paid_at           BIGINT
);

-- Lists are sorted by (created_at, id), the newest first.
CREATE INDEX orders_by_age ON orders (created_at, id) WHERE NOT hidden;

CREATE INDEX orders_by_user ON orders (user_id, created_at, id);

CREATE INDEX orders_by_status ON orders (status, created_at, id) WHERE NOT hidden;

CREATE INDEX orders_unpaid ON orders (expires_at) WHERE expires_at IS NOT NULL;

-- Placements whose key somebody else knows. order_id is null when nothing may be placed under the key any more.
CREATE TABLE placements (
  key       TEXT   PRIMARY KEY,
  order_id  BIGINT
);

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

-- Money that goes back. name: the id of the request, by which payments know it, or `refund/<id>`, as payments call it when
-- they make it without being asked.
-- items: [{"productId": 1, "quantity": 2}], the pieces that it is for; restock: whether they went back into stock.
CREATE TABLE refunds (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT   NOT NULL UNIQUE,
  order_id    BIGINT NOT NULL,
  status      TEXT   NOT NULL,
  amount      BIGINT NOT NULL CHECK (amount > 0),
  reason      TEXT,
  failure     TEXT,
  items       TEXT    NOT NULL,
  restock     BOOLEAN NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);

CREATE INDEX refunds_by_order ON refunds (order_id, id);

-- Users who are gone. Their orders after (after_at, after_id) have still to be gone through, at due_at.
CREATE TABLE erasures (
  user_id   BIGINT PRIMARY KEY,
  after_at  BIGINT NOT NULL,
  after_id  BIGINT NOT NULL,
  until     BIGINT NOT NULL,
  due_at    BIGINT NOT NULL
);

CREATE INDEX erasures_due ON erasures (due_at);

-- Accounts, as they say themselves what they are. said_at: when they said it.
-- status: active, suspended, or gone: then nothing is left but the id, so that no late news makes the user known again.
-- charge_at_once: whether what the user orders is charged without being asked.
CREATE TABLE users (
  id              BIGINT  PRIMARY KEY,
  name            TEXT    NOT NULL,
  email           TEXT    NOT NULL,
  role            TEXT    NOT NULL,
  status          TEXT    NOT NULL,
  charge_at_once  BOOLEAN NOT NULL,
  said_at         BIGINT  NOT NULL
);
