//! Discount codes: who gives them out, and that each use is counted once.

use std::{
    future::IntoFuture,
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    events::is_delivery,
    support::{assert_invalid, assert_problem},
};
use bodega_host::Verdict;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

const DISCOUNTS: &str = "/api/v1/discounts";

async fn open() -> (Shop, Customer, i64) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(10.0, 1000).await;
    (shop, ann, mug)
}

/// A new code: these fields, and otherwise ten percent without limits.
async fn discount(shop: &Shop, code: &str, fields: Value) -> Value {
    let mut body = json!({ "code": code, "kind": "percentage", "value": 10 });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    shop.post(DISCOUNTS, &body).by(shop.admin().await).await.expect(201)
}

async fn uses(shop: &Shop, code: &str) -> i64 {
    let found = shop.get(format!("{DISCOUNTS}/{code}")).by(shop.admin().await).await.expect(200);
    found["uses"].as_i64().unwrap()
}

/// What orders ask when an order is placed under the `key`th key.
async fn redeem(shop: &Shop, code: &str, key: u32, user: i64, subtotal: f64) -> Answer {
    let key = format!("00000000-0000-4000-8000-{key:012}");
    let body = json!({ "code": code, "key": key, "userId": user, "subtotal": subtotal, "currency": "EUR" });
    shop.internal("carts", Method::POST, "/internal/discounts/redeem", Some(&body)).await
}

/// Places an order of one piece with a code.
async fn order(shop: &Shop, by: &Customer, product: i64, code: &str, token: Option<&str>) -> Answer {
    let mut body = json!({ "items": [{ "productId": product, "quantity": 1 }], "discountCode": code });
    if let Some(token) = token {
        body["payment"] = json!({ "token": token });
    }
    shop.post("/api/v1/orders", &body).by(by).await
}

#[tokio::test]
async fn codes_are_given_out_changed_and_taken_back() {
    let (shop, _, _) = open().await;
    let admin = shop.admin().await;
    let fields = json!({ "value": 12.5, "minimum": 20, "endsAt": "2099-01-01T00:00:00Z", "maxUses": 5 });
    let made = discount(&shop, "spring", fields).await;
    let expected = json!({
        "code": "SPRING", "kind": "percentage", "value": 12.5, "minimum": 20.0, "currency": "EUR", "startsAt": null,
        "endsAt": "2099-01-01T00:00:00.000Z", "maxUses": 5, "maxUsesPerCustomer": null, "active": true, "uses": 0,
        "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
    });
    assert_eq!(made, expected);
    let at = |code: &str| format!("{DISCOUNTS}/{code}");
    for code in ["SPRING", "spring", "Spring"] {
        assert_eq!(shop.get(at(code)).by(admin).await.expect(200), made, "{code}");
    }
    let again = shop.post(DISCOUNTS, &json!({ "code": "Spring", "kind": "fixed", "value": 1 })).by(admin).await;
    assert_problem(&again, 409, "discount-exists", "there is one");
    let change = json!({ "kind": "fixed", "value": 5, "maxUses": null, "active": false });
    let changed = shop.put(at("spring"), &change).by(admin).await.expect(200);
    assert_eq!(
        (&changed["kind"], &changed["value"], &changed["maxUses"]),
        (&json!("fixed"), &json!(5.0), &json!(null))
    );
    assert_eq!((&changed["active"], &changed["minimum"]), (&json!(false), &json!(20.0)), "what is absent stays");
    assert_invalid(
        &shop.put(at("spring"), &json!({ "kind": "percentage", "value": 101 })).by(admin).await,
        &["value"],
        "",
    );

    let keyed = shop.post(DISCOUNTS, &json!({ "code": "KEYED", "kind": "fixed", "value": 1 })).by(admin).key("k");
    assert_eq!(keyed.clone().await.expect(201), keyed.await.expect(201), "one, however often it is sent");
    let listed = shop.get(format!("{DISCOUNTS}?limit=1")).by(admin).await.expect(200);
    assert_eq!(listed["items"][0]["code"], "KEYED", "newest first");
    let next = format!("{DISCOUNTS}?limit=1&cursor={}", listed["nextCursor"].as_str().unwrap());
    assert_eq!(shop.get(next).by(admin).await.expect(200), json!({ "items": [changed] }));

    assert_eq!(shop.delete(at("spring")).by(admin).await.status, 204);
    for call in
        [shop.get(at("spring")), shop.put(at("spring"), &json!({})), shop.delete(at("spring")), shop.get(at("no code"))]
    {
        assert_problem(&call.by(admin).await, 404, "not-found", "gone");
    }
}

#[tokio::test]
async fn a_code_that_makes_no_sense_is_refused() {
    let (shop, _, _) = open().await;
    let admin = shop.admin().await;
    for (fields, field) in [
        (json!({ "code": "two words" }), "code"),
        (json!({ "code": "" }), "code"),
        (json!({ "code": null }), "code"),
        (json!({ "kind": "gift" }), "kind"),
        (json!({ "value": 0 }), "value"),
        (json!({ "value": -5 }), "value"),
        (json!({ "value": 100.01 }), "value"),
        (json!({ "value": 0.001 }), "value"),
        (json!({ "value": "10" }), "value"),
        (json!({ "minimum": -1 }), "minimum"),
        (json!({ "maxUses": 0 }), "maxUses"),
        (json!({ "maxUsesPerCustomer": -1 }), "maxUsesPerCustomer"),
        (json!({ "startsAt": "yesterday" }), "startsAt"),
        (json!({ "startsAt": "2030-01-02T00:00:00Z", "endsAt": "2030-01-01T00:00:00Z" }), "endsAt"),
    ] {
        let mut body = json!({ "code": "TEN", "kind": "percentage", "value": 10 });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_invalid(&shop.post(DISCOUNTS, &body).by(admin).await, &[field], &fields.to_string());
    }
    assert_eq!(shop.get(DISCOUNTS).by(admin).await.expect(200), json!({ "items": [] }));
}

#[tokio::test]
async fn a_use_is_counted_once_for_each_placement() {
    needs_bench!("it makes calls between components");
    let (shop, ann, _) = open().await;
    discount(&shop, "ten", json!({ "minimum": 20, "maxUsesPerCustomer": 2 })).await;
    let terms = json!({ "code": "TEN", "kind": "percentage", "value": 10.0, "minimum": 20.0 });
    for _ in 0..3 {
        assert_eq!(redeem(&shop, "Ten", 1, ann.id, 20.0).await.expect(200), terms);
    }
    assert_eq!(uses(&shop, "ten").await, 1);
    // What was promised stays promised, whatever becomes of the code.
    let admin = shop.admin().await;
    shop.put(format!("{DISCOUNTS}/ten"), &json!({ "value": 50, "maxUses": 3 })).by(admin).await.expect(200);
    assert_eq!(redeem(&shop, "ten", 1, ann.id, 20.0).await.expect(200), terms);
    assert_problem(&redeem(&shop, "ten", 1, 999, 20.0).await, 409, "discount-taken", "another customer");
    discount(&shop, "other", json!({})).await;
    assert_problem(&redeem(&shop, "other", 1, ann.id, 20.0).await, 409, "discount-taken", "another code");
    assert_problem(&redeem(&shop, "ten", 2, ann.id, 19.99).await, 409, "discount-minimum", "too little");
    redeem(&shop, "ten", 2, ann.id, 20.0).await.expect(200);
    assert_problem(&redeem(&shop, "ten", 3, ann.id, 20.0).await, 409, "discount-used", "twice a customer");
    redeem(&shop, "ten", 4, 999, 20.0).await.expect(200);
    assert_problem(&redeem(&shop, "ten", 5, 998, 20.0).await, 409, "discount-exhausted", "three in all");
    let fewer = shop.put(format!("{DISCOUNTS}/ten"), &json!({ "maxUses": 2 })).by(admin).await;
    assert_invalid(&fewer, &["maxUses"], "there were three");
    assert_eq!((uses(&shop, "ten").await, uses(&shop, "other").await), (3, 0));
    for unknown in ["nothing", "no code", ""] {
        assert_problem(&redeem(&shop, unknown, 6, ann.id, 20.0).await, 409, "discount-unknown", unknown);
    }
}

#[tokio::test]
async fn a_code_is_good_in_its_period_while_it_is_active() {
    needs_bench!("it moves the clock");
    let (shop, ann, mug) = open().await;
    let admin = shop.admin().await;
    let hour = Duration::from_secs(3600);
    let period = json!({ "startsAt": time(shop.now() + hour), "endsAt": time(shop.now() + 2 * hour) });
    discount(&shop, "soon", period).await;
    let cart = |code: &str| shop.put("/api/v1/carts/me/discount", &json!({ "code": code }));
    let problem = async || {
        let redeemed = redeem(&shop, "soon", 1, ann.id, 1.0).await;
        let put = cart("soon").by(&ann).await;
        assert_eq!(redeemed.body["code"], put.body["code"], "a cart says the same");
        put.body["code"].clone()
    };
    assert_eq!(problem().await, "discount-not-started");
    shop.clock.advance(hour);
    let shown = cart("soon").by(&ann).await.expect(200);
    assert_eq!(shown["discount"], json!({ "code": "SOON", "kind": "percentage", "value": 10.0 }));
    shop.put(format!("{DISCOUNTS}/soon"), &json!({ "active": false })).by(admin).await.expect(200);
    assert_eq!(problem().await, "discount-inactive");
    shop.put(format!("{DISCOUNTS}/soon"), &json!({ "active": true })).by(admin).await.expect(200);
    shop.clock.advance(hour);
    assert_eq!(problem().await, "discount-expired");
    let shown = shop.get("/api/v1/carts/me").by(&ann).await.expect(200);
    assert_eq!(shown["discount"]["problem"], "discount-expired", "a cart that has it says so");
    assert_eq!(shop.delete("/api/v1/carts/me/discount").by(&ann).await.expect(200)["discount"], Value::Null);
    assert_problem(&cart("nothing").by(&ann).await, 409, "discount-unknown", "no such code");
    assert_problem(&order(&shop, &ann, mug, "soon", None).await, 409, "discount-expired", "an order says the same");
}

/// RFC 3339.
fn time(since: Duration) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_with_one_use_is_used_once_by_a_crowd() {
    let (shop, ann, mug) = open().await;
    let bob = shop.customer("bob").await;
    discount(&shop, "once", json!({ "maxUses": 1 })).await;
    discount(&shop, "once-each", json!({ "maxUsesPerCustomer": 1 })).await;
    let crowd = async |code: &'static str| {
        let (shop, ann, bob) = (&shop, &ann, &bob);
        let orders = (0..20).map(|n| order(shop, if n % 2 == 0 { ann } else { bob }, mug, code, Some("tok_visa")));
        let answers = join_all(orders).await;
        let placed = answers.iter().filter(|answer| answer.status == 201).count();
        let refused = answers.iter().filter(|answer| answer.status == 409).count();
        assert_eq!(placed + refused, 20, "{answers:#?}");
        placed
    };
    assert_eq!(crowd("once").await, 1);
    assert_eq!(crowd("once-each").await, 2);
    shop.settle().await;
    assert_eq!((uses(&shop, "once").await, uses(&shop, "once-each").await), (1, 2));
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_with_a_code_sent_twenty_times_uses_it_once() {
    let (shop, ann, mug) = open().await;
    discount(&shop, "many", json!({ "maxUses": 20 })).await;
    let body = json!({ "items": [{ "productId": mug, "quantity": 1 }], "discountCode": "many" });
    let orders = (0..20).map(|_| shop.post("/api/v1/orders", &body).by(&ann).key("one").into_future());
    join_all(orders).await.into_iter().for_each(|answer| drop(answer.expect(201)));
    shop.settle().await;
    assert_eq!(uses(&shop, "many").await, 1);
    shop.audit();
}

#[tokio::test]
async fn an_order_that_comes_to_nothing_gives_its_use_back() {
    let (shop, ann, mug) = open().await;
    discount(&shop, "once", json!({ "maxUses": 1 })).await;
    let placed =
        async |token: Option<&str>| order(&shop, &ann, mug, "once", token).await.expect(201)["id"].as_i64().unwrap();
    let declined = placed(Some("tok_declined")).await;
    shop.wait_for(declined, "failed").await;
    shop.settle().await;
    assert_eq!(uses(&shop, "once").await, 0);
    let cancelled = placed(None).await;
    shop.settle().await;
    assert_eq!(uses(&shop, "once").await, 1);
    shop.cancel(&ann, cancelled).await.expect(200);
    shop.settle().await;
    assert_eq!(uses(&shop, "once").await, 0);

    let paid = placed(Some("tok_visa")).await;
    shop.wait_for(paid, "paid").await;
    shop.cancel(&ann, paid).await.expect(200);
    shop.settle().await;
    assert_eq!(uses(&shop, "once").await, 1, "what was paid has used it, for good");
    assert_problem(&order(&shop, &ann, mug, "once", None).await, 409, "discount-exhausted", "and nobody else can");
    shop.audit();
}

#[tokio::test]
async fn a_use_without_an_order_comes_back_when_orders_have_said_so() {
    needs_bench!("it moves the clock");
    let (shop, ann, mug) = open().await;
    discount(&shop, "once", json!({ "maxUses": 1 })).await;
    redeem(&shop, "once", 1, ann.id, 10.0).await.expect(200);
    assert_problem(&order(&shop, &ann, mug, "once", None).await, 409, "discount-exhausted", "held for another");
    shop.clock.advance(Duration::from_secs(9 * 60));
    shop.tick("carts").await;
    assert_eq!(uses(&shop, "once").await, 1, "its order may still come");
    shop.clock.advance(Duration::from_secs(2 * 60));
    let back = async || {
        shop.tick("carts").await;
        uses(&shop, "once").await == 0
    };
    eventually(Duration::from_secs(20), "the use is back", back).await;
    // The order that comes now is too late.
    let late = json!({ "key": "00000000-0000-4000-8000-000000000001", "userId": ann.id,
        "items": [{ "productId": mug, "quantity": 1 }], "discountCode": "once" });
    let refused = shop.internal("orders", Method::POST, "/internal/orders", Some(&late)).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    order(&shop, &ann, mug, "once", None).await.expect(201);
    shop.settle().await;
    assert_eq!(uses(&shop, "once").await, 1);
    shop.audit();
}

/// Every order with a code leaves a confirmed use to be asked about.
#[tokio::test]
async fn a_crowd_of_confirmed_uses_does_not_keep_one_without_an_order() {
    needs_bench!("it moves the clock and writes into a database that a server has open");
    let (shop, ann, _) = open().await;
    discount(&shop, "once", json!({ "maxUses": 1 })).await;
    redeem(&shop, "once", 1, ann.id, 10.0).await.expect(200);
    // Due long before it, and of a code that was taken back.
    shop.tamper(
        "carts",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
         INSERT INTO redemptions \
         (key, discount_id, user_id, terms, status, order_id, check_at, created_at, updated_at) \
         SELECT printf('00000000-0000-4000-9000-%012d', i), 0, 0, '{}', 'used', i, i, i, i FROM n",
    );
    shop.clock.advance(Duration::from_secs(11 * 60));
    let back = async || {
        shop.tick("carts").await;
        uses(&shop, "once").await == 0
    };
    eventually(Duration::from_secs(20), "the use is back", back).await;
    let waiting = "SELECT count(*) FROM redemptions WHERE status = 'used'";
    let waiting = async || shop.value("carts", waiting).as_i64().unwrap();
    let left = waiting().await;
    assert!(left > 1500, "only {left} of the crowd were waiting still");
    let fewer = async || {
        shop.tick("carts").await;
        waiting().await < left
    };
    eventually(Duration::from_secs(20), "the crowd is asked about, too", fewer).await;
}

/// Carts cannot be reached for longer than events are sent again. Whatever became of the order meanwhile, its use is
/// booked so when they ask, and again when the events are sent after all.
#[tokio::test]
async fn a_use_is_booked_by_how_its_order_has_ended_though_no_event_arrives() {
    needs_bench!("it holds events up and moves the clock");
    let script = Script::new();
    let hour = Duration::from_secs(60 * 60);
    let shop = Shop::start(ShopOptions { order_timeout: hour, ..ShopOptions::controlled(script.clone()) }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(10.0, 1000).await;
    for code in ["unpaid", "called-off", "declined", "paid", "refunded", "known", "open"] {
        discount(&shop, code, json!({ "maxUses": 1 })).await;
    }
    let placed = async |code: &'static str, token: Option<&'static str>| {
        order(&shop, &ann, mug, code, token).await.expect(201)["id"].as_i64().unwrap()
    };
    // Of this one carts have heard; what they do not hear is that it ends.
    let known = placed("known", None).await;
    shop.settle().await;
    script.rule(|call| match call.component == "orders" && is_delivery(call, "carts") {
        true => Verdict::Fail("cut off".into()),
        false => Verdict::Proceed,
    });
    placed("unpaid", None).await;
    let called_off = placed("called-off", None).await;
    placed("declined", Some("tok_declined")).await;
    placed("paid", Some("tok_visa")).await;
    let refunded = placed("refunded", Some("tok_visa")).await;
    shop.wait_for(refunded, "paid").await;
    shop.cancel(&ann, known).await.expect(200);
    shop.cancel(&ann, called_off).await.expect(200);
    shop.cancel(&ann, refunded).await.expect(200);
    // Carts do not ask until then.
    let parked = "SELECT count(*) FROM deliveries WHERE parked_at IS NULL";
    let given_up = async || {
        shop.clock.advance(Duration::from_secs(301));
        for service in ["inventory", "orders", "payments"] {
            shop.tick(service).await;
        }
        shop.value("orders", parked) == 0 && shop.value("orders", EXPIRED) == json!(1)
    };
    eventually(Duration::from_secs(60), "all events are given up, and an order has expired", given_up).await;
    shop.settle().await;
    placed("open", None).await;
    shop.clock.advance(Duration::from_secs(11 * 60));
    let asked = async || {
        shop.tick("carts").await;
        shop.value("carts", "SELECT count(*) FROM redemptions WHERE check_at IS NOT NULL") == 1
    };
    eventually(Duration::from_secs(20), "carts have asked, and will ask once more about the open one", asked).await;
    let check = async |when: &str| {
        for (code, used) in
            [("unpaid", 0), ("called-off", 0), ("declined", 0), ("known", 0), ("paid", 1), ("refunded", 1), ("open", 1)]
        {
            assert_eq!(uses(&shop, code).await, used, "{code} {when}");
        }
    };
    check("by asking").await;
    script.clear();
    for row in shop.query("orders", "SELECT id FROM deliveries WHERE parked_at IS NOT NULL") {
        let path = format!("/internal/parked/{}/replay", row[0]);
        shop.internal("orders", Method::POST, &path, None).await.expect(204);
    }
    shop.settle().await;
    check("with all events").await;
    shop.audit();
}

const EXPIRED: &str = "SELECT count(*) FROM orders WHERE reason = 'not paid in time'";

#[tokio::test]
async fn a_code_that_was_taken_back_leaves_its_orders_alone() {
    let (shop, ann, mug) = open().await;
    discount(&shop, "gone", json!({ "maxUses": 1 })).await;
    let placed = order(&shop, &ann, mug, "gone", None).await.expect(201);
    shop.settle().await;
    assert_eq!(shop.delete(format!("{DISCOUNTS}/gone")).by(shop.admin().await).await.status, 204);
    discount(&shop, "gone", json!({ "maxUses": 1 })).await;
    shop.cancel(&ann, placed["id"].as_i64().unwrap()).await.expect(200);
    shop.settle().await;
    assert_eq!(uses(&shop, "gone").await, 0, "the new one was never used");
    order(&shop, &ann, mug, "gone", None).await.expect(201);
    shop.settle().await;
    shop.audit();
}
