//! Kills at every call of refunds that fail, at once or after they have succeeded.

use super::*;

impl World {
    /// Of an order's payment: its status, and how its refunds ended.
    fn money(&self, order: i64) -> (Value, Vec<Value>) {
        let status = format!("SELECT status FROM payments WHERE order_id = {order}");
        let refunds = "SELECT r.status FROM refunds r JOIN payments p ON p.id = r.payment_id";
        let refunds = self.shop.query("payments", &format!("{refunds} WHERE p.order_id = {order} ORDER BY r.id"));
        (self.shop.value("payments", &status), refunds.concat())
    }

    /// Checks that an order that is over has its money back, at the second try.
    fn assert_back_again(&self, rounds: usize, order: i64) {
        assert_eq!(self.money(order), (json!("refunded"), vec![json!("failed"), json!("succeeded")]));
        assert_eq!(self.approved("refund/"), rounds, "refunds at the provider");
        let gone = self.shop.value("orders", &format!("SELECT total - refunded FROM orders WHERE id = {order}"));
        assert_eq!(gone, 0, "orders know");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_is_declined_and_made_again_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World { allowed: &[Allow::DeclinedRefunds], ..World::new(None).await };
    let prepare = async |round: usize| world.paid_by(&round.to_string(), "tok_refund_declined_once").await;
    let act = async |_, order: &i64| {
        world.persist(world.shop.cancel(&world.ann, *order)).await;
        world.shop.settle_over_time().await;
    };
    let check = |rounds, order: &i64| world.assert_back_again(rounds, *order);
    at_every_call("give back again", &world, 1, prepare, act, check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_comes_back_and_is_made_again_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World { allowed: &[Allow::DeclinedRefunds], ..World::with(None, webhooks::options()).await };
    let prepare = async |round: usize| {
        let order = world.paid_by(&round.to_string(), "tok_refund_reversed").await;
        world.shop.cancel(&world.ann, order).await.expect(200);
        // Not over time: the provider would be asked, and tells that it has come back.
        world.shop.settle().await;
        assert_eq!(world.money(order), (json!("refunded"), vec![json!("succeeded")]));
        order
    };
    let act = async |round: usize, order: &i64| {
        let key = "SELECT r.refund_key FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.order_id =";
        let key = world.shop.value("payments", &format!("{key} {order} ORDER BY r.id LIMIT 1"));
        let message = webhooks::about("refund.failed", key.as_str().unwrap());
        // A sender repeats a message until it is taken, and now and then once more.
        for _ in 0..2 {
            world.persist(webhooks::signed(&world.shop, &format!("msg_{round}"), &message)).await;
        }
        world.shop.settle_over_time().await;
    };
    let check = |rounds, order: &i64| {
        world.assert_back_again(rounds, *order);
        let reversals = "SELECT count(*) FROM ledger WHERE posting LIKE 'refund-reversal/%'";
        assert_eq!(world.shop.value("payments", reversals), 2 * rounds);
    };
    at_every_call("take back, give back again", &world, 1, prepare, act, check).await;
}
