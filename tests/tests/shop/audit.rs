//! The audit notices what it is there for: each tampering breaks one promise.

use serde_json::json;
use shop_tests::{Allow, Shop, ShopOptions, needs_bench};

#[tokio::test]
async fn the_audit_notices_every_broken_promise() {
    needs_bench!("it writes into databases that a server has open");
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    let paid = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    let reserved = shop.place(&ann, mug, 2, None).await;
    let cancelled = shop.place(&ann, mug, 3, Some("tok_visa")).await;
    shop.wait_for(cancelled, "paid").await;
    shop.cancel(&ann, cancelled).await.expect(200);
    shop.wait_for(paid, "paid").await;
    shop.wait_for(reserved, "reserved").await;
    let discount = json!({ "code": "TEN", "kind": "percentage", "value": 10, "maxUsesPerCustomer": 1 });
    shop.post("/api/v1/discounts", &discount).by(shop.admin().await).await.expect(201);
    let cart = "/api/v1/carts/me";
    shop.post(format!("{cart}/items"), &json!({ "productId": mug, "quantity": 1 })).by(&ann).await.expect(200);
    shop.put(format!("{cart}/discount"), &json!({ "code": "TEN" })).by(&ann).await.expect(200);
    shop.post(format!("{cart}/checkout"), &json!({})).by(&ann).await.expect(201);
    shop.post(format!("{cart}/items"), &json!({ "productId": mug, "quantity": 1 })).by(&ann).await.expect(200);
    shop.settle().await;
    shop.audit();

    let set = |table: &str, change: &str, order: i64| format!("UPDATE {table} SET {change} WHERE order_id = {order}");
    let status = |status: &str, order: i64| format!("UPDATE orders SET status = '{status}' WHERE id = {order}");
    let at = |product| format!("WHERE product_id = {product}");
    for (service, tampering, mended, noticed) in [
        ("inventory", format!("UPDATE stock SET on_hand = on_hand + 1 {}", at(mug)), format!("UPDATE stock SET on_hand = on_hand - 1 {}", at(mug)), "movements add up"),
        ("inventory", format!("UPDATE stock SET reserved = reserved + 1 {}", at(mug)), format!("UPDATE stock SET reserved = reserved - 1 {}", at(mug)), "are held by"),
        ("inventory", set("reservations", "status = 'held'", paid), set("reservations", "status = 'sold'", paid), "paid, but its reservation"),
        ("inventory", set("reservations", "order_id = 99", paid), "UPDATE reservations SET order_id = 1 WHERE order_id = 99".into(), "of no order"),
        ("catalog", "UPDATE products SET stock = stock + 1".into(), "UPDATE products SET stock = stock - 1".into(), "the catalog shows"),
        ("orders", status("paid", reserved), status("reserved", reserved), "paid is not taken"),
        ("orders", status("cancelled", paid), status("paid", paid), "money is kept"),
        ("orders", status("paid", cancelled), status("cancelled", cancelled), "reservation is `returned`"),
        ("orders", status("pending", reserved), status("reserved", reserved), "does not end"),
        ("orders", format!("UPDATE orders SET expires_at = expires_at - 100000000 WHERE id = {reserved}"), format!("UPDATE orders SET expires_at = expires_at + 100000000 WHERE id = {reserved}"), "time is up"),
        ("payments", set("payments", "charge_key = charge_key || 'x'", paid), set("payments", "charge_key = rtrim(charge_key, 'x')", paid), "payments does not know"),
        ("payments", set("payments", "refunded = 0", cancelled), set("payments", "refunded = amount", cancelled), "other refunds"),
        ("payments", set("payments", "check_at = 1", paid), set("payments", "check_at = NULL", paid), "not known"),
        ("payments", "UPDATE ledger SET amount = amount + 1 WHERE id = 1".into(), "UPDATE ledger SET amount = amount - 1 WHERE id = 1".into(), "that sum to"),
        ("payments", "UPDATE ledger SET amount = amount * 2 WHERE posting = 'capture/1'".into(), "UPDATE ledger SET amount = amount / 2 WHERE posting = 'capture/1'".into(), "other sums"),
        ("payments", "UPDATE ledger SET account = 'tips' WHERE account = 'revenue'".into(), "UPDATE ledger SET account = 'revenue' WHERE account = 'tips'".into(), "unknown accounts"),
        ("payments", "UPDATE ledger SET order_id = 99 WHERE posting = 'capture/1'".into(), format!("UPDATE ledger SET order_id = {paid} WHERE posting = 'capture/1'"), "orders that are none"),
        ("carts", "UPDATE checkouts SET status = 'open'".into(), "UPDATE checkouts SET status = 'placed'".into(), "does not end"),
        ("carts", "UPDATE checkouts SET status = 'refused'".into(), "UPDATE checkouts SET status = 'placed'".into(), "does not fit"),
        ("carts", "UPDATE checkouts SET order_id = order_id + 1".into(), "UPDATE checkouts SET order_id = order_id - 1".into(), "written down"),
        ("carts", "UPDATE checkouts SET user_id = user_id + 1".into(), "UPDATE checkouts SET user_id = user_id - 1".into(), "not what was in the cart"),
        ("carts", "UPDATE carts SET checkout_key = 'x'".into(), "UPDATE carts SET checkout_key = NULL".into(), "ordered by nobody"),
        ("carts", "UPDATE discounts SET uses = 2".into(), "UPDATE discounts SET uses = 1".into(), "1 are written down"),
        ("carts", "UPDATE redemptions SET status = 'held'".into(), "UPDATE redemptions SET status = 'used'".into(), "its use of a code is `held`"),
        ("carts", "UPDATE redemptions SET key = key || 'x'".into(), "UPDATE redemptions SET key = rtrim(key, 'x')".into(), "by no order"),
        ("carts", "UPDATE discounts SET max_uses_per_customer = 0".into(), "UPDATE discounts SET max_uses_per_customer = 1".into(), "too often"),
        ("orders", "INSERT INTO deliveries (id, outbox_id, subscriber, subject, due_at) SELECT 999, min(id), 'inventory', 'x', 0 FROM outbox".into(), "DELETE FROM deliveries WHERE id = 999".into(), "undelivered"),
        ("orders", "INSERT INTO deliveries (id, outbox_id, subscriber, subject, due_at, parked_at) SELECT 999, min(id), 'inventory', 'x', 0, 1 FROM outbox".into(), "DELETE FROM deliveries WHERE id = 999".into(), "parked"),
    ] {
        shop.tamper(service, &tampering);
        let findings = shop.violations(&[]);
        assert!(findings.iter().any(|finding| finding.contains(noticed)), "{tampering}: {noticed}: {findings:#?}");
        shop.tamper(service, &mended);
        let left = shop.violations(&[]);
        assert!(left.is_empty(), "{mended}: {left:?}");
    }
    shop.tamper("orders", "INSERT INTO deliveries (id, outbox_id, subscriber, subject, due_at, parked_at) SELECT 999, min(id), 'inventory', 'x', 0, 1 FROM outbox");
    shop.audit_allowing(&[Allow::Parked]);
}
