//! `/api/v1/users/me/addresses`.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::Address;
use serde::Deserialize;
use web::{Answer, Caller, Json, Page, Path, Result, Submitted};

use crate::addresses::{self, Defaults, Stored};

pub(super) fn routes() -> Router {
    let one = web::get(find).merge(web::put(replace)).merge(web::delete(delete));
    Router::new()
        .route("/api/v1/users/me/addresses", web::get(list).merge(web::post(add)))
        .route("/api/v1/users/me/addresses/{id}", one)
}

/// An address as it comes: without a name it is the caller's own.
#[derive(Deserialize)]
#[serde(from = "Fields")]
struct AddressRequest {
    address: Address,
    defaults: Defaults,
}

/// Its fields, also by the names that other shops give them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(default, alias = "fullName")]
    name: Option<String>,
    #[serde(alias = "street", alias = "address1", alias = "addressLine1", alias = "streetLine1")]
    line1: String,
    #[serde(default, alias = "address2", alias = "addressLine2", alias = "streetLine2")]
    line2: Option<String>,
    city: String,
    #[serde(default, alias = "state", alias = "province")]
    region: Option<String>,
    #[serde(alias = "zip", alias = "zipCode", alias = "postcode")]
    postal_code: String,
    #[serde(alias = "countryCode")]
    country: String,
    #[serde(default, alias = "phoneNumber")]
    phone: Option<String>,
    #[serde(default, alias = "isDefaultShipping")]
    default_shipping: bool,
    #[serde(default, alias = "isDefaultBilling")]
    default_billing: bool,
    /// For both.
    #[serde(default, alias = "default")]
    is_default: bool,
}

impl From<Fields> for AddressRequest {
    fn from(fields: Fields) -> Self {
        let Fields { name, line1, line2, city, region, postal_code, country, phone, .. } = fields;
        Self {
            address: Address {
                name: name.unwrap_or_default(),
                line1,
                line2,
                city,
                region,
                postal_code,
                country,
                phone,
            },
            defaults: Defaults {
                shipping: fields.default_shipping || fields.is_default,
                billing: fields.default_billing || fields.is_default,
            },
        }
    }
}

impl Validate for AddressRequest {
    type Context = ();

    /// The rules of an address; its fields are those of the request.
    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if self.address.name.is_empty() {
            Address { name: "own".to_owned(), ..self.address.clone() }.validate_into(context, parent, report);
        } else {
            self.address.validate_into(context, parent, report);
        }
    }
}

async fn list(caller: Caller) -> Result<Json<Page<Stored>>> {
    addresses::list(&caller).await.map(Json)
}

async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<Stored>> {
    addresses::find(&caller, id).await.map(Json)
}

async fn add(caller: Caller, Submitted { body, once }: Submitted<AddressRequest>) -> Result<Answer> {
    addresses::add(&caller, once, body.address, body.defaults).await
}

async fn replace(
    caller: Caller,
    Path(id): Path<i64>,
    Json(AddressRequest { address, defaults }): Json<AddressRequest>,
) -> Result<Json<Stored>> {
    addresses::replace(&caller, id, address, defaults).await.map(Json)
}

async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    addresses::delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
