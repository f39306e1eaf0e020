//! What people say of themselves: profile, addresses, payment methods.

use crate::support::{assert_invalid, assert_problem};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions};

const ME: &str = "/api/v1/users/me";
const ADDRESSES: &str = "/api/v1/users/me/addresses";
const METHODS: &str = "/api/v1/users/me/payment-methods";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

fn address(line1: &str) -> Value {
    json!({ "name": "Ann Lee", "line1": line1, "city": "Springfield", "region": "IL", "postalCode": "62701",
        "country": "US", "phone": "+1 555 0100" })
}

fn with(json: &Value, name: &str, value: Value) -> Value {
    let mut json = json.clone();
    json[name] = value;
    json
}

fn id(body: &Value) -> i64 {
    body["id"].as_i64().unwrap_or_else(|| panic!("{body}"))
}

#[tokio::test]
async fn a_profile_changes_in_part_and_tells_so() {
    let (shop, ann) = open().await;
    let before = shop.get(ME).by(&ann).await.expect(200);
    let put = |body: Value| shop.put(ME, &body).by(&ann);
    let changed = put(json!({ "firstName": " Ann ", "lastName": "Lee", "phone": "+1 555 0100" })).await.expect(200);
    assert_eq!((&changed["firstName"], &changed["lastName"]), (&json!("Ann"), &json!("Lee")));
    assert_eq!((&changed["username"], &changed["email"]), (&before["username"], &before["email"]));
    let patch = shop.request(Method::PATCH, ME).json(&json!({ "username": "Annie", "phone": null })).by(&ann);
    let patched = patch.await.expect(200);
    assert_eq!(
        (&patched["username"], &patched["firstName"], &patched["phone"]),
        (&json!("Annie"), &json!("Ann"), &json!(null))
    );
    assert_eq!(shop.get(ME).by(&ann).await.expect(200), patched);
    // What is sent back as it came changes nothing, and tells nothing.
    let count = || shop.value("accounts", "SELECT count(*) FROM outbox WHERE envelope LIKE '%USER_UPDATED%'");
    let told = count();
    assert_eq!(told, 2);
    assert_eq!(put(patched.clone()).await.expect(200), patched);
    assert_eq!(put(json!({})).await.expect(200), patched);
    assert_eq!(count(), told);
    let last = "SELECT json_extract(envelope, '$.data.name') FROM outbox WHERE envelope LIKE '%USER_UPDATED%' ORDER BY id DESC";
    assert_eq!(shop.value("accounts", last), "Annie");
    for (body, fields) in [
        (json!({ "username": " " }), &["username"][..]),
        (json!({ "firstName": "two\nlines" }), &["firstName"]),
        (json!({ "lastName": "x".repeat(101), "phone": "call me" }), &["lastName", "phone"]),
        (json!({ "phone": 5 }), &["phone"]),
        (json!({ "email": "other@example.com" }), &["email"]),
    ] {
        assert_invalid(&put(body.clone()).await, fields, &body.to_string());
    }
    assert_eq!(shop.get(ME).by(&ann).await.expect(200), patched);
}

#[tokio::test]
async fn the_profile_can_be_given_when_registering() {
    let (shop, _) = open().await;
    let body = json!({ "email": "bob@example.com", "password": "correct horse", "firstName": "Bob", "lastName": "B",
        "phone": "5550100" });
    let bob = shop.post("/api/v1/auth/register", &body).await.expect(201);
    assert_eq!((&bob["firstName"], &bob["lastName"], &bob["phone"]), (&json!("Bob"), &json!("B"), &json!("5550100")));
    assert_invalid(
        &shop.post("/api/v1/auth/register", &with(&body, "firstName", json!(""))).await,
        &["firstName"],
        "an empty name",
    );
}

/// Which of the addresses are the defaults for deliveries and bills.
async fn defaults(shop: &Shop, ann: &Customer) -> (Vec<i64>, Vec<i64>) {
    let list = shop.get(ADDRESSES).by(ann).await.expect(200);
    let of = |flag: &str| {
        list["items"].as_array().unwrap().iter().filter(|address| address[flag] == true).map(id).collect::<Vec<_>>()
    };
    (of("defaultShipping"), of("defaultBilling"))
}

#[tokio::test]
async fn an_account_has_addresses_and_one_default_of_each_kind() {
    let (shop, ann) = open().await;
    let add = |body: Value| shop.post(ADDRESSES, &body).by(&ann);
    assert_eq!(shop.get(ADDRESSES).by(&ann).await.expect(200), json!({ "items": [] }));
    let first = add(address("1 Main St")).await.expect(201);
    assert_eq!(
        (&first["line1"], &first["defaultShipping"], &first["defaultBilling"]),
        (&json!("1 Main St"), &json!(true), &json!(true))
    );
    let one = id(&first);
    let two = id(&add(address("2 Main St")).await.expect(201));
    assert_eq!(defaults(&shop, &ann).await, (vec![one], vec![one]));
    let three = id(&add(with(&address("3 Main St"), "defaultShipping", json!(true))).await.expect(201));
    assert_eq!(defaults(&shop, &ann).await, (vec![three], vec![one]));
    let four = id(&add(with(&address("4 Main St"), "isDefault", json!(true))).await.expect(201));
    assert_eq!(defaults(&shop, &ann).await, (vec![four], vec![four]));

    let at = |id: i64| format!("{ADDRESSES}/{id}");
    assert_eq!(shop.get(at(one)).by(&ann).await.expect(200)["line1"], "1 Main St");
    let moved = with(&address("22 Main St"), "defaultBilling", json!(true));
    assert_eq!(shop.put(at(two), &moved).by(&ann).await.expect(200)["line1"], "22 Main St");
    assert_eq!(defaults(&shop, &ann).await, (vec![four], vec![two]));
    // A default stays one until another is.
    shop.put(at(two), &with(&moved, "defaultBilling", json!(false))).by(&ann).await.expect(200);
    assert_eq!(defaults(&shop, &ann).await, (vec![four], vec![two]));
    for (gone, left) in [(four, (three, two)), (two, (three, three)), (one, (three, three))] {
        shop.delete(at(gone)).by(&ann).await.expect(204);
        assert_eq!(defaults(&shop, &ann).await, (vec![left.0], vec![left.1]), "without {gone}");
        assert_problem(&shop.delete(at(gone)).by(&ann).await, 404, "not-found", "once more");
    }
    shop.delete(at(three)).by(&ann).await.expect(204);
    let next = id(&add(address("5 Main St")).await.expect(201));
    assert_eq!(defaults(&shop, &ann).await, (vec![next], vec![next]));

    let bob = shop.customer("bob").await;
    let foreign = |method: Method| shop.request(method, at(next)).json(&address("mine now")).by(&bob);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_problem(&foreign(method).await, 404, "not-found", "somebody else's");
    }
    assert_eq!(shop.get(at(next)).by(&ann).await.expect(200)["line1"], "5 Main St");
    for path in ["0", "-1", "x", "99999999999999999999"] {
        assert_problem(&shop.get(format!("{ADDRESSES}/{path}")).by(&ann).await, 404, "not-found", path);
    }
}

#[tokio::test]
async fn an_address_is_checked_and_may_have_the_names_of_other_shops() {
    let (shop, ann) = open().await;
    let add = |body: &Value| shop.post(ADDRESSES, body).by(&ann);
    for (field, value) in [
        ("name", json!(" ")),
        ("line1", json!("")),
        ("line1", json!(null)),
        ("line2", json!("x".repeat(201))),
        ("city", json!(5)),
        ("region", json!("two\nlines")),
        ("postalCode", json!("")),
        ("country", json!("us")),
        ("country", json!("USA")),
        ("phone", json!([])),
        ("defaultShipping", json!("yes")),
    ] {
        assert_invalid(&add(&with(&address("1 Main St"), field, value)).await, &[field], field);
    }
    let mut short = address("1 Main St");
    short.as_object_mut().unwrap().remove("city");
    assert_invalid(&add(&short).await, &["city"], "without a city");
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM addresses"), 0);

    shop.put(ME, &json!({ "firstName": "Ann", "lastName": "Lee" })).by(&ann).await.expect(200);
    let other =
        json!({ "street": "1 Main St", "city": "Springfield", "state": "IL", "zipCode": "62701", "countryCode": "US" });
    let stored = add(&other).await.expect(201);
    for (field, value) in
        [("name", "Ann Lee"), ("line1", "1 Main St"), ("region", "IL"), ("postalCode", "62701"), ("country", "US")]
    {
        assert_eq!(stored[field], value, "{stored}");
    }
    let orders = format!("/internal/users/{}/addresses/{}", ann.id, id(&stored));
    if !shop_tests::on_spin() {
        let address = shop.internal("accounts", Method::GET, &orders, None).await.expect(200);
        assert_eq!(
            address,
            json!({ "name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "region": "IL",
            "postalCode": "62701", "country": "US" })
        );
        let foreign = orders.replace(&format!("users/{}", ann.id), &format!("users/{}", shop.admin().await.id));
        assert_eq!(shop.internal("accounts", Method::GET, &foreign, None).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_at_most_twenty_addresses_and_a_repeated_request_adds_one() {
    let (shop, ann) = open().await;
    let token = shop.access_token(&ann).await;
    for (path, body, code) in [
        (ADDRESSES, address("1 Main St"), "too-many-addresses"),
        (METHODS, json!({ "token": "tok_visa" }), "too-many-payment-methods"),
    ] {
        let add = || shop.post(path, &body).bearer(&token);
        let first = add().key("one").await.expect(201);
        let again = add().key("one").await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.expect(201), first);
        let crowd = join_all((0..25).map(|_| add().send())).await;
        let made = crowd.iter().filter(|answer| answer.as_ref().unwrap().status == 201).count();
        assert_eq!(made, 19, "{path}");
        assert_problem(&add().await, 409, code, path);
        assert_eq!(shop.get(path).bearer(&token).await.expect(200)["items"].as_array().unwrap().len(), 20);
    }
}

#[tokio::test]
async fn payment_methods_are_tokens_and_one_is_the_default() {
    let (shop, ann) = open().await;
    let add = |body: Value| shop.post(METHODS, &body).by(&ann);
    let first =
        add(json!({ "token": "tok_visa", "label": "mine", "brand": "Visa", "last4": "4242" })).await.expect(201);
    assert_eq!(
        (&first["token"], &first["last4"], &first["isDefault"]),
        (&json!("tok_visa"), &json!("4242"), &json!(true))
    );
    let second = add(json!({ "token": "tok_mastercard" })).await.expect(201);
    assert_eq!((&second["isDefault"], second.get("label")), (&json!(false), None));
    let at = |method: &Value| format!("{METHODS}/{}", id(method));
    let default = async || {
        let list = shop.get(METHODS).by(&ann).await.expect(200);
        let default: Vec<_> =
            list["items"].as_array().unwrap().iter().filter(|method| method["isDefault"] == true).map(id).collect();
        default
    };
    assert_eq!(default().await, [id(&first)]);
    let renamed = json!({ "label": "ours", "isDefault": true });
    assert_eq!(shop.put(at(&second), &renamed).by(&ann).await.expect(200)["token"], "tok_mastercard");
    assert_eq!(default().await, [id(&second)]);
    if !shop_tests::on_spin() {
        let path = format!("/internal/users/{}/payment-methods/{}", ann.id, id(&second));
        let known = shop.internal("accounts", Method::GET, &path, None).await.expect(200);
        assert_eq!(known, json!({ "token": "tok_mastercard" }));
        let path = format!("/internal/users/{}/payment-methods/{}", shop.admin().await.id, id(&second));
        assert_eq!(shop.internal("accounts", Method::GET, &path, None).await.status, 404);
    }
    let bob = shop.customer("bob").await;
    for call in [shop.get(at(&first)), shop.put(at(&first), &renamed), shop.delete(at(&first))] {
        assert_problem(&call.by(&bob).await, 404, "not-found", "somebody else's");
    }
    shop.delete(at(&second)).by(&ann).await.expect(204);
    assert_eq!(default().await, [id(&first)]);
    assert_problem(&shop.get(at(&second)).by(&ann).await, 404, "not-found", "gone");
}

#[tokio::test]
async fn card_numbers_are_refused_and_leave_no_trace() {
    let (shop, ann) = open().await;
    for (body, fields) in [
        (json!({ "token": "4242424242424242" }), &["token"][..]),
        (json!({ "token": "4242-4242-4242-4242" }), &["token"]),
        (json!({ "token": "tok_378282246310005" }), &["token"]),
        (json!({ "token": "tok_visa", "label": "my 4242 4242 4242 4242" }), &["label"]),
        (json!({ "token": "tok_visa", "brand": "5555555555554444" }), &["brand"]),
        (json!({ "token": "tok_visa", "last4": "4242424242424242" }), &["last4"]),
        (json!({ "token": "tok_visa", "cardNumber": "4242424242424242" }), &["cardNumber"]),
        (json!({ "token": "tok_visa", "number": 4242 }), &["cardNumber"]),
        (json!({ "cardNumber": "4242424242424242" }), &["token"]),
        (json!({ "token": "" }), &["token"]),
        (json!({ "token": "two words" }), &["token"]),
        (json!({ "token": "tok_visa", "last4": "42a2" }), &["last4"]),
    ] {
        let answer = shop.post(METHODS, &body).key("card").by(&ann).await;
        assert_invalid(&answer, fields, &body.to_string());
        assert!(!answer.text.contains("4242"), "{}", answer.text);
    }
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM payment_methods"), 0);
    // What nobody asked for is not kept, and the key is free.
    let body = json!({ "token": "tok_visa", "note": "4242424242424242" });
    shop.post(METHODS, &body).key("card").by(&ann).await.expect(201);
    let rows = shop.query("accounts", "SELECT token, label, brand, last4 FROM payment_methods");
    let answers = shop.query("accounts", "SELECT body FROM idempotency_keys");
    assert!(!format!("{rows:?}{answers:?}").contains("4242"), "{rows:?} {answers:?}");
}
