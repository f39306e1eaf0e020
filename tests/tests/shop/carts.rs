//! Carts: of users and of those who only have a token.

use std::{future::IntoFuture, time::Duration};

use crate::support::{assert_invalid, assert_problem};
use bodega_host::Verdict;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Call, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

mod merging;

const CARTS: &str = "/api/v1/carts";
const MINE: &str = "/api/v1/carts/me";
const ITEMS: &str = "/api/v1/carts/me/items";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

fn add(shop: &Shop, product: i64, quantity: u32) -> Call<'_> {
    shop.post(ITEMS, &json!({ "productId": product, "quantity": quantity }))
}

fn patch(shop: &Shop, product: i64, quantity: u32) -> Call<'_> {
    shop.request(Method::PATCH, format!("{ITEMS}/{product}")).json(&json!({ "quantity": quantity }))
}

/// The token of a new anonymous cart.
async fn token(shop: &Shop) -> String {
    shop.request(Method::POST, CARTS).await.expect(201)["token"].as_str().unwrap().to_owned()
}

/// Products and quantities of a cart.
fn lines(cart: &Value) -> Vec<(i64, i64)> {
    let items = cart["items"].as_array().unwrap();
    items.iter().map(|item| (item["productId"].as_i64().unwrap(), item["quantity"].as_i64().unwrap())).collect()
}

async fn mine(shop: &Shop, by: &Customer) -> Value {
    shop.get(MINE).by(by).await.expect(200)
}

#[tokio::test]
async fn a_cart_shows_the_prices_of_this_moment() {
    let (shop, ann) = open().await;
    let (mug, cup) = (shop.product(2.5, 10).await, shop.product(19.99, 10).await);
    let empty = mine(&shop, &ann).await;
    assert_eq!((&empty["id"], &empty["version"], &empty["items"]), (&json!(null), &json!(0), &json!([])));
    assert_eq!(
        (&empty["subtotal"], &empty["currency"], &empty["userId"]),
        (&json!(0.0), &json!("EUR"), &json!(ann.id))
    );
    add(&shop, cup, 1).by(&ann).await.expect(200);
    add(&shop, mug, 2).by(&ann).await.expect(200);
    let shown = add(&shop, mug, 1).by(&ann).await.expect(200);
    let line = |product: i64, price: f64, quantity: u32, subtotal: f64| {
        json!({ "productId": product, "available": true, "name": "Mug", "sku": null, "unitPrice": price,
            "quantity": quantity, "subtotal": subtotal })
    };
    let expected = json!({
        "id": shown["id"], "userId": ann.id, "version": 3, "status": "open", "itemCount": 4, "subtotal": 27.49,
        "currency": "EUR", "items": [line(cup, 19.99, 1, 19.99), line(mug, 2.5, 3, 7.5)],
        "createdAt": shown["createdAt"], "updatedAt": shown["updatedAt"],
    });
    assert_eq!(shown, expected);
    assert_eq!(mine(&shop, &ann).await, expected);

    let admin = shop.admin().await;
    shop.put(format!("/api/v1/products/{mug}"), &json!({ "price": 3 })).by(admin).await.expect(200);
    assert_eq!(shop.delete(format!("/api/v1/products/{cup}")).by(admin).await.status, 204);
    let later = mine(&shop, &ann).await;
    let gone = json!({ "productId": cup, "available": false, "name": null, "sku": null, "unitPrice": null,
        "quantity": 1, "subtotal": null });
    assert_eq!(later["items"], json!([gone, line(mug, 3.0, 3, 9.0)]), "what is gone is marked, not hidden");
    assert_eq!((&later["subtotal"], &later["version"]), (&json!(9.0), &json!(3)));
}

#[tokio::test]
async fn items_are_added_changed_and_removed() {
    let (shop, ann) = open().await;
    let (mug, cup) = (shop.product(1.0, 10).await, shop.product(2.0, 10).await);
    add(&shop, mug, 2).by(&ann).await.expect(200);
    add(&shop, cup, 1).by(&ann).await.expect(200);
    assert_eq!(lines(&patch(&shop, mug, 7).by(&ann).await.expect(200)), [(mug, 7), (cup, 1)]);
    let put = shop.put(format!("{ITEMS}/{mug}"), &json!({ "quantity": 3 })).by(&ann);
    assert_eq!(lines(&put.await.expect(200)), [(mug, 3), (cup, 1)]);
    assert_eq!(lines(&patch(&shop, mug, 0).by(&ann).await.expect(200)), [(cup, 1)]);
    assert_problem(&patch(&shop, mug, 1).by(&ann).await, 404, "not-found", "not in the cart any more");
    let remove = shop.delete(format!("{ITEMS}/{cup}/")).by(&ann);
    assert_eq!(lines(&remove.clone().await.expect(200)), []);
    assert_problem(&remove.await, 404, "not-found", "removed before");
    add(&shop, mug, 2).by(&ann).await.expect(200);
    assert_eq!(lines(&shop.delete(MINE).by(&ann).await.expect(200)), []);
    assert_eq!(lines(&mine(&shop, &ann).await), []);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    add(&shop, mug, 9_990).by(&ann).await.expect(200);
    let before = mine(&shop, &ann).await;
    for (body, field) in [
        (json!({ "productId": mug }), "quantity"),
        (json!({ "quantity": 1 }), "productId"),
        (json!({ "productId": mug, "quantity": 0 }), "quantity"),
        (json!({ "productId": mug, "quantity": -1 }), "quantity"),
        (json!({ "productId": mug, "quantity": 1.5 }), "quantity"),
        (json!({ "productId": mug, "quantity": 11 }), "quantity"),
        (json!({ "productId": mug, "quantity": 10_001 }), "quantity"),
        (json!({ "productId": mug.to_string(), "quantity": 1 }), "productId"),
        (json!({ "productId": 999, "quantity": 1 }), "productId"),
        (json!({ "productId": -1, "quantity": 1 }), "productId"),
    ] {
        assert_invalid(&shop.post(ITEMS, &body).by(&ann).await, &[field], &body.to_string());
    }
    assert_invalid(&patch(&shop, mug, 10_001).by(&ann).await, &["quantity"], "too many");
    for path in [format!("{ITEMS}/999"), format!("{ITEMS}/x")] {
        let answer = shop.request(Method::PATCH, path).json(&json!({ "quantity": 1 })).by(&ann).await;
        assert_problem(&answer, 404, "not-found", "no such item");
    }
    assert_eq!(mine(&shop, &ann).await, before);
}

#[tokio::test]
async fn a_cart_holds_a_hundred_products() {
    needs_bench!("it writes into a database that a server has open");
    let (shop, ann) = open().await;
    let (mug, cup) = (shop.product(1.0, 10).await, shop.product(1.0, 10).await);
    add(&shop, mug, 1).by(&ann).await.expect(200);
    let full: Vec<_> = (0..99)
        .map(|id| json!({ "productId": id + 1000, "quantity": 1 }))
        .chain([json!({ "productId": mug, "quantity": 1 })])
        .collect();
    shop.tamper("carts", &format!("UPDATE carts SET lines = '{}'", json!(full)));
    assert_invalid(&add(&shop, cup, 1).by(&ann).await, &["productId"], "one too many");
    let shown = add(&shop, mug, 1).by(&ann).await.expect(200);
    assert_eq!((shown["items"].as_array().unwrap().len(), &shown["subtotal"]), (100, &json!(2.0)));

    // What finds no room at the sign-in is not lost: it stays where it was until there is some.
    let token = token(&shop).await;
    add(&shop, cup, 4).header("x-cart-token", &token).await.expect(200);
    let visit = || shop.get(MINE).by(&ann).header("x-cart-token", &token);
    assert_eq!(visit().await.expect(200)["items"].as_array().unwrap().len(), 100);
    assert_eq!(lines(&shop.get(MINE).header("x-cart-token", &token).await.expect(200)), [(cup, 4)]);
    shop.delete(format!("{ITEMS}/1000")).by(&ann).await.expect(200);
    assert!(lines(&visit().await.expect(200)).contains(&(cup, 4)));
    assert_eq!(shop.get(MINE).header("x-cart-token", &token).await.status, 404);
}

#[tokio::test]
async fn a_cart_without_an_account_is_known_by_its_token_alone() {
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    let opened = shop.request(Method::POST, CARTS).await.expect(201);
    let token = opened["token"].as_str().unwrap().to_owned();
    assert!(token.len() >= 43, "{token}");
    assert_eq!((&opened["items"], &opened["userId"]), (&json!([]), &Value::Null));
    let cart = add(&shop, mug, 2).header("x-cart-token", &token).await.expect(200);
    assert_eq!((lines(&cart), &cart["id"], &cart["token"]), (vec![(mug, 2)], &opened["id"], &Value::Null));
    assert_eq!(shop.get(MINE).header("x-cart-token", &token).await.expect(200), cart);
    for table in ["carts", "idempotency_keys"] {
        let stored = shop.query("carts", &format!("SELECT * FROM {table}"));
        assert!(!json!(stored).to_string().contains(&token), "{table}: the token itself is nowhere");
    }
    for wrong in ["", &token[1..], &"x".repeat(64)] {
        let answer = shop.get(MINE).header("x-cart-token", wrong).await;
        let (status, code) = if wrong.is_empty() { (401, "unauthenticated") } else { (404, "not-found") };
        assert_problem(&answer, status, code, wrong);
    }
    for call in [shop.get(MINE), add(&shop, mug, 1), shop.delete(MINE)] {
        assert_problem(&call.await, 401, "unauthenticated", "nobody");
    }
    let answer = shop.post(format!("{MINE}/checkout"), &json!({})).header("x-cart-token", &token).await;
    assert_problem(&answer, 401, "unauthenticated", "only users order");
    assert_problem(
        &shop.get(MINE).bearer("forged").header("x-cart-token", &token).await,
        401,
        "unauthenticated",
        "forged",
    );

    let own = shop.request(Method::POST, CARTS).by(&ann).await.expect(201);
    assert_eq!((&own["userId"], &own["token"]), (&json!(ann.id), &Value::Null), "a user has one cart, and no token");
    assert_eq!(shop.request(Method::POST, CARTS).by(&ann).await.expect(201), own);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_add_at_once_is_all_there() {
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    let adding = (0..30).map(|_| add(&shop, mug, 1).by(&ann).into_future());
    join_all(adding).await.into_iter().for_each(|answer| drop(answer.expect(200)));
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 30)]);
    assert_eq!(shop.value("carts", "SELECT count(*) FROM carts"), 1, "one cart per user");

    // The same request, however often it comes, adds once.
    let adding = (0..20).map(|_| add(&shop, mug, 1).by(&ann).key("once").into_future());
    let answers: Vec<Answer> = join_all(adding).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some()).count();
    assert_eq!((replayed, lines(&mine(&shop, &ann).await)), (19, vec![(mug, 31)]));
    assert_problem(&add(&shop, mug, 2).by(&ann).key("once").await, 422, "idempotency-key-reused", "another body");
    // Keys of those who only have a token do not meet.
    for _ in 0..2 {
        let token = token(&shop).await;
        let added = add(&shop, mug, 1).header("x-cart-token", &token).key("once").await.expect(200);
        assert_eq!(lines(&added), [(mug, 1)]);
    }
}

#[tokio::test]
async fn a_version_guards_a_change() {
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let first = tag(&add(&shop, mug, 1).by(&ann).await);
    assert!(first.starts_with("W/\""), "{first}");
    let second = patch(&shop, mug, 2).by(&ann).header("if-match", &first).await;
    assert_eq!(second.status, 200);
    for stale in [&first, "\"1\"", "1", "\"x\"", ""] {
        let calls = [
            patch(&shop, mug, 9),
            add(&shop, mug, 9),
            shop.delete(MINE),
            shop.delete(format!("{ITEMS}/{mug}")),
            shop.delete(format!("{MINE}/discount")),
            shop.post(format!("{MINE}/checkout"), &json!({})),
        ];
        for call in calls {
            let answer = call.by(&ann).header("if-match", stale).await;
            assert_problem(&answer, 412, "precondition-failed", stale);
        }
    }
    for good in [tag(&second).as_str(), "*"] {
        patch(&shop, mug, 2).by(&ann).header("if-match", good).await.expect(200);
    }
    patch(&shop, mug, 3).by(&ann).header("if-match", "\"4\"").await.expect(200);

    // A read is known by what it shows, prices and all.
    let read = shop.get(MINE).by(&ann).await;
    let known = || shop.get(MINE).by(&ann).header("if-none-match", &tag(&read));
    assert_eq!(known().await.status, 304);
    shop.put(format!("/api/v1/products/{mug}"), &json!({ "price": 3 })).by(shop.admin().await).await.expect(200);
    assert_eq!(known().await.expect(200)["subtotal"], json!(9.0));
}

#[tokio::test]
async fn a_cart_is_for_its_user_and_for_admins() {
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(1.0, 10).await;
    let cart = add(&shop, mug, 2).by(&ann).await.expect(200);
    let of_ann = || shop.get(format!("{CARTS}/{}", ann.id));
    assert_eq!(of_ann().by(&ann).await.expect(200), cart);
    let mut told = of_ann().by(shop.admin().await).await.expect(200);
    let user = told.as_object_mut().unwrap().remove("user");
    assert_eq!((told, user), (cart, Some(json!({ "name": "ann", "email": ann.email }))));
    assert_problem(&of_ann().by(&bob).await, 404, "not-found", "somebody else's");
    assert_problem(&of_ann().await, 401, "unauthenticated", "nobody");
    assert_problem(&shop.get(format!("{CARTS}/x")).by(&ann).await, 404, "not-found", "no id");
    assert_eq!(lines(&mine(&shop, &bob).await), []);
}

#[tokio::test]
async fn what_a_deleted_account_leaves_behind_is_forgotten() {
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(1.0, 10).await;
    for by in [&ann, &bob] {
        add(&shop, mug, 1).by(by).await.expect(200);
        shop.post(format!("{MINE}/checkout"), &json!({})).by(by).await.expect(201);
        add(&shop, mug, 2).by(by).await.expect(200);
    }
    let deleted = shop.delete(format!("/api/v1/users/{}", ann.id)).by(shop.admin().await).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    shop.settle().await;
    for table in ["carts", "checkouts"] {
        let left = shop.query("carts", &format!("SELECT user_id FROM {table}"));
        assert_eq!(left, [[json!(bob.id)]], "{table}");
    }
    shop.audit();
}

#[tokio::test]
async fn what_is_done_with_the_last_token_of_a_deleted_account_is_forgotten_too() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    let token = shop.access_token(&ann).await;
    let deleted = shop.delete(format!("/api/v1/users/{}", ann.id)).by(shop.admin().await).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    shop.settle().await;
    add(&shop, mug, 1).bearer(&token).await.expect(200);
    let refused = shop.post(format!("{MINE}/checkout"), &json!({})).bearer(&token).await;
    assert_problem(&refused, 403, "forbidden", "orders know that the account is gone");
    add(&shop, mug, 2).bearer(&token).await.expect(200);
    let left =
        "SELECT (SELECT count(*) FROM carts), (SELECT count(*) FROM checkouts), (SELECT count(*) FROM departures)";
    shop.clock.advance(Duration::from_secs(59 * 60));
    shop.settle().await;
    assert_eq!(shop.query("carts", left), [[json!(1), json!(1), json!(1)]]);
    shop.clock.advance(Duration::from_secs(2 * 60));
    let gone = async || {
        shop.tick("carts").await;
        shop.query("carts", left) == [[json!(0), json!(0), json!(0)]]
    };
    eventually(Duration::from_secs(20), "all of it is forgotten", gone).await;
    shop.settle().await;
    shop.audit();
}

/// An empty cart costs whoever opens it nothing: many must not cost the shop much, either.
#[tokio::test]
async fn a_crowd_of_carts_that_nobody_uses_is_forgotten_bit_by_bit() {
    needs_bench!("it moves the clock and writes into a database that a server has open");
    let (shop, ann) = open().await;
    mine(&shop, &ann).await;
    shop.tamper(
        "carts",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
         INSERT INTO carts (token_hash, lines, version, created_at, updated_at) SELECT 'crowd ' || i, '[]', 1, i, i FROM n",
    );
    let mut left = 2000;
    let all = async || {
        shop.tick("carts").await;
        let now = shop.value("carts", "SELECT count(*) FROM carts").as_i64().unwrap();
        // The request itself may have started a tick, too.
        assert!(left - now <= 1000, "{left}, then {now}: that is more than a tick takes");
        left = now;
        now == 0
    };
    eventually(Duration::from_secs(20), "all are forgotten", all).await;
}

#[tokio::test]
async fn carts_that_nobody_comes_back_for_are_forgotten() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    let (old, young) = (token(&shop).await, token(&shop).await);
    add(&shop, mug, 1).by(&ann).await.expect(200);
    let day = Duration::from_secs(24 * 60 * 60);
    shop.clock.advance(29 * day);
    add(&shop, mug, 1).header("x-cart-token", &young).await.expect(200);
    shop.clock.advance(2 * day);
    let gone = async || {
        shop.tick("carts").await;
        shop.get(MINE).header("x-cart-token", &old).await.status == 404
    };
    eventually(Duration::from_secs(20), "the old one is forgotten", gone).await;
    assert_eq!(lines(&shop.get(MINE).header("x-cart-token", &young).await.expect(200)), [(mug, 1)]);
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 1)], "a user's cart stays");
}

#[tokio::test]
async fn a_whole_cart_is_priced_by_one_question() {
    needs_bench!("it looks at calls between components");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let mut products = Vec::new();
    for _ in 0..5 {
        products.push(shop.product(1.0, 10).await);
    }
    for product in &products[..4] {
        add(&shop, *product, 1).by(&ann).await.expect(200);
    }
    shop.settle().await;
    shop.access_token(&ann).await;
    let asked = |script: &Script| {
        let seen = script.recorded();
        seen.iter().filter(|call| call.component == "carts" && call.detail.contains("//catalog.")).count()
    };
    script.record();
    mine(&shop, &ann).await;
    assert_eq!(asked(&script), 1);
    script.record();
    add(&shop, products[4], 1).by(&ann).await.expect(200);
    assert_eq!(asked(&script), 1, "the new product and the prices of the others");

    script.rule(|call| match call.detail.contains("//catalog.") {
        true => Verdict::Fail("no connection".into()),
        false => Verdict::Proceed,
    });
    for call in [shop.get(MINE), add(&shop, products[0], 1)] {
        assert_problem(&call.by(&ann).await, 503, "unavailable", "without the catalog");
    }
    script.clear();
    assert_eq!(mine(&shop, &ann).await["itemCount"], 5, "nothing was added that could not be asked about");
}
