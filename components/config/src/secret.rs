//! What must not stand in a configuration, because it is shown: secrets belong into variables.
//!
//! A key is judged by its words, without digits at their ends: `apiKey`, `api_key`, `api-key2` and `APIKey` are `api` and
//! `key`. One that ends in a word for a secret is refused, whatever its value; one that has such a word anywhere, also in the table it stands in, is refused
//! with a text (so `token_ttl_ms = 900000` is fine). A text that looks like a secret is refused under any key.

use serde_json::Value;

use crate::document::{Document, Flaw, below};

/// Words for secrets.
const WORDS: [&str; 6] = ["authorization", "dsn", "key", "keys", "pass", "pwd"];
/// The same, also at the end of a word: `dbpassword`. Not those that other words end in, such as `monkey` and `compass`.
const ENDS: [&str; 15] = [
    "accesskey",
    "apikey",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "privatekey",
    "secret",
    "secretkey",
    "secrets",
    "signingkey",
    "token",
    "tokens",
];

/// How tokens of well-known makers begin.
const BEGINNINGS: [&str; 20] = [
    "whsec_",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "eyJ",
    "Bearer ",
    "Basic ",
    "$argon2",
    "$2a$",
    "$2b$",
];

/// Adds a flaw for each key or value that is, or may be, a secret.
pub(crate) fn find(document: &Document, flaws: &mut Vec<Flaw>) {
    for (key, value) in document {
        look(value, key, key, false, flaws);
    }
}

/// Looks at `value`, which stands at `path` under `key`; `warned` when a table above is called after a secret.
fn look(value: &Value, path: &str, key: &str, warned: bool, flaws: &mut Vec<Flaw>) {
    let words = words(key);
    let is_word = |word: &String| WORDS.contains(&word.as_str()) || ENDS.iter().any(|end| word.ends_with(end));
    let warned = warned || words.iter().any(is_word);
    let mut refuse = |problem: &str| flaws.push(Flaw { key: path.to_owned(), problem: problem.into() });
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                look(value, &below(path, key), key, warned, flaws);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                look(item, &format!("{path}[{place}]"), key, warned, flaws);
            }
        }
        _ if words.last().is_some_and(is_word) => refuse("is called like a secret: use a variable"),
        Value::String(_) if warned => refuse("is called like a secret: use a variable"),
        Value::String(text) if is_secret(text) => refuse("looks like a secret: use a variable"),
        _ => {}
    }
}

/// `apiKey2_old-DBName` is `api`, `key`, `old`, `db` and `name`.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = None;
    let mut letters = key.chars().peekable();
    while let Some(letter) = letters.next() {
        let after_lower = before.is_some_and(|before: char| !before.is_uppercase());
        // The last capital of an acronym belongs to the word behind it.
        let before_lower = letters.peek().is_some_and(|next| next.is_lowercase());
        if !letter.is_alphanumeric() || letter.is_uppercase() && (after_lower || before_lower) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
        before = Some(letter);
    }
    for word in &mut words {
        word.truncate(word.trim_end_matches(char::is_numeric).len());
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A text that looks like a secret: a token, a key in PEM, an address with a password.
fn is_secret(text: &str) -> bool {
    let text = text.trim();
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        || text.contains("-----BEGIN")
        || text.split_whitespace().any(has_password)
}

/// `scheme://user:password@host`
fn has_password(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

#[cfg(test)]
mod tests {
    use crate::document::parse;

    #[test]
    fn secrets_are_found_by_their_keys() {
        for text in [
            "password = 'x'",
            "PASSWORD = 'x'",
            "db_password = ''",
            "password = 1",
            "apiKey = 'x'",
            "api-key = true",
            "stripe_secret_key = 'x'",
            "DBPassword = 'x'",
            "JWTSecret = 'x'",
            "SMTPToken = 'x'",
            "APIKey = 'x'",
            "API_KEY = 'x'",
            "smtp_pass = 'x'",
            "smtpPass = 1",
            "password2 = 'x'",
            "apiKey2 = 'x'",
            "secretkey = 'x'",
            "dbpassword = 'x'",
            "authtokens = ['x']",
            "my_secret_2 = 'x'",
            "accessToken = 'x'",
            "'the secret' = 'x'",
            "password_of_admin = 'x'",
            "dsn = 'x'",
            "tokens = ['x']",
            "credentials.user = 'x'",
            "[secrets]\nany = 'x'",
            "[a.credentials]\nb.c = ['x']",
            "[[a]]\nkey = 1",
        ] {
            let flaws = parse(text).unwrap_err();
            assert_eq!(flaws.len(), 1, "{text}: {flaws:?}");
            assert!(flaws[0].problem.contains("called like"), "{text}: {flaws:?}");
        }
    }

    #[test]
    fn secrets_are_found_by_their_looks() {
        for value in [
            "whsec_abc",
            " sk_live_abc",
            "ghp_abc",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
            "Bearer abc",
            "-----BEGIN PRIVATE KEY-----",
            "postgres://shop:horse@db/shop",
            "see redis://:horse@cache:6379 for it",
        ] {
            for text in [format!("a = '{value}'"), format!("a.b = [1, '{value}']")] {
                let flaws = parse(&text).unwrap_err();
                assert_eq!(flaws.len(), 1, "{text}");
                assert!(flaws[0].problem.contains("looks like") && !flaws[0].problem.contains("horse"), "{flaws:?}");
            }
        }
    }

    #[test]
    fn limits_and_names_are_no_secrets() {
        for text in [
            "token_ttl_ms = 900000",
            "password_min_length = 8",
            "keyboard = 'x'",
            "monkey = 'x'",
            "compass = 'x'",
            "bypass = true",
            "passage = 'x'",
            "passTTL = 1",
            "TOKENTtlMs = 1",
            "EUCountries = ['de']",
            "[token]\nttl = 1",
            "url = 'https://api.example.com/x?y=a:b@c'",
            "host = 'postgres://db/shop'",
            "user = 'postgres://shop@db'",
            "author = 'x'",
            "authors = ['x']",
            "mail = 'ann@example.com'",
            "[login]\nrate = 0.5",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn each_flaw_says_where() {
        let flaws = parse("a = 'Basic x'\n[b]\nok = 1\nsecret = 'x'\nc = ['ok', 'whsec_1']").unwrap_err();
        let mut keys: Vec<_> = flaws.iter().map(|flaw| flaw.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["a", "b.c[1]", "b.secret"]);
    }
}
