-- The words of the names of every account that is not deleted; the names themselves are in users.
CREATE VIRTUAL TABLE user_names USING fts5 (
  username, first_name, last_name,
  content = 'users', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3'
);

-- What is deleted is gone at once, and not when the index is next tidied up: nothing says any more who it was.
INSERT INTO user_names (user_names, rank) VALUES ('secure-delete', 1);

CREATE TRIGGER users_names_insert AFTER INSERT ON users BEGIN
  INSERT INTO user_names (rowid, username, first_name, last_name)
  VALUES (new.id, new.username, new.first_name, new.last_name);
END;

CREATE TRIGGER users_names_update AFTER UPDATE OF username, first_name, last_name ON users
WHEN new.deleted_at IS NULL AND (old.username, old.first_name, old.last_name)
  IS NOT (new.username, new.first_name, new.last_name)
BEGIN
  INSERT INTO user_names (user_names, rowid, username, first_name, last_name)
  VALUES ('delete', old.id, old.username, old.first_name, old.last_name);
  INSERT INTO user_names (rowid, username, first_name, last_name)
  VALUES (new.id, new.username, new.first_name, new.last_name);
END;

CREATE TRIGGER users_names_delete AFTER UPDATE OF deleted_at ON users
WHEN old.deleted_at IS NULL AND new.deleted_at IS NOT NULL BEGIN
  INSERT INTO user_names (user_names, rowid, username, first_name, last_name)
  VALUES ('delete', old.id, old.username, old.first_name, old.last_name);
END;
