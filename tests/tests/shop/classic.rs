//! The clients of older shops: a file for each family, which reads as its documentation. What holds for all of them is here.

mod accounts;
mod cart_shop;
mod goods;
mod items;
mod micro;
mod order_desk;
mod payments;
mod sign_in;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::Shop;

use crate::{
    roles::{CALLERS, Row, cast::Cast},
    support::assert_message,
};

/// The operations of all families.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    [items::rows(), cart_shop::rows(), order_desk::rows(), micro::rows()].into_iter().flatten()
}

/// What somebody is told who must sign in: without a token, and with one that does not hold.
struct Strangers {
    without: (u16, &'static str),
    bad: (u16, &'static str),
}

/// What most families say.
const STRANGERS: Strangers = Strangers {
    without: (401, "sign in: send `Authorization: Bearer <access token>`"),
    bad: (401, "the access token is not valid, or no longer"),
};

/// Sends each request of `rows` that wants a sign-in without one and with a token that does not hold.
async fn check_strangers(rows: Vec<Row>, told: &Strangers) {
    let mut cast = Cast::assemble().await;
    for row in rows.iter().filter(|row| row.outcome[0] == 401) {
        let filled = row.fill(&mut cast).await;
        let what = format!("{} {}", row.method, filled.url);
        assert_message(&filled.call(&cast).await, told.without.0, told.without.1, &what);
        assert_message(&filled.call(&cast).bearer("not.a.token").await, told.bad.0, told.bad.1, &what);
    }
}

/// Sends each request of `rows` that changes something four times at once and once more, by the first who may: nothing
/// breaks, and money and stock are as exact as before.
async fn check_crowds(rows: Vec<Row>) {
    let mut cast = Cast::assemble().await;
    for row in rows.iter().filter(|row| row.method != Method::GET) {
        let filled = row.fill(&mut cast).await;
        let may = row.outcome.iter().position(|status| *status < 300);
        let name = CALLERS[may.unwrap_or_else(|| panic!("nobody may {} {}", row.method, row.url()))];
        let caller = cast.caller(name).await;
        let send = async || {
            let call = filled.call(&cast);
            match caller {
                Some(caller) => call.by(caller).await,
                None => call.await,
            }
        };
        let mut answers = join_all((0..4).map(|_| send())).await;
        answers.push(send().await);
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        let what = format!("{} {} by {name}: {statuses:?}", row.method, filled.url);
        assert!(statuses.iter().all(|status| *status < 500), "{what}");
        assert!(statuses.iter().any(|status| *status < 300), "{what}");
    }
    cast.shop.settle().await;
    cast.shop.audit();
}

/// A request that is not what it must be: by whom of [`CALLERS`], and what its answer says.
struct Refused {
    by: &'static str,
    method: &'static str,
    /// From the root. For what stands in braces, here and in the body, see [`Cast`].
    path: &'static str,
    body: Value,
    status: u16,
    /// A part of the body of the answer: of objects the fields that are here (`null` for what is not there), of arrays all that is there.
    says: Value,
}

fn refused(
    by: &'static str,
    method: &'static str,
    path: &'static str,
    body: Value,
    status: u16,
    says: Value,
) -> Refused {
    Refused { by, method, path, body, status, says }
}

/// What the provider has been asked to take, in cents.
fn charges(shop: &Shop) -> Vec<i64> {
    let books = shop.provider_books();
    let charges = books.iter().filter(|(key, _)| key.starts_with("charge/"));
    charges.map(|(_, entry)| entry["amount"].as_i64().unwrap()).collect()
}

/// The sentence of an answer.
fn says(message: &str) -> Value {
    json!({ "message": message })
}

/// An answer that blames this field, and no other.
fn field(name: &str) -> Value {
    json!({ "errors": [{ "field": name }] })
}

/// Whether all that `part` says is in `whole`.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| is_part(value, whole.get(name).unwrap_or(&Value::Null)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_part(part, whole))
        }
        (part, whole) => part == whole,
    }
}

/// Sends what must be refused; afterwards money and stock are as exact as before.
async fn check_refused(table: Vec<Refused>) {
    let mut cast = Cast::assemble().await;
    for Refused { by, method, path, body, status, says } in table {
        let (url, text) = (cast.fill(path).await, cast.fill(&body.to_string()).await);
        let call = cast.shop.request(method.parse().unwrap(), &url);
        let call =
            if body.is_null() { call } else { call.header("content-type", "application/json").bytes(text.clone()) };
        let answer = match cast.caller(by).await {
            Some(caller) => call.by(caller).await,
            None => call.await,
        };
        assert_eq!(answer.status.as_u16(), status, "{method} {url} {text}: {}", answer.text);
        assert!(is_part(&says, &answer.body), "{method} {url} {text}: {}, not {says}", answer.text);
    }
    cast.shop.settle().await;
    cast.shop.audit();
}

#[tokio::test]
async fn an_unknown_route_is_named_in_json() {
    let shop = Shop::start(shop_tests::ShopOptions::default()).await;
    for path in ["/unknown-route", "/internal/products/1", "/orders/1/2/3", "/api/unknown"] {
        let answer = shop.get(path).await;
        assert_message(&answer, 404, &format!("Route not found: GET {path}"), path);
        assert_eq!(answer.body, json!({ "message": format!("Route not found: GET {path}") }));
    }
}
