//! The rules of categories. Pure.

use std::collections::BTreeMap;

use garde::Validate;
use model::{CategoryId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{line, present, text, trimmed};

/// Categories of a shop: the whole tree is one answer.
pub(crate) const MOST: i64 = 2_000;
/// Levels of the tree: a product stands in so many lists.
pub(crate) const DEEPEST: i64 = 10;

/// A category of products, at the top or under another one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Category {
    /// Its id.
    pub(crate) id: CategoryId,
    /// The category it is below; `null` at the top.
    pub(crate) parent_id: Option<CategoryId>,
    /// Its name.
    #[schema(example = "Kitchen")]
    pub(crate) name: String,
    /// Its name in addresses; no other category has it.
    #[schema(example = "kitchen")]
    pub(crate) slug: String,
    /// For people.
    #[schema(example = "What cooks need.")]
    pub(crate) description: String,
    /// When it was added.
    pub(crate) created_at: Timestamp,
    /// Its last change.
    pub(crate) updated_at: Timestamp,
}

/// A category that somebody wants to have.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"name": "Kitchen", "slug": "kitchen", "description": "What cooks need."}))]
pub(crate) struct NewCategory {
    /// Its name.
    #[garde(custom(line::<100>))]
    #[schema(min_length = 1, max_length = 100, example = "Kitchen")]
    name: String,
    /// Made from the name, when nobody says.
    #[garde(inner(custom(is_slug)))]
    #[schema(min_length = 1, max_length = 100, example = "kitchen")]
    slug: Option<String>,
    /// For people.
    #[garde(inner(custom(text)))]
    #[schema(max_length = 10_000, example = "What cooks need.")]
    description: Option<String>,
    /// The category to put it into; at the top without.
    #[garde(skip)]
    pub(crate) parent_id: Option<CategoryId>,
}

impl NewCategory {
    /// The category, without the id that storing it will give; `None` when no slug can be made from its name.
    pub(crate) fn into_category(self, now: Timestamp) -> Option<Category> {
        let slug = self.slug.or_else(|| slugged(&self.name))?;
        Some(Category {
            id: CategoryId(0),
            parent_id: self.parent_id,
            name: trimmed(self.name),
            slug,
            description: self.description.unwrap_or_default(),
            created_at: now,
            updated_at: now,
        })
    }
}

/// What is to change. What is absent stays; `parentId: null` moves to the top.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"name": "Kitchen", "description": "What cooks need."}))]
pub(crate) struct CategoryChange {
    /// Its name. The products of the category get it as their label.
    #[garde(inner(custom(line::<100>)))]
    #[schema(min_length = 1, max_length = 100, example = "Kitchen")]
    name: Option<String>,
    /// Its name in addresses.
    #[garde(inner(custom(is_slug)))]
    #[schema(min_length = 1, max_length = 100, example = "kitchen")]
    slug: Option<String>,
    /// For people.
    #[garde(inner(custom(text)))]
    #[schema(max_length = 10_000, example = "What cooks need.")]
    description: Option<String>,
    /// The category to move it into; `null` moves it to the top.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<CategoryId>)]
    parent_id: Option<Option<CategoryId>>,
}

impl Category {
    /// Makes the change. True when there was one.
    pub(crate) fn apply(&mut self, change: CategoryChange, now: Timestamp) -> bool {
        let before = self.clone();
        if let Some(name) = change.name {
            self.name = trimmed(name);
        }
        if let Some(slug) = change.slug {
            self.slug = slug;
        }
        if let Some(description) = change.description {
            self.description = description;
        }
        if let Some(parent_id) = change.parent_id {
            self.parent_id = parent_id;
        }
        let changed = *self != before;
        if changed {
            self.updated_at = now;
        }
        changed
    }
}

/// A category with what is below it.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CategoryBranch)]
pub(crate) struct Branch {
    #[serde(flatten)]
    category: Category,
    /// By name.
    #[schema(no_recursion)]
    children: Vec<Branch>,
}

/// The tree of all categories, each level by name.
pub(crate) fn tree(categories: Vec<Category>) -> Vec<Branch> {
    let mut by_parent: BTreeMap<Option<CategoryId>, Vec<Category>> = BTreeMap::new();
    for category in categories {
        by_parent.entry(category.parent_id).or_default().push(category);
    }
    branches(&mut by_parent, None)
}

fn branches(by_parent: &mut BTreeMap<Option<CategoryId>, Vec<Category>>, parent: Option<CategoryId>) -> Vec<Branch> {
    let mut level = by_parent.remove(&parent).unwrap_or_default();
    level.sort_by(|one, next| (&one.name, one.id).cmp(&(&next.name, next.id)));
    let branch = |category: Category| Branch { children: branches(by_parent, Some(category.id)), category };
    level.into_iter().map(branch).collect()
}

/// Letters and digits in lower case, joined by single hyphens; `None` when there are none.
fn slugged(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let words = lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    (!slug.is_empty()).then_some(slug)
}

fn is_slug(text: &str, (): &()) -> garde::Result {
    if text.chars().count() <= 100 && slugged(text).as_deref() == Some(text) {
        return Ok(());
    }
    Err(garde::Error::new("must be lower case letters and digits, joined by hyphens, at most 100 characters"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn category(id: i64, parent: Option<i64>, name: &str) -> Category {
        Category {
            id: CategoryId(id),
            parent_id: parent.map(CategoryId),
            name: name.into(),
            slug: name.into(),
            description: String::new(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn slugs_are_made_from_names() {
        for (name, made) in [
            ("Home & Garden", Some("home-garden")),
            ("  Küche ", Some("küche")),
            ("C++", Some("c")),
            ("21\" screens", Some("21-screens")),
            ("🦀", None),
        ] {
            assert_eq!(slugged(name).as_deref(), made, "{name}");
        }
        for bad in ["", "A", "a b", "a--b", "-a", "a/b", &"x".repeat(101)] {
            assert!(is_slug(bad, &()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tree_has_every_category_at_its_place_by_name() {
        let all = vec![
            category(4, Some(2), "Desk lamps"),
            category(1, None, "Tables"),
            category(2, None, "Lamps"),
            category(3, Some(2), "Bulbs"),
            category(5, Some(4), "Red ones"),
        ];
        let names =
            |branches: &[Branch]| branches.iter().map(|branch| branch.category.name.clone()).collect::<Vec<_>>();
        let tree = tree(all);
        assert_eq!(names(&tree), ["Lamps", "Tables"]);
        assert_eq!(names(&tree[0].children), ["Bulbs", "Desk lamps"]);
        assert_eq!(names(&tree[0].children[1].children), ["Red ones"]);
        let json = serde_json::to_value(&tree[0].children[0]).unwrap();
        assert_eq!((&json["parentId"], &json["children"]), (&serde_json::json!(2), &serde_json::json!([])));
    }

    proptest! {
        #[test]
        fn what_is_made_into_a_slug_is_one(name in "\\PC{0,60}") {
            if let Some(made) = slugged(&name) {
                prop_assert_eq!(slugged(&made), Some(made.clone()));
            }
        }
    }
}
