//! Customers change what they have ordered, or where it goes, while it is not paid.
//!
//! What changes is the order, at once: it waits for its stock again. Inventory exchanges what it holds for it, in one
//! transaction, or holds nothing any more, and the order fails. A card that is being charged for what the order cost
//! before gets its money back, and the order is called off (`reactions.rs`): so nobody pays anything but what an order costs.

use model::{
    Address, OrderId, Timestamp, UserId,
    event::{OrderChanged, OrderedItem},
};
use serde::Deserialize;
use store::Durability;
use web::{Caller, Error, Result, client};

use crate::{
    DATABASE,
    order::{self, Draft, Priced},
    orders::{self, OrderView, announce, visible},
    placing::{self, Expected},
    pricing,
    repository::{self, Change, Order},
};

/// What a customer wants otherwise; what is not given stays.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) items: Option<Vec<OrderedItem>>,
    pub(crate) shipping_address: Option<Address>,
    pub(crate) billing_address: Option<Address>,
    pub(crate) expected: Expected,
}

/// Changes an order of the caller. 409 once it is paid, or being paid.
pub(crate) async fn change(caller: &Caller, id: OrderId, wanted: Wanted) -> Result<OrderView> {
    must_own(caller, visible(caller, id).await?.user_id)?;
    let order = orders::judged(id).await?;
    if !order::Step::Change.from().contains(&order.status) {
        return Err(Error::Conflict("not-changeable", format!("the order is {}", order.status)));
    }
    // By its own token, or by one that payments have got since.
    if order.payment_token.is_some() || has_payment(id).await? {
        return Err(Error::Conflict("not-changeable", "the order is being paid".into()));
    }
    let priced = price(&order, &wanted).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let change = Change {
                priced: &priced,
                shipping_address: wanted.shipping_address.as_ref(),
                billing_address: wanted.billing_address.as_ref(),
            };
            let now = Timestamp::now();
            let Some(order) = repository::change(transaction, id, order.revision, &change, now).await? else {
                return Err(Error::Conflict("not-changeable", "something else has happened to the order".into()));
            };
            let event = OrderChanged {
                order_id: id,
                number: order.number(),
                user_id: order.user_id,
                items: order::sold(&priced.lines),
                total: order.total,
                currency: order.currency,
            };
            announce(transaction, &order, &event).await?;
            Ok(order.into())
        })
        .await
}

/// Admins see the orders of others, but do not decide what those want.
fn must_own(caller: &Caller, owner: UserId) -> Result<()> {
    if caller.user_id == owner { Ok(()) } else { Err(Error::Forbidden("only its customer changes an order")) }
}

/// Whether payments have one for the order.
async fn has_payment(id: OrderId) -> Result<bool> {
    #[derive(Deserialize)]
    struct Payment {}
    let payment: Option<Payment> = client::get("payments", &format!("/internal/orders/{id}/payment")).await?;
    Ok(payment.is_some())
}

/// What the order costs then. Items that are named have the prices of this moment, others those that they had.
async fn price(order: &Order, wanted: &Wanted) -> Result<Priced> {
    if order.discount_code.is_some() {
        return Err(Error::Conflict("not-changeable", "it has a discount: cancel it, and order again".into()));
    }
    let draft = match &wanted.items {
        Some(items) => {
            let draft = placing::draft(items).await?;
            wanted.expected.check_items(items, &draft)?;
            draft
        }
        None => Draft::of(order.lines()?, order.subtotal, order.currency),
    };
    let kept =
        order.shipping_address.as_ref().map(|address| serde_json::from_str::<Address>(address.get())).transpose()?;
    pricing::priced(draft, None, wanted.shipping_address.as_ref().or(kept.as_ref())).await
}
