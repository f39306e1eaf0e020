//! SQL of the books.

use model::{Money, OrderId, PaymentId, Timestamp};
use store::{Database, Row, Transaction, params};
use web::Result;

use super::{Payment, parsed};
use crate::ledger::{Entry, Posting};

/// Adds both entries of a posting in one statement. A posting that is there already is an error: the database says so.
pub(crate) async fn post(
    transaction: &Transaction,
    payment: &Payment,
    posting: &Posting,
    now: Timestamp,
) -> Result<()> {
    // One row of values for both: SQLite and Postgres number parameters, and may use one twice.
    let insert = "INSERT INTO ledger (posting, order_id, payment_id, account, amount, currency, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7), ($1, $2, $3, $8, $9, $6, $7)";
    let amount = posting.amount.minor();
    let values = params![
        posting.name.as_str(),
        payment.order_id.0,
        payment.id.0,
        posting.debit,
        amount,
        payment.currency.as_str(),
        now.0,
        posting.credit,
        -amount
    ];
    Ok(transaction.execute(insert, values).await?)
}

/// Entries with an id above `after`, oldest first: of one order, or all.
pub(crate) async fn list(database: &Database, order_id: Option<OrderId>, after: i64, limit: u32) -> Result<Vec<Entry>> {
    const SELECT: &str = "SELECT id, posting, order_id, payment_id, account, amount, currency, created_at FROM ledger";
    let rows = match order_id {
        Some(order_id) => {
            let query = format!("{SELECT} WHERE order_id = $1 AND id > $2 ORDER BY id LIMIT $3");
            database.query(&query, params![order_id.0, after, limit]).await?
        }
        None => database.query(&format!("{SELECT} WHERE id > $1 ORDER BY id LIMIT $2"), params![after, limit]).await?,
    };
    rows.into_iter().map(read).collect()
}

fn read(mut row: Row) -> Result<Entry> {
    Ok(Entry {
        id: row.next()?,
        posting: row.next()?,
        order_id: OrderId(row.next()?),
        payment_id: PaymentId(row.next()?),
        account: row.next()?,
        amount: Money::from_minor(row.next()?),
        currency: parsed(&row.next::<String>()?)?,
        created_at: Timestamp(row.next()?),
    })
}
