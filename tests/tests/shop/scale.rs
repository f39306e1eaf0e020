//! What fills a shop for `bench scale` writes the rows that the services would have written.

use std::time::Duration;

use serde_json::{Value, json};
use shop_tests::{Shop, ShopOptions, eventually, needs_bench, needs_sqlite};

const SIZE: i64 = 400;

/// A shop that was filled in bulk while it was at rest; a customer of it who may sign in.
async fn filled() -> (Shop, bench::bulk::World, bench::bulk::User) {
    let shop = Shop::start(ShopOptions::default()).await;
    shop.admin().await;
    // Whose password all have.
    let pattern = shop.customer("pattern").await;
    shop.settle().await;
    let now = i64::try_from(shop.now().as_millis()).unwrap();
    let world = bench::bulk::fill(SIZE, now, |label| shop.store(label)).unwrap();
    let customer = (1..=SIZE).map(|order| world.user(world.customer(order))).find(|user| user.active).unwrap();
    assert!(customer.id > pattern.id);
    (shop, world, customer)
}

#[tokio::test]
async fn the_books_of_a_shop_that_was_filled_in_bulk_add_up() {
    needs_bench!("it writes into the databases");
    needs_sqlite!("what fills a shop writes into its files");
    let (shop, world, _) = filled().await;
    shop.settle().await;
    shop.audit();
    for (service, table) in [("catalog", "products"), ("inventory", "stock"), ("orders", "orders")] {
        assert_eq!(shop.value(service, &format!("SELECT count(*) FROM {table}")), SIZE, "{table}");
    }
    // All endings occur, and refunds, or the audit has not seen them.
    let endings = "SELECT count(DISTINCT status) FROM orders";
    assert_eq!(shop.value("orders", endings), json!(5));
    let counted = "SELECT status, sum(orders) FROM order_counts GROUP BY 1 ORDER BY 1";
    let counts = "SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 1";
    assert_eq!(shop.query("orders", counted), shop.query("orders", counts));
    assert_ne!(shop.value("orders", "SELECT count(*) FROM refunds WHERE reason IS NULL"), json!(0));
    assert_ne!(shop.value("orders", "SELECT count(*) FROM refunds WHERE reason IS NOT NULL"), json!(0));
    assert_ne!(shop.value("notifications", "SELECT count(*) FROM mails"), json!(0));
    let product = (1..=SIZE).map(|number| world.product(number)).find(|product| product.status == "active").unwrap();
    let found = shop.get(format!("/api/v1/products?q={}", product.code)).await.expect(200);
    assert_eq!(found["items"][0]["id"], product.id);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_shop_that_was_filled_in_bulk_goes_on_selling_and_giving_back() {
    needs_bench!("it writes into the databases");
    needs_sqlite!("what fills a shop writes into its files");
    let (shop, world, user) = filled().await;
    let customer = shop.sign_in(&user.email, "pattern's password").await;
    let wanted = |product: &bench::bulk::Product| product.status == "active" && product.left > 0;
    let product = (1..=SIZE).map(|number| world.product(number)).find(wanted).unwrap();
    let body = json!({ "items": [{ "productId": product.id, "quantity": 1 }], "payment": { "token": "tok_visa" } });
    let order = shop.post("/api/v1/orders", &body).by(&customer).await.expect(201)["id"].clone();
    assert_eq!(order, SIZE + 1);
    let status =
        async |id: &Value| shop.get(format!("/api/v1/orders/{id}")).by(&customer).await.expect(200)["status"].clone();
    eventually(Duration::from_secs(10), "the order is paid", async || status(&order).await == "paid").await;

    // One of the orders that it was filled with: its money and its pieces are there to be given back.
    let old =
        shop.value("orders", "SELECT id FROM orders WHERE status = 'paid' AND reason IS NULL ORDER BY id LIMIT 1");
    let path = format!("/api/v1/orders/{old}/cancel");
    shop.post(path, &json!({ "reason": "late" })).by(shop.admin().await).await.expect(200);
    let back = format!("SELECT refunded = total FROM orders WHERE id = {old}");
    eventually(Duration::from_secs(10), "its money is back", async || shop.value("orders", &back) == 1).await;
    shop.settle().await;
    shop.audit();
}
