//! Money that is held first, and taken or let go later.

use std::{future::IntoFuture, time::Duration};

use crate::{events::is_delivery, support::assert_problem};
use bodega_host::{Phase, Verdict};
use futures::future::{join, join_all};
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Script, Shop, ShopOptions, needs_bench};

const PAYMENTS: &str = "/api/v1/payments";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

/// An order of one piece at 12.5 that waits for its money.
async fn reserved(shop: &Shop, by: &Customer) -> i64 {
    let product = shop.product(12.5, 1).await;
    let order = shop.place(by, product, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    order
}

fn authorize<'a>(shop: &'a Shop, by: &'a Customer, order: i64, token: &str) -> Call<'a> {
    shop.post(PAYMENTS, &json!({ "orderId": order, "token": token, "capture": false })).by(by)
}

/// An order whose money is held, and its payment.
async fn held(shop: &Shop, by: &Customer, token: &str) -> (i64, Value) {
    let order = reserved(shop, by).await;
    let payment = authorize(shop, by, order, token).await.expect(201);
    assert_eq!(payment["status"], "authorized", "{payment}");
    (order, payment)
}

async fn act<'a>(shop: &'a Shop, payment: &Value, action: &str) -> Call<'a> {
    shop.request(reqwest::Method::POST, format!("{PAYMENTS}/{}/{action}", payment["id"])).by(shop.admin().await)
}

/// How the provider's charges ended.
fn endings(shop: &Shop) -> Vec<Value> {
    shop.provider_books().into_iter().map(|(_, entry)| entry["ending"].clone()).collect()
}

#[tokio::test]
async fn held_money_is_taken_once_by_a_capture() {
    let (shop, ann) = open().await;
    let (order, payment) = held(&shop, &ann, "tok_visa").await;
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "reserved", "held is not paid");
    assert_eq!(endings(&shop), ["Authorized"]);
    assert_eq!(shop.value("payments", "SELECT count(*) FROM ledger"), 0, "holding moves nothing");
    let again = authorize(&shop, &ann, order, "tok_visa").await;
    assert_problem(&again, 409, "payment-exists", "a second authorization");
    let path = format!("{PAYMENTS}/{}/capture", payment["id"]);
    assert_problem(&shop.post(&path, &json!({})).by(&ann).await, 403, "forbidden", "by the customer");
    assert_problem(&act(&shop, &json!({ "id": 999 }), "capture").await.await, 404, "not-found", "of no payment");
    let refund = shop.post(format!("{PAYMENTS}/{}/refund", payment["id"]), &json!({})).by(shop.admin().await).await;
    assert_problem(&refund, 409, "nothing-to-refund", "of held money");

    let captured = act(&shop, &payment, "capture").await.await.expect(200);
    assert_eq!((&captured["status"], &captured["amount"]), (&json!("succeeded"), &json!(12.5)));
    assert_eq!(act(&shop, &payment, "capture").await.await.expect(200), captured, "again changes nothing");
    shop.wait_for(order, "paid").await;
    assert_problem(&act(&shop, &payment, "void").await.await, 409, "not-voidable", "what is taken");
    assert_eq!(endings(&shop), ["Approved"]);
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    shop.audit();
}

#[tokio::test]
async fn held_money_is_let_go_by_a_void_and_the_order_fails() {
    let (shop, ann) = open().await;
    let (order, payment) = held(&shop, &ann, "tok_visa").await;
    let voided = act(&shop, &payment, "void").await.await.expect(200);
    assert_eq!((&voided["status"], &voided["reason"]), (&json!("voided"), &json!("voided")));
    assert_eq!(act(&shop, &payment, "void").await.await.expect(200), voided, "again changes nothing");
    assert_eq!(shop.wait_for(order, "failed").await["reason"], "voided");
    assert_problem(&act(&shop, &payment, "capture").await.await, 409, "not-capturable", "what is let go");
    shop.settle().await;
    assert_eq!(endings(&shop), ["Voided"]);
    shop.audit();
}

#[tokio::test]
async fn an_order_that_is_over_lets_its_money_go() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    for (token, cancelled) in [("tok_visa", true), ("tok_visa", false), ("tok_void_timeout", true)] {
        let (order, payment) = held(&shop, &ann, token).await;
        if cancelled {
            shop.cancel(&ann, order).await.expect(200);
        } else {
            shop.clock.advance(Duration::from_secs(16 * 60));
        }
        shop.settle_over_time().await;
        shop.wait_for(order, "cancelled").await;
        shop.settle_over_time().await;
        assert_eq!(shop.payment_of(order).await.expect(200)["status"], "voided", "{token}");
        assert_problem(&act(&shop, &payment, "capture").await.await, 409, "not-capturable", token);
    }
    assert_eq!(endings(&shop), ["Voided", "Voided", "Voided"]);
    shop.audit();
}

#[tokio::test]
async fn what_the_provider_refuses_or_does_not_say_is_found_out() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    for (token, status, order_status) in [
        ("tok_declined", "failed", "failed"),
        ("tok_timeout", "authorized", "reserved"),
        ("tok_timeout_lost", "authorized", "reserved"),
        ("tok_timeout_declined", "failed", "failed"),
    ] {
        let order = reserved(&shop, &ann).await;
        let payment = authorize(&shop, &ann, order, token).await.expect(201);
        assert_eq!(payment["status"], if token == "tok_declined" { "failed" } else { "pending" }, "{token}");
        shop.settle_over_time().await;
        let found = shop.payment_of(order).await.expect(200);
        assert_eq!((&found["status"], found.get("pendingOperation")), (&json!(status), None), "{token}");
        assert_eq!(shop.find_order(order).await["status"], order_status, "{token}");
        if status == "authorized" {
            act(&shop, &payment, "capture").await.await.expect(200);
            shop.wait_for(order, "paid").await;
        }
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_capture_of_unknown_ending_is_found_out() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    let (order, payment) = held(&shop, &ann, "tok_capture_timeout").await;
    let asked = act(&shop, &payment, "capture").await.await.expect(200);
    assert_eq!((&asked["status"], &asked["pendingOperation"]), (&json!("authorized"), &json!("capture")));
    let void = act(&shop, &payment, "void").await.await;
    assert_problem(&void, 409, "not-voidable", "while a capture is under way");
    shop.settle_over_time().await;
    assert_eq!(shop.find_order(order).await["status"], "paid");

    let (order, payment) = held(&shop, &ann, "tok_capture_timeout").await;
    act(&shop, &payment, "capture").await.await.expect(200);
    shop.cancel(&ann, order).await.expect(200);
    shop.settle_over_time().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded", "cancelled while it was unknown");
    shop.audit();
}

#[tokio::test]
async fn a_capture_that_is_declined_says_so_and_changes_what_is_true() {
    let (shop, ann) = open().await;
    let (order, payment) = held(&shop, &ann, "tok_capture_declined").await;
    for _ in 0..2 {
        let asked = act(&shop, &payment, "capture").await.await.expect(200);
        assert_eq!((&asked["status"], &asked["reason"]), (&json!("authorized"), &json!("capture-declined")));
        assert_eq!(asked.get("pendingOperation"), None);
    }
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "voided");

    let (order, payment) = held(&shop, &ann, "tok_capture_expired").await;
    let asked = act(&shop, &payment, "capture").await.await.expect(200);
    assert_eq!((&asked["status"], &asked["reason"]), (&json!("failed"), &json!("authorization-expired")));
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_authorization_that_comes_before_the_stock_waits_for_it() {
    needs_bench!("it keeps news from inventory");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let product = shop.product(0.0, 1).await;
    script.rule(|call| match call.phase {
        Phase::Before if is_delivery(call, "inventory") => Verdict::Fail("it is down".into()),
        _ => Verdict::Proceed,
    });
    let order = shop.place(&ann, product, 1, None).await;
    authorize(&shop, &ann, order, "tok_visa").await.expect(201);
    script.clear();
    shop.settle().await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!(payment["status"], "authorized", "also what costs nothing");
    act(&shop, &payment, "capture").await.await.expect(200);
    shop.wait_for(order, "paid").await;
    assert!(shop.provider_books().is_empty(), "nobody needs to be asked for nothing");
    shop.settle().await;
    shop.audit();
}

/// Captures, voids and cancels at the same moment: one of them wins, and all of the money is where it says.
#[tokio::test(flavor = "multi_thread")]
async fn captures_voids_and_cancels_at_once_end_in_one_of_them() {
    let (shop, ann) = open().await;
    let (mut taken, mut let_go) = (0, 0);
    for round in 0..8 {
        let (order, payment) = held(&shop, &ann, "tok_visa").await;
        let mut calls = Vec::new();
        for _ in 0..4 {
            calls.push(act(&shop, &payment, "capture").await);
            if round % 2 == 0 {
                calls.push(act(&shop, &payment, "void").await);
            }
        }
        let cancel = async {
            if round % 4 == 3 {
                assert!([200, 409].contains(&shop.cancel(&ann, order).await.status.as_u16()));
            }
        };
        let (answers, ()) = join(join_all(calls.into_iter().map(IntoFuture::into_future)), cancel).await;
        assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status.as_u16())), "{answers:?}");
        shop.settle().await;
        let status = shop.payment_of(order).await.expect(200)["status"].as_str().unwrap().to_owned();
        match status.as_str() {
            "succeeded" | "refunded" => taken += 1,
            "voided" => let_go += 1,
            other => panic!("round {round}: {other}"),
        }
        shop.audit();
    }
    assert_eq!(taken + let_go, 8);
    assert_eq!(shop.value("payments", "SELECT count(*) FROM ledger WHERE account = 'revenue'"), taken);
}
