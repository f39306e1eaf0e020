//! Who may do what: every operation, by everybody. The rows are beside this file, a file for each service.

mod accounts;
mod admin;
mod carts;
mod cast;
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

use cast::Cast;

/// Nobody comes first, for whom what is only looked at is made. Then whose order, payment and account it is, another
/// customer, a program, the seller of the product, another seller, the admin.
const CALLERS: [&str; 7] = ["nobody", "owner", "other", "service", "seller", "rival", "admin"];

/// The role of one of the [`CALLERS`] who has an account.
fn role(name: &str) -> &str {
    match name {
        "service" | "admin" => name,
        "seller" | "rival" => "supplier",
        _ => "user",
    }
}

/// What each of the [`CALLERS`] is answered.
type Outcome = [u16; 7];

const ANYONE: Outcome = [200; 7];
const SIGNED_IN: Outcome = [401, 200, 200, 200, 200, 200, 200];
const SELLERS: Outcome = [401, 403, 403, 403, 200, 200, 200];
/// Products are public, so other suppliers are told that it is not theirs.
const SELLER: Outcome = [401, 403, 403, 403, 200, 403, 200];
/// Stock is not: other suppliers are told of none.
const STOCK_KEEPER: Outcome = [401, 403, 403, 403, 200, 404, 200];
/// What belongs to somebody else is not there, for sellers and programs as well.
const OWNER: Outcome = [401, 200, 404, 404, 404, 404, 200];
/// Under `/users/me`: not even an admin is somebody else there.
const ONLY_OWNER: Outcome = [401, 200, 404, 404, 404, 404, 404];
const ADMIN: Outcome = [401, 403, 403, 403, 403, 403, 200];
const PROGRAMS: Outcome = [401, 403, 403, 200, 403, 403, 200];

/// The same where a success creates something.
const fn created(status: u16) -> u16 {
    if status == 200 { 201 } else { status }
}

/// The same where a success leaves nothing to show.
const fn gone(status: u16) -> u16 {
    if status == 200 { 204 } else { status }
}

/// One operation.
struct Row {
    method: Method,
    /// Below `/api/v1` when it begins with a single slash, of the whole shop when with two. For what stands in braces, here
    /// and in the body, see [`Cast::make`].
    path: &'static str,
    body: Option<(&'static str, String)>,
    outcome: Outcome,
}

impl Row {
    fn url(&self) -> String {
        match self.path.strip_prefix("//") {
            Some(path) => format!("/{path}"),
            None => format!("/api/v1{}", self.path),
        }
    }

    /// With a JSON body.
    fn json(self, body: &Value) -> Self {
        Self { body: Some(("application/json", body.to_string())), ..self }
    }

    /// With a line of JSON.
    fn ndjson(self, line: &Value) -> Self {
        Self { body: Some(("application/x-ndjson", line.to_string())), ..self }
    }
}

fn get(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::GET, path, body: None, outcome }
}

fn post(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::POST, path, body: None, outcome }
}

fn put(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::PUT, path, body: None, outcome }
}

fn patch(path: &'static str, outcome: Outcome) -> Row {
    Row { method: Method::PATCH, path, body: None, outcome }
}

fn delete(path: &'static str, outcome: Outcome) -> Row {
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
        accounts::rows(),
    ];
    services.into_iter().flatten()
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let mut cast = Cast::assemble().await;
    let mut wrong = Vec::new();
    for row in rows() {
        let (mut url, mut body) = (String::new(), None);
        for (name, status) in CALLERS.into_iter().zip(row.outcome) {
            // What is only looked at serves all; what is changed is made for each.
            if row.method != Method::GET || name == CALLERS[0] {
                url = cast.fill(&row.url()).await;
                body = match &row.body {
                    Some((kind, body)) => Some((*kind, cast.fill(body).await)),
                    None => None,
                };
            }
            let mut call = cast.shop.request(row.method.clone(), &url);
            if let Some((kind, body)) = &body {
                call = call.header("content-type", kind).bytes(body.clone());
            }
            if let Some(caller) = cast.caller(name).await {
                call = call.by(caller);
            }
            let answer = call.await;
            if answer.status != status {
                let (method, was) = (&row.method, answer.status);
                wrong.push(format!("{method} {url} by {name}: {was}, not {status}: {}", answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cast.shop.settle().await;
    cast.shop.audit();
}
