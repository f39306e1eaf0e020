-- The words of every product that is not deleted. Contentless: the texts themselves are in products.
-- category_key is the category as one word, hexadecimal, so that a search within a category matches it exactly.
CREATE VIRTUAL TABLE product_search USING fts5 (
  name, description, category, sku, upc, category_key,
  content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3'
);

-- The words of names and numbers alone: so that what is in few names is known at once, however many descriptions have it.
-- Beginnings of up to six letters have entries of their own, which are read one by one.
CREATE VIRTUAL TABLE product_names USING fts5 (
  name, sku, upc, category_key,
  content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3 4 5 6'
);

CREATE TRIGGER products_search_insert AFTER INSERT ON products BEGIN
  INSERT INTO product_search (rowid, name, description, category, sku, upc, category_key)
  VALUES (new.id, new.name, new.description, new.category, new.sku, new.upc, hex(new.category));
  INSERT INTO product_names (rowid, name, sku, upc, category_key)
  VALUES (new.id, new.name, new.sku, new.upc, hex(new.category));
END;

-- Not at a change of price or stock: those are frequent, and no words.
CREATE TRIGGER products_search_update AFTER UPDATE OF name, description, category, sku, upc ON products
WHEN new.deleted_at IS NULL AND (old.name, old.description, old.category, old.sku, old.upc)
  IS NOT (new.name, new.description, new.category, new.sku, new.upc)
BEGIN
  DELETE FROM product_search WHERE rowid = old.id;
  DELETE FROM product_names WHERE rowid = old.id;
  INSERT INTO product_search (rowid, name, description, category, sku, upc, category_key)
  VALUES (new.id, new.name, new.description, new.category, new.sku, new.upc, hex(new.category));
  INSERT INTO product_names (rowid, name, sku, upc, category_key)
  VALUES (new.id, new.name, new.sku, new.upc, hex(new.category));
END;

CREATE TRIGGER products_search_delete AFTER UPDATE OF deleted_at ON products
WHEN old.deleted_at IS NULL AND new.deleted_at IS NOT NULL BEGIN
  DELETE FROM product_search WHERE rowid = old.id;
  DELETE FROM product_names WHERE rowid = old.id;
END;
