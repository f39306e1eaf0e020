//! The order desk: `/api/…`, orders with a `status` in capitals.

use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, needs_bench};

use super::{
    STRANGERS, assert_message, check_crowds, check_refused, check_strangers, field, goods::mug, refused, says,
};
use crate::roles::{
    self, ADMIN, ANYONE, HIDDEN, OWNER, Row, SELLER, SELLERS, SIGNED_IN, created, delete, get, gone, post, put,
};

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        get("//api/products?category=mugs&minPrice=1&maxPrice=9.99&inStock=true", ANYONE),
        get("//api/products/{product}", ANYONE),
        get("//api/products/{draft}", HIDDEN),
        post("//api/admin/products", SELLERS.map(created)).json(&mug()),
        put("//api/admin/products/{product}", SELLER).json(&json!({ "price": 0.01 })),
        delete("//api/admin/products/{product}", SELLER.map(gone)),
        // Inventory.
        // Carts.
        // Orders.
        post("//api/orders", SIGNED_IN.map(created))
            .json(&json!({ "items": [{ "productId": "{product}", "quantity": 2, "price": 1 }], "totalAmount": 2 })),
        get("//api/orders/{order}", OWNER),
        get("//api/orders/my-orders", SIGNED_IN),
        get("//api/orders/all", ADMIN),
        // Payments.
        get("//api/payments/order/{paid}", OWNER),
        get("//api/payments/my-payments", SIGNED_IN),
        get("//api/payments/{payment}", OWNER),
        // Accounts, which come last: some sign people out.
        post("//api/auth/register", [201; 7]).json(&json!({
            "email": "new{n}@example.com", "password": "correct horse", "firstName": "Ann", "lastName": "Lee",
        })),
        post("//api/auth/login", ANYONE).json(&json!({ "email": "owner@example.com", "password": "owner's password" })),
        get("//api/auth/profile", SIGNED_IN),
        get("//api/users", ADMIN),
        get("//api/users/{owner}", OWNER),
        // Nobody learns from this whether there is such an account.
        put("//api/users/{owner}", [401, 200, 403, 403, 403, 403, 200]).json(&json!({ "firstName": "Ann{n}" })),
        delete("//api/users/{stranger}", ADMIN.map(gone)),
        get("//health", ANYONE),
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
        refused("owner", "POST", "/api/admin/products", mug(), 403, says("only suppliers and admins may do this")),
        refused(
            "admin",
            "POST",
            "/api/admin/products",
            json!({ "name": "Mug", "description": "", "price": 19.999, "stock": 1 }),
            400,
            says("price: must have at most two decimals"),
        ),
        refused("admin", "PUT", "/api/admin/products/{product}", json!({ "category": "" }), 400, json!({})),
        refused("admin", "PUT", "/api/admin/products/{n}", json!({ "price": 1 }), 404, says("product not found")),
        refused("admin", "DELETE", "/api/admin/products/{n}", json!(null), 404, says("product not found")),
        refused("nobody", "GET", "/api/products/{n}", json!(null), 404, says("product not found")),
        refused("nobody", "GET", "/api/products?minPrice=cheap", json!(null), 400, json!({})),
        refused("nobody", "GET", "/api/products?inStock=perhaps", json!(null), 400, json!({})),
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
        refused("admin", "GET", "/api/orders/all?offset=10001", Value::Null, 400, field("offset")),
        // Payments.
        refused("other", "GET", "/api/payments/order/{paid}", json!(null), 404, says("payment not found")),
        refused("owner", "GET", "/api/payments/order/{order}", json!(null), 404, says("payment not found")),
        refused("owner", "GET", "/api/payments/my-payments?limit=0", json!(null), 400, says("limit: lower than 1")),
        // Accounts, which come last: some sign people out.
        refused(
            "nobody",
            "POST",
            "/api/auth/register",
            json!({ "email": "new@example.com" }),
            400,
            json!({
                "message": "password: is missing",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/api/auth/register",
            json!({ "email": "owner@example.com", "password": "correct horse" }),
            409,
            json!({
                "message": "there is an account with this email address",
            }),
        ),
        refused(
            "nobody",
            "POST",
            "/api/auth/login",
            json!({ "email": "nobody@example.com", "password": "x" }),
            401,
            json!({
                "message": "the email address or the password is wrong",
            }),
        ),
        refused(
            "owner",
            "PUT",
            "/api/users/{owner}",
            json!({ "role": "ADMIN", "firstName": "Mallory" }),
            403,
            json!({
                "message": "only admins may do this",
            }),
        ),
        refused(
            "other",
            "PUT",
            "/api/users/999999999",
            json!({}),
            403,
            json!({
                "message": "only its owner and admins may do this",
            }),
        ),
        refused(
            "admin",
            "PUT",
            "/api/users/{owner}",
            json!({ "role": "BOSS" }),
            400,
            json!({
                "message": "role: `boss` is not one of: user, supplier, admin, service",
            }),
        ),
        refused(
            "owner",
            "PUT",
            "/api/users/{owner}",
            json!({ "email": "other@example.com" }),
            400,
            json!({
                "message": "email: cannot be changed",
            }),
        ),
        refused(
            "admin",
            "PUT",
            "/api/users/{owner}",
            json!({ "password": "a better horse" }),
            400,
            json!({
                "message": "password: is changed with POST /auth/reset-password",
            }),
        ),
        refused(
            "admin",
            "PUT",
            "/api/users/{admin}",
            json!({ "role": "USER" }),
            409,
            json!({
                "message": "nobody changes the own role: ask another admin",
            }),
        ),
        refused(
            "admin",
            "DELETE",
            "/api/users/{admin}",
            Value::Null,
            409,
            json!({
                "message": "DELETE /users/me deletes the own account",
            }),
        ),
        refused("admin", "GET", "/api/users/999999999", Value::Null, 404, json!({ "message": "user not found" })),
        refused("admin", "GET", "/api/users?limit=0", Value::Null, 400, json!({ "message": "limit: lower than 1" })),
        refused(
            "admin",
            "GET",
            "/api/users?offset=10001",
            Value::Null,
            400,
            json!({
                "message": "offset: greater than 10000",
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_purchase_from_start_to_end() {
    let shop = Shop::start(ShopOptions::default()).await;
    let mug = json!({ "name": "Mug", "description": "Holds 350 ml", "price": 14.5, "stock": 5 });
    let mug = shop.post("/api/admin/products", &mug).by(shop.admin().await).await.expect(201)["id"].clone();
    shop.settle().await;

    let ann = json!({ "email": "ann@example.com", "password": "correct horse battery", "firstName": "Ann", "lastName": "Lee" });
    shop.post("/api/auth/register", &ann).await.expect(201);
    let ann = json!({ "email": "ann@example.com", "password": "correct horse battery" });
    let token = shop.post("/api/auth/login", &ann).await.expect(200)["token"].as_str().unwrap().to_owned();
    assert_eq!(shop.get("/api/auth/profile").bearer(&token).await.expect(200)["firstName"], "Ann");

    let order = json!({ "items": [{ "productId": mug, "quantity": 2, "price": 14.5 }], "totalAmount": 29 });
    let placed = shop.post("/api/orders", &order).bearer(&token).await.expect(201);
    assert_eq!((&placed["status"], &placed["totalAmount"]), (&json!("PENDING"), &json!(29.0)));
    let order = placed["id"].as_i64().unwrap();
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    let mine = shop.get("/api/orders/my-orders").bearer(&token).await.expect(200);
    assert_eq!((&mine[0]["id"], &mine[0]["status"]), (&json!(order), &json!("CONFIRMED")));
    let payment = shop.get(format!("/api/payments/order/{order}")).bearer(&token).await.expect(200);
    assert_eq!((&payment["amount"], &payment["status"]), (&json!(29.0), &json!("SUCCESS")));
    assert_eq!(shop.get(format!("/api/products/{mug}")).await.expect(200)["stock"], 3);
    assert_eq!(shop.get("/api/orders/all").by(shop.admin().await).await.expect(200)[0]["id"], order);
    let confirmed = "SELECT count(*) FROM mails WHERE kind = 'order-paid'";
    assert_eq!(shop.value("notifications", confirmed), 1);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_account_of_this_family_pays_without_being_asked_and_others_when_they_say_what_it_costs() {
    let shop = Shop::start(ShopOptions::default()).await;
    let mug = shop.product(5.0, 10).await;
    let ann = json!({ "email": "ann@example.com", "password": "correct horse battery", "firstName": "Ann", "lastName": "Lee" });
    shop.post("/api/auth/register", &ann).await.expect(201);
    let ann = shop.sign_in("ann@example.com", "correct horse battery").await;
    let bob = shop.customer("bob").await;
    shop.settle().await;
    let plain = json!({ "items": [{ "productId": mug, "quantity": 1 }] });
    let priced = json!({ "items": [{ "productId": mug, "quantity": 1, "price": 5 }] });
    for (who, body, status) in [(&ann, &plain, "paid"), (&bob, &plain, "reserved"), (&bob, &priced, "paid")] {
        let order = shop.post("/api/orders", body).by(who).await.expect(201)["id"].as_i64().unwrap();
        shop.wait_for(order, status).await;
    }
    // Whoever has a payment method pays with that.
    let method = json!({ "token": "tok_declined" });
    shop.post("/api/v1/users/me/payment-methods", &method).by(&bob).await.expect(201);
    let order = shop.post("/api/orders", &priced).by(&bob).await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(order, "failed").await;
    assert_eq!(shop.get(format!("/api/orders/{order}")).by(&bob).await.expect(200)["status"], "FAILED");
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 7, "what failed holds nothing");
    shop.audit();
}

#[tokio::test]
async fn an_order_for_more_than_there_is_fails_and_there_is_nothing_to_undo() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, mug) = (shop.customer("ann").await, shop.product(5.0, 1).await);
    let body = json!({ "items": [{ "productId": mug, "quantity": 2 }], "totalAmount": 10 });
    let order = shop.post("/api/orders", &body).by(&ann).await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    assert_eq!(shop.get(format!("/api/orders/{order}")).by(&ann).await.expect(200)["status"], "FAILED");
    assert_eq!(shop.provider_books().len(), 0);
    assert_eq!(shop.stock(mug).await["available"], 1);
    shop.audit();
}

#[tokio::test]
async fn somebody_whose_account_is_suspended_orders_nothing_and_accounts_are_not_asked() {
    needs_bench!("it watches calls");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (ann, mug) = (shop.customer("ann").await, shop.product(5.0, 10).await);
    let body = json!({ "items": [{ "productId": mug, "quantity": 1 }] });
    shop.post("/api/orders", &body).by(&ann).await.expect(201);
    let suspend = json!({ "status": "suspended" });
    shop.put(format!("/api/v1/users/{}/status", ann.id), &suspend).by(shop.admin().await).await.expect(200);
    shop.settle().await;
    let token = shop.access_token(&ann).await;
    script.record();
    let refused = shop.post("/api/orders", &body).bearer(&token).await;
    assert_message(&refused, 403, "the account is suspended", "with a token that is still good");
    let asked: Vec<_> = script
        .recorded()
        .into_iter()
        .filter(|call| call.detail.contains("accounts.spin.internal/internal/users"))
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
    shop.post("/api/v1/orders", &body).bearer(&token).await.expect(403);
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), 1);

    let active = json!({ "status": "active" });
    shop.put(format!("/api/v1/users/{}/status", ann.id), &active).by(shop.admin().await).await.expect(200);
    shop.settle().await;
    shop.post("/api/orders", &body).bearer(&token).await.expect(201);
    shop.settle().await;
    shop.settle().await;
    shop.audit();
}
