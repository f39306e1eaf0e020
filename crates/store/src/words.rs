use crate::Engine;

/// Words of a search beyond these are ignored.
const MOST_WORDS: usize = 16;

/// The words of what somebody looks for. Whatever was typed stands in them as words, never as an operator. None when nothing
/// of it is a word.
pub fn words(text: &str) -> Vec<String> {
    text.split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| word.contains(char::is_alphanumeric))
        .take(MOST_WORDS)
        .map(str::to_owned)
        .collect()
}

/// A column of an index of words, and the weight that its words have where there are no columns (in Postgres, A to D).
pub type Column = (&'static str, char);

/// What is asked of an index of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    /// The word.
    Word(String),
    /// A word that begins so.
    Begun(String),
    /// All of them.
    All(Vec<Find>),
    /// One of them.
    Any(Vec<Find>),
    /// The first and not the second.
    Without(Box<Find>, Box<Find>),
    /// In these columns.
    In(&'static [Column], Box<Find>),
}

impl Find {
    /// Each of these [`words`] begins a word.
    pub fn all_begun(words: &[String]) -> Self {
        Self::All(words.iter().cloned().map(Self::Begun).collect())
    }

    /// The first and not the second.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self::Without(Box::new(self), Box::new(other))
    }

    /// In these columns.
    #[must_use]
    pub fn within(self, columns: &'static [Column]) -> Self {
        Self::In(columns, Box::new(self))
    }

    /// In the words of the engine: an expression of FTS5, <https://www.sqlite.org/fts5.html#full_text_query_syntax>, or what
    /// `to_tsquery` takes, <https://www.postgresql.org/docs/current/datatype-textsearch.html#DATATYPE-TSQUERY>.
    pub fn expression(&self, engine: Engine) -> String {
        match engine {
            Engine::Sqlite => self.fts5(),
            Engine::Postgres => self.tsquery(""),
        }
    }

    fn fts5(&self) -> String {
        let joined = |all: &[Self], operator: &str| {
            let all: Vec<_> = all.iter().map(Self::fts5).collect();
            if all.len() == 1 { all.concat() } else { format!("({})", all.join(operator)) }
        };
        match self {
            Self::Word(word) => format!("\"{}\"", word.replace('"', "\"\"")),
            Self::Begun(word) => format!("\"{}\"*", word.replace('"', "\"\"")),
            Self::All(all) => joined(all, " AND "),
            Self::Any(all) => joined(all, " OR "),
            Self::Without(one, other) => format!("({} NOT {})", one.fts5(), other.fts5()),
            Self::In(columns, one) => {
                let columns: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
                format!("({{{}}} : ({}))", columns.join(" "), one.fts5())
            }
        }
    }

    fn tsquery(&self, weights: &str) -> String {
        let joined = |all: &[Self], operator: &str| {
            let all: Vec<_> = all.iter().map(|one| one.tsquery(weights)).collect();
            format!("({})", all.join(operator))
        };
        match self {
            Self::Word(word) => lexeme(word, "", weights),
            Self::Begun(word) => lexeme(word, "*", weights),
            Self::All(all) => joined(all, " & "),
            Self::Any(all) => joined(all, " | "),
            Self::Without(one, other) => format!("({} & !{})", one.tsquery(weights), other.tsquery(weights)),
            Self::In(columns, one) => one.tsquery(&columns.iter().map(|(_, weight)| *weight).collect::<String>()),
        }
    }
}

/// Only letters and digits, and so nothing that ends the quotes: what is between them divides words.
fn lexeme(word: &str, begun: &str, weights: &str) -> String {
    let plain: String =
        word.chars().map(|character| if character.is_alphanumeric() { character } else { ' ' }).collect();
    let label = format!("{begun}{weights}");
    format!("'{}'{}{label}", plain.trim(), if label.is_empty() { "" } else { ":" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[Column] = &[("name", 'A'), ("sku", 'B')];

    #[test]
    fn searches_are_quoted_words() {
        let all = |text| Find::all_begun(&words(text)).expression(Engine::Sqlite);
        assert_eq!(all("red lamp"), "(\"red\"* AND \"lamp\"*)");
        assert_eq!(all("a\" OR b\0*"), "(\"a\"\"\"* AND \"OR\"* AND \"b\"*)");
        assert!(words("** \u{1f980}").is_empty());
        assert_eq!(words(&"x ".repeat(99)).len(), MOST_WORDS);
    }

    #[test]
    fn both_engines_are_asked_for_the_same() {
        let lamp = || Find::Word("lamp".into());
        let find = Find::All(vec![lamp().within(NAME), Find::Begun("re-d'".into())]).without(lamp());
        let fts5 = "((({name sku} : (\"lamp\")) AND \"re-d'\"*) NOT \"lamp\")";
        assert_eq!(find.expression(Engine::Sqlite), fts5);
        assert_eq!(find.expression(Engine::Postgres), "(('lamp':AB & 're d':*) & !'lamp')");
    }
}
