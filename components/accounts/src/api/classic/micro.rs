//! Micro: `/auth`, `/users`. Who is signed in may see how others are called.

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use garde::Validate;
use http::StatusCode;
use model::{Role, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Json, Path, Query, Result, Slice, Submitted, openapi::IdempotencyKey};

use super::{Person, Registration, Roles, Update, fits, is_email, people as slice_of_people, role};
use crate::{
    account::{self, LONGEST_EMAIL},
    accounts::{self, Applicant},
    changes,
    people::{self, Public, Seen},
    recovery, strength,
};

pub(super) fn routes() -> Router {
    let one = web::get(find).merge(web::put(update)).merge(web::delete(delete));
    Router::new()
        .route("/auth/signup", web::post(sign_up))
        .route("/auth/forgot-password", web::post(forgot_password))
        .route("/auth/reset-password/otp", web::post(reset_password))
        .route("/auth/reset-password", web::post(change_password))
        .route("/auth/session", web::get(session))
        .route("/auth/users", web::get(list))
        .route("/users", web::post(add))
        .route("/users/{id}", one)
}

/// Opens an account for a customer.
#[utoipa::path(
    post,
    path = "/auth/signup",
    operation_id = "classicSignUp",
    params(IdempotencyKey),
    request_body = Registration,
    responses(
        (status = 201, body = Person),
        (status = 409, description = "There is an account with this email address.")
    )
)]
async fn sign_up(submitted: Submitted<Registration>) -> Result<Answer> {
    let applicant = submitted.body.applicant()?;
    accounts::register(None, applicant, submitted.once, |user| Person::of(user, Roles::Small)).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = ClassicDone)]
struct Done {
    #[schema(example = "the password is changed")]
    message: &'static str,
}

const CHANGED: Done = Done { message: "the password is changed" };

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ClassicForgottenPassword)]
struct ForgotRequest {
    /// The address of the account.
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    #[schema(min_length = 1, max_length = 254, example = "ann@example.com")]
    email: String,
}

/// Mails a code for a new password to an address, if it has an account. The answer is the same if not.
#[utoipa::path(
    post,
    path = "/auth/forgot-password",
    operation_id = "classicForgotPassword",
    request_body = ForgotRequest,
    responses((status = 200, body = Done))
)]
async fn forgot_password(Json(request): Json<ForgotRequest>) -> Result<Json<Done>> {
    recovery::forgot_password(&request.email).await?;
    Ok(Json(Done { message: "if there is an account with this address, a code is on its way to it" }))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicPasswordReset)]
struct ResetRequest {
    /// The address of the account.
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    #[schema(min_length = 1, max_length = 254, example = "ann@example.com")]
    email: String,
    /// The code that was mailed to it; `code` is understood, too.
    #[garde(length(bytes, min = 1, max = 64))]
    #[serde(alias = "code")]
    #[schema(min_length = 1, max_length = 64, example = "7K3QX-0M9TZ")]
    otp: String,
    /// As at registration; `password` is understood, too.
    #[garde(custom(|password: &String, _: &()| fits(strength::password(password, &self.email))))]
    #[serde(alias = "password")]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "a better horse battery")]
    new_password: String,
}

/// Sets a new password by the code that was mailed, and ends all sign-ins. 400 for any code that is not good.
#[utoipa::path(
    post,
    path = "/auth/reset-password/otp",
    operation_id = "classicResetPassword",
    request_body = ResetRequest,
    responses((status = 200, body = Done))
)]
async fn reset_password(Json(request): Json<ResetRequest>) -> Result<Json<Done>> {
    recovery::reset_password(&request.email, &request.otp, &request.new_password).await?;
    Ok(Json(CHANGED))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicPasswordChange)]
struct PasswordRequest {
    /// The one until now; `oldPassword` is understood, too.
    #[garde(inner(length(chars, min = 1, max = strength::LONGEST)))]
    #[serde(alias = "oldPassword")]
    #[schema(min_length = 1, max_length = 128, format = Password, example = "correct horse battery")]
    current_password: Option<String>,
    /// Another one, as at registration.
    #[garde(skip)]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "a better horse battery")]
    new_password: Option<String>,
    /// Whichever of the two is missing.
    #[garde(inner(length(chars, min = 1, max = strength::LONGEST)))]
    #[schema(min_length = 1, max_length = 128, format = Password, example = "correct horse battery")]
    password: Option<String>,
}

impl PasswordRequest {
    /// The one until now and the new one.
    fn both(self) -> Result<(String, String)> {
        let missing = |field: &'static str| move || Error::invalid(field, "is missing");
        let mut other = self.password;
        let current = self.current_password.or_else(|| if self.new_password.is_some() { other.take() } else { None });
        let new = self.new_password.or(other).ok_or_else(missing("newPassword"))?;
        Ok((current.ok_or_else(missing("currentPassword"))?, new))
    }
}

/// Changes the own password and ends all other sign-ins. 400 when the current one is wrong or missing: whoever has found
/// an open browser must not lock its owner out.
#[utoipa::path(
    post,
    path = "/auth/reset-password",
    operation_id = "classicChangePassword",
    request_body = PasswordRequest,
    responses((status = 200, body = Done)),
    security(("bearer" = []))
)]
async fn change_password(caller: Caller, Json(request): Json<PasswordRequest>) -> Result<Json<Done>> {
    let (current, new) = request.both()?;
    recovery::change_password(&caller, &current, &new).await?;
    Ok(Json(CHANGED))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicSession)]
struct Session {
    #[schema(example = true)]
    authenticated: bool,
    #[schema(example = "0198c1f2-5c1e-7d3a-9f43-1f1b6c1c7f10")]
    session_id: String,
    user: Person,
}

/// Who is signed in; 401 when the sign-in has ended.
#[utoipa::path(
    get,
    path = "/auth/session",
    operation_id = "classicSession",
    responses((status = 200, body = Session)),
    security(("bearer" = []))
)]
async fn session(caller: Caller) -> Result<Json<Session>> {
    let user = Person::of(accounts::me(&caller).await?, Roles::Small);
    Ok(Json(Session { authenticated: true, session_id: caller.session, user }))
}

/// All accounts, the newest first.
#[utoipa::path(
    get,
    path = "/auth/users",
    operation_id = "classicUsers",
    params(Slice),
    responses((status = 200, body = Vec<Person>)),
    security(("bearer" = ["admin"]))
)]
async fn list(caller: Caller, Query(slice): Query<Slice>) -> Result<Json<Vec<Person>>> {
    slice_of_people(&caller, slice, Roles::Small).await.map(Json)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ClassicNewUser)]
struct NewUser {
    /// An address that has no account.
    #[garde(custom(is_email))]
    #[schema(max_length = 254, format = Email, example = "ann@example.com")]
    email: String,
    /// How the account is called: the part of the address before the `@`, when not given.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    name: Option<String>,
    /// The same, where there is no `name`.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    username: Option<String>,
    /// As at registration.
    #[garde(custom(|password: &String, _: &()| fits(strength::password(password, &self.email))))]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "correct horse battery")]
    password: String,
    /// In capitals or not; `user` when not given.
    #[garde(skip)]
    #[serde(default, deserialize_with = "role")]
    #[schema(value_type = Option<String>, example = "supplier")]
    role: Option<Role>,
}

/// Opens an account for somebody else, in any role.
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "classicAddUser",
    params(IdempotencyKey),
    request_body = NewUser,
    responses(
        (status = 201, body = Person),
        (status = 409, description = "There is an account with this email address.")
    ),
    security(("bearer" = ["admin"]))
)]
async fn add(caller: Caller, submitted: Submitted<NewUser>) -> Result<Answer> {
    let NewUser { email, name, username, password, role } = submitted.body;
    let customer = Applicant::customer(&email, name.or(username).as_deref(), password)?;
    let applicant = Applicant { role: role.unwrap_or(Role::User), ..customer };
    accounts::register(Some(&caller), applicant, submitted.once, |user| Person::of(user, Roles::Small)).await
}

/// What somebody sees of an account.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ClassicSeenUser)]
enum Shown {
    Whole(Box<Person>),
    Public(Public),
}

/// An account: all of it for its owner and admins, how it is called for everybody else who is signed in.
#[utoipa::path(
    get,
    path = "/users/{id}",
    operation_id = "classicUser",
    params(("id" = UserId, Path)),
    responses((status = 200, body = Shown), (status = 403, description = "Only admins may do this.")),
    security(("bearer" = []))
)]
async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<Shown>> {
    Ok(Json(match people::look(&caller, UserId(id)).await? {
        Seen::Whole(user) => Shown::Whole(Box::new(Person::of(*user, Roles::Small))),
        Seen::Public(public) => Shown::Public(public),
    }))
}

/// Changes what is named of an account, for its owner and admins; only admins give roles.
#[utoipa::path(
    put,
    path = "/users/{id}",
    operation_id = "classicUpdateUser",
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
    Ok(Json(Person::of(user, Roles::Small)))
}

/// Deletes an account, for its owner and admins: nothing says any more who it was, and the address is free again.
#[utoipa::path(
    delete,
    path = "/users/{id}",
    operation_id = "classicDeleteUser",
    params(("id" = UserId, Path)),
    responses(
        (status = 204),
        (status = 403, description = "Only its owner and admins may do this."),
        (status = 409, description = "Nobody else administers the shop.")
    ),
    security(("bearer" = []))
)]
async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<Response> {
    accounts::remove(&caller, UserId(id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
