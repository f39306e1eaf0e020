//! Items: `/api/items`, orders with a `state`, payments.

use serde_json::{Value, json};

use super::{STRANGERS, check_crowds, check_refused, check_strangers, field, refused, says};
use crate::roles::{self, OWNER, Row, SIGNED_IN, created, get, post, put};

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        // Inventory.
        // Carts.
        // Orders.
        post("//api/orders", SIGNED_IN.map(created))
            .json(&json!({ "items": [{ "itemId": "{product}", "quantity": 1 }] })),
        get("//api/orders/{order}", OWNER),
        get("//api/orders/by-user/{owner}", OWNER),
        // Not even an admin decides what a customer wants.
        put("//api/orders/{order}", [401, 200, 404, 404, 404, 404, 403])
            .json(&json!({ "items": [{ "itemId": "{product}", "quantity": 2 }], "shippingAddress": "1 Main St" })),
        post("//api/orders/{order}/cancel", OWNER),
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
        refused("owner", "POST", "/api/orders", json!({ "items": [] }), 400, field("items")),
        refused("owner", "POST", "/api/orders", json!({ "items": [{ "itemId": 1 }] }), 400, field("items[0].quantity")),
        refused(
            "owner",
            "POST",
            "/api/orders",
            json!({ "items": [{ "itemId": "{n}", "quantity": 1 }] }),
            400,
            field("items[0].productId"),
        ),
        refused("owner", "PUT", "/api/orders/{order}", json!({ "items": [] }), 400, field("items")),
        refused(
            "owner",
            "PUT",
            "/api/orders/{order}",
            json!({ "shippingAddress": { "city": "Berlin" } }),
            400,
            field("shippingAddress.line1"),
        ),
        refused(
            "owner",
            "PUT",
            "/api/orders/{paid}",
            json!({ "shippingAddress": "1 Main St" }),
            409,
            says("the order is paid"),
        ),
        refused("owner", "GET", "/api/orders/{n}", Value::Null, 404, says("order not found")),
        refused("owner", "GET", "/api/orders/first", Value::Null, 400, json!({})),
        refused("owner", "POST", "/api/orders/{n}/cancel", Value::Null, 404, says("order not found")),
        // Payments.
        // Accounts, which come last: some sign people out.
    ])
    .await;
}
