//! `/api/v1/orders`.

mod changing;
#[cfg(test)]
mod contract;
mod finding;
mod placing;
mod refunding;

use axum::Router;
use garde::Validate;
use model::{ProductId, event::OrderedItem};
use serde::Deserialize;
use utoipa::ToSchema;

pub(crate) fn routes() -> Router {
    placing::routes().merge(finding::routes()).merge(changing::routes()).merge(refunding::routes())
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WantedItem)]
pub(super) struct Item {
    /// The product.
    #[garde(skip)]
    #[schema(value_type = ProductId)]
    product_id: i64,
    /// So many pieces.
    #[garde(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10_000, example = 2)]
    quantity: u32,
}

pub(super) fn ordered(items: &[Item]) -> Vec<OrderedItem> {
    let item = |item: &Item| OrderedItem { product_id: ProductId(item.product_id), quantity: item.quantity };
    items.iter().map(item).collect()
}
