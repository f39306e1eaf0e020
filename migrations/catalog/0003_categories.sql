-- Categories, each under another one or at the top.
-- relabelled_to is set while the products of a renamed category are given its name as their label, by id: it is the last
-- one that has it.
CREATE TABLE categories (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  parent_id      BIGINT,
  name           TEXT   NOT NULL,
  slug           TEXT   NOT NULL UNIQUE,
  description    TEXT   NOT NULL,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL,
  relabelled_to  BIGINT
);

CREATE INDEX categories_by_parent ON categories (parent_id);

CREATE INDEX categories_renamed ON categories (id) WHERE relabelled_to IS NOT NULL;

-- Each category with itself and with every one above it.
CREATE TABLE category_ancestors (
  category_id  BIGINT NOT NULL,
  ancestor_id  BIGINT NOT NULL,
  PRIMARY KEY (category_id, ancestor_id)
) WITHOUT ROWID;

CREATE INDEX category_descendants ON category_ancestors (ancestor_id, category_id);

-- Each product with its category and with every one above that: so that a page of a category reads only what it shows.
-- The engine keeps it in step with the two tables it follows from.
CREATE TABLE category_products (
  category_id  BIGINT NOT NULL,
  product_id   BIGINT NOT NULL,
  PRIMARY KEY (category_id, product_id)
) WITHOUT ROWID;

CREATE TRIGGER products_category_insert AFTER INSERT ON products WHEN new.category_id IS NOT NULL BEGIN
  INSERT INTO category_products (category_id, product_id)
  SELECT ancestor_id, new.id FROM category_ancestors WHERE category_id = new.category_id;
END;

CREATE TRIGGER products_category_update AFTER UPDATE OF category_id ON products
WHEN old.category_id IS NOT new.category_id BEGIN
  DELETE FROM category_products WHERE product_id = old.id
    AND category_id IN (SELECT ancestor_id FROM category_ancestors WHERE category_id = old.category_id);
  INSERT INTO category_products (category_id, product_id)
  SELECT ancestor_id, new.id FROM category_ancestors WHERE category_id = new.category_id;
END;

CREATE TRIGGER category_ancestors_insert AFTER INSERT ON category_ancestors BEGIN
  INSERT INTO category_products (category_id, product_id)
  SELECT new.ancestor_id, id FROM products WHERE category_id = new.category_id;
END;

CREATE TRIGGER category_ancestors_delete AFTER DELETE ON category_ancestors BEGIN
  DELETE FROM category_products WHERE category_id = old.ancestor_id
    AND product_id IN (SELECT id FROM products WHERE category_id = old.category_id);
END;
