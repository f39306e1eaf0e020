-- Products. Prices are minor units, images a JSON array. A deleted product keeps its row: orders refer to it.
-- category is a label; where category_id is set, the label is the name of that category.
-- stock is a projection of inventory's numbers, as of stock_version; until inventory has spoken, what the seller said.
-- body is the product as customers read it, in JSON. The engine writes it with every change of the columns it is made of,
-- so it cannot disagree with them, and reading a product is reading one text.
CREATE TABLE products (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  supplier_id    BIGINT NOT NULL,
  name           TEXT   NOT NULL COLLATE NOCASE,
  description    TEXT   NOT NULL,
  price          BIGINT NOT NULL,
  currency       TEXT   NOT NULL,
  stock          BIGINT NOT NULL,
  stock_version  BIGINT NOT NULL DEFAULT 0,
  category       TEXT,
  category_id    BIGINT,
  sku            TEXT,
  upc            TEXT,
  images         TEXT   NOT NULL DEFAULT '[]',
  metadata       TEXT   NOT NULL,
  status         TEXT   NOT NULL,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL,
  deleted_at     BIGINT,
  body           TEXT   NOT NULL GENERATED ALWAYS AS (
    '{"id":' || id
    || ',"name":' || json_quote(name)
    || ',"description":' || json_quote(description)
    -- Exact: whole units, and one or two decimals.
    || ',"price":' || (price / 100) || '.' || CASE price % 10 WHEN 0 THEN price % 100 / 10 ELSE printf('%02d', price % 100) END
    || ',"currency":' || json_quote(currency)
    || ',"stock":' || stock
    || ',"category":' || json_quote(category)
    || ',"categoryId":' || json_quote(category_id)
    || ',"sku":' || json_quote(sku)
    || ',"upc":' || json_quote(upc)
    || ',"images":' || images
    || ',"metadata":' || metadata
    || ',"status":' || json_quote(status)
    || ',"supplierId":' || supplier_id
    || ',"createdAt":"' || strftime('%Y-%m-%dT%H:%M:%S', created_at / 1000, 'unixepoch') || printf('.%03dZ', created_at % 1000)
    || '","updatedAt":"' || strftime('%Y-%m-%dT%H:%M:%S', updated_at / 1000, 'unixepoch') || printf('.%03dZ', updated_at % 1000)
    || '"}'
  ) STORED
);

-- The SKU of a deleted product may be used again.
CREATE UNIQUE INDEX products_sku ON products (sku) WHERE deleted_at IS NULL;

CREATE INDEX products_of_supplier ON products (supplier_id);

CREATE INDEX products_of_category ON products (category_id);

-- One index for each combination of filters, so that a page of a list reads only what it shows. SQLite ends every
-- index with the id, and compares (price, id) along the index only where the id is not named.
CREATE INDEX products_newest ON products (status);

CREATE INDEX products_newest_in_category ON products (status, category);

CREATE INDEX products_newest_in_stock ON products (status, (stock > 0));

CREATE INDEX products_newest_in_category_in_stock ON products (status, category, (stock > 0));

CREATE INDEX products_cheapest ON products (status, price);

CREATE INDEX products_cheapest_in_category ON products (status, category, price);

CREATE INDEX products_cheapest_in_stock ON products (status, (stock > 0), price);

CREATE INDEX products_cheapest_in_category_in_stock
  ON products (status, category, (stock > 0), price);

CREATE INDEX products_by_name ON products (status, name);

CREATE INDEX products_by_name_in_category ON products (status, category, name);

-- What a product's metadata says, a row for each text, number or boolean at its path (`size.eu`; the elements of a list
-- have the path of the list): so that products are found by it. The engine writes it with the products.
CREATE TABLE product_metadata (
  path        TEXT   NOT NULL,
  value       TEXT   NOT NULL,
  product_id  BIGINT NOT NULL,
  PRIMARY KEY (path, value, product_id)
) WITHOUT ROWID;

CREATE INDEX product_metadata_of_product ON product_metadata (product_id, path);

CREATE TRIGGER products_metadata_insert AFTER INSERT ON products WHEN new.metadata <> '{}' BEGIN
  INSERT OR IGNORE INTO product_metadata (path, value, product_id)
  SELECT replace(substr(CASE WHEN typeof(key) = 'integer' THEN path ELSE fullkey END, 3), '"', ''),
    CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(atom AS TEXT) END, new.id
  FROM json_tree(new.metadata) WHERE atom IS NOT NULL AND length(atom) <= 200 LIMIT 100;
END;

CREATE TRIGGER products_metadata_update AFTER UPDATE OF metadata, deleted_at ON products
WHEN old.metadata <> new.metadata OR new.deleted_at IS NOT NULL BEGIN
  DELETE FROM product_metadata WHERE product_id = old.id;
  INSERT OR IGNORE INTO product_metadata (path, value, product_id)
  SELECT replace(substr(CASE WHEN typeof(key) = 'integer' THEN path ELSE fullkey END, 3), '"', ''),
    CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(atom AS TEXT) END, new.id
  FROM json_tree(new.metadata) WHERE atom IS NOT NULL AND length(atom) <= 200 AND new.deleted_at IS NULL LIMIT 100;
END;
