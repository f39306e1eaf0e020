//! Kills at every call of what customers and admins do with orders that are not paid.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_order_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| {
        let order = world.place(&format!("place {round}"), None).await;
        world.shop.settle_over_time().await;
        order
    };
    let act = async |_, order: &i64| {
        let body = json!({ "items": [{ "productId": world.mug, "quantity": 3 }] });
        world.persist(world.shop.put(format!("/api/orders/{order}"), &body).by(&world.ann)).await;
        world.shop.settle_over_time().await;
        world.persist(world.shop.cancel(&world.ann, *order)).await;
        world.shop.settle_over_time().await;
    };
    let check = |_, order: &i64| {
        assert_eq!(world.status(*order), "cancelled");
        let stock = world.shop.query("inventory", "SELECT on_hand, reserved FROM stock");
        assert_eq!(stock, [[json!(STOCK), json!(0)]]);
        let lines = format!("SELECT lines ->> '$[0].quantity' FROM orders WHERE id = {order}");
        assert_eq!(world.shop.value("orders", &lines), 3);
    };
    at_every_call("change an order", &world, 3, prepare, act, check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_by_hand_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let admin = world.shop.admin().await;
    let prepare = async |round: usize| {
        let order = world.place(&format!("place {round}"), None).await;
        world.shop.settle_over_time().await;
        order
    };
    let act = async |_, order: &i64| {
        let path = format!("/api/v1/orders/{order}/status");
        world.persist(world.shop.put(path, &json!({ "status": "paid" })).by(admin)).await;
        world.shop.settle_over_time().await;
    };
    let check = |rounds, order: &i64| {
        assert_eq!(world.status(*order), "paid");
        let count = |service: &str, of: &str| world.shop.value(service, &format!("SELECT count(*) FROM {of}"));
        assert_eq!(count("payments", "payments WHERE status = 'succeeded' AND provider = 'hand'"), rounds);
        assert_eq!(count("payments", "ledger"), 2 * rounds);
        assert_eq!(count("orders", "order_history WHERE type = 'ORDER_PAID'"), rounds);
        assert_eq!(world.shop.provider_books().len(), 0);
    };
    at_every_call("pay by hand", &world, 3, prepare, act, check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_by_the_customer_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| {
        let order = world.paid(&format!("place {round}")).await;
        (order, world.shop.payment_of(order).await.expect(200)["id"].clone())
    };
    let act = async |round: usize, (_, payment): &(i64, Value)| {
        let path = format!("/api/payments/{payment}/refund");
        let request = world.shop.post(path, &json!({})).by(&world.ann).key(&format!("refund {round}"));
        let refund = world.persist(request).await;
        assert_eq!(refund["amount"], 5.0);
        world.shop.settle_over_time().await;
    };
    let check = |rounds, (order, _): &(i64, Value)| {
        assert_eq!(world.status(*order), "cancelled");
        world.assert_counts(rounds, rounds, rounds, 0);
    };
    at_every_call("refund by the customer", &world, 3, prepare, act, check).await;
}
