//! Items: `/api/items`, orders with a `state`, payments.

use std::{collections::BTreeSet, future::IntoFuture};

use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Shop, ShopOptions};

use super::{
    STRANGERS, assert_message, check_crowds, check_refused, check_strangers, field, goods::item, refused, says,
};
use crate::roles::{
    self, ANYONE, HIDDEN, OWNER, Row, SELLER, SELLERS, SIGNED_IN, STOCK_KEEPER, created, delete, get, gone, patch,
    post, put,
};

const TAKEN: &str = "there is an account with this email address";
const NO_CARDS: &str = "must not be a card number: send the payment provider's token";
const CARD: &str = "paymentMethod: must not be a card number: send the payment provider's token";

/// An account for an address that has one, with something else.
fn account(further: Value) -> Value {
    let mut account = json!({ "email": "owner@example.com", "password": "correct horse", "username": "owner" });
    account.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    account
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        get("//api/items", ANYONE),
        post("//api/items", SELLERS.map(created)).json(&item()),
        get("//api/items/{product}", ANYONE),
        // What is not for sale is its seller's and the admins'.
        get("//api/items/{draft}", HIDDEN),
        put("//api/items/{product}", SELLER).json(&json!({ "unitPrice": 0.01 })),
        delete("//api/items/{product}", SELLER.map(gone)),
        // Inventory.
        get("//api/items/{product}/availability", ANYONE),
        get("//api/items/{draft}/availability", HIDDEN),
        put("//api/items/{product}/availability/increase?qty=2", STOCK_KEEPER),
        put("//api/items/{product}/availability/decrease?qty=2", STOCK_KEEPER),
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
        post("//api/payments", OWNER.map(created)).json(&json!({ "orderId": "{order}", "paymentMethod": "CARD" })),
        get("//api/payments/{payment}", OWNER),
        put("//api/payments/{waiting}", OWNER).json(&json!({ "paymentMethod": "tok_mastercard" })),
        // For the owner it is all of it, and the order.
        post("//api/payments/{payment}/refund", OWNER.map(created)).json(&json!({})),
        post("//api/payments/{payment}/refund", OWNER.map(created)).json(&json!({ "amount": 0.5 })),
        // Accounts, which come last: some sign people out.
        post("//auth/register", [201; 7]).json(&json!({
            "username": "new{n}", "email": "new{n}@example.com", "password": "correct horse",
            "shippingAddress": "1 Main St", "billingAddress": { "street": "Main St" }, "paymentMethod": "VISA",
        })),
        post("//auth/login", ANYONE).json(&json!({ "email": "owner@example.com", "password": "owner's password" })),
        get("//auth/me", SIGNED_IN),
        get("//account/me", SIGNED_IN),
        patch("//account/update", SIGNED_IN).json(&json!({ "paymentMethod": { "token": "tok_visa" } })),
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
        refused("seller", "POST", "/api/items", json!({ "unitPrice": 1 }), 400, says("itemName: is missing")),
        refused(
            "seller",
            "POST",
            "/api/items",
            json!({ "itemName": " ", "unitPrice": 1 }),
            400,
            says("itemName: must have 1 to 200 characters"),
        ),
        refused(
            "seller",
            "POST",
            "/api/items",
            json!({ "itemName": "Mug", "unitPrice": 19.999 }),
            400,
            says("unitPrice: must have at most two decimals"),
        ),
        refused(
            "seller",
            "POST",
            "/api/items",
            json!({ "itemName": "Mug", "unitPrice": 1, "metadata": [] }),
            400,
            says("metadata: must be a JSON object"),
        ),
        refused("owner", "POST", "/api/items", item(), 403, says("only suppliers and admins may do this")),
        refused("seller", "PUT", "/api/items/{product}", json!({ "unitPrice": -1 }), 400, json!({})),
        refused("rival", "PUT", "/api/items/{draft}", json!({ "unitPrice": 1 }), 404, says("item not found")),
        refused("nobody", "GET", "/api/items/{n}", json!(null), 404, says("item not found")),
        refused("nobody", "GET", "/api/items?limit=101", json!(null), 400, says("limit: greater than 100")),
        refused("nobody", "GET", "/api/items?offset=10001", json!(null), 400, says("offset: greater than 10000")),
        // Inventory.
        refused("nobody", "GET", "/api/items/{n}/availability", json!(null), 404, says("item not found")),
        refused(
            "seller",
            "PUT",
            "/api/items/{n}/availability/increase?qty=1",
            json!(null),
            404,
            says("item not found"),
        ),
        refused(
            "rival",
            "PUT",
            "/api/items/{product}/availability/increase?qty=1",
            json!(null),
            404,
            says("item not found"),
        ),
        refused("seller", "PUT", "/api/items/{product}/availability/increase", json!(null), 400, json!({})),
        refused(
            "seller",
            "PUT",
            "/api/items/{product}/availability/increase?qty=0",
            json!(null),
            400,
            says("qty: lower than 1"),
        ),
        refused("seller", "PUT", "/api/items/{product}/availability/increase?qty=1.5", json!(null), 400, json!({})),
        refused(
            "seller",
            "PUT",
            "/api/items/{product}/availability/decrease?qty=6",
            json!(null),
            409,
            says("5 on hand, 0 of them reserved: cannot go to -1"),
        ),
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
        refused("owner", "GET", "/api/orders/first", Value::Null, 404, json!({})),
        refused("owner", "POST", "/api/orders/{n}/cancel", Value::Null, 404, says("order not found")),
        // Payments.
        refused(
            "owner",
            "POST",
            "/api/payments",
            json!({ "orderId": "{order}" }),
            400,
            says("paymentMethod: is missing"),
        ),
        refused(
            "owner",
            "POST",
            "/api/payments",
            json!({ "orderId": "{order}", "paymentMethod": "" }),
            400,
            says("paymentMethod: must be a token of 1 to 255 ASCII characters"),
        ),
        refused(
            "owner",
            "POST",
            "/api/payments",
            json!({ "orderId": "{order}", "paymentMethod": 999 }),
            400,
            says("paymentMethod: is no payment method of the account"),
        ),
        refused(
            "owner",
            "POST",
            "/api/payments",
            json!({ "orderId": "{order}", "paymentMethod": "CARD", "amount": 1.001 }),
            400,
            says("amount: must have at most two decimals"),
        ),
        refused(
            "owner",
            "POST",
            "/api/payments",
            json!({ "orderId": "{order}", "paymentMethod": "CARD", "amount": 0.99 }),
            409,
            says("the order costs 1.00 EUR"),
        ),
        refused(
            "owner",
            "POST",
            "/api/payments",
            json!({ "orderId": "{paid}", "paymentMethod": "CARD" }),
            409,
            says("the order has a payment"),
        ),
        refused(
            "other",
            "POST",
            "/api/payments",
            json!({ "orderId": "{order}", "paymentMethod": "CARD" }),
            404,
            says("order not found"),
        ),
        refused("owner", "GET", "/api/payments/{n}", json!(null), 404, says("payment not found")),
        refused(
            "owner",
            "PUT",
            "/api/payments/{payment}",
            json!({ "paymentMethod": "CARD" }),
            409,
            says("the payment has been sent: its method cannot be changed any more"),
        ),
        refused("owner", "PUT", "/api/payments/{waiting}", json!({ "paymentMethod": [] }), 400, json!({})),
        refused("owner", "POST", "/api/payments/{payment}/refund", json!({ "amount": 0 }), 400, field("amount")),
        refused(
            "owner",
            "POST",
            "/api/payments/{payment}/refund",
            json!({ "amount": 1.01 }),
            409,
            says("1.00 EUR are left"),
        ),
        refused("other", "POST", "/api/payments/{payment}/refund", json!({}), 404, says("payment not found")),
        refused("owner", "POST", "/api/payments/{held}/refund", json!({}), 409, says("the payment is authorized")),
        // Accounts, which come last: some sign people out.
        refused("nobody", "POST", "/auth/register", json!({}), 400, json!({ "message": "email: is missing" })),
        refused("nobody", "POST", "/auth/register", account(json!({})), 409, json!({ "message": TAKEN })),
        refused(
            "nobody",
            "POST",
            "/auth/register",
            account(json!({ "paymentMethod": 5 })),
            400,
            json!({
                "message": "paymentMethod: must be a text or a JSON object",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/auth/register",
            account(json!({ "paymentMethod": "4242 4242 4242 4242" })),
            400,
            json!({
                "message": CARD,
            }),
        ),
        refused(
            "owner",
            "PATCH",
            "/account/update",
            json!({ "paymentMethod": { "pan": 4_242_424_242_424_242_i64 } }),
            400,
            json!({
                "message": CARD, "errors": [{ "field": "paymentMethod", "message": NO_CARDS }],
            }),
        ),
        refused(
            "owner",
            "PATCH",
            "/account/update",
            json!({ "shippingAddress": ["4242424242424242"] }),
            400,
            json!({
                "message": "shippingAddress: must be a text or a JSON object",
            }),
        ),
        refused(
            "owner",
            "PATCH",
            "/account/update",
            json!({ "billingAddress": { "line": "4242424242424242" } }),
            400,
            json!({
                "message": format!("billingAddress: {NO_CARDS}"),
            }),
        ),
        refused(
            "owner",
            "PATCH",
            "/account/update",
            json!({ "username": " " }),
            400,
            json!({
                "message": "username: must not be empty",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/auth/login",
            json!({ "password": "x" }),
            400,
            json!({ "message": "email: is missing" }),
        ),
        refused(
            "nobody",
            "POST",
            "/auth/login",
            json!({ "email": "owner@example.com", "password": "wrong" }),
            401,
            json!({
                "message": "the email address or the password is wrong",
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_purchase_from_start_to_end() {
    let shop = Shop::start(ShopOptions::default()).await;
    let seller = shop.seller("sue").await;
    let item = json!({
        "itemName": "Mug", "unitPrice": 14.5, "imageUrls": ["https://img.example.com/mug.jpg"], "upc": "036000291452",
        "availability": 5, "metadata": { "colour": "blue", "sizes": [1, 2] }
    });
    let item = shop.post("/api/items", &item).by(&seller).await.expect(201)["itemId"].clone();
    shop.settle().await;

    let ann = json!({ "username": "ann", "email": "ann@example.com", "password": "correct horse battery", "shippingAddress": "1 Main St" });
    let registered = shop.post("/auth/register", &ann).await.expect(201);
    assert!(registered["password"].is_null(), "{registered}");
    let ann = json!({ "username": "ann", "password": "correct horse battery" });
    let token = shop.post("/auth/login", &ann).await.expect(200)["token"].as_str().unwrap().to_owned();
    let me = shop.get("/account/me").bearer(&token).await.expect(200);
    assert_eq!((&me["username"], &me["shippingAddress"]), (&json!("ann"), &json!("1 Main St")));

    let order = json!({ "items": [{ "itemId": item, "quantity": 1 }], "shippingAddress": "1 Main St" });
    let placed = shop.post("/api/orders", &order).bearer(&token).await.expect(201);
    assert_eq!((&placed["state"], &placed["totalAmount"]), (&json!("PENDING_PAYMENT"), &json!(14.5)));
    let order = placed["orderId"].as_i64().unwrap();
    let path = format!("/api/orders/{order}");
    let change = json!({ "items": [{ "itemId": item, "quantity": 2 }] });
    assert_eq!(shop.put(&path, &change).bearer(&token).await.expect(200)["totalAmount"], 29.0);
    shop.wait_for(order, "reserved").await;

    let payment = json!({ "orderId": order, "amount": 29, "paymentMethod": "tok_visa" });
    let pay = || shop.post("/api/payments", &payment).bearer(&token).key("pay");
    let wrong = json!({ "orderId": order, "amount": 28.99, "paymentMethod": "tok_visa" });
    shop.post("/api/payments", &wrong).bearer(&token).key("wrong").await.expect(409);
    let (paid, again) = (pay().await.expect(201), pay().await.expect(200));
    assert_eq!((&paid["status"], &paid), (&json!("SUCCESS"), &again));
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_eq!(shop.get(&path).bearer(&token).await.expect(200)["state"], "PAID");
    let availability =
        async || shop.get(format!("/api/items/{item}/availability")).await.expect(200)["availability"].clone();
    assert_eq!(availability().await, 3);

    let refund = format!("/api/payments/{}/refund", paid["id"]);
    let refund = async || shop.post(&refund, &json!({})).bearer(&token).key("refund").await;
    let (back, again) = (refund().await.expect(201), refund().await);
    assert_eq!((&back["amount"], &back["id"]), (&json!(29.0), &again.body["id"]));
    shop.settle().await;
    assert_eq!(
        shop.get(format!("/api/payments/{}", paid["id"])).bearer(&token).await.expect(200)["status"],
        "REFUNDED"
    );
    assert_eq!(shop.get(&path).bearer(&token).await.expect(200)["state"], "CANCELLED");
    assert_eq!(availability().await, 5);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_payment_that_fails_cancels_the_order_and_gives_the_stock_back() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 3).await;
    let order = json!({ "items": [{ "itemId": mug, "quantity": 3 }] });
    let order = shop.post("/api/orders", &order).by(&ann).await.expect(201)["orderId"].as_i64().unwrap();
    shop.wait_for(order, "reserved").await;
    let payment = json!({ "orderId": order, "paymentMethod": "tok_declined" });
    let payment = shop.post("/api/payments", &payment).by(&ann).await.expect(201);
    assert_eq!(payment["status"], "FAILED");
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    assert_eq!(shop.get(format!("/api/orders/{order}")).by(&ann).await.expect(200)["state"], "PAYMENT_FAILED");
    assert_eq!(shop.get(format!("/api/items/{mug}/availability")).await.expect(200)["availability"], 3);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn customers_take_back_what_they_have_paid_until_it_is_shipped_and_never_more() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let mug = shop.product(5.0, 10).await;
    let paid = async || {
        let order = shop.place(&ann, mug, 2, Some("tok_visa")).await;
        shop.wait_for(order, "paid").await;
        (order, format!("/api/payments/{}/refund", shop.payment_of(order).await.expect(200)["id"]))
    };
    let (order, refund) = paid().await;
    shop.post(&refund, &json!({})).by(&bob).await.expect(404);
    let part = shop.post(&refund, &json!({ "amount": 4 })).by(&ann).await.expect(201);
    assert_eq!((&part["amount"], &part["status"]), (&json!(4.0), &json!("SUCCESS")));
    assert_eq!(shop.find_order(order).await["status"], "paid");
    shop.post(&refund, &json!({ "amount": 6.01 })).by(&ann).await.expect(409);
    // All that is left: one refund, however often it is asked for.
    let all = json!({ "amount": 6 });
    let answers = join_all((0..5).map(|_| shop.post(&refund, &all).by(&ann).into_future())).await;
    let ids: BTreeSet<_> =
        answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.body["id"].as_i64()).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "cancelled");

    let (order, refund) = paid().await;
    let shipped = json!({ "status": "shipped" });
    shop.put(format!("/api/v1/orders/{order}/status"), &shipped).by(shop.admin().await).await.expect(200);
    assert_message(&shop.post(&refund, &json!({})).by(&ann).await, 409, "the order is shipped", "all");
    assert_message(&shop.post(&refund, &json!({ "amount": 1 })).by(&ann).await, 409, "the order is shipped", "a part");
    shop.post(&refund, &json!({ "amount": 1 })).by(shop.admin().await).await.expect(201);
    shop.settle().await;
    shop.audit();
}
