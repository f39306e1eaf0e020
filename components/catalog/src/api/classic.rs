//! The shapes of older shops, over the use cases of `/api/v1`: `docs/classic-api.md`.

pub(super) mod cart_shop;
pub(super) mod items;
pub(super) mod micro;
pub(super) mod order_desk;

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::header;
use model::ProductId;
use serde::Deserialize;
use web::{Answer, Caller, Result, Submitted};

use crate::{product::NewProduct, products};

pub(crate) fn routes() -> Router {
    items::routes().merge(cart_shop::routes()).merge(order_desk::routes()).merge(micro::routes())
}

/// 201 with a new product, and its address below `at`.
async fn create(caller: &Caller, submitted: Submitted<NewProduct>, at: &str) -> Result<Response> {
    let answer = products::create(caller, submitted).await?;
    let location = format!("{at}/{}", created(&answer)?);
    Ok(([(header::LOCATION, location)], answer).into_response())
}

/// The id of what was created.
fn created(answer: &Answer) -> Result<ProductId> {
    #[derive(Deserialize)]
    struct Created {
        id: ProductId,
    }
    let Created { id } = serde_json::from_str(answer.body())?;
    Ok(id)
}
