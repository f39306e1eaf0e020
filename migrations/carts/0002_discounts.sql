-- Codes that make an order cheaper. value: hundredths, of a percent or of the currency. minimum: minor units.
-- uses: how many redemptions are held or used.
CREATE TABLE discounts (
  id                     INTEGER PRIMARY KEY AUTOINCREMENT,
  code                   TEXT    NOT NULL UNIQUE,
  kind                   TEXT    NOT NULL,
  value                  BIGINT  NOT NULL CHECK (value > 0),
  minimum                BIGINT,
  currency               TEXT    NOT NULL,
  starts_at              BIGINT,
  ends_at                BIGINT,
  max_uses               BIGINT,
  max_uses_per_customer  BIGINT,
  active                 BOOLEAN NOT NULL,
  uses                   BIGINT  NOT NULL DEFAULT 0 CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses)),
  created_at             BIGINT  NOT NULL,
  updated_at             BIGINT  NOT NULL
);

-- A use of a code by the order that is placed under key. status: held (the order is being placed), used, or released.
-- terms: what the order was promised, as JSON. check_at: when to ask what became of the order; null once it has been paid,
-- or has ended.
CREATE TABLE redemptions (
  key          TEXT   PRIMARY KEY,
  discount_id  BIGINT NOT NULL,
  user_id      BIGINT NOT NULL,
  terms        TEXT   NOT NULL,
  status       TEXT   NOT NULL,
  order_id     BIGINT,
  check_at     BIGINT,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL
);

CREATE INDEX redemptions_by_customer ON redemptions (discount_id, user_id) WHERE status <> 'released';

CREATE INDEX redemptions_to_check ON redemptions (check_at) WHERE check_at IS NOT NULL;

CREATE INDEX redemptions_held ON redemptions (check_at) WHERE status = 'held';
