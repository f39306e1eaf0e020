//! What other services of the shop may ask.

use axum::Router;
use garde::Validate;
use model::ProductId;
use serde::Deserialize;
use web::{Error, Json, Path, Query, Result, WrittenJson, get};

use crate::{product::Offer, products};

/// Ids that one request may name.
const MOST_IDS: usize = 100;

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/products", get(offers)).route("/internal/products/{id}", get(show))
}

#[derive(Deserialize, Validate)]
struct OffersQuery {
    /// Separated by commas.
    #[garde(skip)]
    ids: String,
}

/// `GET /internal/products/1`: the product as customers read it, for sale or not: its `status` says it.
async fn show(Path(id): Path<ProductId>) -> Result<WrittenJson> {
    products::describe(id).await
}

/// `GET /internal/products?ids=1,2,3`: name, SKU, price and stock of each that is for sale; the others are missing.
async fn offers(Query(query): Query<OffersQuery>) -> Result<Json<Vec<Offer>>> {
    products::offers(&ids(&query.ids)?).await.map(Json)
}

fn ids(text: &str) -> Result<Vec<ProductId>> {
    let ids: Option<Vec<_>> = text.split(',').map(|id| id.trim().parse().ok().map(ProductId)).collect();
    ids.filter(|ids| ids.len() <= MOST_IDS)
        .ok_or_else(|| Error::invalid("ids", format!("must be 1 to {MOST_IDS} product ids, separated by commas")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_a_bounded_list_of_integers() {
        assert_eq!(ids("3,1, 2").unwrap(), [ProductId(3), ProductId(1), ProductId(2)]);
        assert!(ids(&vec!["7"; MOST_IDS].join(",")).is_ok());
        for bad in ["", "1,", "one", "1;2", &vec!["7"; MOST_IDS + 1].join(",")] {
            assert!(ids(bad).is_err(), "{bad}");
        }
    }
}
