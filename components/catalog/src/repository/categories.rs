//! SQL of categories.

use std::collections::BTreeMap;

use model::{CategoryId, Timestamp};
use store::{Database, Row, Transaction, Value, params};
use web::Result;

use super::list_of;
use crate::category::Category;

const COLUMNS: &str = "c.id, c.parent_id, c.name, c.slug, c.description, c.created_at, c.updated_at";

fn category(mut row: Row) -> Result<Category> {
    Ok(Category {
        id: CategoryId(row.next()?),
        parent_id: row.next::<Option<i64>>()?.map(CategoryId),
        name: row.next()?,
        slug: row.next()?,
        description: row.next()?,
        created_at: Timestamp(row.next()?),
        updated_at: Timestamp(row.next()?),
    })
}

/// The category and every one above it, the category first; none when there is no such category.
pub(crate) async fn with_ancestors(database: &Database, id: CategoryId) -> Result<Vec<Category>> {
    let query = format!(
        "SELECT {COLUMNS} FROM category_ancestors a CROSS JOIN categories c ON c.id = a.ancestor_id WHERE a.category_id = $1"
    );
    let known = database.query(&query, params![id.0]).await?.into_iter().map(category).collect::<Result<Vec<_>>>()?;
    let mut by_id: BTreeMap<CategoryId, Category> = known.into_iter().map(|category| (category.id, category)).collect();
    let mut line = Vec::with_capacity(by_id.len());
    let mut next = Some(id);
    while let Some(category) = next.and_then(|id| by_id.remove(&id)) {
        next = category.parent_id;
        line.push(category);
    }
    Ok(line)
}

/// Categories after that one, by id.
pub(crate) async fn list(database: &Database, after: i64, count: u32) -> Result<Vec<Category>> {
    let query = format!("SELECT {COLUMNS} FROM categories c WHERE c.id > $1 ORDER BY c.id LIMIT $2");
    database.query(&query, params![after, count]).await?.into_iter().map(category).collect()
}

/// Up to `count` categories after `offset` others, by id. There are few.
pub(crate) async fn slice(database: &Database, offset: u32, count: u32) -> Result<Vec<Category>> {
    let query = format!("SELECT {COLUMNS} FROM categories c WHERE c.id > 0 ORDER BY c.id LIMIT $1 OFFSET $2");
    database.query(&query, params![count, offset]).await?.into_iter().map(category).collect()
}

pub(crate) async fn find_in(transaction: &Transaction, id: CategoryId) -> Result<Option<Category>> {
    let query = format!("SELECT {COLUMNS} FROM categories c WHERE c.id = $1");
    transaction.query_one(&query, params![id.0]).await?.map(category).transpose()
}

/// The names of those that exist.
pub(crate) async fn names(transaction: &Transaction, ids: &[CategoryId]) -> Result<BTreeMap<CategoryId, String>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (list, params) = list_of(ids.iter().map(|id| Value::Integer(id.0)).collect());
    let rows = transaction.query(&format!("SELECT id, name FROM categories WHERE id IN ({list})"), params).await?;
    rows.into_iter().map(|mut row| Ok((CategoryId(row.next()?), row.next()?))).collect()
}

pub(crate) async fn count(transaction: &Transaction) -> Result<i64> {
    let row = transaction.query_one("SELECT count(*) FROM categories", params![]).await?;
    Ok(row.map(|mut row| row.next()).transpose()?.unwrap_or(0))
}

/// How many levels a category has above it, and how many below; `None` above when there is no such category.
pub(crate) async fn levels(transaction: &Transaction, id: CategoryId) -> Result<(i64, i64)> {
    const LEVELS: &str = "SELECT (SELECT count(*) FROM category_ancestors WHERE category_id = $1), \
         (SELECT COALESCE(max(n), 0) FROM (SELECT count(*) AS n FROM category_ancestors d \
         CROSS JOIN category_ancestors a ON a.category_id = d.category_id WHERE d.ancestor_id = $1 GROUP BY d.category_id) AS lines)";
    let Some(mut row) = transaction.query_one(LEVELS, params![id.0]).await? else { return Ok((0, 0)) };
    let (with_above, deepest): (i64, i64) = (row.next()?, row.next()?);
    Ok((with_above, deepest - with_above))
}

/// Whether the one is the other, or below it.
pub(crate) async fn is_within(transaction: &Transaction, id: CategoryId, above: CategoryId) -> Result<bool> {
    const WITHIN: &str = "SELECT 1 FROM category_ancestors WHERE category_id = $1 AND ancestor_id = $2";
    Ok(transaction.query_one(WITHIN, params![id.0, above.0]).await?.is_some())
}

/// Stores a new category and returns its id. [`store::Error::NotUnique`] when another one has its slug.
pub(crate) async fn insert(transaction: &Transaction, category: &Category) -> store::Result<CategoryId> {
    let row = transaction
        .query_one(
            "INSERT INTO categories (parent_id, name, slug, description, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
            params![
                category.parent_id.map(|id| id.0),
                category.name.as_str(),
                category.slug.as_str(),
                category.description.as_str(),
                category.created_at.0,
                category.updated_at.0,
            ],
        )
        .await?;
    let id: i64 = row.ok_or_else(|| store::Error::Engine("an INSERT returned no row".into()))?.next()?;
    transaction
        .execute("INSERT INTO category_ancestors (category_id, ancestor_id) VALUES ($1, $1)", params![id])
        .await?;
    Ok(CategoryId(id))
}

/// Stores what may have changed, but for its place. [`store::Error::NotUnique`] when another one has its slug.
pub(crate) async fn update(transaction: &Transaction, category: &Category) -> store::Result<()> {
    transaction
        .execute(
            "UPDATE categories SET parent_id = $1, name = $2, slug = $3, description = $4, updated_at = $5 WHERE id = $6",
            params![
                category.parent_id.map(|id| id.0),
                category.name.as_str(),
                category.slug.as_str(),
                category.description.as_str(),
                category.updated_at.0,
                category.id.0,
            ],
        )
        .await
}

pub(super) const UNDER_NOBODY: &str = "DELETE FROM category_ancestors \
     WHERE category_id IN (SELECT category_id FROM category_ancestors WHERE ancestor_id = $1) \
     AND ancestor_id IN (SELECT ancestor_id FROM category_ancestors WHERE category_id = $1 AND ancestor_id <> $1)";
pub(super) const UNDER: &str = "INSERT INTO category_ancestors (category_id, ancestor_id) SELECT d.category_id, a.ancestor_id \
     FROM category_ancestors d CROSS JOIN category_ancestors a WHERE d.ancestor_id = $1 AND a.category_id = $2";

/// Puts a category, and all below it, under another one or at the top. As much work as products are in it.
pub(crate) async fn put_under(
    transaction: &Transaction,
    id: CategoryId,
    parent: Option<CategoryId>,
) -> store::Result<()> {
    transaction.execute(UNDER_NOBODY, params![id.0]).await?;
    match parent {
        Some(parent) => transaction.execute(UNDER, params![id.0, parent.0]).await,
        None => Ok(()),
    }
}

/// Notes that the products of a category do not have its name as their label any more.
pub(crate) async fn set_renamed(transaction: &Transaction, id: CategoryId) -> store::Result<()> {
    transaction.execute("UPDATE categories SET relabelled_to = 0 WHERE id = $1", params![id.0]).await
}

pub(super) const RENAMED: &str = "SELECT id FROM categories WHERE relabelled_to IS NOT NULL ORDER BY id LIMIT 1";

/// A category whose products do not all have its name as their label yet.
pub(crate) async fn renamed(database: &Database) -> Result<Option<CategoryId>> {
    let row = database.query_one(RENAMED, params![]).await?;
    Ok(row.map(|mut row| row.next()).transpose()?.map(CategoryId))
}

pub(super) const RELABEL: &str = "UPDATE products SET category = (SELECT c.name FROM categories c WHERE c.id = $1) \
     WHERE id IN (SELECT p.id FROM products p INDEXED BY products_of_category WHERE p.category_id = $1 \
     AND p.id > (SELECT c.relabelled_to FROM categories c WHERE c.id = $1) ORDER BY p.id LIMIT $2) RETURNING id";
pub(super) const SET_RELABELLED: &str = "UPDATE categories SET relabelled_to = $1 WHERE id = $2";

/// Gives the next `count` products of a renamed category its name as their label, by id.
pub(crate) async fn relabel(transaction: &Transaction, id: CategoryId, count: u32) -> Result<()> {
    let relabelled = transaction.query(RELABEL, params![id.0, count]).await?;
    let relabelled = relabelled.into_iter().map(|mut row| row.next()).collect::<store::Result<Vec<i64>>>()?;
    let all = u32::try_from(relabelled.len()).is_ok_and(|relabelled| relabelled < count);
    let to = if all { None } else { relabelled.into_iter().max() };
    Ok(transaction.execute(SET_RELABELLED, params![to, id.0]).await?)
}

/// Whether anything is in it: a category, or a product.
pub(crate) async fn is_used(transaction: &Transaction, id: CategoryId) -> Result<bool> {
    const USED: &str = "SELECT EXISTS (SELECT 1 FROM categories WHERE parent_id = $1) \
         OR EXISTS (SELECT 1 FROM products WHERE category_id = $1)";
    let row = transaction.query_one(USED, params![id.0]).await?;
    Ok(row.map(|mut row| row.next()).transpose()?.unwrap_or(false))
}

/// Removes a category that nothing is in.
pub(crate) async fn delete(transaction: &Transaction, id: CategoryId) -> store::Result<()> {
    transaction.execute("DELETE FROM category_ancestors WHERE category_id = $1", params![id.0]).await?;
    transaction.execute("DELETE FROM categories WHERE id = $1", params![id.0]).await
}
