//! The use cases of categories.

use std::time::Duration;

use http::StatusCode;
use model::{CategoryId, Timestamp};
use serde_json::json;
use store::{Durability, Transaction};
use web::{Answer, Caller, Error, Page, PageQuery, Result, Slice, Submitted, audit};

use crate::{
    DATABASE,
    category::{self, Branch, Category, CategoryChange, NewCategory},
    repository::categories as repository,
};

/// Products that get the new name of their category in one transaction: what one of them costs is rewriting what is
/// searched and sorted by, and nobody else writes meanwhile.
const RELABELLED_AT_ONCE: u32 = 200;
/// Such transactions of one tick.
const MOST_RELABELLINGS: u32 = 10;
/// The time that is left to others before each.
const BETWEEN_RELABELLINGS: Duration = Duration::from_millis(10);

const NO_CATEGORY: Error = Error::not_found("category");

/// What a category is called in the audit log.
fn subject(id: CategoryId) -> String {
    format!("category/{id}")
}

/// Adds a category.
pub(crate) async fn create(caller: &Caller, submitted: Submitted<NewCategory>) -> Result<Answer> {
    caller.must_sell()?;
    let Submitted { body, once } = submitted;
    let now = Timestamp::now();
    let category = body.into_category(now);
    let mut category = category.ok_or_else(|| Error::invalid("slug", "cannot be made from this name: give one"))?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            if repository::count(transaction).await? >= category::MOST {
                return Err(Error::Conflict("too-many-categories", format!("a shop has at most {}", category::MOST)));
            }
            category.id =
                repository::insert(transaction, &category).await.map_err(|error| refusal(error, &category))?;
            if category.parent_id.is_some() {
                put(transaction, &category).await?;
            }
            let details = json!({ "slug": category.slug, "parentId": category.parent_id });
            audit::record(transaction, caller, "category.created", subject(category.id), details).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &category).await
        })
        .await
}

/// The category and every one above it, the category first.
pub(crate) async fn find(id: CategoryId) -> Result<Vec<Category>> {
    let line = repository::with_ancestors(&DATABASE, id).await?;
    if line.is_empty() { Err(NO_CATEGORY) } else { Ok(line) }
}

/// A page of all categories, by id.
pub(crate) async fn list(page: &PageQuery) -> Result<Page<Category>> {
    let after = page.after::<i64>()?.unwrap_or(0);
    let categories = repository::list(&DATABASE, after, page.limit() + 1).await?;
    Page::new(categories, page.limit(), |category| category.id)
}

/// Categories by id, as lists of older shops have them: so many of them, from a place on.
pub(crate) async fn slice(slice: Slice) -> Result<Vec<Category>> {
    repository::slice(&DATABASE, slice.offset(), slice.limit()).await
}

/// All categories as a tree.
pub(crate) async fn tree() -> Result<Vec<Branch>> {
    let most = u32::try_from(category::MOST).unwrap_or(u32::MAX);
    Ok(category::tree(repository::list(&DATABASE, 0, most).await?))
}

/// Renames or moves a category, with all that is in it: everybody's products, so admins only. The labels of many
/// products follow with the ticks.
pub(crate) async fn update(caller: &Caller, id: CategoryId, change: CategoryChange) -> Result<Category> {
    caller.must_administer()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let before = repository::find_in(transaction, id).await?.ok_or(NO_CATEGORY)?;
            let mut category = before.clone();
            if !category.apply(change, Timestamp::now()) {
                return Ok(category);
            }
            if category.parent_id != before.parent_id {
                put(transaction, &category).await?;
            }
            repository::update(transaction, &category).await.map_err(|error| refusal(error, &category))?;
            if category.name != before.name {
                repository::set_renamed(transaction, id).await?;
                repository::relabel(transaction, id, RELABELLED_AT_ONCE).await?;
            }
            let details = json!({ "name": category.name, "slug": category.slug, "parentId": category.parent_id });
            audit::record(transaction, caller, "category.updated", subject(id), details).await?;
            Ok(category)
        })
        .await
}

/// Gives further products of renamed categories their new label, a bounded number at a time.
pub(crate) async fn relabel() -> Result<()> {
    for _ in 0..MOST_RELABELLINGS {
        // Most of the time there is nothing to do, and finding that out must not take the write lock.
        let Some(id) = repository::renamed(&DATABASE).await? else { break };
        // Others write, too.
        spin_sdk::time::sleep(BETWEEN_RELABELLINGS).await;
        DATABASE
            .transaction(Durability::Relaxed, async |transaction| {
                repository::relabel(transaction, id, RELABELLED_AT_ONCE).await
            })
            .await?;
    }
    Ok(())
}

/// Removes a category that is empty. The tree is the shop's: admins only.
pub(crate) async fn remove(caller: &Caller, id: CategoryId) -> Result<()> {
    caller.must_administer()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            repository::find_in(transaction, id).await?.ok_or(NO_CATEGORY)?;
            if repository::is_used(transaction, id).await? {
                let detail = "it has categories or products: move them first".to_owned();
                return Err(Error::Conflict("category-not-empty", detail));
            }
            repository::delete(transaction, id).await?;
            audit::record(transaction, caller, "category.deleted", subject(id), json!({})).await
        })
        .await
}

/// Puts a category where it says. The write lock is held: nobody else moves one meanwhile, so two moves cannot make a
/// circle together.
async fn put(transaction: &Transaction, category: &Category) -> Result<()> {
    if let Some(parent) = category.parent_id {
        let (depth, _) = repository::levels(transaction, parent).await?;
        if depth == 0 {
            return Err(Error::invalid("parentId", "is no category"));
        }
        if repository::is_within(transaction, parent, category.id).await? {
            return Err(Error::Conflict("category-circle", "a category cannot be below itself".into()));
        }
        let (_, below) = repository::levels(transaction, category.id).await?;
        if depth + 1 + below > category::DEEPEST {
            return Err(Error::Conflict(
                "category-too-deep",
                format!("a tree has at most {} levels", category::DEEPEST),
            ));
        }
    }
    Ok(repository::put_under(transaction, category.id, category.parent_id).await?)
}

/// The slug is the only thing that must be unique.
fn refusal(error: store::Error, category: &Category) -> Error {
    match error {
        store::Error::NotUnique(_) => {
            Error::Conflict("slug-taken", format!("another category has the slug {}", category.slug))
        }
        other => other.into(),
    }
}
