//! What carts keep of what accounts say: whose a cart is, and that a suspended account orders nothing.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use bodega_host::{Phase, Verdict};
use futures::future::join;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Script, Shop, ShopOptions, needs_bench};

use crate::{
    checkout::{GRACE, MINE, add, check_out, discount, ended, fail_orders, lines, mine, open, orders},
    events::{deliver, is_delivery},
    jitter::jitter,
    support::assert_problem,
};

const SUSPENDED: &str = "the account is suspended";

/// Lets an account act, or not; waits until all have heard of it.
async fn set_status(shop: &Shop, of: &Customer, status: &str) {
    tell_status(shop, of, status).await;
    shop.settle().await;
}

async fn tell_status(shop: &Shop, of: &Customer, status: &str) {
    let path = format!("/api/v1/users/{}/status", of.id);
    shop.put(path, &json!({ "status": status })).by(shop.admin().await).await.expect(200);
}

/// What carts know of the user.
fn known(shop: &Shop, of: &Customer) -> Vec<Value> {
    let query = format!("SELECT name, email, role, status FROM users WHERE id = {}", of.id);
    shop.query("carts", &query).into_iter().next().unwrap_or_default()
}

/// Every request of the API that would change ann's cart or order it.
fn changes<'a>(shop: &'a Shop, ann: &'a Customer, mug: i64, token: &str) -> Vec<Call<'a>> {
    let item = json!({ "productId": mug, "quantity": 1 });
    let quantity = json!({ "quantity": 1 });
    let calls = [
        (Method::POST, format!("{MINE}/items"), item),
        (Method::PUT, format!("{MINE}/items/{mug}"), quantity.clone()),
        (Method::PATCH, format!("{MINE}/items/{mug}"), quantity),
        (Method::DELETE, format!("{MINE}/items/{mug}"), Value::Null),
        (Method::PUT, format!("{MINE}/discount"), json!({ "code": "TEN" })),
        (Method::DELETE, format!("{MINE}/discount"), Value::Null),
        (Method::POST, format!("{MINE}/merge"), json!({ "cartToken": token })),
        (Method::POST, format!("{MINE}/checkout"), json!({})),
        (Method::DELETE, MINE.to_owned(), Value::Null),
    ];
    let call = |(method, path, body): (Method, String, Value)| {
        let call = shop.request(method, path).by(ann);
        if body.is_null() { call } else { call.json(&body) }
    };
    calls.into_iter().map(call).collect()
}

/// The same for clients of older shops.
fn classic_changes<'a>(shop: &'a Shop, ann: &'a Customer, mug: i64) -> Vec<Call<'a>> {
    let item = json!({ "productId": mug, "quantity": 1 });
    vec![
        shop.post("/cart", &item).by(ann),
        shop.request(Method::PATCH, format!("/cart/{mug}")).json(&json!({ "qty": 1 })).by(ann),
        shop.delete(format!("/cart/{mug}")).by(ann),
        shop.request(Method::POST, "/order").by(ann),
        shop.post("/carts/me/items", &item).by(ann),
    ]
}

#[tokio::test]
async fn a_suspended_account_changes_no_cart_and_orders_nothing_and_nobody_is_asked_who_it_is() {
    needs_bench!("it records calls of components");
    let (script, shop, ann, mug) = open().await;
    let token = shop.request(Method::POST, "/api/v1/carts").await.expect(201)["token"].clone();
    let token = token.as_str().unwrap();
    add(&shop, &ann, mug, 2).await.expect(200);
    discount(&shop, &ann, json!({})).await;
    let before = mine(&shop, &ann).await;
    set_status(&shop, &ann, "suspended").await;
    assert_eq!(known(&shop, &ann), [json!("ann"), json!(ann.email), json!("user"), json!("suspended")]);

    script.record();
    for call in changes(&shop, &ann, mug, token) {
        let answer = call.await;
        assert_problem(&answer, 403, "forbidden", &answer.text);
        assert_eq!(answer.body["detail"], SUSPENDED);
    }
    for call in classic_changes(&shop, &ann, mug) {
        let answer = call.await;
        assert_eq!((answer.status.as_u16(), &answer.body), (403, &json!({ "message": SUSPENDED })));
    }
    let part = json!({ "key": "00000000-0000-4000-8000-000000000001", "productId": mug });
    let path = format!("/internal/users/{}/checkouts", ann.id);
    let answer = shop.internal("carts", Method::POST, &path, Some(&part)).await;
    assert_problem(&answer, 403, "forbidden", "a part of it");
    let asked: Vec<_> = script.recorded().into_iter().filter(|seen| seen.component == "carts").collect();
    let calls: Vec<_> = asked.iter().filter(|seen| seen.interface == "http").map(|seen| &seen.detail).collect();
    assert!(asked.len() > 10 && !calls.iter().any(|call| call.contains("/internal/users/")), "{calls:?}");

    let brought = shop.get(MINE).by(&ann).header("x-cart-token", token).await.expect(200);
    assert_eq!((&mine(&shop, &ann).await, &brought), (&before, &before), "it can be looked at");
    assert_eq!((orders(&shop), shop.value("carts", "SELECT count(*) FROM checkouts")), (0, json!(0)));

    set_status(&shop, &ann, "active").await;
    add(&shop, &ann, mug, 1).await.expect(200);
    let placed = check_out(&shop, &ann, &json!({})).await.expect(201);
    assert_eq!(lines(&placed), [(mug, 3)]);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_account_that_is_suspended_while_its_cart_is_ordered_has_an_order_or_a_cart() {
    needs_bench!("it fails calls of components and moves the clock");
    for phase in [Phase::Before, Phase::After] {
        let (script, shop, ann, mug) = open().await;
        add(&shop, &ann, mug, 2).await.expect(200);
        fail_orders(&script, phase);
        assert_problem(&check_out(&shop, &ann, &json!({})).await, 503, "unavailable", "nobody knows");
        tell_status(&shop, &ann, "suspended").await;
        shop.settle().await;
        let again = check_out(&shop, &ann, &json!({})).await;
        assert_problem(&again, 403, "forbidden", "she does not go on with it");
        script.clear();
        shop.clock.advance(GRACE);
        ended(&shop).await;
        shop.settle().await;
        let left = lines(&mine(&shop, &ann).await);
        let ordered = orders(&shop);
        assert!(
            ordered == 1 && left.is_empty() || ordered == 0 && left == [(mug, 2)],
            "{ordered} ordered, {left:?} left"
        );
        assert!(ordered == 1 || phase == Phase::Before, "an order that exists stays");
        shop.audit();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_at_once_with_a_checkout_lets_it_through_whole_or_not_at_all() {
    needs_bench!("it delays calls of components");
    let (script, shop, ann, mug) = open().await;
    let mut endings = [0, 0];
    for round in 0..24_u64 {
        shop.delete(MINE).by(&ann).await.expect(200);
        add(&shop, &ann, mug, 2).await.expect(200);
        let before = orders(&shop);
        shop.access_token(&ann).await;
        jitter(&script, 4000 + round);
        let late = |millis: u64| tokio::time::sleep(Duration::from_millis(millis));
        // Orders look at it, too, and last: now one has a start, now the other.
        let (submit_late, suspend_late) = if round % 2 == 0 { (round * 8, 0) } else { (0, round * 8) };
        let submit = async {
            late(submit_late).await;
            check_out(&shop, &ann, &json!({})).await
        };
        let suspend = async {
            late(suspend_late).await;
            tell_status(&shop, &ann, "suspended").await;
        };
        let (submitted, ()) = join(submit, suspend).await;
        script.clear();
        shop.settle().await;
        let (ordered, left) = (orders(&shop) - before, lines(&mine(&shop, &ann).await));
        match submitted.status.as_u16() {
            201 => assert!(ordered == 1 && left.is_empty(), "round {round}: {ordered} ordered, {left:?} left"),
            403 => assert!(ordered == 0 && left == [(mug, 2)], "round {round}: {ordered} ordered, {left:?} left"),
            _ => panic!("round {round}: {}", submitted.text),
        }
        endings[usize::from(submitted.status == 403)] += 1;
        set_status(&shop, &ann, "active").await;
    }
    assert!(endings.iter().all(|rounds| *rounds > 0), "the rounds ended alike: {endings:?}");
    shop.settle().await;
    shop.audit();
}

/// An event of accounts about this user.
fn said(n: u32, kind: &str, of: &Customer, at: &str, data: Value) -> String {
    let mut event = json!({
        "eventId": format!("00000000-0000-4000-8000-{n:012}"), "eventType": kind, "eventVersion": 1, "occurredAt": at,
        "producer": "accounts", "subject": format!("user/{}", of.id),
        "data": { "id": of.id, "name": "x", "email": "x@example.com", "locale": null, "role": "user",
            "accountStatus": "active" },
    });
    event["data"].as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    event.to_string()
}

#[tokio::test]
async fn what_accounts_say_counts_once_and_the_newest_of_it() {
    needs_bench!("it delivers events itself");
    let (_, shop, ann, _) = open().await;
    let now = |name: &str, status: &str| vec![json!(name), json!("x@example.com"), json!("user"), json!(status)];
    let late =
        said(1, "USER_UPDATED", &ann, "2999-01-02T00:00:00Z", json!({ "name": "late", "accountStatus": "suspended" }));
    let early = said(2, "USER_UPDATED", &ann, "2999-01-01T00:00:00Z", json!({ "name": "early" }));
    let first = said(3, "USER_CREATED", &ann, "2000-01-01T00:00:00Z", json!({ "name": "first" }));
    for event in [&late, &late, &early, &first] {
        assert!(deliver(&shop, "carts", event).await);
        assert_eq!(known(&shop, &ann), now("late", "suspended"), "{event}");
    }
    let same = said(4, "USER_UPDATED", &ann, "2999-01-02T00:00:00Z", json!({ "name": "same time" }));
    assert!(deliver(&shop, "carts", &same).await);
    assert_eq!(known(&shop, &ann), now("same time", "active"), "events of one user come in their order");
    assert!(deliver(&shop, "carts", &late).await, "a copy");
    assert_eq!(known(&shop, &ann), now("same time", "active"));

    let gone = said(5, "USER_DELETED", &ann, "2999-01-03T00:00:00Z", json!({}));
    let after = said(6, "USER_UPDATED", &ann, "2999-01-04T00:00:00Z", json!({ "name": "after" }));
    for event in [&gone, &after, &gone] {
        assert!(deliver(&shop, "carts", event).await);
        assert_eq!(known(&shop, &ann), [json!(""), json!(""), json!(""), json!("gone")], "{event}");
    }
}

#[tokio::test]
async fn admins_see_whose_a_cart_is_and_none_of_nobody() {
    let (_, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 2).await.expect(200);
    let admin = shop.admin().await;
    let path = |id: i64| format!("/api/v1/carts/{id}");
    let told = shop.get(path(ann.id)).by(admin).await.expect(200);
    assert_eq!((lines(&told), &told["user"]), (vec![(mug, 2)], &json!({ "name": "ann", "email": ann.email })));
    let own = shop.get(path(ann.id)).by(&ann).await.expect(200);
    assert_eq!((lines(&own), &own["user"]), (vec![(mug, 2)], &Value::Null));
    assert_eq!(shop.get(path(admin.id)).by(admin).await.expect(200)["user"]["email"], admin.email.as_str());

    let profile = json!({ "username": "annie" });
    shop.put("/api/v1/users/me", &profile).by(&ann).await.expect(200);
    shop.settle().await;
    assert_eq!(shop.get(path(ann.id)).by(admin).await.expect(200)["user"]["name"], "annie");
    for id in [999_999, 0, -1, i64::MAX] {
        assert_problem(&shop.get(path(id)).by(admin).await, 404, "not-found", "nobody");
    }
    shop.delete(format!("/api/v1/users/{}", ann.id)).by(admin).await.expect(204);
    shop.settle().await;
    assert_problem(&shop.get(path(ann.id)).by(admin).await, 404, "not-found", "she is gone");
    let left = format!("{:?}", shop.query("carts", "SELECT * FROM users"));
    assert!(!left.contains("ann"), "{left}");
}

#[tokio::test]
async fn a_user_of_whom_carts_have_not_heard_yet_is_a_customer_like_others() {
    needs_bench!("it holds events up");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let mug = shop.product(5.0, 1000).await;
    hold_accounts(&script);
    let bob = shop.customer("bob").await;
    assert_eq!(known(&shop, &bob), [Value::Null; 0]);
    add(&shop, &bob, mug, 2).await.expect(200);
    let told = shop.get(format!("/api/v1/carts/{}", bob.id)).by(shop.admin().await).await.expect(200);
    assert_eq!((lines(&told), &told["user"]), (vec![(mug, 2)], &json!({ "name": "bob", "email": bob.email })));
    let placed = check_out(&shop, &bob, &json!({})).into_future().await.expect(201);
    assert_eq!(lines(&placed), [(mug, 2)]);
    script.clear();
    shop.settle_over_time().await;
    assert_eq!(known(&shop, &bob)[3], "active");
    shop.audit();
}

/// What accounts tell carts does not arrive.
fn hold_accounts(script: &Arc<Script>) {
    script.rule(|call| match call.phase {
        Phase::Before if call.component == "accounts" && is_delivery(call, "carts") => Verdict::Fail("cut off".into()),
        _ => Verdict::Proceed,
    });
}
