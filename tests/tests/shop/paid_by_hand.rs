//! Orders that are paid outside of the shop: an admin says so, and it is in the books once.

use std::future::IntoFuture;

use futures::future::{join, join_all};
use serde_json::json;
use shop_tests::{Call, Customer, Shop, ShopOptions};

/// The request by which somebody says that the money for an order is there.
fn received<'a>(shop: &'a Shop, by: &'a Customer, order: i64) -> Call<'a> {
    shop.put(format!("/api/v1/orders/{order}/status"), &json!({ "status": "paid" })).by(by)
}

async fn open() -> (Shop, Customer, i64) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    (shop, ann, mug)
}

#[tokio::test]
async fn money_that_an_admin_has_pays_an_order_and_no_provider_is_asked() {
    let (shop, ann, mug) = open().await;
    let admin = shop.admin().await;
    let order = shop.place(&ann, mug, 2, None).await;
    // At once, while its stock may still be on its way.
    assert_eq!(received(&shop, admin, order).await.expect(200)["status"], "paid");
    assert_eq!(received(&shop, admin, order).await.expect(200)["status"], "paid", "again");
    received(&shop, &ann, order).await.expect(403);
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["provider"], &payment["amount"]), (&json!("hand"), &json!(10.0)));
    shop.settle().await;
    assert_eq!(shop.provider_books().len(), 0);
    let kinds = "SELECT type FROM order_history ORDER BY id";
    assert_eq!(shop.query("orders", kinds).concat(), ["ORDER_PLACED", "ORDER_RESERVED", "ORDER_PAID"]);
    shop.pay(&ann, order, "tok_visa").await.expect(409);
    shop.audit();
}

#[tokio::test]
async fn what_was_paid_by_hand_goes_back_by_hand_and_is_in_the_books() {
    let (shop, ann, mug) = open().await;
    let admin = shop.admin().await;
    let order = shop.place(&ann, mug, 2, None).await;
    received(&shop, admin, order).await.expect(200);
    let payment = shop.payment_of(order).await.expect(200)["id"].clone();
    let path = format!("/api/v1/payments/{payment}/refund");
    let part = shop.post(path, &json!({ "amount": 4 })).by(admin).await.expect(201);
    assert_eq!(part["status"], "succeeded");
    shop.settle().await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("refunded"), &json!(10.0)));
    assert_eq!(shop.provider_books().len(), 0);
    assert_eq!(shop.stock(mug).await["onHand"], 10);
    shop.audit();
}

#[tokio::test]
async fn an_order_that_is_over_takes_no_money_by_hand() {
    let (shop, ann, mug) = open().await;
    let admin = shop.admin().await;
    let order = shop.place(&ann, mug, 2, None).await;
    shop.cancel(&ann, order).await.expect(200);
    assert_eq!(received(&shop, admin, order).await.expect(409)["code"], "transition-not-allowed");
    let failed = shop.place(&ann, mug, 11, None).await;
    shop.wait_for(failed, "failed").await;
    assert_eq!(received(&shop, admin, failed).await.expect(409)["detail"], "the order is failed");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_card_that_waits_for_the_stock_is_not_charged_beside_the_hand() {
    let (shop, ann, mug) = open().await;
    let admin = shop.admin().await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.pay(&ann, order, "tok_unreachable").await.expect(201);
    let refused = received(&shop, admin, order).await.expect(409);
    assert_eq!(
        (&refused["code"], &refused["detail"]),
        (&json!("payment-exists"), &json!("the order is being paid otherwise"))
    );
    assert_eq!(shop.find_order(order).await["status"], "reserved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_paid_by_hand_many_times_at_once_and_by_card_is_paid_once() {
    let (shop, ann, mug) = open().await;
    let admin = shop.admin().await;
    for _ in 0..5 {
        let order = shop.place(&ann, mug, 1, None).await;
        shop.wait_for(order, "reserved").await;
        let hands = join_all((0..5).map(|_| received(&shop, admin, order).into_future()));
        let (hands, card) = join(hands, shop.pay(&ann, order, "tok_visa").into_future()).await;
        let hand: Vec<_> = hands.iter().map(|answer| answer.status.as_u16()).collect();
        assert!(hand.iter().all(|status| [200, 409].contains(status)), "{hand:?}");
        assert!([201, 409].contains(&card.status.as_u16()), "{}", card.text);
        shop.settle().await;
        assert_eq!(shop.find_order(order).await["status"], "paid");
        let payments = format!("SELECT count(*) FROM payments WHERE order_id = {order} AND status = 'succeeded'");
        assert_eq!(shop.value("payments", &payments), 1);
        shop.audit();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_cancelled_and_paid_by_hand_at_once_keeps_no_money() {
    let (shop, ann, mug) = open().await;
    let admin = shop.admin().await;
    for _ in 0..5 {
        let order = shop.place(&ann, mug, 1, None).await;
        shop.wait_for(order, "reserved").await;
        let (paid, cancelled) =
            join(received(&shop, admin, order).into_future(), shop.cancel(&ann, order).into_future()).await;
        assert!([200, 409].contains(&paid.status.as_u16()), "{}", paid.text);
        assert_eq!(cancelled.expect(200)["status"], "cancelled");
        shop.settle().await;
        shop.audit();
        assert_eq!(shop.find_order(order).await["status"], "cancelled");
    }
}
