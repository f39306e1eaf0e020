-- The words of every active product. Contentless: the texts themselves are in products.
-- category_key is the category as one word, hexadecimal, so that a search within a category matches it exactly.
CREATE VIRTUAL TABLE product_search USING fts5 (
  name, description, category, sku, category_key,
  content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3'
);

CREATE TRIGGER products_search_insert AFTER INSERT ON products WHEN new.status = 'active' BEGIN
  INSERT INTO product_search (rowid, name, description, category, sku, category_key)
  VALUES (new.id, new.name, new.description, new.category, new.sku, hex(new.category));
END;

-- Not at a change of price or stock: those are frequent, and no words.
CREATE TRIGGER products_search_update AFTER UPDATE OF name, description, category, sku, status ON products
WHEN old.status = 'active' AND new.status = 'active'
  AND (old.name, old.description, old.category, old.sku) IS NOT (new.name, new.description, new.category, new.sku)
BEGIN
  DELETE FROM product_search WHERE rowid = old.id;
  INSERT INTO product_search (rowid, name, description, category, sku, category_key)
  VALUES (new.id, new.name, new.description, new.category, new.sku, hex(new.category));
END;

CREATE TRIGGER products_search_withdraw AFTER UPDATE OF status ON products
WHEN old.status = 'active' AND new.status <> 'active' BEGIN
  DELETE FROM product_search WHERE rowid = old.id;
END;
