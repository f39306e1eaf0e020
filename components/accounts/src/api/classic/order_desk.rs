//! The order desk: `/api/auth`, `/api/users`. Roles are in capitals, and orders of who registers here are charged at once.

use axum::{Router, response::IntoResponse};
use http::{HeaderMap, StatusCode};
use model::UserId;
use web::{Answer, Caller, Json, Path, Query, Result, Slice, Submitted, openapi::IdempotencyKey};

use super::{Login, Person, Registration, Roles, SignedIn, Update, people as slice_of_people, secret};
use crate::{accounts, accounts::Applicant, changes, people};

pub(super) fn routes() -> Router {
    let one = web::get(find).merge(web::put(update)).merge(web::delete(delete));
    Router::new()
        .route("/api/auth/register", web::post(register))
        .route("/api/auth/login", web::post(log_in))
        .route("/api/auth/profile", web::get(profile))
        .route("/api/users", web::get(list))
        .route("/api/users/{id}", one)
}

/// Opens an account for a customer, whose orders are charged as soon as they are placed.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    operation_id = "classicOrderDeskRegister",
    params(IdempotencyKey),
    request_body = Registration,
    responses(
        (status = 201, body = Person),
        (status = 409, description = "There is an account with this email address.")
    )
)]
async fn register(submitted: Submitted<Registration>) -> Result<Answer> {
    let applicant = Applicant { charge_at_once: true, ..submitted.body.applicant()? };
    accounts::register(None, applicant, submitted.once, |user| Person::of(user, Roles::Capital)).await
}

/// Signs in. After some failures the next attempt must wait: 429.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    operation_id = "classicOrderDeskLogIn",
    request_body = Login,
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "The email address or the password is wrong.")
    )
)]
async fn log_in(headers: HeaderMap, Json(request): Json<Login>) -> Result<impl IntoResponse> {
    request.sign_in(&headers, Roles::Capital).await.map(secret)
}

/// The caller's own account.
#[utoipa::path(
    get,
    path = "/api/auth/profile",
    operation_id = "classicOrderDeskProfile",
    responses((status = 200, body = Person)),
    security(("bearer" = []))
)]
async fn profile(caller: Caller) -> Result<Json<Person>> {
    let user = accounts::me(&caller).await?;
    Ok(Json(Person::of(user, Roles::Capital)))
}

/// All accounts, the newest first.
#[utoipa::path(
    get,
    path = "/api/users",
    operation_id = "classicOrderDeskUsers",
    params(Slice),
    responses((status = 200, body = Vec<Person>)),
    security(("bearer" = ["admin"]))
)]
async fn list(caller: Caller, Query(slice): Query<Slice>) -> Result<Json<Vec<Person>>> {
    slice_of_people(&caller, slice, Roles::Capital).await.map(Json)
}

/// An account, for its owner and admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/users/{id}",
    operation_id = "classicOrderDeskUser",
    params(("id" = UserId, Path)),
    responses((status = 200, body = Person), (status = 403, description = "Only admins may do this.")),
    security(("bearer" = []))
)]
async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<Person>> {
    let user = people::find(&caller, UserId(id)).await?;
    Ok(Json(Person::of(user, Roles::Capital)))
}

/// Changes what is named of an account, for its owner and admins; only admins give roles.
#[utoipa::path(
    put,
    path = "/api/users/{id}",
    operation_id = "classicOrderDeskUpdateUser",
    params(("id" = UserId, Path)),
    request_body = Update,
    responses(
        (status = 200, body = Person),
        (status = 403, description = "Only its owner and admins may do this."),
        (status = 409, description = "Nobody changes the own role: ask another admin.")
    ),
    security(("bearer" = []))
)]
async fn update(caller: Caller, Path(id): Path<i64>, Json(request): Json<Update>) -> Result<Json<Person>> {
    let user = changes::change(&caller, UserId(id), request.change()).await?;
    Ok(Json(Person::of(user, Roles::Capital)))
}

/// Deletes somebody's account; again changes nothing.
#[utoipa::path(
    delete,
    path = "/api/users/{id}",
    operation_id = "classicOrderDeskDeleteUser",
    params(("id" = UserId, Path)),
    responses((status = 204), (status = 409, description = "DELETE /users/me deletes the own account.")),
    security(("bearer" = ["admin"]))
)]
async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    accounts::delete(&caller, UserId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
