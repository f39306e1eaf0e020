//! The audit notices what it is there for: each tampering breaks one promise.

use serde_json::json;
use shop_tests::{Allow, Customer, Shop, ShopOptions, needs_bench};

/// The orders of a shop, one of each kind.
struct Orders {
    mug: i64,
    paid: i64,
    reserved: i64,
    /// After it was paid.
    cancelled: i64,
}

async fn open() -> (Shop, Customer, Orders) {
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
    (shop, ann, Orders { mug, paid, reserved, cancelled })
}

/// Tampers with the database of a service, sees that this is noticed in these words, and mends it again.
fn assert_noticed(shop: &Shop, service: &str, tampering: &str, mended: &str, noticed: &str) {
    shop.tamper(service, tampering);
    let findings = shop.violations(&[]);
    assert!(findings.iter().any(|finding| finding.contains(noticed)), "{tampering}: {noticed}: {findings:#?}");
    shop.tamper(service, mended);
    let left = shop.violations(&[]);
    assert!(left.is_empty(), "{mended}: {left:?}");
}

#[tokio::test]
async fn the_audit_notices_every_broken_promise() {
    needs_bench!("it writes into databases that a server has open");
    let (shop, ann, Orders { mug, paid, reserved, cancelled }) = open().await;
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
        ("payments", set("payments", "token = 'tok_visa'", paid), set("payments", "token = NULL", paid), "its token is still here"),
        ("payments", set("payments", "check_at = 1", paid), set("payments", "check_at = NULL", paid), "not known"),
        ("payments", "UPDATE ledger SET amount = amount + 1 WHERE id = 1".into(), "UPDATE ledger SET amount = amount - 1 WHERE id = 1".into(), "that sum to"),
        ("payments", "UPDATE ledger SET amount = amount * 2 WHERE posting = 'capture/1'".into(), "UPDATE ledger SET amount = amount / 2 WHERE posting = 'capture/1'".into(), "other sums"),
        ("payments", "UPDATE ledger SET account = 'tips' WHERE account = 'revenue'".into(), "UPDATE ledger SET account = 'revenue' WHERE account = 'tips'".into(), "unknown accounts"),
        ("payments", "UPDATE ledger SET order_id = 99 WHERE posting = 'capture/1'".into(), format!("UPDATE ledger SET order_id = {paid} WHERE posting = 'capture/1'"), "orders that are none"),
        ("carts", "UPDATE checkouts SET status = 'open'".into(), "UPDATE checkouts SET status = 'placed'".into(), "does not end"),
        ("carts", "UPDATE checkouts SET status = 'refused'".into(), "UPDATE checkouts SET status = 'placed'".into(), "does not fit"),
        ("carts", "UPDATE checkouts SET status = 'failed'".into(), "UPDATE checkouts SET status = 'placed'".into(), "whether its order has failed"),
        ("carts", "UPDATE checkouts SET owed = lines".into(), "UPDATE checkouts SET owed = NULL".into(), "not in a cart"),
        ("carts", "UPDATE checkouts SET order_id = order_id + 1".into(), "UPDATE checkouts SET order_id = order_id - 1".into(), "written down"),
        ("carts", "UPDATE checkouts SET user_id = user_id + 1".into(), "UPDATE checkouts SET user_id = user_id - 1".into(), "not what was in the cart"),
        ("carts", "UPDATE carts SET checkout_key = 'x'".into(), "UPDATE carts SET checkout_key = NULL".into(), "ordered by nobody"),
        ("carts", "UPDATE discounts SET uses = 2".into(), "UPDATE discounts SET uses = 1".into(), "1 are written down"),
        ("carts", "UPDATE redemptions SET status = 'held'".into(), "UPDATE redemptions SET status = 'used'".into(), "its use of a code is `held`"),
        ("carts", "UPDATE redemptions SET key = key || 'x'".into(), "UPDATE redemptions SET key = rtrim(key, 'x')".into(), "by no order"),
        ("carts", "UPDATE discounts SET max_uses_per_customer = 0".into(), "UPDATE discounts SET max_uses_per_customer = 1".into(), "too often"),
        ("orders", "INSERT INTO deliveries (id, outbox_id, subscriber, subject, since, due_at) SELECT 999, min(id), 'inventory', 'x', 0, 0 FROM outbox".into(), "DELETE FROM deliveries WHERE id = 999".into(), "undelivered"),
        ("orders", "INSERT INTO deliveries (id, outbox_id, subscriber, subject, since, due_at, parked_at) SELECT 999, min(id), 'inventory', 'x', 0, 0, 1 FROM outbox".into(), "DELETE FROM deliveries WHERE id = 999".into(), "parked"),
    ] {
        assert_noticed(&shop, service, &tampering, &mended, noticed);
    }
    shop.tamper("orders", "INSERT INTO deliveries (id, outbox_id, subscriber, subject, since, due_at, parked_at) SELECT 999, min(id), 'inventory', 'x', 0, 0, 1 FROM outbox");
    shop.audit_allowing(&[Allow::Parked]);
}

#[tokio::test]
async fn the_audit_notices_orders_that_do_not_add_up() {
    needs_bench!("it writes into databases that a server has open");
    let (shop, _, Orders { paid, reserved, cancelled, .. }) = open().await;
    shop.settle().await;
    shop.audit();

    for (order, field, by, noticed) in [
        (reserved, "total", 1, "the total is not the sum of its parts"),
        (paid, "total", -1, "the total is not the sum of its parts"),
        (cancelled, "shipping", 1, "the total is not the sum of its parts"),
        (reserved, "tax", -100_000, "a part is below zero"),
        (reserved, "discount", -1, "a part is below zero"),
        (paid, "subtotal", 1, "the subtotal is not the sum of its lines"),
        (paid, "discount", 1, "the discount is not the sum of its lines"),
        (paid, "promised", 1, "that is not what its pending refunds promise"),
        (paid, "refunded", 1, "that is not what its refunds have given back"),
        (paid, "refunded", 1, "payments have given 0 back"),
        (cancelled, "promised", 1, "more than was paid"),
    ] {
        let add = |by: i32| format!("UPDATE orders SET {field} = {field} + {by} WHERE id = {order}");
        assert_noticed(&shop, "orders", &add(by), &add(-by), noticed);
    }
    for (table, change, mended, order, noticed) in [
        ("refunds", "amount = amount - 1", "amount = amount + 1", cancelled, "its refunds have given back"),
        ("refunds", "status = 'pending'", "status = 'succeeded'", cancelled, "its pending refunds promise"),
        ("refunds", "status = 'failed'", "status = 'succeeded'", cancelled, "its refunds have given back"),
        ("refunds", "order_id = -order_id", "", cancelled, "refunds of no orders"),
        ("order_history", "order_id = -order_id", "", reserved, "histories of no orders"),
        ("order_history", "order_id = -order_id", "", reserved, "is \"reserved\", but its history ends with None"),
    ] {
        // What has gone to another order comes back from there.
        let (from, mended) = if mended.is_empty() { (-order, change) } else { (order, mended) };
        let set = |change: &str, order: i64| format!("UPDATE {table} SET {change} WHERE order_id = {order}");
        assert_noticed(&shop, "orders", &set(change, order), &set(mended, from), noticed);
    }
}

#[tokio::test]
async fn the_audit_notices_histories_that_cannot_be() {
    needs_bench!("it writes into databases that a server has open");
    let (shop, _, Orders { mug, paid, reserved, cancelled }) = open().await;
    shop.settle().await;
    shop.audit();

    for (order, from, to, noticed) in [
        (paid, "pending", "reserved", "has reserved after None"),
        (paid, "reserved", "shipped", "has shipped after Some(\"pending\")"),
        (paid, "reserved", "failed", "has paid after Some(\"failed\")"),
        (cancelled, "paid", "delivered", "has delivered after Some(\"reserved\")"),
        (cancelled, "cancelled", "returned", "has returned after Some(\"paid\")"),
        (reserved, "reserved", "failed", "its history ends with Some(\"failed\")"),
    ] {
        // Both states may be in the history: what it was is kept beside it.
        let tampering = format!(
            "CREATE TABLE kept AS SELECT id, status FROM order_history; \
             UPDATE order_history SET status = '{to}' WHERE order_id = {order} AND status = '{from}'"
        );
        let mended = "UPDATE order_history SET status = (SELECT status FROM kept WHERE kept.id = order_history.id); \
             DROP TABLE kept";
        assert_noticed(&shop, "orders", &tampering, mended, noticed);
    }
    let status = |status: &str| format!("UPDATE orders SET status = '{status}' WHERE id = {paid}");
    let noticed = "is \"delivered\", but its history ends with Some(\"paid\")";
    assert_noticed(&shop, "orders", &status("delivered"), &status("paid"), noticed);

    // A refund that has put pieces back of which inventory knows nothing.
    let items = json!([{ "productId": mug, "quantity": 1 }]);
    let restock = format!(
        "INSERT INTO refunds (id, name, order_id, status, amount, items, restock, created_at, updated_at) \
         VALUES (999, 'refund/999', {paid}, 'failed', 1, '{items}', TRUE, 0, 0)"
    );
    assert_noticed(&shop, "orders", &restock, "DELETE FROM refunds WHERE id = 999", "but inventory has");
}
