//! Orders are listed and looked at, with what happened to them.

use axum::Router;
use garde::Validate;
use model::{Money, OrderId, OrderStatus, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Caller, Json, Page, PageQuery, Path, Query, Result};

use crate::{
    orders::{self, OrderView},
    repository::{Entry, list::Filter},
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/api/v1/orders", web::get(list))
        .route("/api/v1/orders/{id}", web::get(get))
        .route("/api/v1/orders/{id}/events", web::get(history))
        .route("/api/v1/orders/{id}/timeline", web::get(timeline))
        .route("/api/v1/orders/user/{id}", web::get(list_of_user))
        .route("/api/v1/orders/number/{number}", web::get(get_by_number))
}

/// What a list of orders is narrowed to; what is empty is as good as absent.
#[derive(Default, Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct Narrowed {
    /// Only orders in this state.
    #[garde(skip)]
    #[param(value_type = Option<OrderStatus>)]
    status: String,
    /// Only this user's; of others only admins may ask.
    #[garde(skip)]
    #[param(value_type = Option<UserId>)]
    user_id: String,
    /// Only the order with this number.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "B-2026-000123")]
    number: String,
    /// Placed then or later: RFC 3339, or a date.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "2026-11-23")]
    from: String,
    /// Placed before: RFC 3339, or a date.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "2026-11-24T08:00:00Z")]
    to: String,
    /// Only orders of so much or more.
    #[garde(skip)]
    #[param(value_type = Option<Money>)]
    min_total: String,
    /// Only orders of so much or less.
    #[garde(skip)]
    #[param(value_type = Option<Money>)]
    max_total: String,
}

impl Narrowed {
    fn filter(&self) -> Result<Filter> {
        Ok(Filter {
            number: Some(self.number.trim()).filter(|number| !number.is_empty()).map(ToOwned::to_owned),
            user_id: web::parsed("userId", &self.user_id)?.map(UserId),
            status: web::parsed("status", &self.status)?,
            from: web::parsed("from", &self.from)?,
            to: web::parsed("to", &self.to)?,
            min_total: web::parsed("minTotal", &self.min_total)?,
            max_total: web::parsed("maxTotal", &self.max_total)?,
        })
    }
}

/// Everybody's orders for admins, the caller's own for others; newest first.
#[utoipa::path(
    get,
    path = "/api/v1/orders",
    operation_id = "listOrders",
    params(PageQuery, Narrowed),
    responses(
        (status = 200, body = Page<OrderView>),
        (status = 403, description = "Only admins see the orders of others.")
    ),
    security(("bearer" = []))
)]
async fn list(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Page<OrderView>>> {
    Ok(Json(orders::list(&caller, narrowed.filter()?, &page).await?))
}

/// A user's orders, for that user and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/orders/user/{id}",
    operation_id = "listOrdersOfUser",
    params(("id" = UserId, Path), PageQuery, Narrowed),
    responses((status = 200, body = Page<OrderView>)),
    security(("bearer" = []))
)]
async fn list_of_user(
    caller: Caller,
    Path(id): Path<i64>,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Page<OrderView>>> {
    Ok(Json(orders::list_of_user(&caller, UserId(id), narrowed.filter()?, &page).await?))
}

/// The order with this number, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/orders/number/{number}",
    operation_id = "getOrderByNumber",
    params(("number" = String, Path, example = "B-2026-000123")),
    responses((status = 200, body = OrderView)),
    security(("bearer" = []))
)]
async fn get_by_number(caller: Caller, Path(number): Path<String>) -> Result<Json<OrderView>> {
    Ok(Json(orders::get_by_number(&caller, &number).await?))
}

/// One order, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}",
    operation_id = "getOrder",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = OrderView)),
    security(("bearer" = []))
)]
async fn get(caller: Caller, Path(id): Path<i64>) -> Result<Json<OrderView>> {
    Ok(Json(orders::get(&caller, OrderId(id)).await?))
}

#[derive(Serialize, ToSchema)]
#[schema(as = OrderHistory)]
struct History {
    items: Vec<Entry>,
}

/// What happened to an order, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}/events",
    operation_id = "listOrderEvents",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = History)),
    security(("bearer" = []))
)]
async fn history(caller: Caller, Path(id): Path<i64>) -> Result<Json<History>> {
    Ok(Json(History { items: orders::history(&caller, OrderId(id)).await? }))
}

/// The same, by another name.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}/timeline",
    operation_id = "getOrderTimeline",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = History)),
    security(("bearer" = []))
)]
async fn timeline(caller: Caller, id: Path<i64>) -> Result<Json<History>> {
    history(caller, id).await
}
