//! The cart shop: bare paths, one word each.

use serde_json::{Value, json};
use shop_tests::{Shop, ShopOptions};

use super::{
    Strangers, assert_message, charges, check_crowds, check_refused, check_strangers, field, goods::mug, refused, says,
};
use crate::roles::{self, ANYONE, HIDDEN, OWNER, Row, SELLER, SELLERS, SIGNED_IN, created, delete, get, patch, post};

/// What this family says to those who are not signed in.
const STRANGERS: Strangers = Strangers { without: (401, "Unauthorized"), bad: (403, "Invalid token") };

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        post("//product", SELLERS.map(created)).json(&mug()),
        get("//product/{product}", ANYONE),
        get("//product/{draft}", HIDDEN),
        patch("//product/{product}", SELLER).json(&json!({ "price": 0.01 })),
        delete("//product/{product}", SELLER),
        get("//products", ANYONE),
        post("//product/stock", ANYONE).json(&json!({ "ids": ["{product}"] })),
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
        get("//orders/{order}/checkout", OWNER),
        post("//orders/{order}/checkout", OWNER),
        // Accounts, which come last: some sign people out.
        post("//register", [201; 7]).json(&json!({
            "username": "new{n}", "email": "new{n}@example.com", "password": "correct horse",
        })),
        post("//login", ANYONE).json(&json!({ "email": "owner@example.com", "password": "owner's password" })),
        get("//validate", SIGNED_IN),
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
        refused(
            "seller",
            "POST",
            "/product",
            json!({ "name": "", "description": "", "price": -1, "stock": 1 }),
            400,
            json!({ "errors": [
                { "field": "name", "message": "must have 1 to 200 characters" },
                { "field": "price", "message": "must not be negative" },
            ] }),
        ),
        refused(
            "seller",
            "POST",
            "/product",
            json!({ "name": "Mug", "description": "", "price": 19.999, "stock": 1 }),
            400,
            says("price: must have at most two decimals"),
        ),
        refused("owner", "POST", "/product", mug(), 403, says("only suppliers and admins may do this")),
        refused("rival", "PATCH", "/product/{draft}", json!({ "price": 1 }), 404, says("product not found")),
        refused("seller", "PATCH", "/product/{product}", json!({ "stock": 0.5 }), 400, json!({})),
        refused("nobody", "GET", "/product/{n}", json!(null), 404, says("product not found")),
        refused("nobody", "POST", "/product/stock", json!({ "ids": "1" }), 400, json!({})),
        refused(
            "nobody",
            "POST",
            "/product/stock",
            json!({ "ids": vec![1; 101] }),
            400,
            says("ids: length is greater than 100"),
        ),
        // Inventory.
        // Carts.
        // Orders.
        refused("owner", "PATCH", "/order/{order}", json!({ "status": "lost" }), 400, field("status")),
        refused("owner", "PATCH", "/order/{order}", json!({}), 400, field("status")),
        refused("admin", "PATCH", "/order/{order}", json!({ "status": "shipped" }), 409, says("the order is reserved")),
        refused("owner", "GET", "/order/{n}", Value::Null, 404, says("order not found")),
        refused("owner", "DELETE", "/order/{n}", Value::Null, 404, says("order not found")),
        // Payments.
        refused("owner", "GET", "/orders/{n}/checkout", json!(null), 404, says("order not found")),
        refused("other", "POST", "/orders/{order}/checkout", json!(null), 404, says("order not found")),
        refused("other", "POST", "/orders/{paid}/checkout", json!(null), 404, says("order not found")),
        // Accounts, which come last: some sign people out.
        refused(
            "nobody",
            "POST",
            "/register",
            json!({
                "username": "somebody", "email": "OWNER@example.com", "password": "correct horse",
            }),
            400,
            json!({ "message": "User already exists", "errors": Value::Null }),
        ),
        refused(
            "nobody",
            "POST",
            "/register",
            json!({ "email": "new@example.com", "password": "12345678" }),
            400,
            json!({
                "message": "password: is one of the most common passwords",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/login",
            json!({ "email": "nobody@example.com", "password": "correct horse" }),
            404,
            json!({
                "message": "User not found",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/login",
            json!({ "email": "no address", "password": "correct horse" }),
            404,
            json!({
                "message": "User not found",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/login",
            json!({ "email": "owner@example.com", "password": "wrong" }),
            400,
            json!({
                "message": "Invalid password",
            }),
        ),
        // Whether somebody is called so is nobody's business.
        refused(
            "nobody",
            "POST",
            "/login",
            json!({ "username": "nobody", "password": "wrong" }),
            400,
            json!({
                "message": "Invalid password",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/login",
            json!({ "email": "owner@example.com" }),
            400,
            json!({
                "message": "password: is missing",
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_purchase_from_start_to_end() {
    let shop = Shop::start(ShopOptions::default()).await;
    let seller = shop.seller("sue").await;
    let mug = json!({ "name": "Mug", "description": "Holds 350 ml", "price": 14.5, "stock": 5 });
    let mug = shop.post("/product", &mug).by(&seller).await.expect(201)["id"].clone();
    shop.settle().await;

    let ann = json!({ "username": "ann", "email": "ann@example.com", "password": "correct horse battery" });
    let registered = shop.post("/register", &ann).await.expect(201);
    assert_eq!(registered["message"], "User created");
    let ann = json!({ "email": "ann@example.com", "password": "correct horse battery" });
    let token = shop.post("/login", &ann).await.expect(200)["token"].as_str().unwrap().to_owned();
    assert_eq!(shop.get("/validate").bearer(&token).await.expect(200)["user"]["id"], registered["user"]["id"]);

    let cart = shop.post("/cart", &json!({ "productId": mug, "quantity": 1 })).bearer(&token).await.expect(200);
    assert_eq!(cart["items"], json!([{ "productId": mug, "quantity": 1 }]));
    let path = format!("/cart/{mug}");
    let update =
        shop.request(reqwest::Method::PATCH, &path).json(&json!({ "qty": 2 })).bearer(&token).await.expect(200);
    assert_eq!(update, json!({ "message": "Cart updated successfully" }));
    let placed = shop.request(reqwest::Method::POST, "/order").bearer(&token).await.expect(200);
    assert_eq!((&placed["customerId"], &placed["status"]), (&registered["user"]["id"], &json!("pending")));
    let order = placed["orderId"].as_i64().unwrap();
    shop.wait_for(order, "reserved").await;

    let checkout = async || shop.get(format!("/orders/{order}/checkout")).bearer(&token).await;
    assert_eq!(checkout().await.expect(200), json!({ "message": "Order checked out successfully" }));
    assert_eq!(checkout().await.expect(200), json!({ "message": "Order checked out successfully" }));
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_eq!(charges(&shop), [2900], "once");
    let orders = shop.get("/orders").bearer(&token).await.expect(200);
    assert_eq!((&orders[0]["orderId"], &orders[0]["status"]), (&json!(order), &json!("paid")));
    let stock = async || shop.post("/product/stock", &json!({ "ids": [mug] })).await.expect(200);
    assert_eq!(stock().await, json!([{ "id": mug, "stock": 3 }]));

    let deleted = shop.delete(format!("/order/{order}")).bearer(&token).await.expect(200);
    assert_eq!(deleted, json!({ "message": "Order deleted successfully" }));
    shop.settle().await;
    assert_eq!(shop.get("/orders").bearer(&token).await.expect(200), json!([]), "gone from every list");
    assert_message(&shop.get(format!("/order/{order}")).bearer(&token).await, 404, "order not found", "gone");
    assert_eq!(shop.find_order(order).await["status"], "cancelled", "kept for the books");
    assert_eq!(stock().await, json!([{ "id": mug, "stock": 5 }]));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_order_is_brought_on_its_way_by_an_admin_and_called_off_by_its_customer() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    let path = format!("/order/{order}");
    let set = |status: &str| shop.request(reqwest::Method::PATCH, &path).json(&json!({ "status": status }));
    for status in ["SHIPPED", "shipped", "completed"] {
        let done = set(status).by(shop.admin().await).await.expect(200);
        assert_eq!(done, json!({ "message": "Order status updated successfully" }));
    }
    assert_eq!(shop.get(&path).by(&ann).await.expect(200)["status"], "delivered");
    set("cancelled").by(&ann).await.expect(409);
    // What is on its way or there cannot be called off, but need not be seen any more.
    shop.delete(&path).by(&ann).await.expect(200);
    assert_eq!(shop.get("/api/v1/orders").by(&ann).await.expect(200)["items"], json!([]));
    assert_eq!(shop.find_order(order).await["status"], "delivered");
    shop.settle().await;
    shop.audit();
}
