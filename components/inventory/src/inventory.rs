//! The use cases of inventory: what happens in one transaction, and what is announced.

use http::StatusCode;
use model::{
    ProductId, ProductStatus, Timestamp, UserId,
    event::{ProductCreated, StockChanged, StockLow},
};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Transaction};
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Once, Page, PageQuery, Result, audit};

use crate::{
    DATABASE, Inventory,
    repository::{self, Movement, NewRecord, Record},
    stock::{self, Change, Kind},
};

/// Pieces of a product: the catalog counts as far.
const MOST_ON_HAND: i64 = u32::MAX as i64;
/// A product's stock, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Stock)]
pub(crate) struct StockView {
    /// A record is known by its product.
    id: ProductId,
    /// The product.
    product_id: ProductId,
    /// Whose product it is; `null` as long as the catalog has not said it.
    supplier_id: Option<UserId>,
    /// So many pieces are there.
    #[schema(minimum = 0, example = 120)]
    on_hand: i64,
    /// So many of them are promised.
    #[schema(minimum = 0, example = 2)]
    reserved: i64,
    /// So many can be ordered.
    #[schema(minimum = 0, example = 118)]
    available: i64,
    /// With so many available pieces or fewer the stock is low.
    #[schema(minimum = 0, example = 12)]
    reorder_threshold: i64,
    /// Whether it is.
    #[schema(example = false)]
    low_stock: bool,
    /// Grows with each change of the pieces.
    #[schema(minimum = 0, example = 3)]
    version: i64,
    /// The last change.
    updated_at: Timestamp,
}

impl From<Record> for StockView {
    fn from(record: Record) -> Self {
        Self {
            id: record.product_id,
            product_id: record.product_id,
            supplier_id: record.supplier_id,
            on_hand: record.on_hand,
            reserved: record.reserved,
            available: record.available(),
            reorder_threshold: record.threshold,
            low_stock: record.is_low(),
            version: record.version,
            updated_at: record.updated_at,
        }
    }
}

/// Whether an order of `requested` pieces would find enough.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StockCheck)]
pub(crate) struct Check {
    /// The product.
    product_id: ProductId,
    /// So many pieces were asked for.
    #[schema(minimum = 1, example = 2)]
    requested: u32,
    /// So many can be ordered.
    #[schema(minimum = 0, example = 118)]
    available: i64,
    /// Whether that is enough.
    sufficient: bool,
}

pub(crate) const NOT_FOUND: Error = Error::not_found("inventory record");

/// What a product's stock is called in the audit log.
fn subject(product_id: ProductId) -> String {
    format!("stock/{product_id}")
}

/// The record, when its product is the caller's: those of others are not there for a supplier. Which of them are for
/// sale, and therefore no secret, only the catalog knows.
fn owned(caller: &Caller, found: Option<Record>) -> Result<Record> {
    found.filter(|record| record.belongs_to(caller)).ok_or(NOT_FOUND)
}

pub(crate) async fn get(caller: &Caller, product_id: ProductId) -> Result<StockView> {
    caller.must_sell()?;
    Ok(owned(caller, repository::find(&DATABASE, product_id).await?)?.into())
}

/// The supplier's records; all, for an admin.
pub(crate) async fn list(caller: &Caller, query: &PageQuery) -> Result<Page<StockView>> {
    caller.must_sell()?;
    let after = query.after::<i64>()?.unwrap_or(0);
    let of = (!caller.role.administers()).then_some(caller.user_id);
    let records = repository::list(&DATABASE, of, after, query.limit() + 1).await?;
    Page::new(records.into_iter().map(StockView::from).collect(), query.limit(), |record| record.product_id)
}

pub(crate) async fn check(product_id: ProductId, requested: u32) -> Result<Check> {
    let public = |record: &Record| record.is_believed() && record.for_sale;
    let record = repository::find(&DATABASE, product_id).await?.filter(public);
    let available = record.ok_or(NOT_FOUND)?.available();
    Ok(Check { product_id, requested, available, sufficient: available >= i64::from(requested) })
}

pub(crate) async fn history(caller: &Caller, product_id: ProductId, query: &PageQuery) -> Result<Page<Movement>> {
    caller.must_sell()?;
    let before = query.after::<i64>()?.unwrap_or(i64::MAX);
    owned(caller, repository::find(&DATABASE, product_id).await?)?;
    let movements = repository::history(&DATABASE, product_id, before, query.limit() + 1).await?;
    Page::new(movements, query.limit(), |movement| movement.id)
}

/// Adds the record of a product that has none. The catalog's products get theirs by event: until that has come, the
/// supplier who adds one is believed.
pub(crate) async fn create(
    caller: &Caller,
    once: &Once,
    product_id: ProductId,
    quantity: u32,
    threshold: Option<u32>,
) -> Result<Answer> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let new = NewRecord {
                product_id,
                supplier_id: (!caller.role.administers()).then_some(caller.user_id),
                announced: false,
                for_sale: true,
                threshold: threshold.map_or_else(|| stock::threshold(quantity.into()), i64::from),
            };
            let Some(record) = receive(transaction, &new, quantity).await? else {
                // The supplier of the product may find here what somebody else has added before the catalog told.
                let present = repository::find_in(transaction, product_id).await?;
                if present.is_some_and(|record| record.announced && !record.belongs_to(caller)) {
                    return Err(NOT_FOUND);
                }
                let detail = "this product has an inventory record: adjust it".to_owned();
                return Err(Error::Conflict("inventory-exists", detail));
            };
            let details = json!({ "quantity": quantity, "threshold": new.threshold });
            audit::record(transaction, caller, "stock.created", subject(product_id), details).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &StockView::from(record)).await
        })
        .await
}

/// The catalog has a new product, and says whose it is. When there is a record already, that of its supplier or an admin
/// stands; what another supplier added was nobody's pieces, and none of them was ever held or sold.
pub(crate) async fn introduce(transaction: &Transaction, product: &ProductCreated) -> Result<()> {
    let &ProductCreated { product_id, supplier_id, stock: quantity, status, .. } = product;
    let (threshold, for_sale) = (stock::threshold(quantity.into()), status == ProductStatus::Active);
    let new = NewRecord { product_id, supplier_id: Some(supplier_id), announced: true, threshold, for_sale };
    if receive(transaction, &new, quantity).await?.is_some() {
        return Ok(());
    }
    let record = repository::find_in(transaction, product_id).await?.ok_or(NOT_FOUND)?;
    let now = Timestamp::now();
    repository::set_supplier(transaction, product_id, supplier_id, for_sale, now).await?;
    if record.supplier_id.is_none_or(|known| known == supplier_id) {
        // The catalog shows what it was told with the product.
        return announce(transaction, &[Record { announced: true, ..record }]).await;
    }
    repository::set_threshold(transaction, product_id, threshold, now).await?;
    let record = Record { announced: true, ..record };
    let reason = Some("the product is another supplier's");
    adjusted(transaction, record, Adjustment::OnHand(quantity.into()), reason).await.map(drop)
}

/// The catalog says whether the product is for sale. Its supplier may have counted: `change` more or fewer pieces, beside
/// what was sold meanwhile, of which the catalog had not heard yet. While the catalog has not told of the product, that is
/// to come again: its record is on the way.
pub(crate) async fn follow_catalog(
    transaction: &Transaction,
    product_id: ProductId,
    status: ProductStatus,
    change: i64,
) -> Result<()> {
    let record = repository::find_in(transaction, product_id).await?.filter(|record| record.announced);
    let before =
        record.ok_or_else(|| Error::Unavailable(format!("the inventory record of product {product_id}").into()))?;
    let for_sale = status == ProductStatus::Active;
    if before.for_sale != for_sale {
        repository::set_for_sale(transaction, product_id, for_sale, Timestamp::now()).await?;
    }
    if change == 0 {
        return Ok(());
    }
    let after = adjusted(transaction, before, Adjustment::Within(change), Some("set in the catalog")).await?;
    warn(transaction, &[(before, after)]).await
}

/// Starts a product's record with `quantity` pieces; `None` when it has one.
async fn receive(transaction: &Transaction, new: &NewRecord, quantity: u32) -> Result<Option<Record>> {
    if !repository::create(transaction, new, Timestamp::now()).await? {
        return Ok(None);
    }
    let change = Change { product_id: new.product_id, on_hand: quantity.into(), reserved: 0, reservation_id: None };
    Ok(apply(transaction, Kind::Received, &[change], None).await?.into_iter().next())
}

/// How an adjustment says what it wants.
#[derive(Debug, Clone, Copy)]
enum Adjustment {
    /// So many more, or fewer.
    By(i64),
    /// So many on hand.
    OnHand(i64),
    /// So many more, or fewer, but no fewer than all that can be ordered, and no more than a record holds.
    Within(i64),
}

/// Changes the number of pieces on hand; never below what is reserved. Warns of nothing.
async fn adjusted(
    transaction: &Transaction,
    record: Record,
    adjustment: Adjustment,
    reason: Option<&str>,
) -> Result<Record> {
    let delta = match adjustment {
        Adjustment::By(delta) => delta,
        Adjustment::OnHand(wanted) => wanted - record.on_hand,
        Adjustment::Within(delta) => delta.clamp(record.reserved - record.on_hand, MOST_ON_HAND - record.on_hand),
    };
    if record.on_hand + delta < record.reserved {
        return Err(Error::Conflict(
            "insufficient-stock",
            format!(
                "{} on hand, {} of them reserved: cannot go to {}",
                record.on_hand,
                record.reserved,
                record.on_hand + delta
            ),
        ));
    }
    if record.on_hand + delta > MOST_ON_HAND {
        return Err(Error::invalid("delta", "is more than any shelf holds"));
    }
    let change = Change { product_id: record.product_id, on_hand: delta, reserved: 0, reservation_id: None };
    let changed = change_stock(transaction, Kind::Adjusted, &[change], reason).await?;
    changed.into_iter().next().map(|(_, after)| after).ok_or(NOT_FOUND)
}

pub(crate) async fn adjust_once(
    caller: &Caller,
    once: &Once,
    product_id: ProductId,
    delta: i64,
    reason: &str,
) -> Result<Answer> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let before = owned(caller, repository::find_in(transaction, product_id).await?)?;
            let after = adjusted(transaction, before, Adjustment::By(delta), Some(reason)).await?;
            warn(transaction, &[(before, after)]).await?;
            let details = json!({ "delta": delta, "onHand": after.on_hand });
            audit::record(transaction, caller, "stock.adjusted", subject(product_id), details).await?;
            once.answer(transaction, Some(caller), StatusCode::OK, &StockView::from(after)).await
        })
        .await
}

pub(crate) async fn update(
    caller: &Caller,
    product_id: ProductId,
    on_hand: Option<u32>,
    threshold: Option<u32>,
    reason: Option<&str>,
) -> Result<StockView> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let before = owned(caller, repository::find_in(transaction, product_id).await?)?;
            let mut after = before;
            if let Some(threshold) = threshold {
                let now = Timestamp::now();
                repository::set_threshold(transaction, product_id, threshold.into(), now).await?;
                after = Record { threshold: threshold.into(), updated_at: now, ..before };
            }
            if let Some(on_hand) = on_hand {
                after = adjusted(transaction, after, Adjustment::OnHand(on_hand.into()), reason).await?;
            }
            // One change, whatever it is made of: a record that is not low afterwards never was.
            warn(transaction, &[(before, after)]).await?;
            if (before.on_hand, before.threshold) != (after.on_hand, after.threshold) {
                let details = json!({ "onHand": on_hand, "threshold": threshold });
                audit::record(transaction, caller, "stock.updated", subject(product_id), details).await?;
            }
            Ok(after.into())
        })
        .await
}

/// Changes stock, writes the history, announces what can be ordered now, and warns where little is left.
pub(crate) async fn apply(
    transaction: &Transaction,
    kind: Kind,
    changes: &[Change],
    reason: Option<&str>,
) -> Result<Vec<Record>> {
    let changed = change_stock(transaction, kind, changes, reason).await?;
    warn(transaction, &changed).await?;
    Ok(changed.into_iter().map(|(_, after)| after).collect())
}

/// The same without the warning; each record before and after.
pub(crate) async fn change_stock(
    transaction: &Transaction,
    kind: Kind,
    changes: &[Change],
    reason: Option<&str>,
) -> Result<Vec<(Record, Record)>> {
    let now = Timestamp::now();
    let sums = stock::summed(changes);
    let records = repository::apply(transaction, &sums, now).await?;
    repository::record(transaction, kind, changes, reason, now).await?;
    if kind.changes_availability() {
        announce(transaction, &records).await?;
    }
    let with_before = |after: Record| {
        let sum = sums.iter().find(|sum| sum.product_id == after.product_id);
        (after.before(sum.map_or(0, Change::available)), after)
    };
    Ok(records.into_iter().map(with_before).collect())
}

/// Warns of what has become low: it was not before, and is now. The write lock makes that once for each time.
pub(crate) async fn warn(transaction: &Transaction, changed: &[(Record, Record)]) -> Result<()> {
    let low: Vec<_> = changed
        .iter()
        .filter(|(before, after)| !before.is_low() && after.is_low())
        .map(|(_, after)| StockLow {
            product_id: after.product_id,
            supplier_id: after.supplier_id,
            available: after.available(),
            threshold: after.threshold,
        })
        .collect();
    Ok(events::emit_all(transaction, <Inventory as web::Service>::NAME, &low).await?)
}

/// Tells the catalog what can be ordered, of the products that it has told of.
pub(crate) async fn announce(transaction: &Transaction, records: &[Record]) -> Result<()> {
    let changed: Vec<_> = records
        .iter()
        .filter(|record| record.announced)
        .map(|record| StockChanged {
            product_id: record.product_id,
            available: record.available(),
            version: record.version,
        })
        .collect();
    Ok(events::emit_all(transaction, <Inventory as web::Service>::NAME, &changed).await?)
}
