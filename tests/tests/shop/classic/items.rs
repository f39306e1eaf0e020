//! Items: `/api/items`, orders with a `state`, payments.

use std::{collections::BTreeSet, future::IntoFuture, time::Duration};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

use super::{STRANGERS, assert_message, charges, check_crowds, check_refused, check_strangers, field, refused, says};
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

fn mug() -> Value {
    json!({ "itemName": "Mug", "unitPrice": 14.5, "upc": "036000291452", "availability": 5 })
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        get("//api/items", ANYONE),
        post("//api/items", SELLERS.map(created)).json(&mug()),
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
        refused("owner", "POST", "/api/items", mug(), 403, says("only suppliers and admins may do this")),
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
        refused("owner", "GET", "/api/orders/first", Value::Null, 400, json!({})),
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
async fn an_item_is_a_product_in_other_words() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let metadata = r#"{ "size": 1.10, "a": [null, {}], "b": "\u00fc" }"#;
    let body = format!(
        r#"{{"itemName":"Mug","unitPrice":14.5,"imageUrls":["/mug.png"],"upc":"036","stock":5,"metadata":{metadata}}}"#
    );
    let made = shop.post("/api/items", &json!({})).bytes(body).by(&sue).await;
    let id = made.body["itemId"].clone();
    assert_eq!(made.header("location"), Some(format!("/api/items/{id}").as_str()));
    assert!(made.text.contains(metadata), "kept as given: {}", made.text);
    let expected = json!({
        "itemId": id, "id": id, "itemName": "Mug", "name": "Mug", "description": "", "unitPrice": 14.5, "currency": "EUR",
        "imageUrls": ["/mug.png"], "upc": "036", "category": null, "availability": 5,
        "metadata": { "size": 1.10, "a": [null, {}], "b": "ü" },
    });
    assert_eq!(made.expect(201), expected);
    let path = format!("/api/items/{id}");
    let read = shop.get(format!("{path}/")).await;
    assert!(read.text.contains(metadata) && read.header("etag").is_some(), "{}", read.text);
    assert_eq!(read.expect(200), expected);
    assert_eq!(shop.get("/api/items").await.expect(200), json!([expected]));
    let product = shop.get(format!("/api/v1/products/{id}")).await.expect(200);
    assert_eq!((&product["name"], &product["price"], &product["stock"]), (&json!("Mug"), &json!(14.5), &json!(5)));

    let changed = shop.put(&path, &json!({ "itemName": "Cup", "upc": null })).by(&sue).await.expect(200);
    assert_eq!(
        (&changed["itemName"], &changed["upc"], &changed["unitPrice"]),
        (&json!("Cup"), &json!(null), &json!(14.5))
    );
    assert_eq!(shop.get(&path).await.expect(200), changed);
    shop.delete(&path).by(&sue).await.expect(204);
    for gone in [path.clone(), format!("{path}/availability")] {
        shop.settle().await;
        assert_message(&shop.get(&gone).await, 404, "item not found", &gone);
    }
    let increase = shop.put(format!("{path}/availability/increase?qty=1"), &json!({})).by(&sue).await;
    assert_message(&increase, 404, "item not found", "it is gone");
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
async fn an_item_is_made_once_for_each_key() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let make = async || shop.post("/api/items", &mug()).by(&sue).key("a mug").await;
    let mut answers = join_all((0..5).map(|_| make())).await;
    answers.push(make().await);
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(made.iter().all(|answer| answer.body == made[0].body), "{:?}", made[0].body);
    assert_eq!(answers.last().unwrap().header("idempotent-replayed"), Some("true"));
    assert_eq!(shop.get("/api/items").await.expect(200).as_array().unwrap().len(), 1);
    let other = shop.post("/api/items", &json!({ "itemName": "Cup", "unitPrice": 1 })).by(&sue).key("a mug").await;
    assert_message(&other, 422, "this Idempotency-Key was used with another request", "another body");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn lists_are_arrays_of_what_is_for_sale_the_newest_first() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    for (place, stock) in [(1, 1), (2, 0), (3, 1), (4, 1)] {
        let body =
            json!({ "itemName": format!("Mug {place}"), "unitPrice": 5 - place, "stock": stock, "category": "mugs" });
        shop.post("/api/items", &body).by(&sue).await.expect(201);
    }
    let draft = json!({ "name": "Draft", "description": "", "price": 1, "stock": 1, "status": "draft" });
    shop.post("/api/v1/products", &draft).by(&sue).await.expect(201);
    for (query, expected) in [
        ("", &[4, 3, 2, 1][..]),
        ("?limit=2", &[4, 3]),
        ("?limit=2&offset=1", &[3, 2]),
        ("?offset=4", &[]),
        ("?inStock=true&offset=1", &[3, 1]),
        ("?inStock=false", &[2]),
        // By price.
        ("?minPrice=2&maxPrice=4&offset=1", &[2, 1]),
        ("?category=mugs&limit=1", &[4]),
        ("?category=cups&minPrice=&maxPrice=&inStock=", &[]),
    ] {
        for path in ["/api/items", "/api/products", "/products"] {
            let list = shop.get(format!("{path}{query}")).await.expect(200);
            let names: Vec<_> = list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
            let expected: Vec<_> = expected.iter().map(|place| format!("Mug {place}")).collect();
            assert_eq!(names, expected, "{path}{query}");
        }
    }
}

/// What an item shows at both places.
async fn shown(shop: &Shop, id: &Value) -> (Value, Value) {
    let item = shop.get(format!("/api/items/{id}")).await.expect(200)["availability"].clone();
    let availability = shop.get(format!("/api/items/{id}/availability")).await.expect(200);
    assert_eq!(&availability["itemId"], id);
    (item, availability["availability"].clone())
}

#[tokio::test]
async fn pieces_taken_by_many_at_once_are_taken_exactly_once_and_never_below_zero() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let id = shop.post("/api/items", &mug()).by(&sue).await.expect(201)["itemId"].clone();
    // At once: inventory has hardly heard of it.
    assert_eq!(shown(&shop, &id).await, (json!(5), json!(5)));
    let change = |what: &str| shop.request(reqwest::Method::PUT, format!("/api/items/{id}/availability/{what}"));
    assert_eq!(change("increase?qty=20").by(&sue).await.expect(200), json!({ "itemId": id, "availability": 25 }));
    let taken = join_all((0..20).map(|_| async { change("decrease?qty=3").by(&sue).await })).await;
    let (done, refused): (Vec<_>, Vec<_>) = taken.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(done.len(), 8);
    let mut left: Vec<_> = done.iter().map(|answer| answer.body["availability"].as_i64().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, [1, 4, 7, 10, 13, 16, 19, 22]);
    for answer in refused {
        assert_message(&answer, 409, "1 on hand, 0 of them reserved: cannot go to -2", "more than there are");
    }
    let alike = async || shown(&shop, &id).await == (json!(1), json!(1));
    eventually(Duration::from_secs(5), "both places show the same", alike).await;
    let history = shop.get(format!("/api/v1/inventory/{id}/history?limit=100")).by(&sue).await.expect(200);
    let history = history["items"].as_array().unwrap();
    let sum: i64 = history.iter().map(|entry| entry["onHandDelta"].as_i64().unwrap()).sum();
    assert_eq!((history.len(), sum), (10, 1), "{history:?}");
    assert_eq!(history[0]["reason"], "decreased");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn pieces_that_are_promised_are_not_taken_and_a_key_takes_once() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (sue, ann) = (shop.seller("sue").await, shop.customer("ann").await);
    let id = shop.post("/api/items", &mug()).by(&sue).await.expect(201)["itemId"].clone();
    shop.settle().await;
    let order = shop.place(&ann, id.as_i64().unwrap(), 3, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    assert_eq!(shown(&shop, &id).await, (json!(2), json!(2)));
    let decrease = |qty: u32| {
        shop.request(reqwest::Method::PUT, format!("/api/items/{id}/availability/decrease?qty={qty}")).by(&sue)
    };
    let promised = decrease(3).await;
    assert_message(&promised, 409, "5 on hand, 3 of them reserved: cannot go to 2", "they are the order's");
    for _ in 0..2 {
        assert_eq!(decrease(1).key("broken").await.expect(200)["availability"], 1);
    }
    assert_eq!(decrease(2).key("broken").await.status, 422, "the same key for something else");
    shop.settle().await;
    assert_eq!(shown(&shop, &id).await, (json!(1), json!(1)));
    shop.audit();
}

#[tokio::test]
async fn until_inventory_has_heard_of_an_item_the_catalog_answers_for_it_and_nothing_is_changed() {
    needs_bench!("it holds up events");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (sue, rob) = (shop.seller("sue").await, shop.seller("rob").await);
    script.rule(|call| {
        let told = call.component == "catalog" && call.interface == "http" && call.phase == Phase::Before;
        if told && call.detail.contains("inventory") { Verdict::Fail("not now".into()) } else { Verdict::Proceed }
    });
    let id = shop.post("/api/items", &mug()).by(&sue).await.expect(201)["itemId"].clone();
    assert_eq!(shown(&shop, &id).await, (json!(5), json!(5)));
    let increase = || shop.request(reqwest::Method::PUT, format!("/api/items/{id}/availability/increase?qty=1"));
    let early = increase().by(&sue).await;
    assert_message(&early, 503, &format!("the inventory record of item {id} is not available: try again"), "too early");
    assert!(early.header("retry-after").is_some());
    let draft = json!({ "name": "Draft", "description": "", "price": 1, "stock": 7, "status": "draft" });
    let draft = shop.post("/api/v1/products", &draft).by(&sue).await.expect(201)["id"].clone();
    let hidden = shop.get(format!("/api/items/{draft}/availability"));
    assert_eq!(hidden.clone().by(&sue).await.expect(200)["availability"], 7);
    for answer in [hidden.clone().await, hidden.clone().by(&rob).await] {
        assert_message(&answer, 404, "item not found", "a draft");
    }
    assert_eq!(hidden.bearer("not.a.token").await.status, 401);
    script.clear();
    shop.settle_over_time().await;
    assert_eq!(increase().by(&sue).await.expect(200)["availability"], 6);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_payment_is_made_once_for_each_key_and_shown_again_with_200() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let product = shop.product(12.5, 9).await;
    let order = shop.place(&ann, product, 1, None).await;
    let body = json!({ "orderId": order, "amount": 12.5, "paymentMethod": "tok_visa" });
    // At once: its stock is hardly reserved.
    let first = shop.post("/api/payments", &body).by(&ann).key("pay").await.expect(201);
    let expected = json!({
        "id": first["id"], "paymentId": first["id"], "orderId": order, "userId": ann.id, "amount": 12.5, "currency": "EUR",
        "status": "SUCCESS", "provider": "sandbox", "refundedAmount": 0.0, "refunds": [],
        "createdAt": first["createdAt"], "updatedAt": first["updatedAt"],
    });
    assert_eq!(first, expected);
    let again = shop.post("/api/payments", &body).by(&ann).key("pay").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(200), first);
    assert_eq!(shop.get(format!("/api/payments/{}", first["id"])).by(&ann).await.expect(200), first);
    let other = json!({ "orderId": order, "paymentMethod": "tok_mastercard" });
    assert_eq!(shop.post("/api/payments", &other).by(&ann).key("pay").await.status, 422, "the same key, another body");
    assert_eq!(shop.post("/api/payments", &other).by(&ann).key("again").await.status, 409, "it is paid");

    let order = shop.place(&ann, product, 1, None).await;
    let body = json!({ "orderId": order, "paymentMethod": { "token": "tok_visa" } });
    let pay = || async { shop.post("/api/payments", &body).by(&ann).key("crowd").await };
    let answers = join_all((0..6).map(|_| pay())).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 201]);
    assert!(answers.iter().all(|answer| answer.body["id"] == answers[0].body["id"]));
    shop.settle().await;
    assert_eq!(charges(&shop), [1250, 1250]);
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

#[tokio::test]
async fn whatever_names_a_method_names_a_token() {
    let mut options = ShopOptions::default();
    options.variables.insert("default_payment_token".to_owned(), "tok_insufficient_funds".to_owned());
    let shop = Shop::start(options).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let product = shop.product(1.0, 9).await;
    let pay = async |method: Value| {
        let order = shop.place(&ann, product, 1, None).await;
        let body = json!({ "orderId": order, "paymentMethod": method });
        let payment = shop.post("/api/payments", &body).by(&ann).await.expect(201);
        (payment["status"].clone(), payment["reason"].clone())
    };
    let paid = (json!("SUCCESS"), Value::Null);
    let declined = |reason: &str| (json!("FAILED"), json!(reason));
    // She keeps none: the shop's own.
    assert_eq!(pay(json!("CREDIT_CARD")).await, declined("insufficient-funds"));
    let keep = async |token: &str| {
        let body = json!({ "token": token });
        shop.post("/api/v1/users/me/payment-methods", &body).by(&ann).await.expect(201)["id"].clone()
    };
    let (expired, good) = (keep("tok_expired_card").await, keep("tok_visa").await);
    assert_eq!(pay(json!(good)).await, paid);
    assert_eq!(pay(json!({ "id": expired })).await, declined("expired-card"));
    assert_eq!(pay(json!({ "token": "tok_declined" })).await, declined("card-declined"));
    assert_eq!(pay(json!("tok_nobodys")).await, declined("invalid-token"));
    // The first one that is kept is the default.
    assert_eq!(pay(json!("paypal")).await, declined("expired-card"));
    assert_eq!(pay(json!({ "type": "CARD" })).await, declined("expired-card"));

    let order = shop.place(&bob, product, 1, None).await;
    let body = json!({ "orderId": order, "paymentMethod": good });
    let stolen = shop.post("/api/payments", &body).by(&bob).await;
    assert_message(&stolen, 400, "paymentMethod: is no payment method of the account", "it is somebody else's");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_shop_without_a_default_token_says_that_there_is_none() {
    let mut options = ShopOptions::default();
    options.variables.insert("default_payment_token".to_owned(), String::new());
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    let product = shop.product(1.0, 9).await;
    let order = shop.place(&ann, product, 1, None).await;
    let none = "the account has no payment method: keep one, or send the provider's token";
    let pay = shop.post("/api/payments", &json!({ "orderId": order, "paymentMethod": "VISA" })).by(&ann).await;
    assert_message(&pay, 409, none, "a payment");
    let checkout = shop.get(format!("/orders/{order}/checkout")).by(&ann).await;
    assert_message(&checkout, 409, none, "a checkout");
    shop.settle().await;
    assert_eq!(charges(&shop), [0_i64; 0]);
    shop.audit();
}

#[tokio::test]
async fn a_payment_changes_its_method_until_it_is_sent() {
    needs_bench!("it holds up events");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let product = shop.product(12.5, 9).await;
    script.rule(|call| {
        let told = call.component == "orders" && call.interface == "http" && call.phase == Phase::Before;
        if told && call.detail.contains("payments") { Verdict::Fail("not now".into()) } else { Verdict::Proceed }
    });
    let order = shop.place(&ann, product, 1, None).await;
    let body = json!({ "orderId": order, "paymentMethod": "tok_declined" });
    let payment = shop.post("/api/payments", &body).by(&ann).await.expect(201);
    assert_eq!(payment["status"], "PENDING");
    let path = format!("/api/payments/{}", payment["id"]);
    let change = |method: &str| shop.put(&path, &json!({ "paymentMethod": method }));
    assert_message(&change("tok_visa").by(&bob).await, 404, "payment not found", "somebody else's");
    assert_eq!(change("tok_expired_card").by(shop.admin().await).await.expect(200)["status"], "PENDING");
    assert_eq!(change("tok_visa").by(&ann).await.expect(200)["id"], payment["id"]);
    script.clear();
    shop.settle_over_time().await;
    let paid = shop.get(&path).by(&ann).await.expect(200);
    assert_eq!((&paid["status"], &paid["amount"]), (&json!("SUCCESS"), &json!(12.5)));
    let late = change("tok_declined").by(&ann).await;
    assert_message(&late, 409, "the payment has been sent: its method cannot be changed any more", "too late");
    assert_eq!(charges(&shop), [1250]);
    shop.audit();
}
