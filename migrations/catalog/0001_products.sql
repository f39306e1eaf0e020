-- What is for sale. Prices are minor units. An archived product keeps its row: orders refer to it.
-- stock is a projection of inventory's numbers, as of stock_version; until inventory has spoken, what the seller said.
-- body is the product as customers read it, in JSON. The engine writes it with every change of the columns it is made of,
-- so it cannot disagree with them, and reading a product is reading one text.
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
  updated_at     BIGINT NOT NULL,
  body           TEXT   NOT NULL GENERATED ALWAYS AS (
    '{"id":' || id
    || ',"name":' || json_quote(name)
    || ',"description":' || json_quote(description)
    -- Exact: whole units, and one or two decimals.
    || ',"price":' || (price / 100) || '.' || CASE price % 10 WHEN 0 THEN price % 100 / 10 ELSE printf('%02d', price % 100) END
    || ',"currency":' || json_quote(currency)
    || ',"stock":' || stock
    || ',"category":' || json_quote(category)
    || ',"sku":' || json_quote(sku)
    || ',"metadata":' || metadata
    || ',"status":' || json_quote(status)
    || ',"createdAt":"' || strftime('%Y-%m-%dT%H:%M:%S', created_at / 1000, 'unixepoch') || printf('.%03dZ', created_at % 1000)
    || '","updatedAt":"' || strftime('%Y-%m-%dT%H:%M:%S', updated_at / 1000, 'unixepoch') || printf('.%03dZ', updated_at % 1000)
    || '"}'
  ) STORED
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
