//! Micro: bare paths, `…/me`.

use std::future::IntoFuture;

use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Shop, ShopOptions};

use super::{
    STRANGERS, assert_message, check_crowds, check_refused, check_strangers, field, goods::mug, refused, says,
};
use crate::roles::{
    self, ADMIN, ANYONE, HIDDEN, OWNER, Row, SELLERS, SIGNED_IN, created, delete, get, patch, post, put,
};

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        get("//products", ANYONE),
        post("//products", SELLERS.map(created)).json(&mug()),
        get("//products/{product}", ANYONE),
        get("//products/{draft}", HIDDEN),
        get("//categories", ANYONE),
        post("//categories", ADMIN.map(created)).json(&json!({ "name": "c", "slug": "c{n}" })),
        // Inventory.
        // Carts.
        get("//carts/me", SIGNED_IN),
        post("//carts/me/items", SIGNED_IN).json(&json!({ "productId": "{product}", "quantity": 1 })),
        get("//carts/{owner}", OWNER),
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
        post("//auth/signup", [201; 7]).json(&json!({
            "name": "new{n}", "email": "new{n}@example.com", "password": "correct horse",
        })),
        post("//auth/login", ANYONE).json(&json!({ "email": "owner@example.com", "password": "owner's password" })),
        post("//auth/forgot-password", ANYONE).json(&json!({ "email": "new{n}@example.com" })),
        // The code is the pass.
        post("//auth/reset-password/otp", ANYONE).json(&json!({
            "email": "{mailbox}", "otp": "{otp}", "newPassword": "a better horse",
        })),
        get("//auth/session", SIGNED_IN),
        get("//auth/users", ADMIN),
        post("//users", ADMIN.map(created)).json(&json!({
            "name": "new{n}", "email": "new{n}@example.com", "password": "correct horse", "role": "supplier",
        })),
        get("//users/{owner}", SIGNED_IN),
        put("//users/{owner}", [401, 200, 403, 403, 403, 403, 200]).json(&json!({ "name": "owner{n}" })),
        delete("//users/{stranger}", [401, 403, 403, 403, 403, 403, 204]),
        get("//health", ANYONE),
        get("//metrics", ANYONE),
        // Nobody else has this password, and after this nobody has.
        post("//auth/reset-password", [401, 200, 400, 400, 400, 400, 400]).json(&json!({
            "currentPassword": "owner's password", "newPassword": "a better horse",
        })),
    ]
}

fn missing(field: &str) -> Value {
    json!({ "message": format!("{field}: is missing"), "errors": [{ "field": field, "message": "is missing" }] })
}

fn no_product() -> Value {
    json!({ "message": "productId: there is no such product" })
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
        refused("seller", "POST", "/products", json!({}), 400, says("name: is missing")),
        refused(
            "seller",
            "POST",
            "/products",
            json!({ "name": "Mug", "description": "", "price": 19.999, "stock": 1 }),
            400,
            says("price: must have at most two decimals"),
        ),
        refused("owner", "POST", "/products", mug(), 403, says("only suppliers and admins may do this")),
        refused("nobody", "GET", "/products/{n}", json!(null), 404, says("product not found")),
        refused("admin", "POST", "/categories", json!({ "name": "" }), 400, json!({})),
        refused("seller", "POST", "/categories", json!({ "name": "c" }), 403, says("only admins may do this")),
        // Inventory.
        // Carts.
        refused("owner", "POST", "/carts/me/items", json!({ "productId": "{product}" }), 400, missing("quantity")),
        refused("owner", "POST", "/carts/me/items", json!({ "quantity": 1 }), 400, missing("productId")),
        refused("owner", "POST", "/carts/me/items", json!({ "productId": "{product}", "quantity": 0 }), 400, json!({})),
        refused("owner", "POST", "/carts/me/items", json!({ "productId": "{n}", "quantity": 1 }), 400, no_product()),
        refused(
            "owner",
            "POST",
            "/carts/me/items",
            json!({ "productId": "{draft}", "quantity": 1 }),
            400,
            no_product(),
        ),
        refused("other", "GET", "/carts/{owner}", json!(null), 404, json!({ "message": "cart not found" })),
        refused("admin", "GET", "/carts/{n}", json!(null), 404, json!({ "message": "cart not found" })),
        refused("admin", "GET", "/carts/-1", json!(null), 404, json!({ "message": "cart not found" })),
        refused("admin", "GET", "/carts/anns", json!(null), 404, json!({ "message": "resource not found" })),
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
        refused(
            "nobody",
            "POST",
            "/auth/signup",
            json!({ "name": "", "email": "new@example.com", "password": "correct horse" }),
            400,
            json!({
                "message": "name: must not be empty",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/auth/signup",
            json!({ "email": "owner@example.com", "password": "correct horse" }),
            409,
            json!({
                "message": "there is an account with this email address",
            }),
        ),
        refused(
            "admin",
            "POST",
            "/users",
            json!({ "email": "new@example.com", "password": "correct horse", "role": "boss" }),
            400,
            json!({
                "message": "role: `boss` is not one of: user, supplier, admin, service",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/auth/reset-password/otp",
            json!({
                "email": "owner@example.com", "code": "00000-00000", "password": "a better horse",
            }),
            400,
            json!({ "message": "code: is wrong, was used, or is too old: ask for another one" }),
        ),
        refused(
            "nobody",
            "POST",
            "/auth/reset-password/otp",
            json!({
                "email": "owner@example.com", "otp": "00000-00000", "newPassword": "short",
            }),
            400,
            json!({ "message": "newPassword: must have at least 8 characters" }),
        ),
        refused(
            "owner",
            "POST",
            "/auth/reset-password",
            json!({ "newPassword": "a better horse" }),
            400,
            json!({
                "message": "currentPassword: is missing",
            }),
        ),
        refused(
            "owner",
            "POST",
            "/auth/reset-password",
            json!({ "currentPassword": "owner's password" }),
            400,
            json!({
                "message": "newPassword: is missing",
            }),
        ),
        refused(
            "owner",
            "POST",
            "/auth/reset-password",
            json!({ "password": "wrong", "newPassword": "a better horse" }),
            400,
            json!({
                "message": "currentPassword: is not the password of the account",
            }),
        ),
        refused("owner", "GET", "/users/999999999", Value::Null, 404, json!({ "message": "user not found" })),
        refused("admin", "DELETE", "/users/999999999", Value::Null, 404, json!({ "message": "user not found" })),
        refused(
            "admin",
            "DELETE",
            "/users/{admin}",
            Value::Null,
            409,
            json!({
                "message": "nobody else administers the shop",
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_purchase_from_start_to_end() {
    let shop = Shop::start(ShopOptions::default()).await;
    let admin = shop.admin().await;
    let category = shop.post("/categories", &json!({ "name": "Kitchen" })).by(admin).await.expect(201)["id"].clone();
    let mug =
        json!({ "name": "Mug", "description": "Holds 350 ml", "price": 14.5, "stock": 5, "categoryId": category });
    let mug = shop.post("/products", &mug).by(admin).await.expect(201)["id"].clone();
    shop.settle().await;

    let ann = json!({ "name": "ann", "email": "ann@example.com", "password": "correct horse battery" });
    shop.post("/auth/signup", &ann).await.expect(201);
    let ann = json!({ "email": "ann@example.com", "password": "correct horse battery" });
    let token = shop.post("/auth/login", &ann).await.expect(200)["token"].as_str().unwrap().to_owned();
    shop.get("/auth/session").bearer(&token).await.expect(200);

    let wanted = json!({ "productId": mug, "quantity": 3 });
    let early = shop.post("/orders/me", &wanted).bearer(&token).await;
    assert_eq!(early.status, 400, "it is not in the cart: {}", early.text);
    shop.post("/carts/me/items", &wanted).bearer(&token).await;
    let order = json!({ "productId": mug, "quantity": 2 });
    let key = "the only one";
    let placed = shop.post("/orders/me", &order).bearer(&token).key(key).await.expect(201);
    assert_eq!((&placed["status"], &placed["total"]), (&json!("pending"), &json!(29.0)));
    assert_eq!(shop.post("/orders/me", &order).bearer(&token).key(key).await.expect(201)["id"], placed["id"]);
    let cart = shop.get("/carts/me").bearer(&token).await.expect(200);
    assert_eq!(cart["items"][0]["quantity"], 1, "the rest stays: {cart}");

    let order = placed["id"].as_i64().unwrap();
    let path = format!("/orders/{order}/status");
    let set = |status: &str| shop.request(reqwest::Method::PATCH, &path).json(&json!({ "status": status })).by(admin);
    // At once, while its stock may still be on its way.
    for (status, code) in [("paid", 200), ("delivered", 409), ("shipped", 200), ("cancelled", 409), ("delivered", 200)]
    {
        let answer = set(status).await.expect(code);
        if code == 200 {
            assert_eq!(answer["status"], status);
        }
    }
    shop.settle().await;
    let mine = shop.get("/orders/me").bearer(&token).await.expect(200);
    assert_eq!((&mine[0]["id"], &mine[0]["status"]), (&json!(order), &json!("delivered")));
    assert_eq!(shop.get(format!("/products/{mug}")).await.expect(200)["stock"], 3);
    shop.audit();
}

#[tokio::test]
async fn an_order_is_called_off_only_while_it_is_pending() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, mug) = (shop.customer("ann").await, shop.product(5.0, 10).await);
    let cancel = async |order| shop.request(reqwest::Method::PATCH, format!("/orders/{order}/cancel")).by(&ann).await;
    let order = shop.place(&ann, mug, 1, None).await;
    assert_eq!(cancel(order).await.expect(200)["status"], "cancelled");
    assert_eq!(cancel(order).await.expect(200)["status"], "cancelled", "again");
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    assert_message(&cancel(order).await, 409, "the order is paid", "paid");
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 9);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_cart_once_is_ordered_once_however_many_ask_for_it() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, mug) = (shop.customer("ann").await, shop.product(5.0, 10).await);
    shop.post("/carts/me/items", &json!({ "productId": mug, "quantity": 2 })).by(&ann).await;
    let body = json!({ "productId": mug, "quantity": 1 });
    let answers = join_all((0..6).map(|_| shop.post("/orders/me", &body).by(&ann).into_future())).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 4, "{statuses:?}");
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 8);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_cart_has_an_id_an_owner_items_and_a_total() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let mug = shop.product(2.5, 10).await;
    let of = |cart: &Value| json!([cart["cartId"], cart["userId"], cart["items"], cart["total"]]);
    let empty = shop.get("/carts/me").by(&ann).await.expect(200);
    assert_eq!(of(&empty), json!([null, ann.id, [], 0.0]));
    let body = json!({ "productId": mug, "quantity": 3 });
    let add = || shop.post("/carts/me/items", &body).by(&ann).key("k");
    let added = add().await.expect(200);
    let line = json!({ "productId": mug, "available": true, "name": "Mug", "sku": null, "unitPrice": 2.5, "quantity": 3,
        "subtotal": 7.5 });
    assert_eq!(of(&added), json!([added["id"], ann.id, [line], 7.5]));
    assert!(added["cartId"].is_i64());
    assert_eq!(add().await.expect(200), added, "the same request adds nothing");
    assert_eq!(shop.get("/carts/me/").by(&ann).await.expect(200), added);
    let path = format!("/carts/{}", ann.id);
    assert_eq!(shop.get(path.as_str()).by(&ann).await.expect(200), added);
    assert_message(&shop.get(path.as_str()).by(&bob).await, 404, "cart not found", "somebody else's");
    let mut told = shop.get(path.as_str()).by(shop.admin().await).await.expect(200);
    assert_eq!(told["user"], json!({ "name": "ann", "email": ann.email }), "admins are told whose it is");
    told.as_object_mut().unwrap().remove("user");
    assert_eq!(told, added);
}
