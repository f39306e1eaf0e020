//! The accounts of older shops: the use cases of `/api/v1` at the paths and in the shapes that their clients know. A file
//! for each family; what they share is here.

mod cart_shop;
#[cfg(test)]
mod contract;
mod items;
mod micro;
mod order_desk;

use axum::Router;
#[cfg(test)]
pub(crate) use contract::apis;
use garde::Validate;
use http::HeaderMap;
use model::{Role, Timestamp, UserId};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny},
};
use utoipa::ToSchema;
use web::{Caller, Error, Result, Slice};

use super::{agent, fits, is_email, present, secret};
use crate::{
    account::{self, LONGEST_EMAIL, ProfileChange, Status, User},
    accounts::Applicant,
    changes::Change,
    given::{Given, PaymentMethodSchema},
    people,
    sign_in::{self, Known},
    strength,
    written::Written,
};

pub(crate) fn routes() -> Router {
    items::routes().merge(cart_shop::routes()).merge(order_desk::routes()).merge(micro::routes())
}

/// What any of the families sends for an account. What is missing is as in `/api/v1`.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicRegistration)]
struct Registration {
    /// An address that has no account.
    #[garde(custom(is_email))]
    #[schema(max_length = 254, format = Email, example = "ann@example.com")]
    email: String,
    /// The part of the address before the `@`, when not given.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    username: Option<String>,
    /// The same, where there is no `username`.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    name: Option<String>,
    /// For parcels.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_name(name)))))]
    #[schema(min_length = 1, max_length = 100, example = "Ann")]
    first_name: Option<String>,
    /// For parcels.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_name(name)))))]
    #[schema(min_length = 1, max_length = 100, example = "Lee")]
    last_name: Option<String>,
    /// No common one, with at least 4 different characters, and 8 beside those of the address.
    #[garde(custom(|password: &String, _: &()| fits(strength::password(password, &self.email))))]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "correct horse battery")]
    password: String,
    #[garde(inner(custom(is_address)))]
    shipping_address: Option<Given>,
    #[garde(inner(custom(is_address)))]
    billing_address: Option<Given>,
    /// With the payment provider's `token` in it, that is the account's default from now on.
    #[garde(inner(custom(is_payment_method)))]
    #[schema(value_type = Option<PaymentMethodSchema>)]
    payment_method: Option<Given>,
}

impl Registration {
    fn applicant(self) -> Result<Applicant> {
        let Self { email, username, name, first_name, last_name, password, .. } = self;
        let mut applicant = Applicant::customer(&email, username.or(name).as_deref(), password)?;
        let (first_name, last_name) = (first_name.map(Some), last_name.map(Some));
        applicant.profile.apply(ProfileChange { first_name, last_name, ..ProfileChange::default() });
        let Self { shipping_address, billing_address, payment_method, .. } = self;
        applicant.written = Written { shipping_address, billing_address, payment_method };
        Ok(applicant)
    }
}

fn is_address(given: &Given, _: &()) -> garde::Result {
    fits(given.is_address())
}

fn is_payment_method(given: &Given, _: &()) -> garde::Result {
    fits(given.is_payment_method())
}

/// What is written here need not be an address or a password: another answer than to wrong ones would say what cannot be
/// one.
#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ClassicLogin)]
struct Login {
    /// The address of the account.
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    #[schema(min_length = 1, max_length = 254, example = "ann@example.com")]
    email: Option<String>,
    /// Its name, or its address, where there is no `email`.
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    #[schema(min_length = 1, max_length = 254, example = "ann")]
    username: Option<String>,
    /// Its password.
    #[garde(length(chars, min = 1, max = strength::LONGEST))]
    #[schema(min_length = 1, max_length = 128, format = Password, example = "correct horse battery")]
    password: String,
}

impl Login {
    /// Who wants to sign in.
    fn by(&self) -> Result<Known> {
        match (&self.email, &self.username) {
            (Some(email), _) => Ok(Known::by_email(email)),
            (None, Some(name)) => Ok(Known::by_either(name)),
            (None, None) => Err(Error::invalid("email", "is missing")),
        }
    }

    async fn sign_in(&self, headers: &HeaderMap, roles: Roles) -> Result<SignedIn> {
        let signed_in = sign_in::log_in(&self.by()?, &self.password, agent(headers).as_deref()).await?;
        let sign_in::SignedIn { access_token, refresh_token, token_type, expires_in, user } = signed_in;
        let user = Person::of(user, roles);
        Ok(SignedIn { token: access_token.clone(), access_token, refresh_token, token_type, expires_in, user })
    }
}

/// A sign-in, good in every family.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicSignedIn)]
struct SignedIn {
    /// For `Authorization: Bearer`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl")]
    token: String,
    /// The same.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl")]
    access_token: String,
    /// For `POST /api/v1/auth/refresh`.
    #[schema(example = "5pZ5BpLJk0wYQmGvSO2o4Xh8Jm1cE3rT7uV9yA6dNfQ")]
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the token expires.
    #[schema(example = 900)]
    expires_in: u64,
    user: Person,
}

/// How a family writes roles.
#[derive(Clone, Copy)]
enum Roles {
    /// `user`.
    Small,
    /// `USER`.
    Capital,
}

/// An account as its owner and admins see it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicUser)]
struct Person {
    id: UserId,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(example = "ann")]
    username: String,
    /// The same as `username`.
    #[schema(example = "ann")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann")]
    first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lee")]
    last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "+1 217 555 0100")]
    phone: Option<String>,
    /// In the order desk in capitals.
    #[schema(example = "user")]
    role: String,
    account_status: Status,
    created_at: Timestamp,
}

impl Person {
    fn of(user: User, roles: Roles) -> Self {
        let User { id, email, profile, role, status, created_at, .. } = user;
        let role = match roles {
            Roles::Small => role.as_str().to_owned(),
            Roles::Capital => role.as_str().to_uppercase(),
        };
        let account::Profile { username, first_name, last_name, phone, .. } = profile;
        let (name, account_status) = (username.clone(), status);
        Self { id, email, username, name, first_name, last_name, phone, role, account_status, created_at }
    }
}

/// What is to change of an account. What is absent stays; `null` removes what may be missing.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(as = ClassicUserUpdate)]
struct Update {
    /// Only as a copy of what is known: another address would have to be proved.
    #[garde(skip)]
    #[schema(example = "ann@example.com")]
    email: Option<String>,
    /// How the account is called.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    username: Option<String>,
    /// The same, where there is no `username`.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    name: Option<String>,
    /// For parcels.
    #[garde(inner(inner(custom(|name: &str, _: &()| fits(account::is_name(name))))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "Ann")]
    first_name: Option<Option<String>>,
    /// For parcels.
    #[garde(inner(inner(custom(|name: &str, _: &()| fits(account::is_name(name))))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "Lee")]
    last_name: Option<Option<String>>,
    /// A number to call.
    #[garde(inner(inner(custom(|phone: &str, _: &()| fits(account::is_phone(phone))))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 32, example = "+1 217 555 0100")]
    phone: Option<Option<String>>,
    /// In capitals or not. Only admins give another one than there is, and none to themselves.
    #[garde(skip)]
    #[serde(deserialize_with = "role")]
    #[schema(value_type = Option<String>, example = "user")]
    role: Option<Role>,
    /// Refused, whatever it is, rather than ignored.
    #[garde(custom(is_absent))]
    #[schema(ignore)]
    password: Option<IgnoredAny>,
}

impl Update {
    fn change(self) -> Change {
        let Self { email, username, name, first_name, last_name, phone, role, password: _ } = self;
        let profile = ProfileChange { username: username.or(name), first_name, last_name, phone, locale: None };
        Change { profile, email, role, ..Change::default() }
    }
}

fn is_absent(value: &Option<IgnoredAny>, _: &()) -> garde::Result {
    match value {
        None => Ok(()),
        Some(_) => Err(garde::Error::new("is changed with POST /auth/reset-password")),
    }
}

/// A role in capitals or not.
fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    word.map(|word| word.to_lowercase().parse().map_err(D::Error::custom)).transpose()
}

/// Accounts, the newest first.
async fn people(caller: &Caller, slice: Slice, roles: Roles) -> Result<Vec<Person>> {
    let users = people::slice(caller, slice).await?;
    Ok(users.into_iter().map(|user| Person::of(user, roles)).collect())
}
