//! What each family shows of accounts, and does with them.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Shop, ShopOptions, needs_bench};

use crate::support::assert_message;

pub(super) async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

pub(super) async fn log_in(shop: &Shop, path: &str, email: &str, password: &str) -> Answer {
    shop.post(path, &json!({ "email": email, "password": password })).await
}

pub(super) fn account(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.com"), "password": format!("{name}'s password") })
}

pub(super) async fn patch(shop: &Shop, by: &Customer, body: &Value) -> Answer {
    shop.request(Method::PATCH, "/account/update").json(body).by(by).await
}

/// The account without its times.
fn timeless(mut account: Value) -> Value {
    assert!(account["createdAt"].take().is_string(), "{account}");
    account.as_object_mut().unwrap().remove("createdAt");
    account
}

#[tokio::test]
async fn an_account_of_the_items_family_keeps_what_its_owner_writes() {
    let shop = open().await;
    let body = r#"{ "username": "ann", "email": "Ann@Example.com", "password": "ann's password",
        "shippingAddress": { "street" : "1 Main St", "zip": 1.50 }, "billingAddress": "1 Main St, Springfield" }"#;
    let call = shop.request(Method::POST, "/auth/register").header("content-type", "application/json");
    let answer = call.bytes(body).await;
    assert!(answer.text.contains(r#"{ "street" : "1 Main St", "zip": 1.50 }"#), "as it was written: {}", answer.text);
    let opened = answer.expect(201);
    let id = opened["id"].as_i64().unwrap();
    let mut known = json!({
        "id": id, "email": "ann@example.com", "username": "ann", "role": "user",
        "shippingAddress": { "street": "1 Main St", "zip": 1.5 }, "billingAddress": "1 Main St, Springfield",
        "paymentMethod": null,
    });
    assert_eq!(timeless(opened), known);
    let ann = shop.sign_in("ann@example.com", "ann's password").await;
    for path in ["/auth/me", "/account/me"] {
        assert_eq!(timeless(shop.get(path).by(&ann).await.expect(200)), known, "{path}");
    }
    let change = json!({ "username": "Ann Lee", "billingAddress": null, "paymentMethod": { "type": "VISA" } });
    for (name, value) in change.as_object().unwrap() {
        known[name] = value.clone();
    }
    assert_eq!(timeless(patch(&shop, &ann, &change).await.expect(200)), known);
    assert_eq!(timeless(patch(&shop, &ann, &json!({})).await.expect(200)), known, "nothing changes nothing");

    // Where nothing was written, the defaults of `/api/v1` are shown.
    let address = json!({ "line1": "2 Side St", "city": "Springfield", "postalCode": "62701", "country": "US" });
    let stored = shop.post("/api/v1/users/me/addresses", &address).by(&ann).await.expect(201);
    let shown = shop.get("/auth/me").by(&ann).await.expect(200);
    assert_eq!(shown["shippingAddress"], known["shippingAddress"]);
    for field in ["name", "line1", "city", "postalCode", "country"] {
        assert_eq!(shown["billingAddress"][field], stored[field], "{field}");
    }
    let method = shop.post("/api/v1/users/me/payment-methods", &json!({ "token": "tok_visa" })).by(&ann).await;
    let cleared = patch(&shop, &ann, &json!({ "paymentMethod": null })).await.expect(200);
    assert_eq!(cleared["paymentMethod"]["id"], method.expect(201)["id"]);

    shop.delete(format!("/users/{id}")).by(&ann).await.expect(204);
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM written_details"), 0);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_token_in_a_payment_method_is_what_is_charged_by_default() {
    needs_bench!("it asks as another component does");
    let shop = open().await;
    let mut body = account("ann");
    body["paymentMethod"] = json!({ "token": "tok_visa", "brand": "visa" });
    let id = shop.post("/auth/register", &body).await.expect(201)["id"].as_i64().unwrap();
    let ann = shop.sign_in("ann@example.com", "ann's password").await;
    let path = format!("/internal/users/{id}/payment-methods/default");
    let default = async || shop.internal("accounts", Method::GET, &path, None).await;
    assert_eq!(default().await.expect(200), json!({ "token": "tok_visa" }));
    let other = json!({ "paymentMethod": "tok_mastercard" });
    for (change, token) in [
        (&other, "tok_mastercard"),
        (&other, "tok_mastercard"),
        (&json!({ "paymentMethod": "VISA" }), "tok_mastercard"),
        (&json!({ "paymentMethod": { "token": "tok_visa" } }), "tok_visa"),
        (&json!({ "paymentMethod": null }), "tok_visa"),
    ] {
        patch(&shop, &ann, change).await.expect(200);
        assert_eq!(default().await.expect(200), json!({ "token": token }), "{change}");
    }
    let methods = shop.get("/api/v1/users/me/payment-methods").by(&ann).await.expect(200);
    let tokens: Vec<_> = methods["items"].as_array().unwrap().iter().map(|method| &method["token"]).collect();
    assert_eq!(tokens, ["tok_visa", "tok_mastercard"], "the same token is kept once");

    for number in 0..18 {
        patch(&shop, &ann, &json!({ "paymentMethod": { "token": format!("tok_{number}") } })).await.expect(200);
    }
    let full = patch(&shop, &ann, &json!({ "username": "mallory", "paymentMethod": "tok_more" })).await;
    assert_message(&full, 409, "an account has at most 20 payment methods", "one more");
    assert_eq!(shop.get("/auth/me").by(&ann).await.expect(200)["username"], "ann", "all of it or nothing");
    let nobody = format!("/internal/users/{}/payment-methods/default", shop.customer("bob").await.id);
    assert_eq!(shop.internal("accounts", Method::GET, &nobody, None).await.status, 404);
    assert_eq!(shop.get(&path).by(&ann).await.status, 404, "no public route");
    shop.delete(format!("/users/{id}")).by(&ann).await.expect(204);
    assert_eq!(default().await.status, 404, "gone with the account");
}

#[tokio::test]
async fn no_number_of_a_card_is_written_down() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    for field in ["shippingAddress", "billingAddress", "paymentMethod"] {
        for card in [json!("5555 5555 5555 4444"), json!({ "a": [{ "b": "4242-4242-4242-4242" }] })] {
            let mut body = account("bob");
            body[field] = card.clone();
            for answer in [shop.post("/auth/register", &body).await, patch(&shop, &ann, &json!({ field: card })).await]
            {
                assert_eq!(answer.status, 400, "{field}: {}", answer.text);
                assert_eq!(answer.body["errors"][0]["field"], field);
            }
        }
    }
    let code = patch(&shop, &ann, &json!({ "paymentMethod": { "type": "card", "cvv": "123" } })).await;
    assert_eq!(code.status, 400, "{}", code.text);
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM written_details"), 0);
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users WHERE email = 'bob@example.com'"), 0);
}

#[tokio::test]
async fn the_cart_shop_says_exactly_what_its_clients_expect() {
    let shop = open().await;
    let opened = shop.post("/register", &account("ann")).await.expect(201);
    let id = &opened["user"]["id"];
    let user = json!({ "id": id, "username": "ann", "email": "ann@example.com" });
    assert_eq!(opened, json!({ "message": "User created", "user": user }));
    let taken = shop.post("/register", &account("ann")).await;
    assert_eq!((taken.status.as_u16(), taken.body), (400, json!({ "message": "User already exists" })));

    let answer = log_in(&shop, "/login", "ann@example.com", "ann's password").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut signed_in = answer.expect(200);
    let token = signed_in["token"].take();
    assert_eq!(signed_in, json!({ "message": "Login successful", "token": null }));
    let valid = shop.get("/validate").bearer(token.as_str().unwrap()).await.expect(200);
    assert_eq!(valid, json!({ "user": { "id": id, "email": "ann@example.com" } }));
    for (email, password, status, message) in [
        ("nobody@example.com", "ann's password", 404, "User not found"),
        ("ann@example.com", "bob's password", 400, "Invalid password"),
    ] {
        let answer = log_in(&shop, "/login", email, password).await;
        assert_eq!((answer.status.as_u16(), answer.body), (status, json!({ "message": message })));
    }
    let stranger = shop.get("/validate").await;
    assert_eq!((stranger.status.as_u16(), stranger.body), (401, json!({ "message": "Unauthorized" })));
    for bad in ["", "not.a.token"] {
        let stranger = shop.get("/validate").bearer(bad).await;
        assert_eq!((stranger.status.as_u16(), stranger.body), (403, json!({ "message": "Invalid token" })), "{bad}");
    }
}

#[tokio::test]
async fn orders_of_who_registers_at_the_order_desk_are_charged_at_once_and_orders_are_told() {
    let shop = open().await;
    let body =
        json!({ "email": "ann@example.com", "password": "ann's password", "firstName": "Ann", "lastName": "Lee" });
    let opened = shop.post("/api/auth/register", &body).await.expect(201);
    let id = opened["id"].as_i64().unwrap();
    let known = json!({
        "id": id, "email": "ann@example.com", "username": "ann", "name": "ann", "firstName": "Ann", "lastName": "Lee",
        "role": "USER", "accountStatus": "active",
    });
    assert_eq!(timeless(opened), known);
    let signed_in = log_in(&shop, "/api/auth/login", "ann@example.com", "ann's password").await.expect(200);
    assert_eq!((&signed_in["token"], &signed_in["user"]["role"]), (&signed_in["accessToken"], &json!("USER")));
    let token = signed_in["token"].as_str().unwrap();
    assert_eq!(timeless(shop.get("/api/auth/profile").bearer(token).await.expect(200)), known);

    let change = json!({ "role": "SUPPLIER", "lastName": null, "name": "Ann", "email": "ANN@example.com" });
    let changed = shop.put(format!("/api/users/{id}"), &change).by(shop.admin().await).await.expect(200);
    assert_eq!((&changed["role"], &changed["username"]), (&json!("SUPPLIER"), &json!("Ann")));
    assert_eq!(changed.get("lastName"), None);
    assert_eq!(shop.get(format!("/api/users/{id}")).by(shop.admin().await).await.expect(200), changed);
    shop.customer("bob").await;
    let events = "SELECT json_extract(envelope, '$.eventType'), json_extract(envelope, '$.data.id'), \
         json_extract(envelope, '$.data.chargeAtOnce'), json_extract(envelope, '$.data.role') FROM outbox \
         WHERE json_extract(envelope, '$.data.email') <> 'admin@example.com' ORDER BY id";
    let events: Vec<Value> = shop.query("accounts", events).into_iter().map(Value::from).collect();
    assert_eq!(events[0], json!(["USER_CREATED", id, 1, "user"]));
    assert_eq!(events[1], json!(["USER_UPDATED", id, 1, "supplier"]), "one event for one change");
    assert_eq!((events.len(), &events[2][2]), (3, &json!(0)), "nobody else's");
    let audit = shop.get(format!("/api/v1/admin/audit?subject=user/{id}")).by(shop.admin().await).await.expect(200);
    let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["user.profile", "user.role"], "{audit}");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn lists_of_accounts_are_arrays_the_newest_first() {
    let shop = open().await;
    let admin = shop.admin().await;
    for name in ["ann", "bob", "cid"] {
        shop.customer(name).await;
    }
    let names = async |query: &str| {
        let list = shop.get(query).by(admin).await.expect(200);
        list.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for path in ["/api/users", "/auth/users", "/api/users/"] {
        assert_eq!(names(path).await, ["cid", "bob", "ann", "admin"], "{path}");
        assert_eq!(names(&format!("{path}?limit=2&offset=1")).await, ["bob", "ann"], "{path}");
        assert_eq!(names(&format!("{path}?offset=9")).await, [""; 0], "{path}");
    }
    let list = shop.get("/api/users?limit=1").by(admin).await.expect(200);
    assert_eq!(list[0]["role"], "USER");
    assert_eq!(shop.get("/auth/users?limit=1").by(admin).await.expect(200)[0]["role"], "user");
}

#[tokio::test]
async fn whoever_signs_up_sees_all_of_himself_and_others_see_how_he_is_called() {
    let shop = open().await;
    // A role is given by admins, and not taken.
    let body = json!({ "name": "Ann", "email": "ann@example.com", "password": "ann's password", "role": "admin" });
    let opened = shop.post("/auth/signup", &body).await.expect(201);
    let id = opened["id"].as_i64().unwrap();
    let known = json!({
        "id": id, "email": "ann@example.com", "username": "Ann", "name": "Ann", "role": "user",
        "accountStatus": "active",
    });
    assert_eq!(timeless(opened.clone()), known);
    let (ann, bob) = (shop.sign_in("ann@example.com", "ann's password").await, shop.customer("bob").await);
    let path = format!("/users/{id}");
    for caller in [&ann, shop.admin().await] {
        assert_eq!(shop.get(&path).by(caller).await.expect(200), opened);
    }
    assert_eq!(shop.get(&path).by(&bob).await.expect(200), json!({ "id": id, "name": "Ann" }));
    let session = shop.get("/auth/session").by(&ann).await.expect(200);
    assert_eq!((&session["authenticated"], &session["user"]), (&json!(true), &opened));
    let sessions = shop.get("/api/v1/users/me/sessions").by(&ann).await.expect(200);
    let current = sessions["items"].as_array().unwrap().iter().find(|session| session["current"] == true);
    assert_eq!(session["sessionId"], current.unwrap()["id"]);

    // A client may send back what it was shown, and it may not rise by that.
    let same = shop.put(&path, &opened).by(&ann).await.expect(200);
    assert_eq!(same, opened);
    for role in ["ADMIN", "supplier"] {
        let answer = shop.put(&path, &json!({ "role": role, "name": "Boss" })).by(&ann).await;
        assert_message(&answer, 403, "only admins may do this", role);
    }
    assert_eq!(shop.get(&path).by(&ann).await.expect(200), opened, "nothing of it");

    shop.delete(&path).by(&bob).await.expect(403);
    shop.delete(&path).by(&ann).await.expect(204);
    shop.get("/auth/session").by(&ann).await.expect(401);
    shop.get(&path).by(&bob).await.expect(404);
    shop.delete(&path).by(shop.admin().await).await.expect(204);
    shop.post("/auth/signup", &body).await.expect(201);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_admin_opens_accounts_in_any_role_once_for_each_key() {
    let shop = open().await;
    let admin = shop.admin().await;
    let mut body = account("ann");
    body["role"] = json!("SUPPLIER");
    let add = || shop.post("/users", &body).by(admin).key("ann-1");
    let answers = join_all((0..3).map(|_| add().send())).await;
    let opened = add().await;
    assert_eq!(opened.header("idempotent-replayed"), Some("true"));
    for answer in answers {
        let answer = answer.unwrap();
        assert!(answer.status == 201 && answer.text == opened.text || answer.status == 503, "{}", answer.text);
    }
    let opened = opened.expect(201);
    assert_eq!(opened["role"], "supplier");
    let taken = shop.post("/users", &body).by(admin).await;
    assert_message(&taken, 409, "there is an account with this email address", "without the key");
    let ann = shop.sign_in("ann@example.com", "ann's password").await;
    shop.get("/api/v1/inventory").by(&ann).await.expect(200);
    let id = &opened["id"];
    let audit = shop.get(format!("/api/v1/admin/audit?subject=user/{id}")).by(admin).await.expect(200);
    assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit}");
    assert_eq!(
        (&audit["items"][0]["action"], &audit["items"][0]["details"]),
        (&json!("user.created"), &json!({ "role": "supplier" }))
    );
    assert_eq!(shop.post("/users", &account("bob")).by(admin).await.expect(201)["role"], "user");
    // A token says what was true when it was made.
    shop.put(format!("/users/{id}"), &json!({ "role": "admin" })).by(admin).await.expect(200);
    let second = shop.sign_in("ann@example.com", "ann's password").await;
    shop.put(format!("/users/{id}"), &json!({ "role": "user" })).by(admin).await.expect(200);
    assert_message(
        &shop.post("/users", &account("cid")).by(&second).await,
        403,
        "only admins may do this",
        "by a demoted admin",
    );
}
