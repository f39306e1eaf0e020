//! The books, in double entry: what moved, from where to where.
//!
//! Accounts, as the shop sees them: `provider` is what the provider owes it, `hand` what it has without one, `revenue` what
//! customers have paid, and `refunds` what went back to them. Debits are positive, credits negative, so every posting sums to zero, and with them
//! every order and everything. Holding money and letting it go moves nothing.

use model::{Currency, Money, OrderId, PaymentId, Timestamp};
use serde::Serialize;
use store::Transaction;
use utoipa::ToSchema;
use web::{Page, PageQuery, Result};

use crate::{
    DATABASE, by_hand,
    repository::{self, Payment, Refund},
};

const PROVIDER: &str = "provider";
const HAND: &str = "hand";
const REVENUE: &str = "revenue";
const REFUNDS: &str = "refunds";

/// One line of the books.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LedgerEntry)]
pub(crate) struct Entry {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    /// Entries with the same one sum to zero: `capture/<payment>`, `refund/<refund>` or `refund-reversal/<refund>`.
    #[schema(example = "capture/17")]
    pub(crate) posting: String,
    pub(crate) order_id: OrderId,
    pub(crate) payment_id: PaymentId,
    /// `provider`, `hand`, `revenue` or `refunds`.
    #[schema(example = "provider")]
    pub(crate) account: String,
    /// A debit when positive, a credit when negative.
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) created_at: Timestamp,
}

/// Two entries that sum to zero: `amount`, above 0, is debited to one account and credited to the other.
pub(crate) struct Posting {
    pub(crate) name: String,
    pub(crate) debit: &'static str,
    pub(crate) credit: &'static str,
    pub(crate) amount: Money,
}

/// Who has a payment's money.
fn holder(payment: &Payment) -> &'static str {
    if by_hand::holds(payment) { HAND } else { PROVIDER }
}

/// Money was taken: the provider has it for the shop, or an admin.
pub(crate) async fn captured(transaction: &Transaction, payment: &Payment, now: Timestamp) -> Result<()> {
    // What costs nothing moves nothing.
    if payment.amount == Money::ZERO {
        return Ok(());
    }
    let name = format!("capture/{}", payment.id);
    let posting = Posting { name, debit: holder(payment), credit: REVENUE, amount: payment.amount };
    repository::ledger::post(transaction, payment, &posting, now).await
}

/// Money went back.
pub(crate) async fn refunded(
    transaction: &Transaction,
    payment: &Payment,
    refund: &Refund,
    now: Timestamp,
) -> Result<()> {
    let posting = Posting {
        name: format!("refund/{}", refund.id),
        debit: REFUNDS,
        credit: holder(payment),
        amount: refund.amount,
    };
    repository::ledger::post(transaction, payment, &posting, now).await
}

/// Money that went back has come back again: the opposite of what was posted then.
pub(crate) async fn reversed(
    transaction: &Transaction,
    payment: &Payment,
    refund: &Refund,
    now: Timestamp,
) -> Result<()> {
    let name = format!("refund-reversal/{}", refund.id);
    let posting = Posting { name, debit: PROVIDER, credit: REFUNDS, amount: refund.amount };
    repository::ledger::post(transaction, payment, &posting, now).await
}

/// The entries, oldest first: of one order, or all.
pub(crate) async fn list(order_id: Option<OrderId>, page: &PageQuery) -> Result<Page<Entry>> {
    let after = page.after::<i64>()?.unwrap_or(0);
    let entries = repository::ledger::list(&DATABASE, order_id, after, page.limit() + 1).await?;
    Page::new(entries, page.limit(), |entry| entry.id)
}
