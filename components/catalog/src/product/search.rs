use store::{Column, Find, words};

/// The words that somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    words: Vec<String>,
    /// Exactly this category.
    category: Option<String>,
}

/// The index of all texts of products, and the one of their names and numbers.
const TEXTS: &str = "product_search";
const NAMES: &str = "product_names";

const NAME: &[Column] = &[("name", 'A')];
const NAMED: &[Column] = &[("name", 'A'), ("sku", 'B'), ("upc", 'B')];
const ANYWHERE: &[Column] = &[("name", 'A'), ("description", 'C'), ("category", 'C'), ("sku", 'B'), ("upc", 'B')];
const CATEGORY: &[Column] = &[("category_key", 'D')];

/// What is asked of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression {
    /// The index.
    pub(crate) table: &'static str,
    pub(crate) words: Find,
    /// What is left out of it: what this finds in [`NAMES`](Self::NAMES).
    pub(crate) without: Option<Find>,
}

impl Expression {
    /// The index of names and numbers.
    pub(crate) const NAMES: &str = NAMES;
}

impl Search {
    /// How well a product fits: [`tier`](Self::tier) 0 is best.
    pub(crate) const TIERS: usize = 4;

    pub(crate) fn new(q: &str, category: Option<&str>) -> Self {
        Self { words: words(q), category: category.map(str::to_owned) }
    }

    /// A search without a single word: nothing contains it.
    pub(crate) fn finds_nothing(&self) -> bool {
        self.words.is_empty()
    }

    /// Each word begins a word of the product.
    pub(crate) fn all(&self) -> Expression {
        Expression { table: TEXTS, words: self.in_category(self.begun().within(ANYWHERE)), without: None }
    }

    /// What fits equally well, without what fits better: all words stand in the name or are a number of the product;
    /// they begin words of the name; they stand somewhere; they begin words somewhere. A rank that does not depend on the
    /// other products, so that a page follows the one before whatever is written in between.
    ///
    /// What the names have is looked up in an index of their own: to find in the index of all texts that a frequent word
    /// is in no name, each of its entries is read. Whole words come before beginnings for the same reason: their entries
    /// are read one by one until the page is full, those of a longer beginning are first put together, all of them.
    pub(crate) fn tier(&self, tier: usize) -> Expression {
        let named = || self.whole().within(NAMED);
        let name_begun = || self.begun().within(NAME);
        let (table, words) = match tier {
            0 => (NAMES, named()),
            1 => (NAMES, name_begun().without(named())),
            2 => (TEXTS, self.whole().within(ANYWHERE)),
            _ => (TEXTS, self.begun().within(ANYWHERE).without(self.whole().within(ANYWHERE))),
        };
        let without = (table == TEXTS).then(|| Find::Any(vec![named(), name_begun()]));
        Expression { table, words: self.in_category(words), without }
    }

    fn whole(&self) -> Find {
        Find::All(self.words.iter().cloned().map(Find::Word).collect())
    }

    fn begun(&self) -> Find {
        Find::all_begun(&self.words)
    }

    fn in_category(&self, find: Find) -> Find {
        match &self.category {
            None => find,
            Some(category) => {
                let key: String = category.bytes().map(|byte| format!("{byte:02X}")).collect();
                Find::All(vec![find, Find::Word(key).within(CATEGORY)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_for_words_that_begin_so_within_the_category() {
        let columns = "{name description category sku upc}";
        let all = |q, category| Search::new(q, category).all().words.expression(store::Engine::Sqlite);
        assert_eq!(all("red lamp", None), format!("({columns} : ((\"red\"* AND \"lamp\"*)))"));
        assert_eq!(all("x", Some("Hi")), format!("(({columns} : (\"x\"*)) AND ({{category_key}} : (\"4869\")))"));
        assert!(Search::new("** \u{1f980}", None).finds_nothing());
    }
}
