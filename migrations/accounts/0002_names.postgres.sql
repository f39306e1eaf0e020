-- The words of the names of every account that is not deleted; the names themselves are in users.
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

CREATE TABLE user_names (
  rowid       BIGINT   PRIMARY KEY,
  user_names  tsvector NOT NULL
);

CREATE INDEX user_names_words ON user_names USING gin (user_names);

CREATE FUNCTION write_user_names() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.deleted_at IS NOT NULL THEN
    DELETE FROM user_names WHERE rowid = NEW.id;
    RETURN NULL;
  END IF;
  INSERT INTO user_names (rowid, user_names)
    VALUES (NEW.id, words_of(concat_ws(' ', NEW.username, NEW.first_name, NEW.last_name)))
    ON CONFLICT (rowid) DO UPDATE SET user_names = excluded.user_names;
  RETURN NULL;
END $$;

CREATE TRIGGER users_names_insert AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION write_user_names();

CREATE TRIGGER users_names_update AFTER UPDATE OF username, first_name, last_name, deleted_at ON users FOR EACH ROW
  WHEN ((OLD.username, OLD.first_name, OLD.last_name, OLD.deleted_at)
    IS DISTINCT FROM (NEW.username, NEW.first_name, NEW.last_name, NEW.deleted_at))
  EXECUTE FUNCTION write_user_names();
