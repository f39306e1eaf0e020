/// Words of a search beyond these are ignored.
const MOST_WORDS: usize = 16;

/// The words of what somebody looks for, as FTS5 strings. Whatever was typed stands in them as quoted words, never as an
/// operator: <https://www.sqlite.org/fts5.html#full_text_query_syntax>. None when nothing of it is a word.
pub fn quoted_words(text: &str) -> Vec<String> {
    text.split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| word.contains(char::is_alphanumeric))
        .take(MOST_WORDS)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect()
}

/// The FTS5 expression for what has, for each of these [words](quoted_words), one that begins so.
pub fn all_begun(words: &[String]) -> String {
    words.iter().map(|word| format!("{word}*")).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_quoted_words() {
        assert_eq!(all_begun(&quoted_words("red lamp")), "\"red\"* AND \"lamp\"*");
        assert_eq!(all_begun(&quoted_words("a\" OR b\0*")), "\"a\"\"\"* AND \"OR\"* AND \"b\"*");
        assert!(quoted_words("** \u{1f980}").is_empty());
        assert_eq!(quoted_words(&"x ".repeat(99)).len(), MOST_WORDS);
    }
}
