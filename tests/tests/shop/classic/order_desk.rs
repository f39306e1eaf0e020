//! The order desk: `/api/…`, orders with a `status` in capitals.

use serde_json::{Value, json};

use super::{STRANGERS, check_crowds, check_refused, check_strangers, field, refused, says};
use crate::roles::{self, ADMIN, OWNER, Row, SIGNED_IN, created, get, post};

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        // Inventory.
        // Carts.
        // Orders.
        post("//api/orders", SIGNED_IN.map(created))
            .json(&json!({ "items": [{ "productId": "{product}", "quantity": 2, "price": 1 }], "totalAmount": 2 })),
        get("//api/orders/{order}", OWNER),
        get("//api/orders/my-orders", SIGNED_IN),
        get("//api/orders/all", ADMIN),
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
        refused("owner", "POST", "/api/orders", json!({}), 400, field("items")),
        refused(
            "owner",
            "POST",
            "/api/orders",
            json!({ "items": [{ "productId": "{product}", "quantity": 0 }] }),
            400,
            field("items[0].quantity"),
        ),
        refused(
            "owner",
            "POST",
            "/api/orders",
            json!({ "items": [{ "productId": "{product}", "quantity": 1, "price": 0.99 }] }),
            409,
            says("items[0].price: is 1.00"),
        ),
        refused(
            "owner",
            "POST",
            "/api/orders",
            json!({ "items": [{ "productId": "{product}", "quantity": 2, "price": 1 }], "totalAmount": 1 }),
            409,
            says("totalAmount: is 2.00"),
        ),
        refused(
            "owner",
            "POST",
            "/api/orders",
            json!({ "items": [{ "productId": "{product}", "quantity": 1, "price": 1.001 }] }),
            400,
            field("items[0].price"),
        ),
        refused("owner", "GET", "/api/orders/my-orders?limit=0", Value::Null, 400, field("limit")),
        refused("admin", "GET", "/api/orders/all?cursor=none", Value::Null, 400, json!({})),
        // Payments.
        // Accounts, which come last: some sign people out.
    ])
    .await;
}
