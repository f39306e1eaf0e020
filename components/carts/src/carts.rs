//! The use cases of carts: what happens in one transaction.

use std::time::Duration;

use http::StatusCode;
use model::{Address, Currency, Money, ProductId, Timestamp, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use store::{Durability, Transaction};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, client};

use crate::{
    DATABASE,
    cart::{Cart, Lines, MOST_LINES, MOST_PIECES, Owner, Priced, PricedLine, Unfit, fingerprint},
    discount::{Code, Terms},
    discounts::{self, DiscountView},
    merging::gather,
    offers::{self, Offers},
    repository::carts as repository,
    users::{self, Person},
};

/// An anonymous cart that nobody changes for so long is forgotten.
const ANONYMOUS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) const NOT_FOUND: Error = Error::not_found("cart");

/// Who asks for a cart.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Whose cart is asked for.
    pub(crate) owner: Owner,
    /// Of an anonymous cart that the user brings along: the fingerprint of its token.
    pub(crate) brings: Option<String>,
}

impl Visitor {
    /// The user behind a sign-in, with a token that may have come with it.
    pub(crate) fn user(caller: &Caller, token: Option<&str>) -> Self {
        Self { owner: Owner::User(caller.user_id), brings: token.map(fingerprint) }
    }

    /// Whoever has this token.
    pub(crate) fn holder(token: &str) -> Self {
        Self { owner: Owner::Holder(fingerprint(token)), brings: None }
    }

    /// The claim of a request of this visitor, kept apart from those of others without an account.
    pub(crate) fn claim(&self, once: Once) -> Once {
        match &self.owner {
            Owner::User(_) => once,
            Owner::Holder(fingerprint) => once.within(fingerprint),
        }
    }
}

/// Which version of a cart a request wants to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whatever it is by now.
    Any,
    /// This version of this cart, or of any cart when no id is given.
    Version(Option<i64>, i64),
    /// None that there ever was.
    Nothing,
}

impl Expected {
    /// 412 when the cart is another one by now.
    pub(crate) fn check(self, cart: &Cart) -> Result<()> {
        let fits = match self {
            Expected::Any => true,
            Expected::Version(id, version) => id.is_none_or(|id| id == cart.id) && version == cart.version,
            Expected::Nothing => false,
        };
        if fits { Ok(()) } else { Err(Error::PreconditionFailed("the cart is another one by now: read it again")) }
    }
}

/// A cart as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Cart)]
pub(crate) struct CartView {
    /// `null`, as the times are, until something has been put into it.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    pub(crate) id: Option<i64>,
    /// Whose it is; absent in an anonymous one.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    /// Who that is, for an admin who asks for a user's cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<Person>,
    /// Grows with each change; in quotes it is good for `If-Match`.
    #[schema(minimum = 0, example = 3)]
    version: i64,
    /// `open`, or `checking-out` while it becomes an order and cannot change.
    #[schema(example = "open")]
    status: &'static str,
    /// What is in it.
    items: Vec<PricedLine>,
    /// Pieces.
    #[schema(minimum = 0, example = 2)]
    item_count: u64,
    /// Of what is available; `null` when that cannot be counted.
    pub(crate) subtotal: Option<Money>,
    /// The currency of all amounts.
    currency: Currency,
    /// The code that it is to be ordered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<DiscountView>,
    /// What an order would cost, with everything that is added and taken off; only when it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"items": [{"productId": 1, "name": "Stoneware mug", "quantity": 2, "unitPrice": 14.5}], "subtotal": 29.0, "discount": 0.0, "shipping": 4.9, "tax": 5.51, "total": 39.41, "currency": "EUR"}))]
    estimate: Option<Box<RawValue>>,
    /// When it was opened.
    created_at: Option<Timestamp>,
    /// Its last change.
    updated_at: Option<Timestamp>,
}

impl CartView {
    /// What `If-Match` is to repeat: the beginning of the cart's `ETag`.
    pub(crate) fn tag(&self) -> String {
        format!("{}-{}", self.id.unwrap_or(0), self.version)
    }
}

/// The cart at the prices of this moment.
pub(crate) async fn view(cart: Cart, mut offers: Offers) -> Result<CartView> {
    offers.cover(cart.lines.products()).await?;
    let Priced { lines: items, pieces: item_count, subtotal, currency } = Priced::new(&cart.lines, offers.known());
    let stored = cart.id != 0;
    Ok(CartView {
        id: stored.then_some(cart.id),
        user_id: if let Owner::User(user_id) = cart.owner { Some(user_id) } else { None },
        user: None,
        version: cart.version,
        status: if cart.checkout_key.is_some() { "checking-out" } else { "open" },
        items,
        item_count,
        subtotal,
        currency: currency.map_or_else(offers::currency, Ok)?,
        discount: match &cart.discount_code {
            Some(code) => Some(discounts::view(code).await?),
            None => None,
        },
        estimate: None,
        created_at: stored.then_some(cart.created_at),
        updated_at: stored.then_some(cart.updated_at),
    })
}

async fn find(owner: &Owner) -> Result<Cart> {
    repository::find(&DATABASE, owner).await?.ok_or(NOT_FOUND)
}

/// 403 for a user whose account is suspended.
pub(crate) fn must_be_allowed(cart: &Cart) -> Result<()> {
    if cart.suspended { Err(Error::Forbidden("the account is suspended")) } else { Ok(()) }
}

/// 403 when its user may not change it, and 409 while it becomes an order: what is put into it now would be in none.
pub(crate) fn must_be_open(cart: &Cart) -> Result<()> {
    must_be_allowed(cart)?;
    match cart.checkout_key {
        None => Ok(()),
        Some(_) => Err(Error::Conflict("checkout-under-way", "the cart is being ordered right now: try again".into())),
    }
}

/// Changes the visitor's cart, and returns it as it is then.
async fn change(
    transaction: &Transaction,
    visitor: &Visitor,
    expected: Expected,
    work: impl FnOnce(&mut Cart) -> Result<()>,
) -> Result<Cart> {
    let mut cart = gather(transaction, visitor).await?;
    must_be_open(&cart)?;
    expected.check(&cart)?;
    work(&mut cart)?;
    repository::save(transaction, &mut cart, Timestamp::now()).await?;
    Ok(cart)
}

/// The same in a transaction of its own.
async fn change_once(
    visitor: &Visitor,
    expected: Expected,
    work: impl FnOnce(&mut Cart) -> Result<()>,
) -> Result<Cart> {
    let changing = async |transaction: &Transaction| change(transaction, visitor, expected, work).await;
    DATABASE.transaction(Durability::Durable, changing).await
}

/// The visitor's cart, with what is brought along.
pub(crate) async fn get(visitor: &Visitor) -> Result<Cart> {
    let brings = match &visitor.brings {
        Some(token) => repository::find(&DATABASE, &Owner::Holder(token.clone())).await?.is_some(),
        None => false,
    };
    if brings {
        DATABASE.transaction(Durability::Durable, async |transaction| gather(transaction, visitor).await).await
    } else {
        find(&visitor.owner).await
    }
}

/// The visitor's cart at the prices of this moment. With `estimate` also what it would cost as an order, delivered to that
/// address if there is one.
pub(crate) async fn show(visitor: &Visitor, estimate: bool, ship_to: Option<&Address>) -> Result<CartView> {
    let cart = get(visitor).await?;
    if estimate { estimated(cart, ship_to).await } else { view(cart, Offers::default()).await }
}

/// The cart with what orders would ask for it: of what is available, with the code if it can be used.
async fn estimated(cart: Cart, ship_to: Option<&Address>) -> Result<CartView> {
    let mut offers = Offers::default();
    offers.cover(cart.lines.products()).await?;
    let items = cart.lines.clone().only(|id| offers.known().contains_key(&id));
    let discount = match &cart.discount_code {
        Some(code) => discounts::terms(code).await?,
        None => None,
    };
    let quote = QuoteRequest { items: &items, discount, shipping_address: ship_to };
    let estimate = if items.is_empty() { None } else { Some(client::ask("orders", "/internal/quotes", &quote).await?) };
    Ok(CartView { estimate, ..view(cart, offers).await? })
}

/// What orders are asked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuoteRequest<'a> {
    items: &'a Lines,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<Terms>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_address: Option<&'a Address>,
}

/// A user's cart, for the user and for admins, who are told whose it is; 404 for everybody else, and when there is no such
/// user.
pub(crate) async fn of_user(caller: &Caller, user_id: UserId) -> Result<CartView> {
    if !user_id.is_possible() || !caller.may_see(user_id) {
        return Err(NOT_FOUND);
    }
    let user = match caller.role.administers() {
        true => Some(users::find(user_id).await?.ok_or(NOT_FOUND)?),
        false => None,
    };
    Ok(CartView { user, ..view(find(&Owner::User(user_id)).await?, Offers::default()).await? })
}

/// A new cart, and the token that it is known by from now on: nobody is told it a second time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenedCart)]
pub(crate) struct Opened {
    /// To be sent as `X-Cart-Token`. Absent where a user's own cart is answered.
    #[schema(required = false, example = "5f0c3b6e2d7a4f19b8e1c2d3a4b5c6d75f0c3b6e2d7a4f19b8e1c2d3a4b5c6d7")]
    token: String,
    #[serde(flatten)]
    pub(crate) cart: CartView,
}

/// Opens a cart for somebody without an account.
pub(crate) async fn open() -> Result<Opened> {
    // 244 random bits.
    let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let now = Timestamp::now();
    let mut cart = Cart::new(Owner::Holder(fingerprint(&token)));
    let cart = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            repository::save(transaction, &mut cart, now).await?;
            Ok::<_, Error>(cart)
        })
        .await?;
    Ok(Opened { token, cart: view(cart, Offers::default()).await? })
}

/// The user's own cart, stored if it was not.
pub(crate) async fn open_own(visitor: &Visitor) -> Result<CartView> {
    let opening = async |transaction: &Transaction| {
        let mut cart = gather(transaction, visitor).await?;
        if cart.id == 0 {
            repository::save(transaction, &mut cart, Timestamp::now()).await?;
        }
        Ok::<_, Error>(cart)
    };
    view(DATABASE.transaction(Durability::Durable, opening).await?, Offers::default()).await
}

/// What a request to add leaves behind for its repetitions: they are shown the cart as it is by then.
#[derive(Serialize)]
struct Added {}

/// Puts so many more of a product into the cart: the cart as it is then, and the offers that it was looked up in. 422 when
/// the product is not for sale.
pub(crate) async fn add(
    visitor: &Visitor,
    caller: Option<&Caller>,
    once: &Once,
    expected: Expected,
    product_id: ProductId,
    quantity: u32,
) -> Result<(Answer, Cart, Offers)> {
    if let Some(answer) = once.answered(&DATABASE, caller).await? {
        return Ok((answer, get(visitor).await?, Offers::default()));
    }
    let before = find(&visitor.owner).await?;
    must_be_allowed(&before)?;
    if before.lines.is_full_for(product_id) {
        return Err(unfit(Unfit::Full));
    }
    // One call for the new product and for the prices of what is there.
    let mut offers = Offers::default();
    offers.cover(before.lines.products().chain([product_id])).await?;
    if !offers.known().contains_key(&product_id) {
        return Err(Error::invalid("productId", "there is no such product"));
    }
    let (answer, cart) = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, caller).await? {
                return Ok((answer, gather(transaction, visitor).await?));
            }
            let work = |cart: &mut Cart| cart.lines.add(product_id, quantity).map_err(unfit);
            let cart = change(transaction, visitor, expected, work).await?;
            Ok::<_, Error>((once.answer(transaction, caller, StatusCode::OK, &Added {}).await?, cart))
        })
        .await?;
    Ok((answer, cart, offers))
}

/// Sets how many of a product are in the cart; 0 removes it. 404 when it is not there.
pub(crate) async fn set(visitor: &Visitor, expected: Expected, product_id: ProductId, quantity: u32) -> Result<Cart> {
    change_once(visitor, expected, |cart| cart.lines.set(product_id, quantity).map_err(unfit)).await
}

fn unfit(unfit: Unfit) -> Error {
    match unfit {
        Unfit::Full => Error::invalid("productId", format!("a cart holds at most {MOST_LINES} different products")),
        Unfit::TooMany => Error::invalid("quantity", format!("must be at most {MOST_PIECES} in all")),
        Unfit::Missing => Error::not_found("item"),
    }
}

/// Takes everything out of the cart.
pub(crate) async fn empty(visitor: &Visitor, expected: Expected) -> Result<Cart> {
    let work = |cart: &mut Cart| {
        cart.lines = Default::default();
        cart.discount_code = None;
        Ok(())
    };
    change_once(visitor, expected, work).await
}

/// Says which code the cart is to be ordered with. 409 when nobody could use it now; whether the cart is worth enough is
/// only known when it is ordered.
pub(crate) async fn set_discount(visitor: &Visitor, expected: Expected, code: Option<&str>) -> Result<Cart> {
    let code = match code {
        Some(code) => Some(discounts::usable(code).await?),
        None => None,
    };
    let work = |cart: &mut Cart| {
        cart.discount_code = code.as_ref().map(|code: &Code| code.as_str().to_owned());
        Ok(())
    };
    change_once(visitor, expected, work).await
}

/// Forgets anonymous carts that nobody comes back for, a bounded number of them.
pub(crate) async fn prune(now: Timestamp) -> Result<()> {
    repository::prune(&DATABASE, now.before(ANONYMOUS)).await
}
