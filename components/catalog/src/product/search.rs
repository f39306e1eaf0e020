use store::{all_begun, quoted_words};

/// The words that somebody looks for, as FTS5 expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    words: Vec<String>,
    /// Exactly this category.
    category: Option<String>,
}

impl Search {
    /// How well a product fits: [`tier`](Self::tier) 0 is best.
    pub(crate) const TIERS: usize = 3;

    pub(crate) fn new(q: &str, category: Option<&str>) -> Self {
        Self { words: quoted_words(q), category: category.map(str::to_owned) }
    }

    /// A search without a single word: nothing contains it.
    pub(crate) fn finds_nothing(&self) -> bool {
        self.words.is_empty()
    }

    /// Each word begins a word of the product.
    pub(crate) fn all(&self) -> String {
        self.within(&self.anywhere())
    }

    /// What fits equally well, without what fits better: all words stand in the name or are a number of the product;
    /// they begin words of the name; they are somewhere. A rank that does not depend on the other products, so that a
    /// page follows the one before whatever is written in between.
    pub(crate) fn tier(&self, tier: usize) -> String {
        let whole = format!("({{name sku upc}} : ({}))", self.words.join(" AND "));
        let begun = format!("({{name}} : ({}))", all_begun(&self.words));
        match tier {
            0 => self.within(&whole),
            1 => self.within(&format!("({begun} NOT {whole})")),
            _ => self.within(&format!("(({} NOT {begun}) NOT {whole})", self.anywhere())),
        }
    }

    fn anywhere(&self) -> String {
        format!("({{name description category sku upc}} : ({}))", all_begun(&self.words))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_quoted_words() {
        let columns = "{name description category sku upc}";
        assert_eq!(Search::new("red lamp", None).all(), format!("({columns} : (\"red\"* AND \"lamp\"*))"));
        assert_eq!(
            Search::new("a\" OR b\0*", None).all(),
            format!("({columns} : (\"a\"\"\"* AND \"OR\"* AND \"b\"*))")
        );
        assert_eq!(Search::new("x", Some("Hi")).all(), format!("({columns} : (\"x\"*)) AND category_key : \"4869\""));
        assert!(Search::new("** \u{1f980}", None).finds_nothing());
    }
}
