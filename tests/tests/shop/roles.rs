//! Who may do what: every operation, by everybody. The rows are beside this file, a file for each service.

mod accounts;
mod admin;
mod broker;
mod carts;
pub(crate) mod cast;
mod catalog;
mod config;
mod documents;
mod gateway;
mod inventory;
mod notifications;
mod orders;
mod payments;

use reqwest::Method;
use serde_json::Value;
use shop_tests::Call;

use cast::Cast;

/// Nobody comes first, for whom what is only looked at is made. Then whose order, payment and account it is, another
/// customer, a program, the seller of the product, another seller, the admin.
pub(crate) const CALLERS: [&str; 7] = ["nobody", "owner", "other", "service", "seller", "rival", "admin"];

/// The role of one of the [`CALLERS`] who has an account.
pub(crate) fn role(name: &str) -> &str {
    match name {
        "service" | "admin" => name,
        "seller" | "rival" => "supplier",
        _ => "user",
    }
}

/// What each of the [`CALLERS`] is answered.
pub(crate) type Outcome = [u16; 7];

pub(crate) const ANYONE: Outcome = [200; 7];
pub(crate) const SIGNED_IN: Outcome = [401, 200, 200, 200, 200, 200, 200];
pub(crate) const SELLERS: Outcome = [401, 403, 403, 403, 200, 200, 200];
/// Products are public, so other suppliers are told that it is not theirs.
pub(crate) const SELLER: Outcome = [401, 403, 403, 403, 200, 403, 200];
/// Stock is not: other suppliers are told of none.
pub(crate) const STOCK_KEEPER: Outcome = [401, 403, 403, 403, 200, 404, 200];
/// What is not for sale is there for its seller and for admins alone.
pub(crate) const HIDDEN: Outcome = [404, 404, 404, 404, 200, 404, 200];
/// What belongs to somebody else is not there, for sellers and programs as well.
pub(crate) const OWNER: Outcome = [401, 200, 404, 404, 404, 404, 200];
/// Under `/users/me`: not even an admin is somebody else there.
pub(crate) const ONLY_OWNER: Outcome = [401, 200, 404, 404, 404, 404, 404];
pub(crate) const ADMIN: Outcome = [401, 403, 403, 403, 403, 403, 200];
pub(crate) const PROGRAMS: Outcome = [401, 403, 403, 200, 403, 403, 200];

/// The same where a success creates something.
pub(crate) const fn created(status: u16) -> u16 {
    if status == 200 { 201 } else { status }
}

/// The same where a success leaves nothing to show.
pub(crate) const fn gone(status: u16) -> u16 {
    if status == 200 { 204 } else { status }
}

/// One operation.
pub(crate) struct Row {
    pub(crate) method: Method,
    /// Below `/api/v1` when it begins with a single slash, of the whole shop when with two. For what stands in braces, here
    /// and in the body, see [`Cast::make`].
    path: &'static str,
    body: Option<(&'static str, String)>,
    pub(crate) outcome: Outcome,
}

impl Row {
    pub(crate) fn url(&self) -> String {
        match self.path.strip_prefix("//") {
            Some(path) => format!("/{path}"),
            None => format!("/api/v1{}", self.path),
        }
    }

    /// With a JSON body.
    pub(crate) fn json(self, body: &Value) -> Self {
        Self { body: Some(("application/json", body.to_string())), ..self }
    }

    /// With a line of JSON.
    pub(crate) fn ndjson(self, line: &Value) -> Self {
        Self { body: Some(("application/x-ndjson", line.to_string())), ..self }
    }
}

pub(crate) fn get(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::GET, path, body: None, outcome }
}

pub(crate) fn post(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::POST, path, body: None, outcome }
}

pub(crate) fn put(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::PUT, path, body: None, outcome }
}

pub(crate) fn patch(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::PATCH, path, body: None, outcome }
}

pub(crate) fn delete(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::DELETE, path, body: None, outcome }
}

/// Those of accounts come last: they end by signing everybody out.
fn rows() -> impl Iterator<Item = Row> {
    let services = [
        gateway::rows(),
        config::rows(),
        admin::rows(),
        catalog::rows(),
        inventory::rows(),
        carts::rows(),
        orders::rows(),
        payments::rows(),
        notifications::rows(),
        broker::rows(),
        accounts::rows(),
    ];
    services.into_iter().flatten()
}

/// Those of `/api/v1` and of what lies beside it, and those of older shops.
fn all_rows() -> impl Iterator<Item = Row> {
    rows().chain(crate::classic::rows())
}

/// One request, with something new for each name in braces.
pub(crate) struct Filled<'a> {
    row: &'a Row,
    pub(crate) url: String,
    body: Option<(&'static str, String)>,
}

impl Row {
    /// What is asked for when it is asked for now.
    pub(crate) async fn fill(&self, cast: &mut Cast) -> Filled<'_> {
        let url = cast.fill(&self.url()).await;
        let body = match &self.body {
            Some((kind, body)) => Some((*kind, cast.fill(body).await)),
            None => None,
        };
        Filled { row: self, url, body }
    }
}

impl Filled<'_> {
    /// The request, by nobody yet.
    pub(crate) fn call<'a>(&self, cast: &'a Cast) -> Call<'a> {
        let call = cast.shop.request(self.row.method.clone(), &self.url);
        match &self.body {
            Some((kind, body)) => call.header("content-type", kind).bytes(body.clone()),
            None => call,
        }
    }
}

/// Sends each request of `rows` as everybody, and panics unless all are answered as the rows say.
pub(crate) async fn check(rows: impl IntoIterator<Item = Row>) {
    let mut cast = Cast::assemble().await;
    let mut wrong = Vec::new();
    for row in rows {
        let mut filled = row.fill(&mut cast).await;
        for (name, status) in CALLERS.into_iter().zip(row.outcome) {
            // What is only looked at serves all; what is changed is made for each.
            if row.method != Method::GET && name != CALLERS[0] {
                filled = row.fill(&mut cast).await;
            }
            let mut call = filled.call(&cast);
            if let Some(caller) = cast.caller(name).await {
                call = call.by(caller);
            }
            let answer = call.await;
            if answer.status != status {
                let (method, url, was) = (&row.method, &filled.url, answer.status);
                wrong.push(format!("{method} {url} by {name}: {was}, not {status}: {}", answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cast.shop.settle().await;
    cast.shop.audit();
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    check(rows()).await;
}
