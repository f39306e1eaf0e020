//! SQL of inventory.

use model::{OrderId, ProductId, Timestamp, UserId, event::OrderedItem};
use store::{Database, Row, Transaction, Value, params};
use web::{Caller, Error, Result};

use crate::stock::{Change, Kind};

/// A product's stock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) product_id: ProductId,
    /// Whose product it is; `None` when an admin has added the record and the catalog has not said it yet.
    pub(crate) supplier_id: Option<UserId>,
    /// Whether the catalog has told of the product.
    pub(crate) announced: bool,
    /// Whether customers may know of it, as far as the catalog has told.
    pub(crate) for_sale: bool,
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) threshold: i64,
    pub(crate) version: i64,
    pub(crate) discontinued: bool,
    pub(crate) updated_at: Timestamp,
}

const RECORD: &str =
    "product_id, supplier_id, announced, for_sale, on_hand, reserved, threshold, version, discontinued, updated_at";

impl Record {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            product_id: ProductId(row.next()?),
            supplier_id: row.next::<Option<i64>>()?.map(UserId),
            announced: row.next()?,
            for_sale: row.next()?,
            on_hand: row.next()?,
            reserved: row.next()?,
            threshold: row.next()?,
            version: row.next()?,
            discontinued: row.next()?,
            updated_at: Timestamp(row.next()?),
        })
    }

    /// Whether the caller may see and change it.
    pub(crate) fn belongs_to(&self, caller: &Caller) -> bool {
        self.supplier_id.map_or(caller.role.administers(), |supplier| caller.may_see(supplier))
    }

    /// Whether its pieces are there for others: the catalog has told of the product, or an admin has counted. What a
    /// supplier added before that may be another one's.
    pub(crate) fn is_believed(&self) -> bool {
        self.announced || self.supplier_id.is_none()
    }

    pub(crate) fn available(&self) -> i64 {
        if self.discontinued { 0 } else { self.on_hand - self.reserved }
    }

    /// Whether it is time to reorder. What is no longer sold is not reordered.
    pub(crate) fn is_low(&self) -> bool {
        !self.discontinued && self.on_hand - self.reserved <= self.threshold
    }

    /// The record as it was before a change of so many available pieces.
    pub(crate) fn before(self, available: i64) -> Self {
        Self { on_hand: self.on_hand - available, ..self }
    }
}

/// What is held for somebody.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) id: i64,
    pub(crate) order_id: Option<OrderId>,
    pub(crate) status: String,
    pub(crate) lines: Vec<OrderedItem>,
    /// When it ends by itself; `None` when its order ends it.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Reservation {
    /// Whether all of it has come back.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "released" | "returned")
    }
}

pub(crate) async fn find(database: &Database, product_id: ProductId) -> Result<Option<Record>> {
    let row =
        database.query_one(&format!("SELECT {RECORD} FROM stock WHERE product_id = $1"), params![product_id.0]).await?;
    row.map(Record::read).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, product_id: ProductId) -> Result<Option<Record>> {
    let row = transaction
        .query_one(&format!("SELECT {RECORD} FROM stock WHERE product_id = $1"), params![product_id.0])
        .await?;
    row.map(Record::read).transpose()
}

/// Records after that product, by product: of one supplier, or all.
pub(crate) async fn list(database: &Database, of: Option<UserId>, after: i64, limit: u32) -> Result<Vec<Record>> {
    let rows = match of {
        None => {
            let all = format!("SELECT {RECORD} FROM stock WHERE product_id > $1 ORDER BY product_id LIMIT $2");
            database.query(&all, params![after, limit]).await?
        }
        Some(supplier) => {
            let own = format!(
                "SELECT {RECORD} FROM stock WHERE supplier_id = $1 AND product_id > $2 ORDER BY product_id LIMIT $3"
            );
            database.query(&own, params![supplier.0, after, limit]).await?
        }
    };
    rows.into_iter().map(Record::read).collect()
}

/// The records of the products of these lines, of which there is at least one.
pub(crate) async fn records(transaction: &Transaction, lines: &[OrderedItem]) -> Result<Vec<Record>> {
    let places: Vec<_> = (1..=lines.len()).map(|place| format!("${place}")).collect();
    let query = format!("SELECT {RECORD} FROM stock WHERE product_id IN ({})", places.join(", "));
    let values = lines.iter().map(|line| Value::Integer(line.product_id.0)).collect();
    transaction.query(&query, values).await?.into_iter().map(Record::read).collect()
}

/// A record that begins.
pub(crate) struct NewRecord {
    pub(crate) product_id: ProductId,
    pub(crate) supplier_id: Option<UserId>,
    pub(crate) announced: bool,
    pub(crate) for_sale: bool,
    pub(crate) threshold: i64,
}

/// Adds an empty record; false when its product has one.
pub(crate) async fn create(transaction: &Transaction, new: &NewRecord, now: Timestamp) -> Result<bool> {
    let row = transaction
        .query_one(
            "INSERT INTO stock (product_id, supplier_id, announced, for_sale, on_hand, reserved, threshold, version, \
             discontinued, updated_at) VALUES ($1, $2, $3, $4, 0, 0, $5, 0, FALSE, $6) \
             ON CONFLICT (product_id) DO NOTHING RETURNING product_id",
            params![
                new.product_id.0,
                new.supplier_id.map(|supplier| supplier.0),
                new.announced,
                new.for_sale,
                new.threshold,
                now.0
            ],
        )
        .await?;
    Ok(row.is_some())
}

/// Notes what the catalog says of a product: that it is there, whose it is, and whether it is for sale.
pub(crate) async fn set_supplier(
    transaction: &Transaction,
    product_id: ProductId,
    supplier_id: UserId,
    for_sale: bool,
    now: Timestamp,
) -> Result<()> {
    // What has been deleted is not for sale, whatever was said of it before.
    let update = "UPDATE stock SET supplier_id = $1, announced = TRUE, for_sale = $2 AND NOT discontinued, \
                  updated_at = $3 WHERE product_id = $4";
    Ok(transaction.execute(update, params![supplier_id.0, for_sale, now.0, product_id.0]).await?)
}

/// Notes whether a product is for sale.
pub(crate) async fn set_for_sale(
    transaction: &Transaction,
    product_id: ProductId,
    for_sale: bool,
    now: Timestamp,
) -> Result<()> {
    let update = "UPDATE stock SET for_sale = $1 AND NOT discontinued, updated_at = $2 WHERE product_id = $3";
    Ok(transaction.execute(update, params![for_sale, now.0, product_id.0]).await?)
}

/// Sets when to reorder.
pub(crate) async fn set_threshold(
    transaction: &Transaction,
    product_id: ProductId,
    threshold: i64,
    now: Timestamp,
) -> Result<()> {
    let update = "UPDATE stock SET threshold = $1, updated_at = $2 WHERE product_id = $3";
    Ok(transaction.execute(update, params![threshold, now.0, product_id.0]).await?)
}

/// Marks a product as no longer sold; its new state. Without a record it gets an empty one: the news of its beginning was
/// parked and may be replayed, and finds then that it is too late.
pub(crate) async fn discontinue(transaction: &Transaction, product_id: ProductId, now: Timestamp) -> Result<Record> {
    let upsert = format!(
        "INSERT INTO stock (product_id, supplier_id, announced, for_sale, on_hand, reserved, threshold, version, \
         discontinued, updated_at) VALUES ($1, NULL, TRUE, FALSE, 0, 0, 0, 0, TRUE, $2) \
         ON CONFLICT (product_id) DO UPDATE SET discontinued = TRUE, for_sale = FALSE, version = stock.version + 1, \
         updated_at = excluded.updated_at RETURNING {RECORD}"
    );
    let row = transaction.query_one(&upsert, params![product_id.0, now.0]).await?;
    Record::read(row.ok_or_else(|| Error::Internal(format!("stock of product {product_id}: not written")))?)
}

/// Applies `changes`, one per product, and returns the new records. The table's checks refuse what would go below zero.
pub(crate) async fn apply(transaction: &Transaction, changes: &[Change], now: Timestamp) -> Result<Vec<Record>> {
    let mut values = params![];
    for change in changes {
        values.extend(params![change.product_id.0, change.on_hand, change.reserved]);
    }
    let update = format!(
        "WITH change (id, on_hand_delta, reserved_delta) AS ({}) \
         UPDATE stock SET on_hand = on_hand + on_hand_delta, reserved = reserved + reserved_delta, \
         version = version + 1, updated_at = ${} FROM change WHERE product_id = change.id RETURNING {RECORD}",
        store::typed_values(changes.len(), &["BIGINT"; 3]),
        values.len() + 1
    );
    values.extend(params![now.0]);
    let records: Vec<Record> =
        transaction.query(&update, values).await?.into_iter().map(Record::read).collect::<Result<_>>()?;
    if records.len() == changes.len() {
        Ok(records)
    } else {
        Err(Error::Internal(format!("stock: {} of {} products changed", records.len(), changes.len())))
    }
}

/// Writes the history of `changes`.
pub(crate) async fn record(
    transaction: &Transaction,
    kind: Kind,
    changes: &[Change],
    reason: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let mut values = params![];
    let mut rows = Vec::with_capacity(changes.len());
    for change in changes {
        let places: Vec<_> = (1..=7).map(|place| format!("${}", values.len() + place)).collect();
        rows.push(format!("({})", places.join(", ")));
        values.extend(params![
            change.product_id.0,
            kind.as_str(),
            change.on_hand,
            change.reserved,
            change.reservation_id,
            reason,
            now.0
        ]);
    }
    let insert = format!(
        "INSERT INTO movements (product_id, kind, on_hand_delta, reserved_delta, reservation_id, reason, at) VALUES {}",
        rows.join(", ")
    );
    Ok(transaction.execute(&insert, values).await?)
}

/// Writes a reservation down; `None` when its order has one already.
pub(crate) async fn reserve(
    transaction: &Transaction,
    order_id: Option<OrderId>,
    status: &str,
    lines: &[OrderedItem],
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<i64>> {
    let row = transaction
        .query_one(
            "INSERT INTO reservations (order_id, status, lines, expires_at, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (order_id) DO NOTHING RETURNING id",
            params![
                order_id.map(|id| id.0),
                status,
                serde_json::to_string(lines)?,
                expires_at.map(|at| at.0),
                now.0,
                now.0
            ],
        )
        .await?;
    Ok(row.map(|mut row| row.next()).transpose()?)
}

pub(crate) async fn set_status(transaction: &Transaction, id: i64, status: &str, now: Timestamp) -> Result<()> {
    let update = "UPDATE reservations SET status = $1, updated_at = $2 WHERE id = $3";
    Ok(transaction.execute(update, params![status, now.0, id]).await?)
}

/// Leaves a reservation with fewer pieces.
pub(crate) async fn set_lines(
    transaction: &Transaction,
    id: i64,
    status: &str,
    lines: &[OrderedItem],
    now: Timestamp,
) -> Result<()> {
    let update = "UPDATE reservations SET status = $1, lines = $2, updated_at = $3 WHERE id = $4";
    Ok(transaction.execute(update, params![status, serde_json::to_string(lines)?, now.0, id]).await?)
}

const RESERVATION: &str = "SELECT id, order_id, status, lines, expires_at FROM reservations";

fn reservation(mut row: Row) -> Result<Reservation> {
    Ok(Reservation {
        id: row.next()?,
        order_id: row.next::<Option<i64>>()?.map(OrderId),
        status: row.next()?,
        lines: serde_json::from_str(&row.next::<String>()?)?,
        expires_at: row.next::<Option<i64>>()?.map(Timestamp),
    })
}

pub(crate) async fn reservation_of(transaction: &Transaction, order_id: OrderId) -> Result<Option<Reservation>> {
    let row = transaction.query_one(&format!("{RESERVATION} WHERE order_id = $1"), params![order_id.0]).await?;
    row.map(reservation).transpose()
}

pub(crate) async fn reservation_by_id(transaction: &Transaction, id: i64) -> Result<Option<Reservation>> {
    let row = transaction.query_one(&format!("{RESERVATION} WHERE id = $1"), params![id]).await?;
    row.map(reservation).transpose()
}

/// Whether anything that is held by hand has been held for too long.
pub(crate) async fn any_expired(database: &Database, now: Timestamp) -> Result<bool> {
    const ANY: &str =
        "SELECT 1 FROM reservations WHERE status = 'held' AND expires_at IS NOT NULL AND expires_at <= $1 LIMIT 1";
    Ok(database.query_one(ANY, params![now.0]).await?.is_some())
}

/// Ends up to `count` of those, the longest overdue first, and returns them.
pub(crate) async fn expire(transaction: &Transaction, count: u32, now: Timestamp) -> Result<Vec<Reservation>> {
    let rows = transaction
        .query(
            "UPDATE reservations SET status = 'expired', updated_at = $1 WHERE id IN (SELECT id FROM reservations \
             WHERE status = 'held' AND expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2) \
             RETURNING id, order_id, status, lines, expires_at",
            params![now.0, count],
        )
        .await?;
    rows.into_iter().map(reservation).collect()
}

/// One entry of a product's history.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StockMovement)]
pub(crate) struct Movement {
    /// Its id; later ones are larger.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    pub(crate) id: i64,
    /// `received`, `adjusted`, `reserved`, `released`, `sold` or `returned`.
    #[schema(example = "adjusted")]
    kind: String,
    /// So many pieces came, or went.
    #[schema(example = -2)]
    on_hand_delta: i64,
    /// So many pieces were promised, or no longer.
    #[schema(example = 0)]
    reserved_delta: i64,
    /// The order it belongs to.
    order_id: Option<i64>,
    /// The reservation it belongs to.
    reservation_id: Option<i64>,
    /// Why, for people.
    #[schema(example = "broken")]
    reason: Option<String>,
    /// When it happened.
    at: Timestamp,
}

/// A product's history, newest first, before the entry `before`.
pub(crate) async fn history(
    database: &Database,
    product_id: ProductId,
    before: i64,
    limit: u32,
) -> Result<Vec<Movement>> {
    let rows = database
        .query(
            "SELECT m.id, m.kind, m.on_hand_delta, m.reserved_delta, r.order_id, m.reservation_id, m.reason, m.at \
             FROM movements m LEFT JOIN reservations r ON r.id = m.reservation_id \
             WHERE m.product_id = $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3",
            params![product_id.0, before, limit],
        )
        .await?;
    let read = |mut row: Row| {
        Ok(Movement {
            id: row.next()?,
            kind: row.next()?,
            on_hand_delta: row.next()?,
            reserved_delta: row.next()?,
            order_id: row.next()?,
            reservation_id: row.next()?,
            reason: row.next()?,
            at: Timestamp(row.next()?),
        })
    };
    rows.into_iter().map(read).collect()
}
