//! SQL of lists: pages of products.
//!
//! A list is read along something that leads to its products one after the other. Without a search, a category, a
//! supplier or metadata that is an index for each combination of order, label and stock ("browsing"). With one of them it
//! is their own table, newest product first ("following"); another order then sorts the newest of what was found.
//! Where a filter is no part of the order's index, few matches may stand far apart in it: then those are sorted instead.

use model::{Money, ProductId, ProductStatus};
use serde::Deserialize;
use store::{Database, Engine, Find, Row, Value};
use web::Result;

use crate::product::{Expression, Filter, Order, Place, Search};

/// Where products are sorted, counted or passed over one by one, so many are looked at, the newest, and not all of them.
pub(super) const MOST_MATCHES: u32 = 10_000;

/// A product of a list.
pub(crate) struct Listed {
    /// As customers read it.
    pub(crate) json: String,
    /// Of the search by relevance that has found it.
    tier: usize,
}

impl Listed {
    /// Where it stands in the list.
    pub(crate) fn place(&self, order: Order) -> Result<Place> {
        #[derive(Deserialize)]
        struct Sorted {
            id: ProductId,
            name: String,
            price: Money,
        }
        let Sorted { id, name, price } = serde_json::from_str(&self.json)?;
        Ok(match order {
            Order::Newest => Place::Newest(id),
            Order::Cheapest => Place::Cheapest(price.minor(), id),
            Order::Dearest => Place::Dearest(price.minor(), id),
            Order::Name => Place::Name(name, id),
            Order::NameBackwards => Place::NameBackwards(name, id),
            Order::Relevance => Place::Relevance(self.tier, id),
        })
    }
}

/// Up to `count` products that pass the filter, in its order, after that place.
pub(crate) async fn page(
    database: &Database,
    filter: &Filter,
    after: Option<&Place>,
    count: u32,
) -> Result<Vec<Listed>> {
    let (order, engine) = (filter.order(), database.engine().await?);
    let Some(search) = filter.search().filter(|_| order == Order::Relevance) else {
        let search = filter.search().map(|search| search.all());
        let statement = if may_be_far_apart(filter, order) && are_few(database, filter).await? {
            sorted_statement(engine, filter, order, after, count)
        } else {
            statement(engine, filter, order, search.as_ref(), after, count)
        };
        return read(database, statement, 0).await;
    };
    // Tier by tier, until the page is full: each is a list of its own, newest first.
    let (first, mut after) = match after {
        Some(Place::Relevance(tier, id)) => (*tier, Some(Place::Newest(*id))),
        _ => (0, None),
    };
    let mut listed: Vec<Listed> = Vec::new();
    for tier in first..Search::TIERS {
        let missing = count.saturating_sub(u32::try_from(listed.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            break;
        }
        let expression = search.tier(tier);
        let statement = statement(engine, filter, Order::Newest, Some(&expression), after.take().as_ref(), missing);
        listed.extend(read(database, statement, tier).await?);
    }
    Ok(listed)
}

/// Up to `count` products that pass the filter, in its order, after `offset` others, as customers read them. For lists
/// that stand in an index as they are: neither searched nor sorted otherwise than by age or price.
pub(crate) async fn slice(database: &Database, filter: &Filter, offset: u32, count: u32) -> Result<Vec<String>> {
    let listed = read(database, slice_statement(database.engine().await?, filter, offset, count), 0).await?;
    Ok(listed.into_iter().map(|listed| listed.json).collect())
}

pub(super) fn slice_statement(engine: Engine, filter: &Filter, offset: u32, count: u32) -> (String, Vec<Value>) {
    let (sql, params) = statement(engine, filter, filter.order(), None, None, count);
    let mut statement = Statement { engine, sql, params };
    statement.and(" OFFSET ", offset, "");
    (statement.sql, statement.params)
}

async fn read(database: &Database, (sql, params): (String, Vec<Value>), tier: usize) -> Result<Vec<Listed>> {
    let listed = |mut row: Row| Ok(Listed { json: row.next()?, tier });
    database.query(&sql, params).await?.into_iter().map(listed).collect()
}

/// A statement that grows condition by condition.
pub(super) struct Statement {
    pub(super) engine: Engine,
    pub(super) sql: String,
    pub(super) params: Vec<Value>,
}

impl Statement {
    pub(super) fn new(engine: Engine, sql: impl Into<String>) -> Self {
        Self { engine, sql: sql.into(), params: Vec::new() }
    }

    /// Appends that the words in `column` are those.
    fn matches(&mut self, column: &str, words: &Find) {
        let (operator, end) = match self.engine {
            Engine::Sqlite => ("MATCH ", ""),
            Engine::Postgres => ("@@ asked(", ")"),
        };
        self.and(&format!("{column} {operator}"), words.expression(self.engine), end);
    }

    /// Appends `before`, a parameter, `after`.
    pub(super) fn and(&mut self, before: &str, value: impl Into<Value>, after: &str) {
        self.params.push(value.into());
        self.sql.push_str(&format!("{before}${}{after}", self.params.len()));
    }
}

/// The order of a list whose ids are in the column `key`.
pub(super) fn ordered(order: Order, key: &str) -> String {
    match order {
        Order::Newest | Order::Relevance => format!("{key} DESC"),
        Order::Cheapest => "p.price, p.id".to_owned(),
        Order::Dearest => "p.price DESC, p.id DESC".to_owned(),
        Order::Name => "p.name, p.id".to_owned(),
        Order::NameBackwards => "p.name DESC, p.id DESC".to_owned(),
    }
}

/// The page's statement: the JSON of its products.
pub(super) fn statement(
    engine: Engine,
    filter: &Filter,
    order: Order,
    search: Option<&Expression>,
    after: Option<&Place>,
    count: u32,
) -> (String, Vec<Value>) {
    let mut statement = Statement::new(engine, "SELECT p.body FROM ");
    let key = narrow(&mut statement, filter, order, search, after);
    statement.and(&format!(" ORDER BY {} LIMIT ", ordered(order, &key)), count, "");
    (statement.sql, statement.params)
}

/// Whether what passes the filter is browsed along an index that does not know all of the filter.
pub(super) fn may_be_far_apart(filter: &Filter, order: Order) -> bool {
    let unknown = match order {
        Order::Newest => has_prices(filter),
        Order::Name | Order::NameBackwards => has_prices(filter) || filter.in_stock.is_some(),
        Order::Cheapest | Order::Dearest | Order::Relevance => false,
    };
    unknown && filter.search().is_none() && Lead::of(filter, None).is_none()
}

pub(super) fn has_prices(filter: &Filter) -> bool {
    filter.min_price.is_some() || filter.max_price.is_some()
}

/// Whether so few products pass a filter that they can be sorted. They stand together in the index of the prices.
async fn are_few(database: &Database, filter: &Filter) -> Result<bool> {
    let (sql, params) = few_statement(database.engine().await?, filter);
    let row = database.query_one(&sql, params).await?;
    Ok(row.map(|mut row| row.next::<i64>()).transpose()?.is_some_and(|count| count <= MOST_MATCHES.into()))
}

pub(super) fn few_statement(engine: Engine, filter: &Filter) -> (String, Vec<Value>) {
    let mut statement = Statement::new(engine, "SELECT count(*) FROM (SELECT 1 FROM ");
    browsing(&mut statement, filter, Order::Cheapest, None);
    statement.and(" LIMIT ", MOST_MATCHES + 1, ") few");
    (statement.sql, statement.params)
}

/// The page's statement when what passes the filter is sorted.
pub(super) fn sorted_statement(
    engine: Engine,
    filter: &Filter,
    order: Order,
    after: Option<&Place>,
    count: u32,
) -> (String, Vec<Value>) {
    let ordered = ordered(order, "p.id");
    let mut statement = Statement::new(engine, "SELECT p.body FROM (SELECT p.id AS id FROM ");
    along(&mut statement, index(filter, Order::Cheapest), filter, after);
    statement.and(&format!(" ORDER BY {ordered} LIMIT "), count, "");
    statement.sql.push_str(&format!(") f CROSS JOIN products p ON p.id = f.id ORDER BY {ordered}"));
    (statement.sql, statement.params)
}

/// What leads to the products of a list, in a table of its own.
pub(super) enum Lead<'a> {
    Search(&'a Expression),
    Metadata(&'a str, String),
    Category(i64),
    Supplier(i64),
}

impl<'a> Lead<'a> {
    pub(super) fn of(filter: &'a Filter, search: Option<&'a Expression>) -> Option<Self> {
        if let Some(search) = search {
            return Some(Lead::Search(search));
        }
        if let Some((path, value)) = filter.metadata().next() {
            return Some(Lead::Metadata(path, as_stored(value)));
        }
        if let Some(category) = filter.category_id() {
            return Some(Lead::Category(category.0));
        }
        filter.supplier_id().map(|supplier| Lead::Supplier(supplier.0))
    }

    /// Whether the filter asks for more than this leads to, so that products are passed over.
    fn leaves_something(&self, filter: &Filter) -> bool {
        let tables = filter.metadata().count()
            + usize::from(filter.category_id().is_some())
            + usize::from(filter.supplier_id().is_some());
        let (led, label) = match self {
            Lead::Search(_) => (0, None),
            _ => (1, filter.category()),
        };
        tables > led
            || label.is_some()
            || filter.min_price.is_some()
            || filter.max_price.is_some()
            || filter.in_stock.is_some()
            || filter.status() != ProductStatus::Active
    }

    /// The table, and its column with the product's id.
    fn table(&self) -> (&'static str, &'static str) {
        match self {
            Lead::Search(search) => (search.table, "rowid"),
            Lead::Metadata(..) => ("product_metadata", "product_id"),
            Lead::Category(_) => ("category_products", "product_id"),
            Lead::Supplier(_) => ("products", "id"),
        }
    }

    /// Appends what selects its rows of the table called `alias`.
    fn select(&self, statement: &mut Statement, alias: &str) {
        match self {
            Lead::Search(search) => {
                statement.matches(&format!("{alias}.{}", search.table), &search.words);
            }
            Lead::Metadata(path, value) => {
                statement.and(&format!("{alias}.path = "), *path, "");
                statement.and(&format!(" AND {alias}.value = "), value.as_str(), "");
            }
            Lead::Category(id) => statement.and(&format!("{alias}.category_id = "), *id, ""),
            Lead::Supplier(id) => statement.and(&format!("{alias}.supplier_id = "), *id, ""),
        }
    }
}

/// Metadata that is a number is known by its shortest text.
fn as_stored(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') && number.is_finite() => format!("{number:?}"),
        _ => value.to_owned(),
    }
}

/// Appends `FROM` and `WHERE`; the column that has the id.
pub(super) fn narrow(
    statement: &mut Statement,
    filter: &Filter,
    order: Order,
    search: Option<&Expression>,
    after: Option<&Place>,
) -> String {
    let Some(lead) = Lead::of(filter, search) else {
        browsing(statement, filter, order, after);
        return "p.id".to_owned();
    };
    let key = following(statement, &lead, filter, order, after);
    // A search has the label in itself.
    if let (Some(category), false) = (filter.category(), matches!(lead, Lead::Search(_))) {
        statement.and(" AND p.category = ", category, "");
    }
    if let Some(min) = filter.min_price {
        statement.and(" AND p.price >= ", min.minor(), "");
    }
    if let Some(max) = filter.max_price {
        statement.and(" AND p.price <= ", max.minor(), "");
    }
    if let Some(in_stock) = filter.in_stock {
        statement.and(" AND (p.stock > 0) = ", in_stock, "");
    }
    let leading = usize::from(matches!(lead, Lead::Metadata(..)));
    for (path, value) in filter.metadata().skip(leading) {
        let before = " AND EXISTS (SELECT 1 FROM product_metadata x WHERE x.path = ";
        statement.and(before, path, "");
        statement.and(" AND x.value = ", as_stored(value), " AND x.product_id = p.id)");
    }
    if let (Some(category), false) = (filter.category_id(), matches!(lead, Lead::Category(_))) {
        let before = " AND EXISTS (SELECT 1 FROM category_products x WHERE x.category_id = ";
        statement.and(before, category.0, " AND x.product_id = p.id)");
    }
    if let (Some(supplier), false) = (filter.supplier_id(), matches!(lead, Lead::Supplier(_))) {
        statement.and(" AND p.supplier_id = ", supplier.0, "");
    }
    key
}

/// Along what leads there, newest first; `CROSS JOIN` keeps it so.
fn following(
    statement: &mut Statement,
    lead: &Lead<'_>,
    filter: &Filter,
    order: Order,
    after: Option<&Place>,
) -> String {
    let (table, id) = lead.table();
    let key = format!("d.{id}");
    let index = if matches!(lead, Lead::Supplier(_)) { " INDEXED BY products_of_supplier" } else { "" };
    statement.sql.push_str(&format!("{table} d{index} CROSS JOIN products p ON p.id = {key} WHERE "));
    lead.select(statement, "d");
    // Read once for the page: few, or the pages before this one have been full of them.
    if let Lead::Search(Expression { without: Some(without), .. }) = lead {
        let names = Expression::NAMES;
        statement.sql.push_str(&format!(" AND {key} NOT IN (SELECT n.rowid FROM {names} n WHERE "));
        statement.matches(&format!("n.{names}"), without);
        statement.sql.push(')');
    }
    statement.and(" AND p.status = ", filter.status().as_str(), " AND p.deleted_at IS NULL");
    let before = if let (Order::Newest, Some(Place::Newest(id))) = (order, after) { Some(id.0) } else { None };
    if let Some(before) = before {
        statement.and(&format!(" AND {key} < "), before, "");
    }
    let passes_over = order != Order::Newest || lead.leaves_something(filter);
    if passes_over {
        statement.sql.push_str(&format!(" AND {key} >= COALESCE((SELECT m.{id} FROM {table} m{index} WHERE "));
        lead.select(statement, "m");
        if let Some(before) = before {
            statement.and(&format!(" AND m.{id} < "), before, "");
        }
        statement.and(&format!(" ORDER BY m.{id} DESC LIMIT 1 OFFSET "), MOST_MATCHES, "), 0)");
    }
    match (order, after) {
        (Order::Cheapest, Some(Place::Cheapest(price, id))) => {
            statement.and(" AND (p.price, p.id) > (", *price, "");
            statement.and(", ", id.0, ")");
        }
        (Order::Dearest, Some(Place::Dearest(price, id))) => {
            statement.and(" AND (p.price, p.id) < (", *price, "");
            statement.and(", ", id.0, ")");
        }
        (Order::Name, Some(Place::Name(name, id))) => {
            statement.and(" AND (p.name, p.id) > (", name.as_str(), " COLLATE NOCASE");
            statement.and(", ", id.0, ")");
        }
        (Order::NameBackwards, Some(Place::NameBackwards(name, id))) => {
            statement.and(" AND (p.name, p.id) < (", name.as_str(), " COLLATE NOCASE");
            statement.and(", ", id.0, ")");
        }
        _ => {}
    }
    key
}

/// The index in which what passes the filter stands together, in order. SQLite is told, because without statistics it
/// takes any index that begins well.
fn index(filter: &Filter, order: Order) -> &'static str {
    match (order, filter.category().is_some(), filter.in_stock.is_some()) {
        (Order::Newest | Order::Relevance, false, false) => "products_newest",
        (Order::Newest | Order::Relevance, true, false) => "products_newest_in_category",
        (Order::Newest | Order::Relevance, false, true) => "products_newest_in_stock",
        (Order::Newest | Order::Relevance, true, true) => "products_newest_in_category_in_stock",
        (Order::Cheapest | Order::Dearest, false, false) => "products_cheapest",
        (Order::Cheapest | Order::Dearest, true, false) => "products_cheapest_in_category",
        (Order::Cheapest | Order::Dearest, false, true) => "products_cheapest_in_stock",
        (Order::Cheapest | Order::Dearest, true, true) => "products_cheapest_in_category_in_stock",
        (Order::Name | Order::NameBackwards, false, _) => "products_by_name",
        (Order::Name | Order::NameBackwards, true, _) => "products_by_name_in_category",
    }
}

/// Along the index that fits the filter.
pub(super) fn browsing(statement: &mut Statement, filter: &Filter, order: Order, after: Option<&Place>) {
    along(statement, index(filter, order), filter, after);
}

/// Along that index. SQLite takes the id of a place into the range only when it knows a collation for it.
fn along(statement: &mut Statement, index: &str, filter: &Filter, after: Option<&Place>) {
    // What is deleted is archived. To see that of others, their rows would have to be read.
    let alive = if filter.status() == ProductStatus::Archived { " AND p.deleted_at IS NULL" } else { "" };
    statement.and(&format!("products p INDEXED BY {index} WHERE p.status = "), filter.status().as_str(), alive);
    if let Some(category) = filter.category() {
        statement.and(" AND p.category = ", category, "");
    }
    // A place of this list is never below its lowest price, nor above its highest: one bound on each side.
    let (mut min, mut max) = (filter.min_price.map(Money::minor), filter.max_price.map(Money::minor));
    match after {
        Some(Place::Newest(id)) => statement.and(" AND p.id < ", id.0, ""),
        Some(Place::Cheapest(price, id)) => {
            if min.is_none_or(|min| min <= *price) {
                min = None;
            }
            statement.and(" AND (p.price, p.id) > (", *price, "");
            statement.and(", ", id.0, " COLLATE BINARY)");
        }
        Some(Place::Dearest(price, id)) => {
            if max.is_none_or(|max| max >= *price) {
                max = None;
            }
            statement.and(" AND (p.price, p.id) < (", *price, "");
            statement.and(", ", id.0, " COLLATE BINARY)");
        }
        Some(Place::Name(name, id)) => {
            statement.and(" AND (p.name, p.id) > (", name.as_str(), " COLLATE NOCASE");
            statement.and(", ", id.0, " COLLATE BINARY)");
        }
        Some(Place::NameBackwards(name, id)) => {
            statement.and(" AND (p.name, p.id) < (", name.as_str(), " COLLATE NOCASE");
            statement.and(", ", id.0, " COLLATE BINARY)");
        }
        Some(Place::Relevance(..)) | None => {}
    }
    if let Some(min) = min {
        statement.and(" AND p.price >= ", min, "");
    }
    if let Some(max) = max {
        statement.and(" AND p.price <= ", max, "");
    }
    if let Some(in_stock) = filter.in_stock {
        statement.and(" AND (p.stock > 0) = ", in_stock, "");
    }
}
