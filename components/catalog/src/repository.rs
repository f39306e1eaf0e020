//! SQL, and only SQL: products. Lists, facets and categories have files of their own.

pub(crate) mod categories;
pub(crate) mod facets;
pub(crate) mod lists;
#[cfg(test)]
mod tests;

use model::{CategoryId, Money, ProductId, ProductStatus, Timestamp, UserId, event::StockChanged};
use store::{Database, Engine, Row, Transaction, Value, params};
use web::{Error, Result};

use crate::product::{Images, Metadata, Offer, Product};

/// The columns of [`product`], in its order.
macro_rules! columns {
    () => {
        "p.id, p.supplier_id, p.name, p.description, p.price, p.currency, p.stock, p.category, p.category_id, p.sku, \
         p.upc, p.images, p.metadata, p.status, p.created_at, p.updated_at, p.body"
    };
}

/// A product, and as customers read it.
pub(crate) struct Stored {
    pub(crate) product: Product,
    pub(crate) json: String,
}

fn product(mut row: Row) -> Result<Stored> {
    let product = Product {
        id: ProductId(row.next()?),
        supplier_id: UserId(row.next()?),
        name: row.next()?,
        description: row.next()?,
        price: Money::from_minor(row.next()?),
        currency: word(row.next()?)?,
        stock: row.next()?,
        category: row.next()?,
        category_id: row.next::<Option<i64>>()?.map(CategoryId),
        sku: row.next()?,
        upc: row.next()?,
        images: Images::stored(&row.next::<String>()?)?,
        metadata: Metadata::stored(row.next()?)?,
        status: word(row.next()?)?,
        created_at: Timestamp(row.next()?),
        updated_at: Timestamp(row.next()?),
    };
    Ok(Stored { product, json: row.next()? })
}

fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: String) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("products: `{text}`: {error}")))
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM products p WHERE p.id = $1 AND p.deleted_at IS NULL");

/// The product, unless it was deleted.
pub(crate) async fn find_in(transaction: &Transaction, id: ProductId) -> Result<Option<Stored>> {
    transaction.query_one(FIND, params![id.0]).await?.map(product).transpose()
}

// The status as a column, not as a condition, which would lead the planner from the key to an index.
const WRITTEN: &str = "SELECT CASE WHEN p.status = 'active' THEN NULL ELSE p.supplier_id END, p.body FROM products p \
     WHERE p.id = $1 AND p.deleted_at IS NULL";

/// The product as customers read it; with its supplier, when it is not for everybody to see.
pub(crate) async fn written(database: &Database, id: ProductId) -> Result<Option<(Option<UserId>, String)>> {
    let Some(mut row) = database.query_one(WRITTEN, params![id.0]).await? else { return Ok(None) };
    Ok(Some((row.next::<Option<i64>>()?.map(UserId), row.next()?)))
}

fn insert_statement(products: &[&Product]) -> store::Result<(String, Vec<Value>)> {
    let mut values = Vec::with_capacity(products.len() * 15);
    for product in products {
        values.extend(params![
            product.supplier_id.0,
            product.name.as_str(),
            product.description.as_str(),
            product.price.minor(),
            product.currency.as_str(),
            product.stock,
            product.category.as_deref(),
            product.category_id.map(|id| id.0),
            product.sku.as_deref(),
            product.upc.as_deref(),
            images(product)?,
            product.metadata.as_str(),
            product.status.as_str(),
            product.created_at.0,
            product.updated_at.0,
        ]);
    }
    let sql = format!(
        "INSERT INTO products (supplier_id, name, description, price, currency, stock, category, category_id, sku, upc, \
         images, metadata, status, created_at, updated_at) VALUES {} RETURNING id, body",
        store::values(products.len(), 15)
    );
    Ok((sql, values))
}

fn images(product: &Product) -> store::Result<String> {
    product.images.to_json().map_err(|error| store::Error::Engine(format!("images cannot be written: {error}")))
}

/// Stores new products: the id of each in their order, and as customers read it. [`store::Error::NotUnique`] when
/// another one has an SKU of theirs.
pub(crate) async fn insert(
    transaction: &Transaction,
    products: &[&Product],
) -> store::Result<Vec<(ProductId, String)>> {
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let (sql, params) = insert_statement(products)?;
    let stored = transaction.query(&sql, params).await?;
    let stored = stored.into_iter().map(|mut row| Ok((ProductId(row.next()?), row.next()?)));
    let mut stored = stored.collect::<store::Result<Vec<(ProductId, String)>>>()?;
    // Ids rise in the order of the rows; the order in which they are returned is up to the engine.
    stored.sort_by_key(|(id, _)| *id);
    if stored.len() == products.len() {
        Ok(stored)
    } else {
        Err(store::Error::Engine("an INSERT returned other rows than it was given".into()))
    }
}

fn update_statement(products: &[&Product]) -> store::Result<(String, Vec<Value>)> {
    let mut values = Vec::with_capacity(products.len() * 13);
    for product in products {
        values.extend(params![
            product.id.0,
            product.name.as_str(),
            product.description.as_str(),
            product.price.minor(),
            product.stock,
            product.category.as_deref(),
            product.category_id.map(|id| id.0),
            product.sku.as_deref(),
            product.upc.as_deref(),
            images(product)?,
            product.metadata.as_str(),
            product.status.as_str(),
            product.updated_at.0,
        ]);
    }
    let sql = format!(
        "WITH c (id, name, description, price, stock, category, category_id, sku, upc, images, metadata, status, updated_at) \
         AS ({}) UPDATE products SET name = c.name, description = c.description, price = c.price, stock = c.stock, \
         category = c.category, category_id = c.category_id, sku = c.sku, upc = c.upc, images = c.images, \
         metadata = c.metadata, status = c.status, updated_at = c.updated_at FROM c WHERE products.id = c.id RETURNING body",
        store::typed_values(
            products.len(),
            &[
                "BIGINT", "TEXT", "TEXT", "BIGINT", "BIGINT", "TEXT", "BIGINT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT",
                "BIGINT",
            ]
        )
    );
    Ok((sql, values))
}

/// Stores what may have changed of products, and returns them as customers read them, in no order.
/// [`store::Error::NotUnique`] when another product has an SKU of theirs.
pub(crate) async fn update(transaction: &Transaction, products: &[&Product]) -> store::Result<Vec<String>> {
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let (sql, params) = update_statement(products)?;
    let stored = transaction.query(&sql, params).await?.into_iter().map(|mut row| row.next());
    let stored = stored.collect::<store::Result<Vec<String>>>()?;
    if stored.len() == products.len() {
        Ok(stored)
    } else {
        Err(store::Error::Engine("an UPDATE found other rows than it was given".into()))
    }
}

const DELETE: &str =
    "UPDATE products SET status = $1, category_id = NULL, updated_at = $2, deleted_at = $2 WHERE id = $3";

/// Takes a product off sale, for ever.
pub(crate) async fn delete(transaction: &Transaction, id: ProductId, now: Timestamp) -> store::Result<()> {
    transaction.execute(DELETE, params![ProductStatus::Archived.as_str(), now.0, id.0]).await
}

/// The products with these SKUs.
pub(crate) async fn with_skus(transaction: &Transaction, skus: &[&str]) -> Result<Vec<Stored>> {
    let (sql, params) = skus_statement(skus);
    transaction.query(&sql, params).await?.into_iter().map(product).collect()
}

fn skus_statement(skus: &[&str]) -> (String, Vec<Value>) {
    let (list, params) = list_of(skus.iter().map(|sku| Value::from(*sku)).collect());
    let sql = format!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM products p INDEXED BY products_sku WHERE p.sku IN ({}) AND p.deleted_at IS NULL"
        ),
        list
    );
    (sql, params)
}

/// `$1, $2, …` for these values; as many as a power of two, so that few distinct statements are prepared.
fn list_of(mut values: Vec<Value>) -> (String, Vec<Value>) {
    let last = values.last().cloned().unwrap_or(Value::Null);
    values.resize(values.len().next_power_of_two(), last);
    let list: Vec<_> = (1..=values.len()).map(|place| format!("${place}")).collect();
    (list.join(", "), values)
}

/// `line` makes one line of a body, in whatever way its seller has laid out the metadata.
fn export_statement(engine: Engine, of: Option<UserId>) -> String {
    let line = match engine {
        Engine::Sqlite => "json(p.body)",
        Engine::Postgres => "translate(p.body, E'\\n\\r', '')",
    };
    let (index, of) = match of {
        None => ("", " ORDER BY p.id LIMIT $2"),
        Some(_) => (" INDEXED BY products_of_supplier", " AND p.supplier_id = $2 ORDER BY p.id LIMIT $3"),
    };
    format!("SELECT p.id, {line} FROM products p{index} WHERE p.id > $1 AND p.deleted_at IS NULL{of}")
}

/// Products after that one, by id, each as one line of JSON: of one supplier, or all.
pub(crate) async fn export(
    database: &Database,
    of: Option<UserId>,
    after: ProductId,
    count: u32,
) -> Result<Vec<(ProductId, String)>> {
    let mut params = params![after.0];
    params.extend(of.map(|supplier| supplier.0.into()));
    params.push(count.into());
    let rows = database.query(&export_statement(database.engine().await?, of), params).await?;
    rows.into_iter().map(|mut row| Ok((ProductId(row.next()?), row.next()?))).collect()
}

const PROJECT_STOCK: &str = "UPDATE products SET stock = $1, stock_version = $2 WHERE id = $3 AND stock_version < $2";

/// Notes what inventory says, unless it has said something newer.
pub(crate) async fn project_stock(transaction: &Transaction, change: &StockChanged) -> store::Result<()> {
    // More may be promised than is there for a moment; nobody can order less than nothing.
    let available = change.available.clamp(0, u32::MAX.into());
    transaction.execute(PROJECT_STOCK, params![available, change.version, change.product_id.0]).await
}

/// Name, SKU, price and stock of those that are active.
pub(crate) async fn offers(database: &Database, ids: &[ProductId]) -> Result<Vec<Offer>> {
    let (sql, params) = offers_statement(ids);
    let offer = |mut row: Row| {
        Ok(Offer {
            id: ProductId(row.next()?),
            name: row.next()?,
            sku: row.next()?,
            price: Money::from_minor(row.next()?),
            currency: word(row.next()?)?,
            stock: row.next()?,
        })
    };
    database.query(&sql, params).await?.into_iter().map(offer).collect()
}

fn offers_statement(ids: &[ProductId]) -> (String, Vec<Value>) {
    let (list, params) = list_of(ids.iter().map(|id| Value::Integer(id.0)).collect());
    let sql = format!(
        "SELECT p.id, p.name, p.sku, p.price, p.currency, p.stock FROM products p WHERE p.id IN ({list}) AND p.status = 'active'"
    );
    (sql, params)
}
