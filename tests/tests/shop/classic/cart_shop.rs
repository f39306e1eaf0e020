//! The cart shop: bare paths, one word each.

use serde_json::{Value, json};

use super::{STRANGERS, check_crowds, check_refused, check_strangers, field, refused, says};
use crate::roles::{self, OWNER, Row, SIGNED_IN, delete, get, patch};

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        // Inventory.
        // Carts.
        // Orders.
        get("//order/{order}", OWNER),
        get("//orders", SIGNED_IN),
        // Customers cancel; the rest is for admins.
        patch("//order/{order}", OWNER).json(&json!({ "status": "cancelled" })),
        patch("//order/{paid}", [401, 403, 404, 404, 404, 404, 200]).json(&json!({ "status": "shipped" })),
        delete("//order/{order}", OWNER),
        // Payments.
        // Accounts, which come last: some sign people out.
    ]
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    roles::check(rows()).await;
}

#[tokio::test]
async fn who_must_sign_in_is_told_so() {
    check_strangers(rows(), &STRANGERS).await;
}

#[tokio::test]
async fn what_comes_again_or_at_once_breaks_nothing() {
    check_crowds(rows()).await;
}

#[tokio::test]
async fn what_is_not_as_it_must_be_is_refused_and_changes_nothing() {
    check_refused(vec![
        // The catalog.
        // Inventory.
        // Carts.
        // Orders.
        refused("owner", "PATCH", "/order/{order}", json!({ "status": "lost" }), 400, field("status")),
        refused("owner", "PATCH", "/order/{order}", json!({}), 400, field("status")),
        refused("admin", "PATCH", "/order/{order}", json!({ "status": "shipped" }), 409, says("the order is reserved")),
        refused("owner", "GET", "/order/{n}", Value::Null, 404, says("order not found")),
        refused("owner", "DELETE", "/order/{n}", Value::Null, 404, says("order not found")),
        // Payments.
        // Accounts, which come last: some sign people out.
    ])
    .await;
}
