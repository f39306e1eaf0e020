//! The audit log: what admins did, written in the transaction that did it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bodega_host::Verdict;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, is_database, needs_bench};

use crate::support::{assert_invalid, assert_problem};

const LOG: &str = "/api/v1/admin/audit";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

async fn log(shop: &Shop, query: &str) -> Vec<Value> {
    let page = shop.get(format!("{LOG}{query}")).by(shop.admin().await).await.expect(200);
    assert_eq!(page["unavailable"], json!([]));
    page["items"].as_array().unwrap().clone()
}

/// Action and subject of all entries, oldest first.
async fn told(shop: &Shop) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = log(shop, "?limit=100").await;
    entries.iter().rev().map(|entry| (text(&entry["action"]), text(&entry["subject"]))).collect()
}

#[tokio::test]
async fn what_an_admin_changes_is_written_down_and_nothing_else_is() {
    let shop = open().await;
    let (seller, ann, bob) = (shop.seller("sam").await, shop.customer("ann").await, shop.customer("bob").await);
    let admin = shop.admin().await;
    let mug = json!({ "name": "Mug", "description": "", "price": 5, "stock": 50 });
    let mug = shop.post("/api/v1/products", &mug).by(&seller).await.expect(201)["id"].as_i64().unwrap();
    shop.settle().await;
    let (paid, unpaid, held) = (
        shop.place(&ann, mug, 2, Some("tok_visa")).await,
        shop.place(&ann, mug, 1, None).await,
        shop.place(&ann, mug, 1, None).await,
    );
    shop.settle().await;
    let before = told(&shop).await;
    assert_eq!(before, [("user.role".to_owned(), format!("user/{}", seller.id))], "a seller is made by an admin");

    let payment = shop.payment_of(paid).await.expect(200)["id"].as_i64().unwrap();
    let authorize = json!({ "orderId": held, "token": "tok_visa", "capture": false });
    let authorized = shop.post("/api/v1/payments", &authorize).by(&ann).await.expect(201)["id"].as_i64().unwrap();
    let code = json!({ "code": "SAVE", "kind": "fixed", "value": 1 });
    let category = json!({ "name": "Cups", "slug": "cups" });
    let category = shop.post("/api/v1/categories", &category).by(admin).key("c").await.expect(201)["id"].clone();
    let voidable = shop.place(&ann, mug, 1, None).await;
    let cup = json!({ "name": "Cup", "description": "", "price": 5, "stock": 5 });
    let cup = shop.post("/api/v1/products", &cup).by(&seller).await.expect(201)["id"].as_i64().unwrap();
    shop.settle().await;
    let authorize = json!({ "orderId": voidable, "token": "tok_visa", "capture": false });
    let voidable = shop.post("/api/v1/payments", &authorize).by(&ann).await.expect(201)["id"].as_i64().unwrap();
    let hold = json!({ "items": [{ "productId": mug, "quantity": 1 }] });
    let held = shop.post("/api/v1/inventory/reserve", &hold).by(admin).key("held").await.expect(201)["id"].clone();
    let mail = shop.value("notifications", "SELECT min(id) FROM mails WHERE kind = 'order-placed'");
    let (put, post, delete) = (Method::PUT, Method::POST, Method::DELETE);
    // Each is sent twice, under one key, and has to be there once.
    let deeds = [
        (
            &put,
            format!("/users/{}/status", bob.id),
            json!({ "status": "suspended" }),
            "user.status",
            format!("user/{}", bob.id),
        ),
        (
            &put,
            format!("/users/{}/role", bob.id),
            json!({ "role": "service" }),
            "user.role",
            format!("user/{}", bob.id),
        ),
        (&delete, format!("/users/{}", bob.id), json!(null), "user.deleted", format!("user/{}", bob.id)),
        (&put, format!("/products/{mug}"), json!({ "price": 6 }), "product.updated", format!("product/{mug}")),
        (
            &put,
            format!("/categories/{category}"),
            json!({ "name": "Mugs" }),
            "category.updated",
            format!("category/{category}"),
        ),
        (&delete, format!("/categories/{category}"), json!(null), "category.deleted", format!("category/{category}")),
        (&put, format!("/inventory/{mug}"), json!({ "reorderThreshold": 7 }), "stock.updated", format!("stock/{mug}")),
        (
            &post,
            format!("/inventory/{mug}/adjust"),
            json!({ "delta": 3, "reason": "found" }),
            "stock.adjusted",
            format!("stock/{mug}"),
        ),
        (&post, "/discounts".to_owned(), code, "discount.created", "discount/SAVE".to_owned()),
        (&put, "/discounts/SAVE".to_owned(), json!({ "value": 2 }), "discount.updated", "discount/SAVE".to_owned()),
        (&delete, "/discounts/SAVE".to_owned(), json!(null), "discount.deleted", "discount/SAVE".to_owned()),
        (
            &post,
            format!("/orders/{unpaid}/cancel"),
            json!({ "reason": "no" }),
            "order.cancelled",
            format!("order/{unpaid}"),
        ),
        (&post, format!("/orders/{paid}/refunds"), json!({ "amount": 1 }), "order.refunded", format!("order/{paid}")),
        (
            &put,
            format!("/orders/{paid}/status"),
            json!({ "status": "shipped" }),
            "order.shipped",
            format!("order/{paid}"),
        ),
        (
            &post,
            format!("/payments/{payment}/refund"),
            json!({ "amount": 2 }),
            "payment.refunded",
            format!("payment/{payment}"),
        ),
        (
            &post,
            format!("/payments/{authorized}/capture"),
            json!(null),
            "payment.capture",
            format!("payment/{authorized}"),
        ),
    ];
    let others = [
        (
            &put,
            format!("/orders/{paid}/status"),
            json!({ "status": "shipped", "tracking": "1Z 1" }),
            "order.tracking",
            format!("order/{paid}"),
        ),
        (&post, format!("/payments/{voidable}/void"), json!(null), "payment.void", format!("payment/{voidable}")),
        (&post, "/inventory/reserve".to_owned(), hold, "reservation.held", "reservation/*".to_owned()),
        (
            &post,
            "/inventory/release".to_owned(),
            json!({ "reservationId": held }),
            "reservation.released",
            "reservation/*".to_owned(),
        ),
        (
            &post,
            "/inventory".to_owned(),
            json!({ "productId": 999, "quantity": 1 }),
            "stock.created",
            "stock/999".to_owned(),
        ),
        (&delete, format!("/products/{cup}"), json!(null), "product.deleted", format!("product/{cup}")),
        (&post, "/notifications/test".to_owned(), json!({}), "notification.tested", "notification/*".to_owned()),
        (&post, format!("/notifications/{mail}/resend"), json!({}), "notification.resent", "notification/*".to_owned()),
    ];
    let mut wanted = before;
    wanted.push(("reservation.held".to_owned(), "reservation/*".to_owned()));
    wanted.push(("category.created".to_owned(), format!("category/{category}")));
    for (number, (method, path, body, action, subject)) in deeds.iter().chain(&others).enumerate() {
        let send = async || {
            let call = shop.request((*method).clone(), format!("/api/v1{path}"));
            let call = if body.is_null() { call } else { call.json(body) };
            call.by(admin).key(&format!("deed-{number}")).await
        };
        let first = send().await;
        assert!(first.status.is_success(), "{action}: {} {}", first.status, first.text);
        let again = send().await;
        assert!(
            again.status.is_success() || again.status == 404 && **method == Method::DELETE,
            "{action}: {}",
            again.text
        );
        wanted.push(((*action).to_owned(), subject.clone()));
        // The log of all is by time, which may be the same for two: each service's own order holds.
    }
    let mut told = told(&shop).await;
    // Nobody knows beforehand which numbers mails and holds have.
    for (_, subject) in &mut told {
        let kind = subject.split('/').next().unwrap();
        if ["notification", "reservation"].contains(&kind) {
            *subject = format!("{kind}/*");
        }
    }
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);

    // What is refused, and what others do, is not there.
    let entries = wanted.len();
    shop.put(format!("/api/v1/orders/{paid}/status"), &json!({ "status": "paid" })).by(admin).await.expect(409);
    shop.put(format!("/api/v1/users/{}/role", admin.id), &json!({ "role": "user" })).by(admin).await.expect(409);
    shop.put(format!("/api/v1/users/{}/role", ann.id), &json!({ "role": "king" })).by(admin).await.expect(422);
    shop.post(format!("/api/v1/payments/{payment}/refund"), &json!({ "amount": 1000 })).by(admin).await.expect(409);
    shop.post(format!("/api/v1/inventory/{mug}/adjust"), &json!({ "delta": -1000, "reason": "x" }))
        .by(admin)
        .await
        .expect(409);
    shop.put(format!("/api/v1/products/{mug}"), &json!({ "price": 7 })).by(&seller).await.expect(200);
    shop.put(format!("/api/v1/orders/{paid}/status"), &json!({ "status": "shipped" })).by(&ann).await.expect(403);
    assert_eq!(log(&shop, "?limit=100").await.len(), entries);
}

#[tokio::test]
async fn an_entry_says_who_when_and_in_which_request() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let admin = shop.admin().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let call = shop.put(format!("/api/v1/users/{}/role", ann.id), &json!({ "role": "supplier" })).by(admin);
    let call =
        call.header("x-request-id", "promotion-1").header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    call.await.expect(200);
    let answer = shop.put(format!("/api/v1/users/{}/role", ann.id), &json!({ "role": "user" })).by(admin).await;
    let made_up = answer.header("x-request-id").unwrap().to_owned();
    let entries = log(&shop, "").await;
    assert_eq!(entries.len(), 2);
    let (newest, oldest) = (&entries[0], &entries[1]);
    assert_eq!(newest["requestId"], made_up, "the one that the answer has");
    assert_eq!(oldest["requestId"], "promotion-1");
    assert!(oldest["traceparent"].as_str().unwrap().contains(trace), "{oldest}");
    assert_eq!(
        (&oldest["service"], &oldest["role"], &oldest["actorId"]),
        (&json!("accounts"), &json!("admin"), &json!(admin.id))
    );
    assert_eq!(oldest["details"], json!({ "from": "user", "to": "supplier" }));
    let at = humantime::parse_rfc3339(oldest["at"].as_str().unwrap()).unwrap();
    let age = shop.now().abs_diff(at.duration_since(std::time::UNIX_EPOCH).unwrap());
    assert!(age < Duration::from_secs(60), "{age:?}");
}

#[tokio::test]
async fn the_log_of_all_services_is_one_list_that_can_be_searched() {
    needs_bench!("it moves the clock");
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let admin = shop.admin().await;
    let mug = shop.product(5.0, 50).await;
    shop.settle().await;
    for round in 0..4 {
        let role = if round % 2 == 0 { "supplier" } else { "user" };
        shop.put(format!("/api/v1/users/{}/role", ann.id), &json!({ "role": role })).by(admin).await.expect(200);
        let adjust = json!({ "delta": 1, "reason": "found" });
        shop.post(format!("/api/v1/inventory/{mug}/adjust"), &adjust).by(admin).await.expect(200);
        let code = json!({ "code": format!("C{round}"), "kind": "fixed", "value": 1 });
        shop.post("/api/v1/discounts", &code).by(admin).await.expect(201);
        shop.clock.advance(Duration::from_secs(60));
    }
    let all = log(&shop, "?limit=100").await;
    assert_eq!(all.len(), 12);
    let times: Vec<_> = all.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "newest first: {times:?}");
    for limit in [1, 2, 5, 11, 12] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{LOG}?limit={limit}{cursor}");
            let page = shop.get(path).by(admin).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, all, "{limit} at a time");
    }
    let (from, to) = (all[8]["at"].as_str().unwrap(), all[2]["at"].as_str().unwrap());
    let me = admin.id;
    for (query, holds) in [
        ("service=accounts".to_owned(), &(|entry: &Value| entry["service"] == "accounts") as &dyn Fn(&Value) -> bool),
        ("action=stock.adjusted".to_owned(), &|entry| entry["action"] == "stock.adjusted"),
        ("subject=discount/C2".to_owned(), &|entry| entry["subject"] == "discount/C2"),
        (format!("actor={me}"), &|_| true),
        (format!("actor={}", ann.id), &|_| false),
        (format!("actor={me}&action=user.role"), &|entry| entry["action"] == "user.role"),
        (format!("subject=user/{}&action=user.role&actor={me}", ann.id), &|entry| entry["action"] == "user.role"),
        (format!("subject=user/{}&action=user.status", ann.id), &|_| false),
        (format!("from={from}&to={to}"), &|entry| {
            entry["at"].as_str() >= Some(from) && entry["at"].as_str() < Some(to)
        }),
        (format!("service=carts&action=discount.created&from={from}"), &|entry| {
            entry["service"] == "carts" && entry["at"].as_str() >= Some(from)
        }),
        ("service=&actor=&action=&subject=&from=&to=".to_owned(), &|_| true),
    ] {
        let found = log(&shop, &format!("?limit=100&{query}")).await;
        let wanted: Vec<_> = all.iter().filter(|entry| holds(entry)).cloned().collect();
        assert_eq!(found, wanted, "{query}");
    }
    for (query, field) in [("actor=me", "actor"), ("from=yesterday", "from"), ("service=nobody", "service")] {
        assert_invalid(&shop.get(format!("{LOG}?{query}")).by(admin).await, &[field], query);
    }
    assert_problem(&shop.get(format!("{LOG}?cursor=x")).by(admin).await, 400, "malformed", "cursor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_as_many_entries_as_changes_whatever_runs_at_once() {
    let shop = open().await;
    let admin = shop.admin().await;
    let mug = shop.product(5.0, 50).await;
    let people = join_all((0..5).map(async |number| shop.customer(&format!("p{number}")).await)).await;
    shop.settle().await;
    let deeds = (0..50).map(|number| {
        let call = match number % 2 {
            0 => shop.post(format!("/api/v1/inventory/{mug}/adjust"), &json!({ "delta": 1, "reason": "found" })),
            // Ten at a time want the same of each.
            _ => {
                let path = format!("/api/v1/users/{}/status", people[number / 2 % 5].id);
                shop.put(path, &json!({ "status": "suspended" }))
            }
        };
        call.by(admin).send()
    });
    for answer in join_all(deeds).await {
        answer.unwrap().expect(200);
    }
    let moved = "SELECT count(*) FROM movements WHERE kind = 'adjusted'";
    assert_eq!(shop.value("inventory", moved), 25);
    assert_eq!(shop.value("inventory", "SELECT count(*) FROM audit_log"), 25);
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM audit_log"), 5);
}

/// Who dies between the two leaves both or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_and_its_entry_are_both_there_or_neither() {
    needs_bench!("it kills instances");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let admin = shop.admin().await;
    let path = format!("/api/v1/users/{}/role", ann.id);
    let set = async |role: &str| shop.put(path.clone(), &json!({ "role": role })).by(admin).send().await;
    let mut roles = ["supplier", "user"].into_iter().cycle();
    set(roles.next().unwrap()).await.unwrap().expect(200);
    let state = || {
        let role = shop.value("accounts", &format!("SELECT role FROM users WHERE id = {}", ann.id));
        let entries = shop.value("accounts", "SELECT count(*) FROM audit_log").as_i64().unwrap();
        (role.as_str().unwrap().to_owned(), entries)
    };
    let (mut killed, mut changed) = (0, 0);
    for place in 0..60 {
        let role = roles.next().unwrap();
        let before = state();
        let passed = Arc::new(AtomicUsize::new(0));
        let fired = passed.clone();
        script.rule(move |call| {
            let ours = call.component == "accounts" && is_database(call.interface);
            if ours && passed.fetch_add(1, Ordering::SeqCst) == place { Verdict::Kill } else { Verdict::Proceed }
        });
        _ = set(role).await;
        script.clear();
        let after = state();
        let happened = after.0 == role;
        assert_eq!(after.1, before.1 + i64::from(happened), "killed at call {place}: {before:?} {after:?}");
        killed += i32::from(fired.load(Ordering::SeqCst) > place);
        changed += i32::from(happened);
        if !happened {
            set(role).await.unwrap().expect(200);
            assert_eq!(state().1, before.1 + 1);
        }
        if fired.load(Ordering::SeqCst) <= place {
            break;
        }
    }
    assert!(killed > 8 && changed > 1, "killed {killed} times, {changed} changes survived");
}

#[tokio::test]
async fn entries_are_kept_for_400_days() {
    needs_bench!("it moves the clock");
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let day = Duration::from_secs(24 * 60 * 60);
    shop.put(format!("/api/v1/users/{}/role", ann.id), &json!({ "role": "supplier" }))
        .by(shop.admin().await)
        .await
        .expect(200);
    shop.clock.advance(399 * day);
    shop.tick_all().await;
    assert_eq!(log(&shop, "").await.len(), 1);
    shop.clock.advance(2 * day);
    shop.tick_all().await;
    assert_eq!(log(&shop, "").await.len(), 0);
}

#[tokio::test]
async fn only_admins_read_it() {
    let shop = open().await;
    let (ann, seller) = (shop.customer("ann").await, shop.seller("sam").await);
    for person in [&ann, &seller] {
        assert_problem(&shop.get(LOG).by(person).await, 403, "forbidden", "the log");
    }
    assert_problem(&shop.get(LOG).await, 401, "unauthenticated", "the log");
    assert_eq!(shop.get("/internal/audit/search").await.status, 404);
}
