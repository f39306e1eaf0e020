-- What is for sale. Prices are minor units. An archived product keeps its row: orders refer to it.
-- stock is a projection of inventory's numbers, as of stock_version; until inventory has spoken, what the seller said.
CREATE TABLE products (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  supplier_id    BIGINT NOT NULL,
  name           TEXT   NOT NULL,
  description    TEXT   NOT NULL,
  price          BIGINT NOT NULL,
  currency       TEXT   NOT NULL,
  stock          BIGINT NOT NULL,
  stock_version  BIGINT NOT NULL DEFAULT 0,
  category       TEXT,
  sku            TEXT,
  metadata       TEXT   NOT NULL,
  status         TEXT   NOT NULL,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL
);

-- The SKU of an archived product may be used again.
CREATE UNIQUE INDEX products_sku ON products (sku) WHERE status <> 'archived';

-- One index for each combination of filters, so that a page of a list reads only what it shows. SQLite ends every
-- index with the id, and compares (price, id) along the index only where the id is not named.
CREATE INDEX products_newest ON products (status);

CREATE INDEX products_newest_in_category ON products (status, category);

CREATE INDEX products_newest_in_stock ON products (status, (CASE WHEN stock > 0 THEN 1 ELSE 0 END));

CREATE INDEX products_newest_in_category_in_stock ON products (status, category, (CASE WHEN stock > 0 THEN 1 ELSE 0 END));

CREATE INDEX products_cheapest ON products (status, price);

CREATE INDEX products_cheapest_in_category ON products (status, category, price);

CREATE INDEX products_cheapest_in_stock ON products (status, (CASE WHEN stock > 0 THEN 1 ELSE 0 END), price);

CREATE INDEX products_cheapest_in_category_in_stock
  ON products (status, category, (CASE WHEN stock > 0 THEN 1 ELSE 0 END), price);
