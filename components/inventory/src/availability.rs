//! What clients of older shops ask and say of an item's stock: so many can be ordered, so many more, so many fewer.

use std::time::{Duration, Instant};

use model::{ProductId, ProductStatus, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Once, Result, Viewer, client};

use crate::{
    DATABASE, inventory,
    repository::{self, Record},
};

/// How long a change waits for the event that tells of a product.
const PATIENCE: Duration = Duration::from_secs(3);

const NO_ITEM: Error = Error::not_found("item");

/// How many pieces of an item can be ordered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Availability)]
pub(crate) struct Availability {
    /// The item, which is a product.
    item_id: ProductId,
    /// So many can be ordered.
    #[schema(minimum = 0, example = 118)]
    availability: i64,
}

/// What the catalog says of a product.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    supplier_id: UserId,
    status: ProductStatus,
    stock: i64,
}

async fn product(id: ProductId) -> Result<Product> {
    client::get("catalog", &format!("/internal/products/{id}")).await?.ok_or(NO_ITEM)
}

/// The record of a product that the catalog has told of; none as long as it has not, 404 when it is gone.
async fn told(id: ProductId) -> Result<Option<Record>> {
    let record = repository::find(&DATABASE, id).await?.filter(|record| record.announced);
    if record.is_some_and(|record| record.discontinued) { Err(NO_ITEM) } else { Ok(record) }
}

/// How many pieces there are for sale. Until the catalog's event has arrived they are those that it shows itself. Of what
/// is not for sale only its supplier and admins learn.
pub(crate) async fn find(viewer: &Viewer, id: ProductId) -> Result<Availability> {
    let (supplier, for_sale, availability) = match told(id).await? {
        Some(record) => (record.supplier_id, record.for_sale, record.available()),
        None => {
            let Product { supplier_id, status, stock } = product(id).await?;
            (Some(supplier_id), status == ProductStatus::Active, stock)
        }
    };
    if !for_sale {
        let caller = viewer.caller().await?.ok_or(NO_ITEM)?;
        if !supplier.is_some_and(|supplier| caller.may_see(supplier)) {
            return Err(NO_ITEM);
        }
    }
    Ok(Availability { item_id: id, availability })
}

/// So many pieces more, or fewer; 409 below what is reserved.
pub(crate) async fn change(
    caller: &Caller,
    once: &Once,
    id: ProductId,
    delta: i64,
    reason: &'static str,
) -> Result<Answer> {
    #[derive(Deserialize)]
    struct Adjusted {
        available: i64,
    }
    caller.must_sell()?;
    wait_until_told(id).await?;
    let adjusted = inventory::adjust_once(caller, once, id, delta, reason).await;
    let answer = adjusted.map_err(|error| if error == inventory::NOT_FOUND { NO_ITEM } else { error })?;
    let Adjusted { available: availability } = serde_json::from_str(answer.body())?;
    answer.with_body(&Availability { item_id: id, availability })
}

/// Who has just made an item goes on at once: the event that tells of it may be a few milliseconds behind.
async fn wait_until_told(id: ProductId) -> Result<()> {
    if told(id).await?.is_some() {
        return Ok(());
    }
    product(id).await?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if told(id).await?.is_some() {
            return Ok(());
        }
        spin_sdk::time::sleep(Duration::from_millis(25)).await;
    }
    Err(Error::Unavailable(format!("the inventory record of item {id}").into()))
}
