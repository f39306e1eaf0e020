//! Customers change what they have ordered while it is not paid: stock and money follow exactly.

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use futures::future::{join, join_all};
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

/// The request that changes an order to `quantity` pieces of a product.
fn change<'a>(shop: &'a Shop, by: &'a Customer, order: i64, product: i64, quantity: u32) -> Call<'a> {
    let body = json!({ "items": [{ "productId": product, "quantity": quantity }] });
    shop.put(format!("/api/orders/{order}"), &body).by(by)
}

/// A shop with a customer, a mug of 5, of which there are 10, and a pot of 8, of which there are 3.
async fn open() -> (Shop, Customer, i64, i64) {
    open_with(ShopOptions::default()).await
}

async fn open_with(options: ShopOptions) -> (Shop, Customer, i64, i64) {
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    let (mug, pot) = (shop.product(5.0, 10).await, shop.product(8.0, 3).await);
    (shop, ann, mug, pot)
}

/// What is held of a product.
async fn held(shop: &Shop, product: i64) -> Value {
    shop.stock(product).await["reserved"].clone()
}

#[tokio::test]
async fn an_order_that_is_changed_holds_and_costs_what_it_asks_for_now() {
    let (shop, ann, mug, pot) = open().await;
    let order = shop.place(&ann, mug, 4, None).await;
    let changed = change(&shop, &ann, order, pot, 3).await.expect(200);
    assert_eq!((&changed["totalAmount"], &changed["state"]), (&json!(24.0), &json!("PENDING_PAYMENT")));
    assert_eq!(changed["items"][0]["itemId"], pot);
    shop.wait_for(order, "reserved").await;
    assert_eq!((held(&shop, mug).await, held(&shop, pot).await), (json!(0), json!(3)));

    let paid = shop.pay(&ann, order, "tok_visa").await.expect(201);
    assert_eq!((&paid["amount"], &paid["status"]), (&json!(24.0), &json!("succeeded")));
    shop.wait_for(order, "paid").await;
    let refused = change(&shop, &ann, order, mug, 1).await.expect(409);
    assert_eq!(refused["message"], "the order is paid");
    let path = format!("/api/v1/orders/{order}/events");
    let history = shop.get(path).by(&ann).await.expect(200);
    let kinds: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ORDER_PLACED", "ORDER_RESERVED", "ORDER_CHANGED", "ORDER_RESERVED", "ORDER_PAID"]);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_order_that_asks_for_more_than_there_is_fails_and_holds_nothing() {
    let (shop, ann, mug, pot) = open().await;
    let order = shop.place(&ann, mug, 4, None).await;
    change(&shop, &ann, order, pot, 4).await.expect(200);
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    assert_eq!((held(&shop, mug).await, held(&shop, pot).await), (json!(0), json!(0)));
    shop.audit();
}

#[tokio::test]
async fn an_order_may_ask_for_all_that_is_left_and_what_it_holds_itself() {
    let (shop, ann, mug, _) = open().await;
    let order = shop.place(&ann, mug, 7, None).await;
    for quantity in [10, 1, 10] {
        change(&shop, &ann, order, mug, quantity).await.expect(200);
        shop.wait_for(order, "reserved").await;
        assert_eq!(held(&shop, mug).await, quantity);
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_order_that_goes_elsewhere_keeps_what_it_holds_even_of_what_is_not_sold_any_more() {
    let (shop, ann, mug, _) = open().await;
    let order = shop.place(&ann, mug, 2, None).await;
    shop.wait_for(order, "reserved").await;
    shop.delete(format!("/api/v1/products/{mug}")).by(shop.admin().await).await.expect(204);
    shop.settle().await;
    let address =
        json!({ "name": "Ann Lee", "street": "1 Main St", "city": "Springfield", "zip": "62701", "country": "us" });
    let path = format!("/api/orders/{order}");
    let changed = shop.put(path, &json!({ "shippingAddress": address })).by(&ann).await.expect(200);
    let expected = json!({ "name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US" });
    assert_eq!(changed["shippingAddress"], expected);
    shop.wait_for(order, "reserved").await;
    assert_eq!((&changed["totalAmount"], held(&shop, mug).await), (&json!(10.0), json!(2)));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_order_that_is_being_paid_or_was_discounted_or_is_somebody_elses_stays_as_it_is() {
    let (shop, ann, mug, pot) = open().await;
    let admin = shop.admin().await;
    let code = json!({ "code": "SPRING", "kind": "fixed", "value": 1 });
    shop.post("/api/v1/discounts", &code).by(admin).await.expect(201);
    let body = json!({ "items": [{ "productId": mug, "quantity": 1 }], "discountCode": "SPRING" });
    let discounted = shop.post("/api/v1/orders", &body).by(&ann).await.expect(201)["id"].as_i64().unwrap();
    let refused = change(&shop, &ann, discounted, pot, 1).await.expect(409);
    assert_eq!(refused["message"], "it has a discount: cancel it, and order again");

    let waiting = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(waiting, "reserved").await;
    shop.pay(&ann, waiting, "tok_unreachable").await.expect(201);
    let refused = change(&shop, &ann, waiting, pot, 1).await.expect(409);
    assert_eq!(refused["message"], "the order is being paid");

    let plain = shop.place(&ann, mug, 1, None).await;
    let bob = shop.customer("bob").await;
    change(&shop, &bob, plain, pot, 1).await.expect(404);
    change(&shop, admin, plain, pot, 1).await.expect(403);
    assert_eq!(shop.find_order(plain).await["items"][0]["productId"], mug);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_changes_at_once_one_is_the_order_and_holds_its_stock() {
    let (shop, ann, mug, pot) = open().await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    let wanted = [(mug, 2), (mug, 3), (pot, 1), (pot, 2), (pot, 3)];
    let changing = wanted.map(|(product, quantity)| change(&shop, &ann, order, product, quantity).into_future());
    let answers = join_all(changing).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert!(statuses.contains(&200) && statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    shop.settle().await;
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_changed_and_paid_at_once_is_paid_exactly_or_called_off_with_its_money_back() {
    let (shop, ann, mug, pot) = open().await;
    for _ in 0..8 {
        let order = shop.place(&ann, mug, 1, None).await;
        shop.wait_for(order, "reserved").await;
        let (changed, paid) =
            join(change(&shop, &ann, order, pot, 1).into_future(), shop.pay(&ann, order, "tok_visa").into_future())
                .await;
        assert!([200, 409].contains(&changed.status.as_u16()), "{}", changed.text);
        assert!([201, 409].contains(&paid.status.as_u16()), "{}", paid.text);
        shop.settle().await;
        shop.audit();
        let found = shop.find_order(order).await;
        let outcome = (found["status"].as_str().unwrap(), changed.status.as_u16(), paid.status.as_u16());
        match outcome {
            ("paid", ..) => {
                let payment = shop.payment_of(order).await.expect(200);
                assert_eq!(payment["amount"], found["total"], "{outcome:?}");
            }
            ("cancelled", 200, 201) => {}
            other => panic!("{other:?}"),
        }
        shop.cancel(&ann, order).await;
        shop.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_was_charged_for_what_the_order_cost_before_gets_all_of_it_back() {
    needs_bench!("it delays calls");
    let script = Script::new();
    let (shop, ann, mug, pot) = open_with(ShopOptions::controlled(script.clone())).await;
    let order = shop.place(&ann, mug, 2, None).await;
    shop.wait_for(order, "reserved").await;
    // The change has found no payment, and is late with the rest; orders hear of the payment after it.
    let asking = Arc::new(AtomicBool::new(false));
    let asked = asking.clone();
    script.rule(move |call| match (call.component, call.phase) {
        ("orders", Phase::Before) if call.detail.contains("catalog.spin.internal/internal/products") => {
            asked.store(true, Ordering::SeqCst);
            Verdict::Delay(Duration::from_secs(2))
        }
        ("payments", Phase::Before) if call.detail.contains("orders.spin.internal/internal/events") => {
            Verdict::Fail("not now".to_owned())
        }
        _ => Verdict::Proceed,
    });
    let paying = async {
        eventually(Duration::from_secs(20), "the change is under way", async || asking.load(Ordering::SeqCst)).await;
        shop.pay(&ann, order, "tok_visa").await.expect(201)
    };
    let (changed, paid) = join(change(&shop, &ann, order, pot, 1).into_future(), paying).await;
    assert_eq!((&changed.expect(200)["totalAmount"], &paid["amount"]), (&json!(8.0), &json!(10.0)));
    script.clear();
    shop.settle_over_time().await;
    let found = shop.find_order(order).await;
    assert_eq!(
        (&found["status"], &found["reason"]),
        (&json!("cancelled"), &json!("it was changed while it was being paid"))
    );
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    assert_eq!((held(&shop, mug).await, held(&shop, pot).await), (json!(0), json!(0)));
    shop.audit();
}
