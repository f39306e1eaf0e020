-- One cart for each user, and one for each token: of the token only its hash is kept.
-- lines: what is wanted, never what it costs: [{"productId": 1, "quantity": 2}].
-- checkout_key: of the checkout that is under way; until that has ended, the cart does not change. A cart that has become
-- an order is deleted: the next one is another one.
CREATE TABLE carts (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id        BIGINT UNIQUE,
  token_hash     TEXT   UNIQUE,
  lines          TEXT   NOT NULL,
  discount_code  TEXT,
  version        BIGINT NOT NULL,
  checkout_key   TEXT,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL,
  CHECK ((user_id IS NULL) <> (token_hash IS NULL))
);

CREATE INDEX carts_anonymous ON carts (updated_at) WHERE token_hash IS NOT NULL;

-- Anonymous carts that have gone into a user's, for requests that come again: by the hash of their token, for a day.
CREATE TABLE merged_carts (
  token_hash     TEXT   PRIMARY KEY,
  user_id        BIGINT NOT NULL,
  merged_at      BIGINT NOT NULL
);

CREATE INDEX merged_carts_by_age ON merged_carts (merged_at);

-- What accounts say of users: whether one may order, and how admins know one by a cart. said_at: when they said it.
-- status: active, suspended, or gone: then nothing is left but the id, so that no late news makes the user known again.
CREATE TABLE users (
  id             BIGINT PRIMARY KEY,
  name           TEXT   NOT NULL,
  email          TEXT   NOT NULL,
  role           TEXT   NOT NULL,
  status         TEXT   NOT NULL,
  said_at        BIGINT NOT NULL
);

-- Users who are gone. Until due_at their access tokens may have been good for another cart.
CREATE TABLE departures (
  user_id        BIGINT PRIMARY KEY,
  due_at         BIGINT NOT NULL
);

CREATE INDEX departures_due ON departures (due_at);

-- A cart, or a part of one, on its way to become an order: key names the order to the orders service, for ever.
-- cart_id: the cart that is frozen; null when the lines are a part of a cart, which they were taken out of.
-- status: open, placed, refused, or failed: there was an order, and it ended without stock or money.
-- details: addresses and the payment token, as JSON; forgotten when the checkout has ended.
-- try_at: when housekeeping finishes it; null once it has ended. answer: the order, or why there is none.
-- owed: lines that a failed order, or the refusal of a part, has given back and that are not in the customer's cart yet.
CREATE TABLE checkouts (
  key            TEXT   PRIMARY KEY,
  cart_id        BIGINT,
  user_id        BIGINT NOT NULL,
  lines          TEXT   NOT NULL,
  discount_code  TEXT,
  details        TEXT,
  status         TEXT   NOT NULL,
  order_id       BIGINT,
  answer         TEXT,
  owed           TEXT,
  attempts       BIGINT NOT NULL DEFAULT 0,
  try_at         BIGINT,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL
);

-- A cart becomes an order once.
CREATE UNIQUE INDEX checkouts_of_cart ON checkouts (cart_id) WHERE status <> 'refused';

CREATE INDEX checkouts_to_finish ON checkouts (try_at) WHERE try_at IS NOT NULL;

CREATE INDEX checkouts_ended ON checkouts (updated_at) WHERE try_at IS NULL AND owed IS NULL;

CREATE INDEX checkouts_owed ON checkouts (user_id, created_at) WHERE owed IS NOT NULL;

CREATE INDEX checkouts_by_user ON checkouts (user_id);
