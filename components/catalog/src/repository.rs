//! SQL, and only SQL.

#[cfg(test)]
mod tests;

use model::{Money, ProductId, ProductStatus, Timestamp, UserId, event::StockChanged};
use store::{Database, Row, Transaction, Value, params};
use web::{Error, Result};

use crate::product::{Filter, Metadata, Offer, Order, Place, Product};

/// A search with filters that the words do not decide looks at so many of the newest matches, not at all of them.
const MOST_MATCHES: u32 = 10_000;

/// The product with all its columns, and as customers read it.
fn product(mut row: Row) -> Result<(Product, String)> {
    let product = Product {
        id: ProductId(row.next()?),
        supplier_id: UserId(row.next()?),
        name: row.next()?,
        description: row.next()?,
        price: Money::from_minor(row.next()?),
        currency: word(row.next()?)?,
        stock: row.next()?,
        category: row.next()?,
        sku: row.next()?,
        metadata: Metadata::stored(row.next()?)?,
        status: word(row.next()?)?,
        created_at: Timestamp(row.next()?),
        updated_at: Timestamp(row.next()?),
    };
    Ok((product, row.next()?))
}

fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: String) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("products: `{text}`: {error}")))
}

const FIND: &str = "SELECT p.id, p.supplier_id, p.name, p.description, p.price, p.currency, p.stock, p.category, p.sku, \
     p.metadata, p.status, p.created_at, p.updated_at, p.body FROM products p WHERE p.id = $1";

/// The product, active or not, and as customers read it.
pub(crate) async fn find_in(transaction: &Transaction, id: ProductId) -> Result<Option<(Product, String)>> {
    transaction.query_one(FIND, params![id.0]).await?.map(product).transpose()
}

// The status as a column, not as a condition, which would lead the planner from the key to an index.
const WRITTEN: &str = "SELECT p.status = 'active', p.body FROM products p WHERE p.id = $1";

/// The product as customers read it, if it is active.
pub(crate) async fn written(database: &Database, id: ProductId) -> Result<Option<String>> {
    let Some(mut row) = database.query_one(WRITTEN, params![id.0]).await? else { return Ok(None) };
    let active: bool = row.next()?;
    Ok(if active { Some(row.next()?) } else { None })
}

/// A product of a list.
pub(crate) struct Listed {
    /// Where it stands in the list.
    pub(crate) place: Place,
    /// As customers read it.
    pub(crate) json: String,
}

/// Up to `count` active products that pass the filter, in its order, after that place.
pub(crate) async fn list(
    database: &Database,
    filter: &Filter,
    after: Option<Place>,
    count: u32,
) -> Result<Vec<Listed>> {
    let (sql, params) = list_statement(filter, after, count);
    let order = filter.order();
    let listed = |mut row: Row| {
        let json = row.next()?;
        let id = ProductId(row.next()?);
        let price = if order == Order::Cheapest { Some(row.next()?) } else { None };
        Ok(Listed { place: Place { price, id }, json })
    };
    database.query(&sql, params).await?.into_iter().map(listed).collect()
}

/// A statement that grows condition by condition.
struct Statement {
    sql: String,
    params: Vec<Value>,
}

impl Statement {
    /// Appends `before`, a parameter, `after`.
    fn and(&mut self, before: &str, value: impl Into<Value>, after: &str) {
        self.params.push(value.into());
        self.sql.push_str(&format!("{before}${}{after}", self.params.len()));
    }
}

fn list_statement(filter: &Filter, after: Option<Place>, count: u32) -> (String, Vec<Value>) {
    let mut statement = Statement { sql: "SELECT p.body, p.id, p.price FROM ".to_owned(), params: Vec::new() };
    let search = filter.search();
    let searching = search.is_some();
    match search {
        Some(search) => matching(&mut statement, search, filter, after),
        None => browsing(&mut statement, filter, after),
    }
    if let Some(max) = filter.max_price {
        statement.and(" AND p.price <= ", max.minor(), "");
    }
    if let Some(in_stock) = filter.in_stock {
        statement.and(" AND CASE WHEN p.stock > 0 THEN 1 ELSE 0 END = ", in_stock, "");
    }
    let order = match filter.order() {
        _ if searching => "s.rowid DESC",
        Order::Newest => "p.id DESC",
        Order::Cheapest => "p.price, p.id",
    };
    statement.and(&format!(" ORDER BY {order} LIMIT "), count, "");
    (statement.sql, statement.params)
}

/// The index in which what passes the filter stands together, in order. SQLite is told, because without statistics it
/// takes any index that begins well.
fn index(filter: &Filter) -> &'static str {
    match (filter.order(), filter.category().is_some(), filter.in_stock.is_some()) {
        (Order::Newest, false, false) => "products_newest",
        (Order::Newest, true, false) => "products_newest_in_category",
        (Order::Newest, false, true) => "products_newest_in_stock",
        (Order::Newest, true, true) => "products_newest_in_category_in_stock",
        (Order::Cheapest, false, false) => "products_cheapest",
        (Order::Cheapest, true, false) => "products_cheapest_in_category",
        (Order::Cheapest, false, true) => "products_cheapest_in_stock",
        (Order::Cheapest, true, true) => "products_cheapest_in_category_in_stock",
    }
}

/// Along the index that fits the filter.
fn browsing(statement: &mut Statement, filter: &Filter, after: Option<Place>) {
    statement.sql.push_str(&format!("products p INDEXED BY {} WHERE p.status = 'active'", index(filter)));
    if let Some(category) = filter.category() {
        statement.and(" AND p.category = ", category, "");
    }
    // One lower bound, not two: a place of this list is never below its lowest price.
    let min = filter.min_price.map(Money::minor);
    match after {
        Some(Place { price: Some(price), id }) if min.is_none_or(|min| min <= price) => {
            statement.and(" AND (p.price, p.id) > (", price, "");
            // SQLite takes the id into the range only when it knows a collation for it.
            statement.and(", ", id.0, " COLLATE BINARY)");
        }
        Some(Place { price: None, id }) => statement.and(" AND p.id < ", id.0, ""),
        _ => {
            if let Some(min) = min {
                statement.and(" AND p.price >= ", min, "");
            }
        }
    }
}

/// Along the words, newest first; `CROSS JOIN` keeps it so.
fn matching(statement: &mut Statement, search: String, filter: &Filter, after: Option<Place>) {
    statement.and(
        "product_search s CROSS JOIN products p ON p.id = s.rowid WHERE s.product_search MATCH ",
        search.as_str(),
        " AND p.status = 'active'",
    );
    if let Some(after) = after {
        statement.and(" AND s.rowid < ", after.id.0, "");
    }
    if let Some(min) = filter.min_price {
        statement.and(" AND p.price >= ", min.minor(), "");
    }
    if filter.min_price.is_some() || filter.max_price.is_some() || filter.in_stock.is_some() {
        statement.and(
            " AND s.rowid >= COALESCE((SELECT m.rowid FROM product_search m WHERE m.product_search MATCH ",
            search,
            "",
        );
        if let Some(after) = after {
            statement.and(" AND m.rowid < ", after.id.0, "");
        }
        statement.and(" ORDER BY m.rowid DESC LIMIT 1 OFFSET ", MOST_MATCHES, "), 0)");
    }
}

const INSERT: &str = "INSERT INTO products (supplier_id, name, description, price, currency, stock, category, sku, \
     metadata, status, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
     RETURNING id, body";

/// Stores a new product: its id, and as customers read it. [`store::Error::NotUnique`] when another one has its SKU.
pub(crate) async fn insert(transaction: &Transaction, product: &Product) -> store::Result<(ProductId, String)> {
    let row = transaction
        .query_one(
            INSERT,
            params![
                product.supplier_id.0,
                product.name.as_str(),
                product.description.as_str(),
                product.price.minor(),
                product.currency.as_str(),
                product.stock,
                product.category.as_deref(),
                product.sku.as_deref(),
                product.metadata.as_str(),
                product.status.as_str(),
                product.created_at.0,
                product.updated_at.0,
            ],
        )
        .await?;
    let mut row = row.ok_or_else(|| store::Error::Engine("an INSERT returned no row".into()))?;
    Ok((ProductId(row.next()?), row.next()?))
}

const UPDATE: &str = "UPDATE products SET name = $1, description = $2, price = $3, stock = $4, category = $5, sku = $6, \
     metadata = $7, updated_at = $8 WHERE id = $9 RETURNING body";

/// Stores what may have changed, and returns the product as customers read it. [`store::Error::NotUnique`] when another
/// product has its SKU.
pub(crate) async fn update(transaction: &Transaction, product: &Product) -> store::Result<String> {
    let row = transaction
        .query_one(
            UPDATE,
            params![
                product.name.as_str(),
                product.description.as_str(),
                product.price.minor(),
                product.stock,
                product.category.as_deref(),
                product.sku.as_deref(),
                product.metadata.as_str(),
                product.updated_at.0,
                product.id.0,
            ],
        )
        .await?;
    row.ok_or_else(|| store::Error::Engine(format!("product {} is gone", product.id)))?.next()
}

const ARCHIVE: &str = "UPDATE products SET status = $1, updated_at = $2 WHERE id = $3";

/// Takes a product off sale.
pub(crate) async fn archive(transaction: &Transaction, id: ProductId, now: Timestamp) -> store::Result<()> {
    transaction.execute(ARCHIVE, params![ProductStatus::Archived.as_str(), now.0, id.0]).await
}

const PROJECT_STOCK: &str = "UPDATE products SET stock = $1, stock_version = $2 WHERE id = $3 AND stock_version < $2";

/// Notes what inventory says, unless it has said something newer.
pub(crate) async fn project_stock(transaction: &Transaction, change: &StockChanged) -> store::Result<()> {
    // More may be promised than is there for a moment; nobody can order less than nothing.
    let available = change.available.clamp(0, u32::MAX.into());
    transaction.execute(PROJECT_STOCK, params![available, change.version, change.product_id.0]).await
}

/// Name, SKU and price of those that are active.
pub(crate) async fn offers(database: &Database, ids: &[ProductId]) -> Result<Vec<Offer>> {
    let (sql, params) = offers_statement(ids);
    let offer = |mut row: Row| {
        Ok(Offer {
            id: ProductId(row.next()?),
            name: row.next()?,
            sku: row.next()?,
            price: Money::from_minor(row.next()?),
            currency: word(row.next()?)?,
        })
    };
    database.query(&sql, params).await?.into_iter().map(offer).collect()
}

fn offers_statement(ids: &[ProductId]) -> (String, Vec<Value>) {
    // Powers of two, so that few distinct statements are prepared.
    let places = ids.len().next_power_of_two();
    let list: Vec<_> = (1..=places).map(|place| format!("${place}")).collect();
    let sql = format!(
        "SELECT p.id, p.name, p.sku, p.price, p.currency FROM products p WHERE p.id IN ({}) AND p.status = 'active'",
        list.join(", ")
    );
    let repeated = ids.iter().chain(std::iter::repeat(ids.last().unwrap_or(&ProductId(0)))).take(places);
    (sql, repeated.map(|id| Value::Integer(id.0)).collect())
}
