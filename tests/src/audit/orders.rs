//! What must hold within the books of orders, and between them and the refunds of payments.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Findings, int, pieces, text};
use crate::Shop;

/// What may follow what.
const FOLLOW: [(&str, &str); 11] = [
    ("pending", "reserved"),
    ("pending", "failed"),
    ("pending", "cancelled"),
    // Changed by its customer.
    ("reserved", "pending"),
    ("reserved", "paid"),
    ("reserved", "failed"),
    ("reserved", "cancelled"),
    ("paid", "shipped"),
    ("paid", "cancelled"),
    ("shipped", "delivered"),
    ("delivered", "returned"),
];

/// Money of lines such as `[{"total": 19.8}]`, in minor units.
fn sum(lines: &Value, field: &str) -> i64 {
    let lines: Vec<Value> = serde_json::from_str(lines.as_str().unwrap()).unwrap();
    #[allow(clippy::cast_possible_truncation, reason = "amounts of tests are small")]
    let minor = |line: &Value| (line[field].as_f64().unwrap() * 100.0).round() as i64;
    lines.iter().map(minor).sum()
}

impl Shop {
    /// Pieces by product that refunds have put back into stock, by order.
    pub(super) fn restocked(&self) -> BTreeMap<i64, BTreeMap<i64, i64>> {
        let mut restocked: BTreeMap<i64, BTreeMap<i64, i64>> = BTreeMap::new();
        for row in self.query("orders", "SELECT order_id, items FROM refunds WHERE restock") {
            let order = restocked.entry(int(&row[0])).or_default();
            pieces(&row[1]).into_iter().for_each(|(product, back)| *order.entry(product).or_default() += back);
        }
        restocked
    }

    pub(super) fn audit_orders(&self, findings: &mut Findings) {
        self.audit_totals(findings);
        self.audit_histories(findings);
        self.audit_refunds(findings);
    }

    fn audit_totals(&self, findings: &mut Findings) {
        let parts = "SELECT id, subtotal, discount, shipping, tax, total, lines FROM orders";
        for row in self.query("orders", parts) {
            let [subtotal, discount, shipping, tax, total] = [1, 2, 3, 4, 5].map(|place| int(&row[place]));
            let mut check = |holds, what: &str| findings.check(holds, || format!("order {}: {what}", row[0]));
            check(total == subtotal - discount + shipping + tax, "the total is not the sum of its parts");
            check([discount, shipping, tax, total].iter().all(|part| *part >= 0), "a part is below zero");
            check(sum(&row[6], "total") == subtotal, "the subtotal is not the sum of its lines");
            check(sum(&row[6], "discount") == discount, "the discount is not the sum of its lines");
        }
    }

    fn audit_histories(&self, findings: &mut Findings) {
        let mut last: BTreeMap<i64, String> = BTreeMap::new();
        for row in self.query("orders", "SELECT order_id, status FROM order_history ORDER BY order_id, id") {
            let (order, status) = (int(&row[0]), text(&row[1]));
            let before = last.insert(order, status.clone());
            let fits = match &before {
                None => status == "pending",
                Some(before) => *before == status || FOLLOW.contains(&(before, &status)),
            };
            findings.check(fits, || format!("the history of order {order} has {status} after {before:?}"));
        }
        for row in self.query("orders", "SELECT id, status FROM orders") {
            let told = last.remove(&int(&row[0]));
            let fits = told.as_ref() == Some(&text(&row[1]));
            findings.check(fits, || format!("order {} is {}, but its history ends with {told:?}", row[0], row[1]));
        }
        findings.check(last.is_empty(), || format!("histories of no orders: {last:?}"));
    }

    fn audit_refunds(&self, findings: &mut Findings) {
        let mut by_order: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
        for row in self.query("orders", "SELECT order_id, status, sum(amount) FROM refunds GROUP BY 1, 2") {
            by_order.entry(int(&row[0])).or_default().insert(text(&row[1]), int(&row[2]));
        }
        let paid: BTreeMap<i64, (i64, i64)> = self
            .query("payments", "SELECT order_id, amount, refunded FROM payments")
            .into_iter()
            .map(|row| (int(&row[0]), (int(&row[1]), int(&row[2]))))
            .collect();
        for row in self.query("orders", "SELECT id, total, promised, refunded FROM orders") {
            let [order, total, promised, refunded] = [0, 1, 2, 3].map(|place| int(&row[place]));
            let sums = by_order.remove(&order).unwrap_or_default();
            let of = |status: &str| sums.get(status).copied().unwrap_or(0);
            let here = format!("order {order}: {promised} promised, {refunded} given back of {total}");
            let mut check = |holds, what: &str| findings.check(holds, || format!("{here}: {what}"));
            check(promised == of("pending"), "that is not what its pending refunds promise");
            check(refunded == of("succeeded"), "that is not what its refunds have given back");
            let (amount, known) = paid.get(&order).copied().unwrap_or((0, 0));
            check(promised + refunded <= amount, "more than was paid");
            check(refunded == known, &format!("payments have given {known} back"));
        }
        findings.check(by_order.is_empty(), || format!("refunds of no orders: {:?}", by_order.keys()));
    }
}
