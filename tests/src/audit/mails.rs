//! What must hold of mails: what happens to an order is written to its customer, once.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Allow, Findings, int, text};
use crate::Shop;

/// Of each kind, an order has at most one.
const ONCE: &str = "SELECT reference, kind, count(*) FROM mails WHERE kind LIKE 'order-%' AND kind <> 'order-refunded' \
     GROUP BY 1, 2";
/// Mails are kept for thirty days.
const KEPT: Duration = Duration::from_secs(29 * 24 * 60 * 60);

impl Shop {
    pub(super) fn audit_mails(&self, findings: &mut Findings, allowed: &[Allow]) {
        let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in self.query("notifications", ONCE) {
            findings.check(row[2] == 1, || format!("{} mails {} for {}", row[2], row[1], row[0]));
            written.entry(text(&row[0])).or_default().push(text(&row[1]));
        }
        // Who is gone has no mails, and what was given up brings none about.
        if allowed.contains(&Allow::Parked) {
            return;
        }
        let here = self.query("accounts", "SELECT id FROM users WHERE deleted_at IS NULL").concat();
        let since = i64::try_from(self.now().saturating_sub(KEPT).as_millis()).unwrap();
        let orders = "SELECT id, user_id, status, paid_at IS NOT NULL FROM orders WHERE created_at >";
        for row in self.query("orders", &format!("{orders} {since}")) {
            if !here.contains(&row[1]) {
                continue;
            }
            let mut wanted = kinds(&row[2], row[3] == 1);
            wanted.sort_unstable();
            let written = written.remove(&format!("order/{}", int(&row[0]))).unwrap_or_default();
            findings.check(written == wanted, || format!("order {} is {}, its mails are {written:?}", row[0], row[2]));
        }
    }
}

/// The kinds of mails that an order of this status has brought about.
fn kinds(status: &Value, paid: bool) -> Vec<&'static str> {
    let mut kinds = vec!["order-placed"];
    kinds.extend(paid.then_some("order-paid"));
    kinds.extend(match status.as_str().unwrap_or_default() {
        "shipped" | "delivered" | "returned" => Some("order-shipped"),
        "cancelled" => Some("order-cancelled"),
        "failed" => Some("order-failed"),
        _ => None,
    });
    kinds
}
