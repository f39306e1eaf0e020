//! Micro: bare paths, `…/me`.

use serde_json::{Value, json};

use super::{STRANGERS, check_crowds, check_refused, check_strangers, field, refused, says};
use crate::roles::{self, ADMIN, OWNER, Row, SIGNED_IN, created, get, patch, post};

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        // Inventory.
        // Carts.
        // Orders.
        post("//orders/me", SIGNED_IN.map(created)).json(&json!({ "productId": "{item}" })),
        get("//orders/me", SIGNED_IN),
        get("//orders/{order}", OWNER),
        get("//orders/user/{owner}", OWNER),
        patch("//orders/{order}/cancel", OWNER),
        patch("//orders/{order}/status", ADMIN).json(&json!({ "status": "paid" })),
        patch("//orders/{paid}/status", ADMIN).json(&json!({ "status": "shipped" })),
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
        refused("owner", "POST", "/orders/me", json!({}), 400, field("productId")),
        refused("owner", "POST", "/orders/me", json!({ "productId": "{product}" }), 400, field("productId")),
        refused("owner", "POST", "/orders/me", json!({ "productId": "{item}", "quantity": 2 }), 400, field("quantity")),
        refused("owner", "PATCH", "/orders/{paid}/cancel", Value::Null, 409, says("the order is paid")),
        refused(
            "admin",
            "PATCH",
            "/orders/{order}/status",
            json!({ "status": "delivered" }),
            409,
            says("the order is reserved"),
        ),
        refused("admin", "PATCH", "/orders/{order}/status", json!({ "status": "nowhere" }), 400, field("status")),
        refused("owner", "GET", "/orders/{n}", Value::Null, 404, says("order not found")),
        // Payments.
        // Accounts, which come last: some sign people out.
    ])
    .await;
}
