//! The promises of carts: each becomes one order or none, and each use of a discount code is counted once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Findings, int, pieces, text};
use crate::Shop;

struct Order {
    user: i64,
    pieces: BTreeMap<i64, i64>,
    /// The placement under which it has used a code.
    discount_key: Option<String>,
    /// What it has used it has given back: it ended before it was paid.
    released: bool,
    failed: bool,
    /// Its customer has changed it since.
    changed: bool,
}

impl Shop {
    pub(super) fn audit_carts(&self, findings: &mut Findings) {
        let orders = self.ordered();
        self.audit_checkouts(findings, &orders);
        self.audit_discounts(findings);
        self.audit_redemptions(findings, &orders);
    }

    fn ordered(&self) -> BTreeMap<i64, Order> {
        let orders = "SELECT id, user_id, lines, CASE WHEN discount_code IS NOT NULL THEN placement_key END, \
             status IN ('failed', 'cancelled') AND paid_at IS NULL, status = 'failed', \
             revision > 0 FROM orders";
        let order = |row: Vec<Value>| {
            let discount_key = row[3].as_str().map(str::to_owned);
            let (user, pieces) = (int(&row[1]), pieces(&row[2]));
            let [released, failed, changed] = [4, 5, 6].map(|place| row[place] == 1);
            (int(&row[0]), Order { user, pieces, discount_key, released, failed, changed })
        };
        self.query("orders", orders).into_iter().map(order).collect()
    }

    fn audit_checkouts(&self, findings: &mut Findings, orders: &BTreeMap<i64, Order>) {
        let placements: BTreeMap<_, _> = self
            .query("orders", "SELECT key, order_id FROM placements")
            .into_iter()
            .map(|row| (text(&row[0]), row[1].as_i64()))
            .collect();
        let mut taken = BTreeSet::new();
        for row in self.query("carts", "SELECT key, status, order_id, user_id, lines, owed FROM checkouts") {
            let (key, status, placed) = (text(&row[0]), text(&row[1]), row[2].as_i64());
            let placement = placements.get(&key).copied().flatten();
            let mut check = |holds, what: &str| {
                findings.check(holds, || format!("checkout {key} is {status}, its order is {placement:?}: {what}"));
            };
            check(status != "open", "it does not end");
            check(["placed", "failed"].contains(&status.as_str()) == placement.is_some(), "that does not fit");
            let failed = placement.and_then(|id| orders.get(&id)).is_some_and(|order| order.failed);
            check((status == "failed") == failed, "whether its order has failed is something else");
            check(row[5].is_null(), "what it is to give back is not in a cart");
            check(placed == placement, "it has another one written down");
            if let Some(id) = placement {
                let order = orders.get(&id);
                let same = order.is_some_and(|order| {
                    order.user == int(&row[3]) && (order.changed || order.pieces == pieces(&row[4]))
                });
                check(same, "it is not what was in the cart");
                check(taken.insert(id), "it is the order of another checkout");
            }
        }
        let locked = "SELECT id FROM carts WHERE checkout_key IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM checkouts WHERE key = carts.checkout_key AND status = 'open')";
        let locked = self.query("carts", locked);
        findings.check(locked.is_empty(), || format!("carts that are being ordered by nobody: {locked:?}"));
    }

    fn audit_discounts(&self, findings: &mut Findings) {
        let counts = "SELECT code, uses, max_uses, (SELECT count(*) FROM redemptions r \
             WHERE r.discount_id = discounts.id AND r.status <> 'released') FROM discounts";
        for row in self.query("carts", counts) {
            let (code, uses, counted) = (text(&row[0]), int(&row[1]), int(&row[3]));
            let mut check =
                |holds, what: &str| findings.check(holds, || format!("discount {code}: {uses} uses: {what}"));
            check(uses == counted, &format!("{counted} are written down"));
            check(row[2].as_i64().is_none_or(|max| uses <= max), "more than there may be");
        }
        let greedy = "SELECT code, user_id, count(*) FROM redemptions JOIN discounts ON discounts.id = discount_id \
             WHERE status <> 'released' GROUP BY code, max_uses_per_customer, user_id HAVING count(*) > max_uses_per_customer";
        let greedy = self.query("carts", greedy);
        findings.check(greedy.is_empty(), || format!("customers who used a code too often: {greedy:?}"));
    }

    fn audit_redemptions(&self, findings: &mut Findings, orders: &BTreeMap<i64, Order>) {
        let redemptions = "SELECT key, status, order_id FROM redemptions";
        let mut redemptions: BTreeMap<_, _> = self
            .query("carts", redemptions)
            .into_iter()
            .map(|row| (text(&row[0]), (text(&row[1]), row[2].as_i64())))
            .collect();
        for (id, order) in orders {
            let Some(key) = &order.discount_key else { continue };
            let (status, counted) = redemptions.remove(key).unwrap_or_default();
            let wanted = if order.released { "released" } else { "used" };
            findings.check(status == wanted, || format!("order {id}: its use of a code is `{status}`, not `{wanted}`"));
            findings.check(counted.is_none_or(|counted| counted == *id), || {
                format!("order {id}: its use of a code is counted for order {counted:?}")
            });
        }
        let stray: Vec<_> = redemptions.iter().filter(|(_, (status, _))| status == "used").collect();
        findings.check(stray.is_empty(), || format!("uses of codes by no order: {stray:?}"));
    }
}
