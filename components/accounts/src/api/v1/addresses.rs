//! `/api/v1/users/me/addresses`.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::Address;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Answer, Caller, Json, Page, Path, Result, Submitted, openapi::IdempotencyKey};

use crate::addresses::{self, Defaults, Stored};

pub(super) fn routes() -> Router {
    let one = web::get(find).merge(web::put(replace)).merge(web::delete(delete));
    Router::new()
        .route("/api/v1/users/me/addresses", web::get(list).merge(web::post(add)))
        .route("/api/v1/users/me/addresses/{id}", one)
}

/// Without a name it is the caller's own.
#[derive(Deserialize)]
#[serde(from = "Fields")]
struct AddressRequest {
    address: Address,
    defaults: Defaults,
}

/// An address as it comes, its fields also by the names that other shops give them.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewAddress)]
struct Fields {
    /// Who receives there: the account's name, when not given.
    #[serde(default, alias = "fullName")]
    #[schema(max_length = 200, example = "Ann Lee")]
    name: Option<String>,
    /// Street and number, or what stands for it.
    #[serde(alias = "street", alias = "address1", alias = "addressLine1", alias = "streetLine1")]
    #[schema(min_length = 1, max_length = 200, example = "1 Main St")]
    line1: String,
    /// What else the carrier needs: a floor, a company.
    #[serde(default, alias = "address2", alias = "addressLine2", alias = "streetLine2")]
    #[schema(min_length = 1, max_length = 200, example = "2nd floor")]
    line2: Option<String>,
    /// The town.
    #[schema(min_length = 1, max_length = 200, example = "Springfield")]
    city: String,
    /// State, province, county: where addresses have one.
    #[serde(default, alias = "state", alias = "province")]
    #[schema(min_length = 1, max_length = 200, example = "Illinois")]
    region: Option<String>,
    /// The postal code, in the country's own form.
    #[serde(alias = "zip", alias = "zipCode", alias = "postcode")]
    #[schema(min_length = 1, max_length = 200, example = "62701")]
    postal_code: String,
    /// ISO 3166-1 alpha-2, in capitals, such as `DE`.
    #[serde(alias = "countryCode")]
    #[schema(pattern = "^[A-Z]{2}$", example = "US")]
    country: String,
    /// For the carrier.
    #[serde(default, alias = "phoneNumber")]
    #[schema(min_length = 1, max_length = 200, example = "+1 217 555 0100")]
    phone: Option<String>,
    /// Whether it becomes the default for deliveries.
    #[serde(default, alias = "isDefaultShipping")]
    #[schema(example = true)]
    default_shipping: bool,
    /// Whether it becomes the default for bills.
    #[serde(default, alias = "isDefaultBilling")]
    #[schema(example = false)]
    default_billing: bool,
    /// For both.
    #[serde(default, alias = "default")]
    #[schema(example = false)]
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

/// The caller's addresses, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/addresses",
    operation_id = "listAddresses",
    responses((status = 200, body = Page<Stored>)),
    security(("bearer" = []))
)]
async fn list(caller: Caller) -> Result<Json<Page<Stored>>> {
    addresses::list(&caller).await.map(Json)
}

/// One of the caller's addresses.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/addresses/{id}",
    operation_id = "getAddress",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, body = Stored)),
    security(("bearer" = []))
)]
async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<Stored>> {
    addresses::find(&caller, id).await.map(Json)
}

/// Adds an address. The first one is the default.
#[utoipa::path(
    post,
    path = "/api/v1/users/me/addresses",
    operation_id = "createAddress",
    params(IdempotencyKey),
    request_body = Fields,
    responses(
        (status = 201, body = Stored),
        (status = 409, description = "`too-many-addresses`: the account has 20.")
    ),
    security(("bearer" = []))
)]
async fn add(caller: Caller, Submitted { body, once }: Submitted<AddressRequest>) -> Result<Answer> {
    addresses::add(&caller, once, body.address, body.defaults).await
}

/// Replaces an address.
#[utoipa::path(
    put,
    path = "/api/v1/users/me/addresses/{id}",
    operation_id = "updateAddress",
    params(("id" = i64, Path, minimum = 1)),
    request_body = Fields,
    responses((status = 200, body = Stored)),
    security(("bearer" = []))
)]
async fn replace(
    caller: Caller,
    Path(id): Path<i64>,
    Json(AddressRequest { address, defaults }): Json<AddressRequest>,
) -> Result<Json<Stored>> {
    addresses::replace(&caller, id, address, defaults).await.map(Json)
}

/// Deletes an address. Where it was the default, the newest of the others is.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/addresses/{id}",
    operation_id = "deleteAddress",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 204)),
    security(("bearer" = []))
)]
async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    addresses::delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
