-- What orders have said: which may be paid, and which are over. Of those, amount and currency may never have been told.
-- revision: how often the order had been changed when it cost that.
CREATE TABLE payable_orders (
  order_id  BIGINT  PRIMARY KEY,
  user_id   BIGINT  NOT NULL,
  amount    BIGINT,
  currency  TEXT,
  revision  BIGINT  NOT NULL,
  closed    BOOLEAN NOT NULL
);

-- At most one payment for each order. charge_key names it to the provider, for ever.
-- token: what stands for the card, only until the provider has answered.
-- operation: what the provider was asked last, or will be asked first.
-- provider: what the one is called who took the money, holds it or has declined it; null while none has answered. `hand`
-- when an admin has it.
-- check_at: when to find out how that ended; null while it has not been sent and once it is settled.
CREATE TABLE payments (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id         BIGINT NOT NULL UNIQUE,
  user_id          BIGINT NOT NULL,
  amount           BIGINT NOT NULL CHECK (amount >= 0),
  currency         TEXT   NOT NULL,
  refunded         BIGINT NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= amount),
  token            TEXT,
  status           TEXT   NOT NULL,
  reason           TEXT,
  charge_key       TEXT   NOT NULL UNIQUE,
  operation        TEXT   NOT NULL,
  reference        TEXT,
  provider         TEXT,
  attempts         BIGINT NOT NULL DEFAULT 0,
  check_at         BIGINT,
  created_at       BIGINT NOT NULL,
  updated_at       BIGINT NOT NULL
);

CREATE INDEX payments_by_age ON payments (created_at, id);

CREATE INDEX payments_of_user ON payments (user_id, created_at, id);

CREATE INDEX payments_by_status ON payments (status, created_at, id);

CREATE INDEX payments_to_check ON payments (check_at) WHERE check_at IS NOT NULL;

-- request_id: orders' own name for a refund that they asked for.
-- declined: how many refunds of the same money, one after the other, the provider has declined before this one.
-- check_at: when to find out how it ended, and to send it when the provider has never heard of it.
CREATE TABLE refunds (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  payment_id  BIGINT NOT NULL REFERENCES payments (id),
  request_id  TEXT   UNIQUE,
  amount      BIGINT NOT NULL CHECK (amount > 0),
  status      TEXT   NOT NULL,
  reason      TEXT,
  refund_key  TEXT   NOT NULL UNIQUE,
  reference   TEXT,
  declined    BIGINT NOT NULL DEFAULT 0,
  attempts    BIGINT NOT NULL DEFAULT 0,
  check_at    BIGINT,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);

CREATE INDEX refunds_by_payment ON refunds (payment_id, id);

CREATE INDEX refunds_to_check ON refunds (check_at) WHERE check_at IS NOT NULL;

-- The books, in double entry: the amounts of a posting sum to zero. Debits are positive, credits negative.
-- posting: `capture/<payment>`, `refund/<refund>` or `refund-reversal/<refund>`. Each is made once, in the transaction
-- that settles what it is named after; rows are never changed.
CREATE TABLE ledger (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  posting     TEXT   NOT NULL,
  order_id    BIGINT NOT NULL,
  payment_id  BIGINT NOT NULL REFERENCES payments (id),
  account     TEXT   NOT NULL,
  amount      BIGINT NOT NULL CHECK (amount <> 0),
  currency    TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  UNIQUE (posting, account)
);

CREATE INDEX ledger_by_order ON ledger (order_id, id);
