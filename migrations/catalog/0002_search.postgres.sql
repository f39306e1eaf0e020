-- The words of every product that is not deleted: of its name (A), its numbers (B), its other texts (C), and its category
-- as one word, hexadecimal (D), so that a search within a category matches it exactly.
-- Services may share a database, and start together.
SELECT 1 FROM pg_advisory_xact_lock(7310023);

CREATE EXTENSION IF NOT EXISTS unaccent SCHEMA public;

-- The words of a text, without diacritics and without regard to upper and lower case.
CREATE FUNCTION words_of(value TEXT) RETURNS tsvector LANGUAGE sql STABLE AS $$
  SELECT to_tsvector('simple', regexp_replace(public.unaccent(lower(coalesce(value, '') COLLATE "und-x-icu")), '[^[:alnum:]]+', ' ', 'g'))
$$;

-- The same for what is asked of them, an expression of words in quotes.
CREATE FUNCTION asked(expression TEXT) RETURNS tsquery LANGUAGE sql STABLE AS $$
  SELECT to_tsquery('simple', public.unaccent(lower(expression COLLATE "und-x-icu")))
$$;

CREATE TABLE product_search (
  rowid           BIGINT   PRIMARY KEY,
  product_search  tsvector NOT NULL
);

CREATE INDEX product_search_words ON product_search USING gin (product_search);

-- The words of names and numbers alone, for what is looked for in them first.
CREATE TABLE product_names (
  rowid          BIGINT   PRIMARY KEY,
  product_names  tsvector NOT NULL
);

CREATE INDEX product_names_words ON product_names USING gin (product_names);

CREATE FUNCTION write_product_words() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  names tsvector;
BEGIN
  IF NEW.deleted_at IS NOT NULL THEN
    DELETE FROM product_search WHERE rowid = NEW.id;
    DELETE FROM product_names WHERE rowid = NEW.id;
    RETURN NULL;
  END IF;
  names := setweight(words_of(NEW.name), 'A') || setweight(words_of(concat_ws(' ', NEW.sku, NEW.upc)), 'B')
    || setweight(to_tsvector('simple', encode(convert_to(coalesce(NEW.category, ''), 'UTF8'), 'hex')), 'D');
  INSERT INTO product_names (rowid, product_names) VALUES (NEW.id, names)
    ON CONFLICT (rowid) DO UPDATE SET product_names = excluded.product_names;
  INSERT INTO product_search (rowid, product_search)
    VALUES (NEW.id, names || setweight(words_of(concat_ws(' ', NEW.description, NEW.category)), 'C'))
    ON CONFLICT (rowid) DO UPDATE SET product_search = excluded.product_search;
  RETURN NULL;
END $$;

CREATE TRIGGER products_search_insert AFTER INSERT ON products FOR EACH ROW EXECUTE FUNCTION write_product_words();

-- Not at a change of price or stock: those are frequent, and no words.
CREATE TRIGGER products_search_update AFTER UPDATE OF name, description, category, sku, upc, deleted_at ON products FOR EACH ROW
  WHEN ((OLD.name COLLATE "C", OLD.description, OLD.category, OLD.sku, OLD.upc, OLD.deleted_at)
    IS DISTINCT FROM (NEW.name COLLATE "C", NEW.description, NEW.category, NEW.sku, NEW.upc, NEW.deleted_at))
  EXECUTE FUNCTION write_product_words();
