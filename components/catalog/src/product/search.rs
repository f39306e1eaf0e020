use store::{all_begun, quoted_words};

/// The words that somebody looks for, as FTS5 expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    words: Vec<String>,
    /// Exactly this category.
    category: Option<String>,
}

/// The index of all texts of products, and the one of their names and numbers.
const TEXTS: &str = "product_search";
const NAMES: &str = "product_names";

/// What is asked of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression {
    /// The index.
    pub(crate) table: &'static str,
    pub(crate) words: String,
    /// What is left out of it: what this finds in [`NAMES`](Self::NAMES).
    pub(crate) without: Option<String>,
}

impl Expression {
    /// The index of names and numbers.
    pub(crate) const NAMES: &str = NAMES;
}

impl Search {
    /// How well a product fits: [`tier`](Self::tier) 0 is best.
    pub(crate) const TIERS: usize = 4;

    pub(crate) fn new(q: &str, category: Option<&str>) -> Self {
        Self { words: quoted_words(q), category: category.map(str::to_owned) }
    }

    /// A search without a single word: nothing contains it.
    pub(crate) fn finds_nothing(&self) -> bool {
        self.words.is_empty()
    }

    /// Each word begins a word of the product.
    pub(crate) fn all(&self) -> Expression {
        Expression { table: TEXTS, words: self.within(&anywhere(&self.begun())), without: None }
    }

    /// What fits equally well, without what fits better: all words stand in the name or are a number of the product;
    /// they begin words of the name; they stand somewhere; they begin words somewhere. A rank that does not depend on the
    /// other products, so that a page follows the one before whatever is written in between.
    ///
    /// What the names have is looked up in an index of their own: to find in the index of all texts that a frequent word
    /// is in no name, each of its entries is read. Whole words come before beginnings for the same reason: their entries
    /// are read one by one until the page is full, those of a longer beginning are first put together, all of them.
    pub(crate) fn tier(&self, tier: usize) -> Expression {
        let named = format!("({{name sku upc}} : ({}))", self.whole());
        let name_begun = format!("({{name}} : ({}))", self.begun());
        let (table, words) = match tier {
            0 => (NAMES, named.clone()),
            1 => (NAMES, format!("({name_begun} NOT {named})")),
            2 => (TEXTS, anywhere(&self.whole())),
            _ => (TEXTS, format!("({} NOT {})", anywhere(&self.begun()), anywhere(&self.whole()))),
        };
        let without = (table == TEXTS).then(|| format!("{named} OR {name_begun}"));
        Expression { table, words: self.within(&words), without }
    }

    fn whole(&self) -> String {
        self.words.join(" AND ")
    }

    fn begun(&self) -> String {
        all_begun(&self.words)
    }

    fn within(&self, expression: &str) -> String {
        match &self.category {
            None => expression.to_owned(),
            Some(category) => {
                let key: String = category.bytes().map(|byte| format!("{byte:02X}")).collect();
                format!("{expression} AND category_key : \"{key}\"")
            }
        }
    }
}

fn anywhere(words: &str) -> String {
    format!("({{name description category sku upc}} : ({words}))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_quoted_words() {
        let columns = "{name description category sku upc}";
        let all = |q, category| Search::new(q, category).all().words;
        assert_eq!(all("red lamp", None), format!("({columns} : (\"red\"* AND \"lamp\"*))"));
        assert_eq!(all("a\" OR b\0*", None), format!("({columns} : (\"a\"\"\"* AND \"OR\"* AND \"b\"*))"));
        assert_eq!(all("x", Some("Hi")), format!("({columns} : (\"x\"*)) AND category_key : \"4869\""));
        assert!(Search::new("** \u{1f980}", None).finds_nothing());
    }
}
