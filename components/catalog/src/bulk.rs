//! Import and export: as many products as there are, a batch at a time.

use std::{collections::BTreeMap, rc::Rc};

use events::trace::Trace;
use futures::Stream;
use model::{CategoryId, ProductId, Timestamp, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use store::{Durability, Transaction};
use web::{Caller, Error, Json, Line, Lines, Result, audit};

use crate::{
    DATABASE, NAME,
    product::{NewProduct, Product, ProductChange},
    products,
    repository::{self, Stored, categories},
};

/// Rows of one transaction.
const BATCH: usize = 100;
/// Bytes of rows that are kept at once.
const MOST_BYTES: usize = 256 * 1024;
/// Products of one piece of an export.
const PAGE: u32 = 100;

/// A row that says which product it is about.
struct Row {
    line: u64,
    sku: String,
    change: ProductChange,
    /// As it arrived: what it must be for a new product is seen when it is known to be one.
    json: Vec<u8>,
}

/// A row, or what is wrong with it.
enum Entry {
    Row(Box<Row>),
    Failed(u64, Option<String>, Error),
}

/// What became of a row.
#[derive(Serialize)]
struct Outcome<'a> {
    line: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<ProductId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<RawValue>>,
}

/// What a row did to a product.
enum Done {
    Created(ProductId),
    Updated(ProductId),
    Unchanged(ProductId),
    Failed(Error),
}

impl Done {
    fn outcome<'a>(&self, line: u64, sku: Option<&'a str>) -> Result<Outcome<'a>> {
        let (status, id, error) = match self {
            Done::Created(id) => ("created", Some(*id), None),
            Done::Updated(id) => ("updated", Some(*id), None),
            Done::Unchanged(id) => ("unchanged", Some(*id), None),
            Done::Failed(error) => ("failed", None, Some(error.to_json()?)),
        };
        Ok(Outcome { line, status, id, sku, error })
    }
}

/// An import that is under way.
struct Import {
    caller: Caller,
    lines: Lines,
    line: u64,
    /// The first row of the next batch.
    next: Option<Box<Row>>,
    trace: Option<Rc<Trace>>,
}

/// Offers or changes the product of each line, known by its SKU; the outcomes, a line for each, in order. A batch is on
/// disk before its outcomes are told, so an import that breaks off can be sent again: what is done already is unchanged.
pub(crate) fn import(caller: Caller, lines: Lines) -> impl Stream<Item = Result<String>> {
    let import = Import { caller, lines, line: 0, next: None, trace: events::trace::current() };
    futures::stream::try_unfold(import, |mut import: Import| async move {
        let entries = import.batch().await?;
        if entries.is_empty() {
            return Ok(None);
        }
        let outcomes = match import.trace.clone() {
            Some(trace) => events::trace::scope(trace, import.carry_out(entries)).await?,
            None => import.carry_out(entries).await?,
        };
        Ok::<_, Error>(Some((outcomes, import)))
    })
}

impl Import {
    /// The next rows, no SKU twice; none at the end.
    async fn batch(&mut self) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = self.next.take().map(Entry::Row).into_iter().collect();
        let mut bytes = 0;
        while entries.len() < BATCH && bytes < MOST_BYTES {
            let Some(line) = self.lines.next().await? else { break };
            self.line += 1;
            match read(self.line, line) {
                None => {}
                Some(Entry::Row(row)) => {
                    let known = |entry: &Entry| matches!(entry, Entry::Row(known) if known.sku == row.sku);
                    if entries.iter().any(known) {
                        self.next = Some(row);
                        break;
                    }
                    bytes += row.json.len();
                    entries.push(Entry::Row(row));
                }
                Some(failed) => entries.push(failed),
            }
        }
        Ok(entries)
    }

    /// Does what a batch says, and tells what became of it.
    async fn carry_out(&self, entries: Vec<Entry>) -> Result<String> {
        let rows: Vec<&Row> = entries.iter().filter_map(Entry::row).collect();
        let mut done = if rows.is_empty() {
            Vec::new()
        } else {
            let stored = DATABASE
                .transaction(Durability::Durable, async |transaction| store(transaction, &self.caller, &rows).await)
                .await;
            // The batch as a whole may come too late or too early; the next one need not.
            stored.unwrap_or_else(|error| rows.iter().map(|_| Done::Failed(error.clone())).collect())
        }
        .into_iter();
        let mut outcomes = String::new();
        for entry in &entries {
            let outcome = match entry {
                Entry::Failed(line, sku, error) => Done::Failed(error.clone()).outcome(*line, sku.as_deref())?,
                Entry::Row(row) => match done.next() {
                    Some(done) => done.outcome(row.line, Some(&row.sku))?,
                    None => return Err(Error::Internal("an import lost a row".into())),
                },
            };
            outcomes.push_str(&serde_json::to_string(&outcome)?);
            outcomes.push('\n');
        }
        // Before the next batch, so that what waits to be delivered does not pile up.
        events::relay(&DATABASE).await;
        Ok(outcomes)
    }
}

impl Entry {
    fn row(&self) -> Option<&Row> {
        match self {
            Entry::Row(row) => Some(row),
            Entry::Failed(..) => None,
        }
    }
}

/// What stands in a line; nothing in an empty one.
fn read(line: u64, text: Line) -> Option<Entry> {
    let Line::Text(json) = text else { return Some(Entry::Failed(line, None, Error::TooLarge)) };
    if json.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let row = Json::<ProductChange>::parse(&json).map(|Json(change)| change);
    Some(match row {
        Err(error) => Entry::Failed(line, None, error),
        Ok(change) => match change.sku.clone().flatten() {
            Some(sku) => Entry::Row(Box::new(Row { line, sku: sku.trim().to_owned(), change, json })),
            None => Entry::Failed(line, None, Error::invalid("sku", "is missing")),
        },
    })
}

/// What there is to write: new products, each with the place of its row, and changed ones, with what was counted.
#[derive(Default)]
struct Work {
    new: Vec<(usize, Product)>,
    changed: Vec<Product>,
}

/// Does what rows say: what became of each. The statements are as many, however many rows there are.
async fn store(transaction: &Transaction, caller: &Caller, rows: &[&Row]) -> Result<Vec<Done>> {
    let skus: Vec<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
    let known = repository::with_skus(transaction, &skus).await?.into_iter();
    let mut known: BTreeMap<String, Stored> =
        known.filter_map(|stored| Some((stored.product.sku.clone()?, stored))).collect();
    let mut wanted: Vec<CategoryId> = rows.iter().filter_map(|row| row.change.category_id.flatten()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let names = categories::names(transaction, &wanted).await?;

    let now = Timestamp::now();
    let mut work = Work::default();
    let mut done = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let decided = match products::named(&names, row.change.category_id.flatten()) {
            Err(error) => Err(error),
            Ok(category) => match known.remove(&row.sku) {
                Some(stored) => change(caller, row, stored.product, category, now, &mut work),
                None => create(caller, row, category, now, place, &mut work),
            },
        };
        done.push(decided.unwrap_or_else(Done::Failed));
    }
    let of_others = work.changed.iter().filter(|product| product.supplier_id != caller.user_id);
    let audited: Vec<_> =
        of_others.map(|product| (products::subject(product.id), products::details(product))).collect();
    audit::record_all(transaction, &caller.into(), "product.updated", &audited).await?;
    write(transaction, work, &mut done).await?;
    Ok(done)
}

fn change(
    caller: &Caller,
    row: &Row,
    mut product: Product,
    category: Option<String>,
    now: Timestamp,
    work: &mut Work,
) -> Result<Done> {
    if !caller.may_see(product.supplier_id) {
        return Err(Error::Conflict("sku-taken", format!("another supplier's product has the SKU {}", row.sku)));
    }
    let id = product.id;
    // What is there already is counted by inventory: sent again after a sale, a line would bring sold pieces back.
    let mut change = row.change.clone();
    change.stock = None;
    if !product.apply(change, category, now) {
        return Ok(Done::Unchanged(id));
    }
    work.changed.push(product);
    Ok(Done::Updated(id))
}

fn create(
    caller: &Caller,
    row: &Row,
    category: Option<String>,
    now: Timestamp,
    place: usize,
    work: &mut Work,
) -> Result<Done> {
    let Json(new) = Json::<NewProduct>::parse(&row.json)?;
    work.new.push((place, new.into_product(caller.user_id, products::currency()?, category, now)));
    Ok(Done::Created(ProductId(0)))
}

async fn write(transaction: &Transaction, work: Work, done: &mut [Done]) -> Result<()> {
    let new: Vec<&Product> = work.new.iter().map(|(_, product)| product).collect();
    let ids = repository::insert(transaction, &new).await?;
    let mut created = Vec::with_capacity(ids.len());
    for ((place, product), (id, _)) in work.new.into_iter().zip(ids) {
        done[place] = Done::Created(id);
        created.push(products::created(id, product));
    }
    let changed: Vec<&Product> = work.changed.iter().collect();
    repository::update(transaction, &changed).await?;
    let updated: Vec<_> = work.changed.into_iter().map(|product| products::updated(product, None)).collect();
    events::emit_all(transaction, NAME, &created).await?;
    Ok(events::emit_all(transaction, NAME, &updated).await?)
}

/// All products of the caller, of everybody for an admin, by id, a line of JSON each.
pub(crate) fn export(caller: &Caller) -> impl Stream<Item = Result<String>> + use<> {
    let of: Option<UserId> = (!caller.role.administers()).then_some(caller.user_id);
    futures::stream::try_unfold(Some(ProductId(0)), move |after| async move {
        let Some(after) = after else { return Ok(None) };
        let page = repository::export(&DATABASE, of, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let more = page.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        let next = more.then_some(*last);
        let mut lines = String::with_capacity(page.iter().map(|(_, json)| json.len() + 1).sum());
        for (_, json) in &page {
            lines.push_str(json);
            lines.push('\n');
        }
        Ok::<_, Error>(Some((lines, next)))
    })
}
