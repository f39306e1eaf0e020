//! The cart shop: bare paths, one word each.

use std::future::IntoFuture;

use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Call, Customer, Shop, ShopOptions};

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
        post("//cart", SIGNED_IN).json(&json!({ "productId": "{product}", "quantity": 1 })),
        get("//cart", SIGNED_IN),
        patch("//cart/{item}", SIGNED_IN).json(&json!({ "qty": 2 })),
        delete("//cart/{item}", SIGNED_IN),
        post("//order", SIGNED_IN),
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

/// All that these clients are told of a body that does not fit.
fn invalid() -> Value {
    json!({ "error": "Validation error", "message": null })
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
        refused("owner", "POST", "/cart", json!({ "productId": "{product}" }), 400, invalid()),
        refused("owner", "POST", "/cart", json!({ "productId": "{product}", "quantity": 0 }), 400, invalid()),
        refused("owner", "POST", "/cart", json!({ "productId": "{product}", "quantity": -1 }), 400, invalid()),
        refused("owner", "POST", "/cart", json!({ "productId": "{product}", "quantity": 1.5 }), 400, invalid()),
        refused("owner", "POST", "/cart", json!({ "productId": "{product}", "quantity": 10_001 }), 400, invalid()),
        refused("owner", "POST", "/cart", json!({ "productId": "one", "quantity": 1 }), 400, invalid()),
        refused("owner", "POST", "/cart", json!({ "productId": "{n}", "quantity": 1 }), 400, invalid()),
        refused("owner", "POST", "/cart", json!({ "productId": "{draft}", "quantity": 1 }), 400, invalid()),
        refused("owner", "POST", "/cart", json!([]), 400, invalid()),
        refused("owner", "PATCH", "/cart/{item}", json!({ "qty": -1 }), 400, json!({})),
        refused("owner", "PATCH", "/cart/{item}", json!({}), 400, json!({ "message": "qty: is missing" })),
        refused("owner", "PATCH", "/cart/{product}", json!({ "qty": 1 }), 404, json!({ "message": "item not found" })),
        refused("owner", "DELETE", "/cart/{product}", json!(null), 404, json!({ "message": "item not found" })),
        refused("owner", "DELETE", "/cart/mug", json!(null), 404, json!({ "message": "resource not found" })),
        refused("other", "PATCH", "/cart/{item}", json!({ "qty": 10_001 }), 400, json!({})),
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
    let update = shop.request(Method::PATCH, &path).json(&json!({ "qty": 2 })).bearer(&token).await.expect(200);
    assert_eq!(update, json!({ "message": "Cart updated successfully" }));
    let placed = shop.request(Method::POST, "/order").bearer(&token).await.expect(200);
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
    let set = |status: &str| shop.request(Method::PATCH, &path).json(&json!({ "status": status }));
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

fn add<'a>(shop: &'a Shop, by: &'a Customer, product: i64, quantity: u32) -> Call<'a> {
    shop.post("/cart", &json!({ "productId": product, "quantity": quantity })).by(by)
}

fn order<'a>(shop: &'a Shop, by: &'a Customer) -> Call<'a> {
    shop.request(Method::POST, "/order").by(by)
}

fn orders(shop: &Shop) -> Value {
    shop.value("orders", "SELECT count(*) FROM orders")
}

#[tokio::test]
async fn a_cart_is_filled_changed_and_ordered_in_these_words() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let (mug, cup) = (shop.product(2.5, 10).await, shop.product(4.0, 10).await);
    let empty = shop.get("/cart").by(&ann).await.expect(200);
    assert_eq!(empty, json!({ "cartId": null, "customerId": ann.id, "items": [] }));
    add(&shop, &ann, mug, 2).await.expect(200);
    let cart = add(&shop, &ann, cup, 1).await.expect(200);
    let line = |product: i64, quantity: u32| json!({ "productId": product, "quantity": quantity });
    let id = cart["cartId"].as_i64().unwrap();
    let shown = |items: Value| json!({ "cartId": id, "customerId": ann.id, "items": items });
    assert_eq!(cart, shown(json!([line(mug, 2), line(cup, 1)])));
    assert_eq!(shop.get("/cart/").by(&ann).await.expect(200), cart);

    let call = shop.request(Method::PATCH, format!("/cart/{mug}")).json(&json!({ "qty": 3 }));
    assert_eq!(call.by(&ann).await.expect(200), json!({ "message": "Cart updated successfully" }));
    let call = shop.delete(format!("/cart/{cup}")).by(&ann);
    assert_eq!(call.clone().await.expect(200), json!({ "message": "Cart item deleted successfully" }));
    assert_message(&call.await, 404, "item not found", "it is not there any more");
    assert_eq!(shop.get("/cart").by(&ann).await.expect(200), shown(json!([line(mug, 3)])));
    assert_eq!(shop.get("/api/v1/carts/me").by(&ann).await.expect(200)["id"], id, "it is the one cart");

    let placed = order(&shop, &ann).await.expect(200);
    let number = placed["orderId"].as_i64().unwrap();
    let item = json!({ "productId": mug, "quantity": 3, "name": "Mug", "price": 2.5 });
    let total = shop.find_order(number).await["total"].clone();
    let view = json!({ "orderId": number, "customerId": ann.id, "items": [item], "status": "pending", "total": total });
    assert_eq!(placed, view);
    let nothing = order(&shop, &ann).await;
    assert_message(&nothing, 400, "there is nothing in the cart", "it has become an order");
    assert_eq!(nothing.body, json!({ "message": "there is nothing in the cart" }));
    shop.wait_for(number, "reserved").await;
    shop.settle().await;
    assert_eq!(orders(&shop), 1);
    shop.audit();
}

#[tokio::test]
async fn what_is_put_into_a_cart_at_once_is_in_it_and_what_comes_again_is_in_it_once() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let (mug, cup) = (shop.product(2.5, 10).await, shop.product(4.0, 10).await);
    let many = (0..10).map(|n| add(&shop, &ann, if n % 2 == 0 { mug } else { cup }, 1).into_future());
    let same = (0..5).map(|_| add(&shop, &ann, mug, 3).key("k").into_future());
    let (many, same) = join(join_all(many), join_all(same)).await;
    for answer in many.iter().chain(&same) {
        assert!(answer.status == 200 || answer.status == 503, "{}", answer.text);
    }
    let of = |answers: &[Answer]| u32::try_from(answers.iter().filter(|answer| answer.status == 200).count()).unwrap();
    assert!(of(&many) == 10 && of(&same) > 0);
    assert_eq!(add(&shop, &ann, mug, 3).key("k").await.header("idempotent-replayed"), Some("true"));
    let reused = add(&shop, &ann, mug, 4).key("k").await;
    assert_message(&reused, 422, "this Idempotency-Key was used with another request", "another body");
    let mut lines: Vec<_> = shop.get("/cart").by(&ann).await.expect(200)["items"].as_array().unwrap().clone();
    lines.sort_by_key(|line| line["productId"].as_i64());
    let wanted = [json!({ "productId": mug, "quantity": 8 }), json!({ "productId": cup, "quantity": 5 })];
    assert_eq!(lines, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_that_is_ordered_many_times_at_once_is_one_order() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(2.5, 100).await;
    for keyed in [false, true] {
        add(&shop, &ann, mug, 2).await.expect(200);
        let before = orders(&shop).as_i64().unwrap();
        let submit = || if keyed { order(&shop, &ann).key("k") } else { order(&shop, &ann) };
        let answers = join_all((0..10).map(|_| submit().into_future())).await;
        for answer in &answers {
            let late = !keyed && answer.status == 400 && answer.body["message"] == "there is nothing in the cart";
            assert!(answer.status == 200 || answer.status == 503 || late, "{}", answer.text);
        }
        let placed = answers.iter().filter(|answer| answer.status == 200);
        let mut placed: Vec<_> = placed.map(|answer| answer.body["orderId"].as_i64()).collect();
        placed.dedup();
        assert_eq!((placed.len(), orders(&shop)), (1, json!(before + 1)));
        if keyed {
            let again = submit().await;
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
            assert_eq!(again.expect(200)["orderId"].as_i64(), placed[0]);
        }
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_cart_with_something_that_is_not_sold_any_more_is_not_ordered() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(2.5, 100).await;
    let cart = add(&shop, &ann, mug, 2).await.expect(200);
    shop.delete(format!("/api/v1/products/{mug}")).by(shop.admin().await).await;
    let refused = order(&shop, &ann).await;
    assert_eq!((refused.status.as_u16(), refused.body["message"].is_string()), (400, true), "{}", refused.text);
    assert_eq!(shop.get("/cart").by(&ann).await.expect(200), cart, "it is as it was");
    shop.settle().await;
    assert_eq!(orders(&shop), 0);
    shop.audit();
}
