//! Placing orders: from what somebody wants to a row, its price and its announcement.

use http::StatusCode;
use model::{
    Address, Currency, Money, OrderId, Timestamp, UserId,
    event::{DiscountUsed, OrderPlaced, OrderedItem},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Answer, Caller, Error, FieldError, Once, Refusal, Result, Service, client, variable};

use crate::{
    DATABASE, Orders,
    order::{self, Draft, Line, Offer, Priced, Terms, Unplaceable},
    orders::{self, NOT_FOUND, OrderView, announce},
    pricing,
    repository::{
        self, NewOrder, Order,
        placements::{self, Placed},
    },
    users,
};

/// What a customer asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) items: Vec<OrderedItem>,
    pub(crate) discount_code: Option<String>,
    pub(crate) shipping_address: Option<Choice<Address>>,
    pub(crate) billing_address: Option<Choice<Address>>,
    pub(crate) means: Option<Means>,
    pub(crate) expected: Expected,
}

/// What a customer has been told that things cost.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Of one piece of the item at that position.
    pub(crate) prices: Vec<(usize, Money)>,
    pub(crate) total: Option<Money>,
}

impl Expected {
    /// 409 that says what an item costs, if that is something else.
    pub(crate) fn check_items(&self, items: &[OrderedItem], draft: &Draft) -> Result<()> {
        let price = |id| draft.prices().find(|(product, ..)| *product == id).map(|(.., price)| price);
        for (position, told) in &self.prices {
            let price = items.get(*position).and_then(|item| price(item.product_id.0));
            if let Some(price) = price.filter(|price| price != told) {
                return Err(price_changed(format!("items[{position}].price"), price));
            }
        }
        Ok(())
    }

    /// 409 that says what the order costs, if that is something else.
    fn check_total(&self, total: Money) -> Result<()> {
        match self.total {
            Some(told) if told != total => Err(price_changed("totalAmount".to_owned(), total)),
            _ => Ok(()),
        }
    }
}

fn price_changed(field: String, right: Money) -> Error {
    let detail = format!("{field} is {right}");
    let errors = vec![FieldError { field, message: format!("is {right}") }];
    Error::Refused(Box::new(Refusal { status: 409, code: "price-changed".to_owned(), detail, errors }))
}

/// Something that a customer gives, or one of those that accounts keep for them.
#[derive(Debug)]
pub(crate) enum Choice<T> {
    Given(T),
    Kept(i64),
}

/// What is charged once the order has its stock.
#[derive(Debug)]
pub(crate) enum Means {
    Token(Choice<String>),
    /// The account's default payment method, or what the shop has for accounts without one.
    OnFile,
}

impl<T> Choice<T> {
    /// The thing itself. `field` is blamed when there is none with this id.
    async fn resolve<A: DeserializeOwned>(
        self,
        user_id: UserId,
        collection: &str,
        field: &'static str,
        read: impl FnOnce(A) -> T,
    ) -> Result<T> {
        match self {
            Choice::Given(value) => Ok(value),
            Choice::Kept(id) => {
                let kept = client::get("accounts", &format!("/internal/users/{user_id}/{collection}/{id}")).await?;
                kept.map(read).ok_or_else(|| Error::invalid(field, "there is none with this id"))
            }
        }
    }
}

/// A payment method, as accounts keep it.
#[derive(Deserialize)]
struct PaymentMethod {
    token: String,
}

/// What an account without a word on it pays with; `None` when it has nothing, and the shop neither: it is paid later.
async fn on_file(user_id: UserId) -> Result<Option<String>> {
    let path = format!("/internal/users/{user_id}/payment-methods/default");
    match client::get::<PaymentMethod>("accounts", &path).await? {
        Some(method) => Ok(Some(method.token)),
        None => variable::get("default_payment_token").await,
    }
}

impl Request {
    async fn resolve(self, user_id: UserId, key: Option<Uuid>) -> Result<Placement> {
        let address = async |choice: Option<Choice<Address>>, field| match choice {
            Some(choice) => choice.resolve(user_id, "addresses", field, |address: Address| address).await.map(Some),
            None => Ok(None),
        };
        let payment_token = match self.means {
            Some(Means::Token(choice)) => {
                let token = |method: PaymentMethod| method.token;
                Some(choice.resolve(user_id, "payment-methods", "paymentMethodId", token).await?)
            }
            Some(Means::OnFile) => on_file(user_id).await?,
            None => None,
        };
        Ok(Placement {
            user_id,
            key,
            items: self.items,
            discount_code: self.discount_code,
            shipping_address: address(self.shipping_address, "shippingAddressId").await?,
            billing_address: address(self.billing_address, "billingAddressId").await?,
            payment_token,
            expected: self.expected,
        })
    }
}

/// What is to be placed.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) user_id: UserId,
    /// Names the placement for whoever may ask for it again: under one key there is at most one order.
    pub(crate) key: Option<Uuid>,
    pub(crate) items: Vec<OrderedItem>,
    pub(crate) discount_code: Option<String>,
    pub(crate) shipping_address: Option<Address>,
    pub(crate) billing_address: Option<Address>,
    pub(crate) payment_token: Option<String>,
    pub(crate) expected: Expected,
}

/// Places an order for a customer: priced by the catalog and the shop's rules, reserved by event, charged once reserved
/// if it brings a payment token.
pub(crate) async fn place(caller: &Caller, once: &Once, request: Request) -> Result<Answer> {
    if let Some(answer) = once.answered(&DATABASE, Some(caller)).await? {
        return Ok(answer);
    }
    // Only carts, who count the uses of codes, ever ask what became of a placement.
    let key = request.discount_code.is_some().then(|| once.uuid(caller));
    let wanted = request.resolve(caller.user_id, key).await?;
    let ready = prepare(&wanted).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let order = place_in(transaction, &wanted, &ready).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &OrderView::from(order)).await
        })
        .await
}

/// Places an order for another service of the shop, which has chosen a key for it.
pub(crate) async fn place_by_key(wanted: Placement) -> Result<OrderView> {
    // Asked for again, the order is shown, even if it could not be placed any more.
    if let Some(key) = wanted.key
        && let Some(placed) = placements::find(&DATABASE, key).await?
    {
        let order = repository::find(&DATABASE, order_of(placed)?).await?;
        return Ok(of_user(order, wanted.user_id)?.into());
    }
    let ready = prepare(&wanted).await?;
    let order = DATABASE
        .transaction(Durability::Durable, async |transaction| place_in(transaction, &wanted, &ready).await)
        .await?;
    Ok(order.into())
}

/// A placement with its price.
struct Ready {
    priced: Priced,
    /// The code as carts write it.
    discount_code: Option<String>,
}

/// Asks everybody who must be asked. A code is redeemed here: when no order comes of it, carts get it back by
/// [`forget`].
async fn prepare(wanted: &Placement) -> Result<Ready> {
    let draft = draft(&wanted.items).await?;
    wanted.expected.check_items(&wanted.items, &draft)?;
    let terms = match (&wanted.discount_code, wanted.key) {
        (Some(code), Some(key)) => {
            // What the rules refuse in any case must not hold a use of the code.
            pricing::priced(draft.clone(), None, wanted.shipping_address.as_ref()).await?;
            let redemption =
                Redemption { code, key, user_id: wanted.user_id, subtotal: draft.subtotal, currency: draft.currency };
            Some(client::ask::<Terms>("carts", "/internal/discounts/redeem", &redemption).await?)
        }
        _ => None,
    };
    let priced = pricing::priced(draft, terms.as_ref(), wanted.shipping_address.as_ref()).await?;
    wanted.expected.check_total(priced.total)?;
    Ok(Ready { priced, discount_code: terms.map(|terms| terms.code) })
}

/// What carts want to know before a code may be used.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Redemption<'a> {
    code: &'a str,
    key: Uuid,
    user_id: UserId,
    subtotal: Money,
    currency: Currency,
}

pub(crate) async fn draft(items: &[OrderedItem]) -> Result<Draft> {
    Draft::new(items, &offers(items).await?).map_err(|unplaceable| match unplaceable {
        Unplaceable::NoSuchProduct(position) => {
            Error::invalid(format!("items[{position}].productId"), "there is no such product")
        }
        Unplaceable::Empty => Error::invalid("items", "must not be empty"),
        Unplaceable::MixedCurrencies => Error::invalid("items", "have prices in different currencies"),
        Unplaceable::TooExpensive => Error::invalid("items", format!("cost more than {}", Money::MAX)),
    })
}

/// What the catalog asks for the products, at this moment.
async fn offers(items: &[OrderedItem]) -> Result<Vec<Offer>> {
    let mut ids: Vec<_> = items.iter().map(|item| item.product_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let path = format!("/internal/products?ids={}", ids.join(","));
    client::get("catalog", &path).await?.ok_or(Error::Unavailable("catalog".into()))
}

/// Writes the order down, or finds the one that its key has become.
async fn place_in(transaction: &Transaction, wanted: &Placement, ready: &Ready) -> Result<Order> {
    if let Some(key) = wanted.key
        && let Some(placed) = placements::find_in(transaction, key).await?
    {
        return of_user(repository::find_in(transaction, order_of(placed)?).await?, wanted.user_id);
    }
    let now = Timestamp::now();
    let new = NewOrder {
        user_id: wanted.user_id,
        priced: &ready.priced,
        discount_code: ready.discount_code.as_deref(),
        placement_key: wanted.key,
        shipping_address: wanted.shipping_address.as_ref(),
        billing_address: wanted.billing_address.as_ref(),
        payment_token: wanted.payment_token.as_deref(),
        expires_at: orders::deadline(now),
    };
    let (order, customer) = repository::insert(transaction, &new, now).await?;
    users::must_be_active(customer.as_deref())?;
    if let Some(key) = wanted.key
        && !placements::decide(transaction, key, Placed::Order(order.id)).await?
    {
        return Err(Error::Unavailable("the placement with the same key".into()));
    }
    let placed = OrderPlaced {
        order_id: order.id,
        number: order.number(),
        user_id: order.user_id,
        items: order::sold(&ready.priced.lines),
        subtotal: order.subtotal,
        discount: order.discount,
        shipping: order.shipping,
        tax: order.tax,
        total: order.total,
        currency: order.currency,
    };
    announce(transaction, &order, &placed).await?;
    if let (Some(_), Some(key)) = (&order.discount_code, order.placement_key) {
        let used = DiscountUsed { order_id: order.id, key };
        events::emit(transaction, Orders::NAME, &used).await?;
    }
    Ok(order)
}

fn order_of(placed: Placed) -> Result<OrderId> {
    match placed {
        Placed::Order(id) => Ok(id),
        Placed::Forgotten => {
            Err(Error::Conflict("placement-forgotten", "this placement took too long: start again".into()))
        }
    }
}

/// A key is worth one order, of one customer.
fn of_user(order: Option<Order>, user_id: UserId) -> Result<Order> {
    let order = order.ok_or(NOT_FOUND)?;
    if order.user_id == user_id {
        Ok(order)
    } else {
        Err(Error::Conflict("placement-key-reused", "another customer's order has this key".into()))
    }
}

/// What has become of a placement that was to be forgotten.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Forgotten {
    /// `None`: there is no order under its key, and there will be none.
    order_id: Option<OrderId>,
    fate: Option<Fate>,
}

impl Forgotten {
    fn of(order: &Order) -> Self {
        Self { order_id: Some(order.id), fate: Some(Fate::of(order)) }
    }
}

/// What an order has come to, for those who count something for it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fate {
    /// It may still be paid.
    Open,
    /// It was, whatever came of it then.
    Paid,
    /// It is over, and was not.
    Unpaid,
}

impl Fate {
    const fn of(order: &Order) -> Self {
        match order.paid_at {
            Some(_) => Fate::Paid,
            None if order.ended_unpaid() => Fate::Unpaid,
            None => Fate::Open,
        }
    }
}

/// Decides that nothing is placed under the key any more, unless there is an order.
pub(crate) async fn forget(key: Uuid) -> Result<Forgotten> {
    // What is decided stays so: most are, and asking need not wait for those who write.
    match placements::find(&DATABASE, key).await? {
        Some(Placed::Order(id)) => {
            return Ok(Forgotten::of(&repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?));
        }
        Some(Placed::Forgotten) => return Ok(Forgotten::default()),
        None => {}
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if placements::decide(transaction, key, Placed::Forgotten).await? {
                return Ok(Forgotten::default());
            }
            match placements::find_in(transaction, key).await? {
                Some(Placed::Order(id)) => {
                    Ok(Forgotten::of(&repository::find_in(transaction, id).await?.ok_or(NOT_FOUND)?))
                }
                Some(Placed::Forgotten) | None => Ok(Forgotten::default()),
            }
        })
        .await
}

/// What an order would cost now, without placing it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuoteView {
    items: Vec<Line>,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    currency: Currency,
}

/// Prices what somebody might order, with a code that they might use.
pub(crate) async fn quote(
    items: &[OrderedItem],
    terms: Option<&Terms>,
    ship_to: Option<&Address>,
) -> Result<QuoteView> {
    let Priced { lines, subtotal, discount, shipping, tax, total, currency } =
        pricing::priced(draft(items).await?, terms, ship_to).await?;
    Ok(QuoteView { items: lines, subtotal, discount, shipping, tax, total, currency })
}
