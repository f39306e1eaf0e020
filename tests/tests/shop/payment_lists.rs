//! Finding payments again.

use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, needs_bench};

use crate::support::{assert_invalid, assert_problem};

const PAYMENTS: &str = "/api/v1/payments";

/// The ids on all pages of a list.
async fn ids(shop: &Shop, by: &Customer, query: &str, limit: u32) -> Vec<i64> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.get(format!("{PAYMENTS}?limit={limit}&{query}{cursor}")).by(by).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|payment| payment["id"].as_i64().unwrap()));
        let Some(next) = page["nextCursor"].as_str() else { return seen };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn payments_are_found_by_everything_that_is_said_of_them() {
    needs_bench!("it moves the clock");
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let admin = shop.admin().await;
    let mug = shop.product(5.0, 1000).await;
    let mut made: Vec<Value> = Vec::new();
    for number in 0..9_u32 {
        let by = if number % 3 == 0 { &bob } else { &ann };
        let token = if number % 4 == 0 { "tok_declined" } else { "tok_visa" };
        let order = shop.place(by, mug, number + 1, Some(token)).await;
        shop.settle().await;
        made.insert(0, shop.payment_of(order).await.expect(200));
        shop.clock.advance(std::time::Duration::from_secs(1));
    }
    let at = |place: usize| made[place]["createdAt"].as_str().unwrap().to_owned();
    let (early, late, order) = (at(6), at(2), made[3]["orderId"].clone());
    let amount = |payment: &Value| payment["amount"].as_f64().unwrap();
    let is = |payment: &Value, status: &str| payment["status"] == status;
    let of = |payment: &Value, person: &Customer| payment["userId"] == person.id;
    let between = |payment: &Value| {
        let time = payment["createdAt"].as_str().unwrap();
        time >= early.as_str() && time < late.as_str()
    };
    type Fits<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let cases: Vec<(String, Fits<'_>)> = vec![
        (String::new(), Box::new(|_| true)),
        ("status=failed".into(), Box::new(|payment| is(payment, "failed"))),
        (format!("userId={}", bob.id), Box::new(|payment| of(payment, &bob))),
        (format!("userId={}&status=succeeded", bob.id), Box::new(|p| of(p, &bob) && is(p, "succeeded"))),
        (format!("orderId={order}"), Box::new(|payment| payment["orderId"] == order)),
        (format!("orderId={order}&status=refunded"), Box::new(|_| false)),
        (format!("orderId={order}&userId={}", i64::MAX / 2048), Box::new(|_| false)),
        (format!("from={early}&to={late}"), Box::new(between)),
        ("minAmount=15&maxAmount=30".into(), Box::new(|p| (15.0..=30.0).contains(&amount(p)))),
        ("provider=sandbox&minAmount=15".into(), Box::new(|p| p["provider"] == "sandbox" && amount(p) >= 15.0)),
        ("provider=".into(), Box::new(|p| p["provider"] == "sandbox")),
        ("provider=stripe".into(), Box::new(|_| false)),
        ("minAmount=15&status=succeeded".into(), Box::new(|p| amount(p) >= 15.0 && is(p, "succeeded"))),
        (
            format!("from={early}&maxAmount=20.00&userId={}", ann.id),
            Box::new(|p| p["createdAt"].as_str() >= Some(early.as_str()) && amount(p) <= 20.0 && of(p, &ann)),
        ),
        ("status=&userId=&orderId=&from=&to=&minAmount=&maxAmount=".into(), Box::new(|_| true)),
    ];
    for (query, holds) in &cases {
        let wanted: Vec<_> = made.iter().filter(|p| holds(p)).map(|p| p["id"].as_i64().unwrap()).collect();
        for limit in [1, 4, 100] {
            assert_eq!(ids(&shop, admin, query, limit).await, wanted, "{query}, {limit} at a time");
        }
    }
    // One's own, and nobody else's.
    let own: Vec<_> = made.iter().filter(|p| of(p, &bob)).map(|p| p["id"].as_i64().unwrap()).collect();
    assert_eq!(ids(&shop, &bob, "", 2).await, own);
    assert_eq!(ids(&shop, &bob, &format!("orderId={order}"), 2).await.len(), usize::from(of(&made[3], &bob)));
    let foreign = shop.get(format!("{PAYMENTS}?userId={}", ann.id)).by(&bob).await;
    assert_problem(&foreign, 403, "forbidden", "payments of others");
    let listed = shop.get(PAYMENTS).by(&bob).await.expect(200);
    let mut one = made.iter().find(|payment| of(payment, &bob)).unwrap().clone();
    one.as_object_mut().unwrap().remove("refunds");
    assert_eq!(listed["items"][0], one, "as it is shown alone, without its refunds");
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_refused_by_name() {
    let shop = Shop::start(ShopOptions::default()).await;
    let admin = shop.admin().await;
    for (query, field) in [
        ("status=lost", "status"),
        ("orderId=x", "orderId"),
        ("userId=1.5", "userId"),
        ("from=yesterday", "from"),
        ("minAmount=19.999", "minAmount"),
        ("limit=1000", "limit"),
    ] {
        assert_invalid(&shop.get(format!("{PAYMENTS}?{query}")).by(admin).await, &[field], query);
    }
    assert_eq!(shop.get(PAYMENTS).by(admin).await.expect(200), json!({ "items": [] }));
}
