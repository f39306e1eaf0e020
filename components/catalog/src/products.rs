//! The use cases of products: what happens in one transaction, and which events it emits.

use std::{cell::Cell, collections::BTreeMap};

use http::StatusCode;
use model::{
    CategoryId, Currency, ProductId, ProductStatus, Timestamp,
    event::{ProductCreated, ProductDeleted, ProductUpdated},
};
use serde_json::{json, value::RawValue};
use store::{Durability, Transaction};
use web::{Answer, Caller, Error, Page, PageQuery, Result, Slice, Submitted, Viewer, WrittenJson, audit};

use crate::{
    DATABASE, NAME,
    product::{Filter, Narrowed, NewProduct, Offer, Place, Product, ProductChange},
    repository::{self, Stored, categories, facets, lists},
};

pub(crate) const NO_PRODUCT: Error = Error::not_found("product");

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

pub(crate) fn currency() -> Result<Currency> {
    CURRENCY.get().ok_or_else(|| Error::Internal("a product was created before the instance had started".into()))
}

/// Offers a new product.
pub(crate) async fn create(caller: &Caller, submitted: Submitted<NewProduct>) -> Result<Answer> {
    caller.must_sell()?;
    let Submitted { body, once } = submitted;
    if let Some(answer) = once.answered(&DATABASE, Some(caller)).await? {
        return Ok(answer);
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let category = category_name(transaction, body.category_id).await?;
            let product = body.into_product(caller.user_id, currency()?, category, Timestamp::now());
            let stored = repository::insert(transaction, &[&product]).await;
            let stored = stored.map_err(|error| refusal(error, &product))?.into_iter().next();
            let (id, json) = stored.ok_or_else(|| Error::Internal("a new product is not there".into()))?;
            events::emit(transaction, NAME, &created(id, product)).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &RawValue::from_string(json)?).await
        })
        .await
}

/// What is told of a new product.
pub(crate) fn created(product_id: ProductId, product: Product) -> ProductCreated {
    let Product { supplier_id, name, sku, price, currency, stock, status, .. } = product;
    ProductCreated { product_id, supplier_id, name, sku, price, currency, stock, status }
}

/// What is told of a product that has changed; `stock`, when somebody has counted it.
pub(crate) fn updated(product: Product, stock_change: Option<i64>) -> ProductUpdated {
    let Product { id, name, price, currency, status, .. } = product;
    ProductUpdated { product_id: id, name, price, currency, stock_change, status }
}

/// The name of the category that a product is put into; 422 when there is none.
async fn category_name(transaction: &Transaction, id: Option<CategoryId>) -> Result<Option<String>> {
    let Some(id) = id else { return Ok(None) };
    named(&categories::names(transaction, &[id]).await?, Some(id))
}

/// The same, when the names are known.
pub(crate) fn named(names: &BTreeMap<CategoryId, String>, id: Option<CategoryId>) -> Result<Option<String>> {
    let Some(id) = id else { return Ok(None) };
    names.get(&id).cloned().map(Some).ok_or_else(|| Error::invalid("categoryId", "is no category"))
}

/// The product as customers read it. What is not for sale is there only for its supplier and admins.
pub(crate) async fn find(viewer: &Viewer, id: ProductId) -> Result<WrittenJson> {
    match repository::written(&DATABASE, id).await?.ok_or(NO_PRODUCT)? {
        (None, json) => Ok(WrittenJson(json)),
        (Some(supplier), json) => match viewer.caller().await? {
            Some(caller) if caller.may_see(supplier) => Ok(WrittenJson(json)),
            _ => Err(NO_PRODUCT),
        },
    }
}

/// A page of products, and what was asked to be counted beside it.
pub(crate) async fn list(viewer: &Viewer, page: &PageQuery, filter: Filter) -> Result<WrittenJson> {
    let filter = permitted(viewer, filter).await?;
    let after: Option<Place> = page.after()?;
    if after.as_ref().is_some_and(|place| place.order() != filter.order()) {
        return Err(Error::Malformed("the cursor belongs to a list with another order".into()));
    }
    if filter.lacks_search() {
        return Err(Error::invalid("sort", "relevance is that of a search: send q"));
    }
    if let Some(message) = filter.metadata_refusal() {
        return Err(Error::invalid("metadata", message));
    }
    let wanted = filter.facets().map_err(|message| Error::invalid("facets", message))?;
    let finds_nothing = filter.search().is_some_and(|search| search.finds_nothing());
    let products = if finds_nothing {
        Vec::new()
    } else {
        lists::page(&DATABASE, &filter, after.as_ref(), page.limit() + 1).await?
    };
    let json =
        Page::try_new(products, page.limit(), |listed| listed.place(filter.order()))?.written(|listed| &listed.json);
    if wanted.is_empty() {
        return Ok(json);
    }
    let mut counted = BTreeMap::new();
    for (name, facet) in &wanted {
        let count = if finds_nothing {
            facets::Counted::nothing(facet)
        } else {
            facets::count(&DATABASE, &filter, facet).await?
        };
        counted.insert(*name, count);
    }
    json.with("facets", &counted)
}

/// Products that are for sale, as lists of older shops have them: so many of them, from a place on.
pub(crate) async fn slice(slice: Slice, narrowed: Narrowed) -> Result<Vec<String>> {
    lists::slice(&DATABASE, &narrowed.into(), slice.offset(), slice.limit()).await
}

/// The product as customers read it, for sale or not: for other services.
pub(crate) async fn describe(id: ProductId) -> Result<WrittenJson> {
    let (_, json) = repository::written(&DATABASE, id).await?.ok_or(NO_PRODUCT)?;
    Ok(WrittenJson(json))
}

/// What is not for sale is listed only for admins, and for suppliers when it is theirs.
async fn permitted(viewer: &Viewer, filter: Filter) -> Result<Filter> {
    if filter.status() == ProductStatus::Active {
        return Ok(filter);
    }
    let caller = viewer.demanded().await?;
    caller.must_sell()?;
    match filter.supplier_id() {
        Some(supplier) if !caller.may_see(supplier) => {
            Err(Error::Forbidden("these products belong to another supplier"))
        }
        None if !caller.role.administers() => Ok(filter.of(caller.user_id)),
        _ => Ok(filter),
    }
}

/// What a product is called in the audit log.
pub(crate) fn subject(id: ProductId) -> String {
    format!("product/{id}")
}

/// What the audit log says of a change of somebody else's product.
pub(crate) fn details(product: &Product) -> serde_json::Value {
    json!({ "supplierId": product.supplier_id, "price": product.price, "status": product.status })
}

/// Changes what the catalog says of a product. Suppliers change their own, admins all.
pub(crate) async fn update(caller: &Caller, id: ProductId, change: ProductChange) -> Result<WrittenJson> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let Stored { mut product, json } = owned(caller, repository::find_in(transaction, id).await?)?;
            let stock_change = change.stock.map(|stock| i64::from(stock) - i64::from(product.stock));
            let category = category_name(transaction, change.category_in_question(&product)).await?;
            if !product.apply(change, category, Timestamp::now()) {
                return Ok(WrittenJson(json));
            }
            let stored = repository::update(transaction, &[&product]).await;
            let json = stored.map_err(|error| refusal(error, &product))?.pop().ok_or(NO_PRODUCT)?;
            if product.supplier_id != caller.user_id {
                audit::record(transaction, caller, "product.updated", subject(id), details(&product)).await?;
            }
            events::emit(transaction, NAME, &updated(product, stock_change)).await?;
            Ok(WrittenJson(json))
        })
        .await
}

/// Takes a product off sale, for ever. Suppliers delete their own, admins all.
pub(crate) async fn delete(caller: &Caller, id: ProductId) -> Result<()> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let Stored { product, .. } = owned(caller, repository::find_in(transaction, id).await?)?;
            repository::delete(transaction, id, Timestamp::now()).await?;
            if product.supplier_id != caller.user_id {
                audit::record(transaction, caller, "product.deleted", subject(id), details(&product)).await?;
            }
            events::emit(transaction, NAME, &ProductDeleted { product_id: id }).await?;
            Ok(())
        })
        .await
}

/// What orders need to know of products. Those that are not for sale are left out.
pub(crate) async fn offers(ids: &[ProductId]) -> Result<Vec<Offer>> {
    repository::offers(&DATABASE, ids).await
}

/// The product, when the caller may change it. Those for sale are public, so 403 tells a supplier nothing that a 404
/// would hide; of the others it must not even learn that they exist.
fn owned(caller: &Caller, found: Option<Stored>) -> Result<Stored> {
    let stored = found.ok_or(NO_PRODUCT)?;
    if caller.may_see(stored.product.supplier_id) {
        Ok(stored)
    } else if stored.product.is_for_sale() {
        Err(Error::Forbidden("this product belongs to another supplier"))
    } else {
        Err(NO_PRODUCT)
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
