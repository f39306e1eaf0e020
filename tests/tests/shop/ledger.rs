//! The books of the money, in double entry.

use crate::support::assert_problem;
use serde_json::{Value, json};
use shop_tests::{Shop, ShopOptions};

const LEDGER: &str = "/api/v1/payments/ledger";

async fn entries(shop: &Shop, query: &str) -> Vec<Value> {
    let page = shop.get(format!("{LEDGER}{query}")).by(shop.admin().await).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

/// Account and cents of each entry.
fn moved(entries: &[Value]) -> Vec<(&str, i64)> {
    #[allow(clippy::cast_possible_truncation)]
    let cents = |entry: &Value| (entry["amount"].as_f64().unwrap() * 100.0).round() as i64;
    entries.iter().map(|entry| (entry["account"].as_str().unwrap(), cents(entry))).collect()
}

#[tokio::test]
async fn every_movement_is_two_entries_that_sum_to_zero() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(12.5, 10).await;
    let order = shop.place(&ann, mug, 2, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    let declined = shop.place(&ann, mug, 1, Some("tok_declined")).await;
    shop.wait_for(declined, "failed").await;
    let payment = shop.payment_of(order).await.expect(200);
    let query = format!("?orderId={order}");
    let taken = entries(&shop, &query).await;
    assert_eq!(moved(&taken), [("provider", 2500), ("revenue", -2500)]);
    let expected = json!({
        "id": taken[0]["id"], "posting": format!("capture/{}", payment["id"]), "orderId": order,
        "paymentId": payment["id"], "account": "provider", "amount": 25.0, "currency": "EUR",
        "createdAt": taken[0]["createdAt"],
    });
    assert_eq!(taken[0], expected);
    assert_eq!(taken[0]["posting"], taken[1]["posting"]);
    assert!(entries(&shop, &format!("?orderId={declined}")).await.is_empty(), "nothing moved");

    let path = format!("/api/v1/payments/{}/refund", payment["id"]);
    let refund = shop.post(&path, &json!({ "amount": 4 })).by(shop.admin().await).await.expect(201);
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    let all = entries(&shop, &query).await;
    let back = [("refunds", 400), ("provider", -400), ("refunds", 2100), ("provider", -2100)];
    assert_eq!(moved(&all), [&[("provider", 2500), ("revenue", -2500)][..], &back].concat());
    assert_eq!(all[2]["posting"], format!("refund/{}", refund["id"]));
    assert_eq!(moved(&all).iter().map(|(_, amount)| amount).sum::<i64>(), 0);
    shop.audit();
}

#[tokio::test]
async fn the_ledger_is_read_in_pages_by_admins() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(1.0, 10).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
        shop.wait_for(order, "paid").await;
        orders.push(order);
    }
    let mut seen: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = shop.get(format!("{LEDGER}/?limit=2{cursor}")).by(shop.admin().await).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, entries(&shop, "?limit=100").await);
    let of: Vec<_> = seen.iter().map(|entry| entry["orderId"].as_i64().unwrap()).collect();
    assert_eq!(of, orders.iter().flat_map(|order| [*order, *order]).collect::<Vec<_>>());
    assert!(entries(&shop, "?orderId=999").await.is_empty());
    assert_problem(&shop.get(LEDGER).by(&ann).await, 403, "forbidden", "by a customer");
    for (query, status, code) in
        [("limit=0", 422, "invalid"), ("orderId=x", 400, "malformed"), ("cursor=x", 400, "malformed")]
    {
        let answer = shop.get(format!("{LEDGER}?{query}")).by(shop.admin().await).await;
        assert_problem(&answer, status, code, query);
    }
}
