//! Finding orders again.

use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, needs_bench};

use crate::support::{assert_invalid, assert_problem};

const ORDERS: &str = "/api/v1/orders";

/// The ids on all pages of a list.
async fn ids(shop: &Shop, by: &Customer, path: &str, limit: u32) -> Vec<i64> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    let mark = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = shop.get(format!("{path}{mark}limit={limit}{cursor}")).by(by).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|order| order["id"].as_i64().unwrap()));
        let Some(next) = page["nextCursor"].as_str() else { return seen };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn admins_find_orders_by_everything_that_is_said_of_them() {
    needs_bench!("it moves the clock");
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let admin = shop.admin().await;
    let mug = shop.product(5.0, 1000).await;
    let mut placed: Vec<(i64, Value)> = Vec::new();
    for number in 0..12 {
        let by = if number % 3 == 0 { &bob } else { &ann };
        let order = shop.order(by, mug, number + 1, (number % 2 == 0).then_some("tok_visa")).await.expect(201);
        let id = order["id"].as_i64().unwrap();
        shop.wait_for(id, if number % 2 == 0 { "paid" } else { "reserved" }).await;
        placed.insert(0, (id, order));
        shop.clock.advance(std::time::Duration::from_secs(1));
    }
    let at = |place: usize| placed[place].1["createdAt"].as_str().unwrap().to_owned();
    let (early, late) = (at(9), at(3));
    let found = |holds: &dyn Fn(usize, &Value) -> bool| -> Vec<i64> {
        placed.iter().enumerate().filter(|(place, (_, order))| holds(*place, order)).map(|(_, (id, _))| *id).collect()
    };
    let paid = |place: usize| place % 2 == 1;
    let total = |order: &Value| order["total"].as_f64().unwrap();
    for (query, expected) in [
        (String::new(), found(&|_, _| true)),
        ("?status=paid".into(), found(&|place, _| paid(place))),
        ("?status=shipped".into(), vec![]),
        (format!("?userId={}", bob.id), found(&|_, order| order["userId"] == bob.id)),
        (format!("?userId={}&status=paid", ann.id), found(&|place, order| paid(place) && order["userId"] == ann.id)),
        (format!("?from={early}&to={late}"), found(&|place, _| place > 3 && place <= 9)),
        (format!("?from={late}&status=reserved"), found(&|place, _| place <= 3 && !paid(place))),
        ("?minTotal=20&maxTotal=40".into(), found(&|_, order| (20.0..=40.0).contains(&total(order)))),
        (
            "?status=paid&minTotal=30.00&from=2000-01-01".into(),
            found(&|place, order| paid(place) && total(order) >= 30.0),
        ),
        ("?to=2000-01-01".into(), vec![]),
        ("?status=&userId=&number=&from=&to=&minTotal=".into(), found(&|_, _| true)),
    ] {
        for limit in [1, 5, 100] {
            assert_eq!(ids(&shop, admin, &format!("{ORDERS}{query}"), limit).await, expected, "{query} by {limit}");
        }
    }
    let own = found(&|_, order| order["userId"] == bob.id);
    assert_eq!(ids(&shop, &bob, ORDERS, 100).await, own);
    for by in [&bob, admin] {
        assert_eq!(ids(&shop, by, &format!("{ORDERS}/user/{}", bob.id), 2).await, own);
    }
    assert_problem(&shop.get(format!("{ORDERS}/user/{}", bob.id)).by(&ann).await, 404, "not-found", "bob's, by ann");
    assert_problem(&shop.get(format!("{ORDERS}?userId={}", bob.id)).by(&ann).await, 403, "forbidden", "bob's, by ann");
    for (query, field) in [
        ("status=lost", "status"),
        ("userId=bob", "userId"),
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("minTotal=1.234", "minTotal"),
        ("maxTotal=x", "maxTotal"),
    ] {
        assert_invalid(&shop.get(format!("{ORDERS}?{query}")).by(admin).await, &[field], query);
    }
}

#[tokio::test]
async fn a_page_looks_at_a_bounded_number_of_orders_for_the_few_that_fit() {
    needs_bench!("it writes into a database that a server has open");
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    let first = shop.place(&ann, mug, 2, Some("tok_visa")).await;
    shop.wait_for(first, "paid").await;
    shop.settle().await;
    shop.tamper(
        "orders",
        "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 2500) \
         INSERT INTO orders (user_id, status, lines, subtotal, discount, shipping, tax, total, currency, created_at, \
         updated_at, expires_at) SELECT 1, 'failed', '[]', 1, 0, 0, 0, 1, 'EUR', created_at + n, updated_at, NULL \
         FROM orders, n",
    );
    let admin = shop.admin().await;
    let page = shop.get(format!("{ORDERS}?minTotal=10")).by(admin).await.expect(200);
    assert_eq!(page["items"], json!([]), "not among the newest thousand");
    assert!(page["nextCursor"].is_string(), "but the list goes on");
    assert_eq!(ids(&shop, admin, &format!("{ORDERS}?minTotal=10"), 20).await, [first]);
    assert_eq!(ids(&shop, admin, &format!("{ORDERS}?maxTotal=1&status=failed"), 100).await.len(), 2500);
}

#[tokio::test]
async fn an_order_has_a_number_that_people_can_read_out() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let mug = shop.product(5.0, 10).await;
    let order = shop.order(&ann, mug, 1, None).await.expect(201);
    let year = order["createdAt"].as_str().unwrap()[..4].to_owned();
    let number = order["number"].as_str().unwrap();
    assert_eq!(number, format!("B-{year}-{:06}", order["id"].as_i64().unwrap()));
    shop.settle().await;
    for by in [&ann, shop.admin().await] {
        for text in [number.to_owned(), number.to_lowercase()] {
            let found = shop.get(format!("{ORDERS}/number/{text}")).by(by).await.expect(200);
            assert_eq!(found["id"], order["id"]);
            let listed = shop.get(format!("{ORDERS}?number={text}")).by(by).await.expect(200);
            assert_eq!(listed["items"][0]["number"], number);
        }
    }
    let other_year = number.replace(&year, "1999");
    for (text, by) in [(number, &bob), (&other_year, &ann), ("B-2026", &ann), ("1", &ann)] {
        assert_problem(&shop.get(format!("{ORDERS}/number/{text}")).by(by).await, 404, "not-found", text);
        assert_eq!(shop.get(format!("{ORDERS}?number={text}")).by(by).await.expect(200)["items"], json!([]), "{text}");
    }
}
