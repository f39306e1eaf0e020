//! The use cases: what happens in one transaction, and which events it emits.

use std::cell::Cell;

use http::StatusCode;
use model::{
    Currency, ProductId, Timestamp,
    event::{ProductCreated, ProductDeleted, ProductUpdated},
};
use serde_json::value::RawValue;
use store::Durability;
use web::{Answer, Caller, Error, Page, PageQuery, Result, Submitted, WrittenJson};

use crate::{
    DATABASE, NAME,
    product::{Filter, NewProduct, Offer, Place, Product, ProductChange},
    repository,
};

const NO_PRODUCT: Error = Error::not_found("product");

thread_local! {
    static CURRENCY: Cell<Option<Currency>> = const { Cell::new(None) };
}

/// Reads the currency of new products. Fails when the shop cannot handle it.
pub(crate) async fn read_currency() -> Result<()> {
    let code = web::variable::get("currency").await?;
    let code = code.as_deref().map_or("EUR", str::trim);
    let currency = code.parse().map_err(|error| Error::Internal(format!("variable currency: `{code}` {error}")))?;
    CURRENCY.set(Some(currency));
    Ok(())
}

fn currency() -> Result<Currency> {
    CURRENCY.get().ok_or_else(|| Error::Internal("a product was created before the instance had started".into()))
}

/// Offers a new product.
pub(crate) async fn create(caller: &Caller, submitted: Submitted<NewProduct>) -> Result<Answer> {
    caller.must_sell()?;
    let Submitted { body, once } = submitted;
    if let Some(answer) = once.answered(&DATABASE, Some(caller)).await? {
        return Ok(answer);
    }
    let product = body.into_product(caller.user_id, currency()?, Timestamp::now());
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let (id, json) =
                repository::insert(transaction, &product).await.map_err(|error| refusal(error, &product))?;
            let created = ProductCreated {
                product_id: id,
                name: product.name,
                sku: product.sku,
                price: product.price,
                currency: product.currency,
                stock: product.stock,
            };
            events::emit(transaction, NAME, &created).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &RawValue::from_string(json)?).await
        })
        .await
}

/// The product, if it is for sale.
pub(crate) async fn find(id: ProductId) -> Result<WrittenJson> {
    repository::written(&DATABASE, id).await?.map(WrittenJson).ok_or(NO_PRODUCT)
}

/// A page of what is for sale.
pub(crate) async fn list(page: &PageQuery, filter: &Filter) -> Result<WrittenJson> {
    let after: Option<Place> = page.after()?;
    let order = filter.order();
    if after.is_some_and(|place| place.order() != order) {
        return Err(Error::Malformed("the cursor belongs to a list with other filters".into()));
    }
    let products = if filter.finds_nothing() {
        Vec::new()
    } else {
        repository::list(&DATABASE, filter, after, page.limit() + 1).await?
    };
    Ok(Page::new(products, page.limit(), |listed| listed.place)?.written(|listed| &listed.json))
}

/// Changes what the catalog says of a product. Suppliers change their own, admins all.
pub(crate) async fn update(caller: &Caller, id: ProductId, change: ProductChange) -> Result<WrittenJson> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let (mut product, json) = for_sale(repository::find_in(transaction, id).await?)?;
            must_own(caller, &product)?;
            let stock = change.stock;
            if !product.apply(change, Timestamp::now()) {
                return Ok(WrittenJson(json));
            }
            let json = repository::update(transaction, &product).await.map_err(|error| refusal(error, &product))?;
            let updated = ProductUpdated {
                product_id: id,
                name: product.name,
                price: product.price,
                currency: product.currency,
                stock,
            };
            events::emit(transaction, NAME, &updated).await?;
            Ok(WrittenJson(json))
        })
        .await
}

/// Takes a product off sale, for ever. Suppliers withdraw their own, admins all.
pub(crate) async fn withdraw(caller: &Caller, id: ProductId) -> Result<()> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let (product, _) = for_sale(repository::find_in(transaction, id).await?)?;
            must_own(caller, &product)?;
            repository::archive(transaction, id, Timestamp::now()).await?;
            events::emit(transaction, NAME, &ProductDeleted { product_id: id }).await?;
            Ok(())
        })
        .await
}

/// What orders need to know of products. Those that are not for sale are left out.
pub(crate) async fn offers(ids: &[ProductId]) -> Result<Vec<Offer>> {
    repository::offers(&DATABASE, ids).await
}

/// What is no longer for sale is gone for everybody.
fn for_sale(found: Option<(Product, String)>) -> Result<(Product, String)> {
    found.filter(|(product, _)| product.is_for_sale()).ok_or(NO_PRODUCT)
}

/// Products are public, so 403 tells a supplier nothing that a 404 would hide.
fn must_own(caller: &Caller, product: &Product) -> Result<()> {
    if caller.may_see(product.supplier_id) {
        Ok(())
    } else {
        Err(Error::Forbidden("this product belongs to another supplier"))
    }
}

/// The SKU is the only thing that must be unique.
fn refusal(error: store::Error, product: &Product) -> Error {
    match error {
        store::Error::NotUnique(_) => Error::Conflict(
            "sku-taken",
            format!("another product has the SKU {}", product.sku.as_deref().unwrap_or_default()),
        ),
        other => other.into(),
    }
}
