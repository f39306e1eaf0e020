//! The promises, checked on the books of all services at once: of a shop at rest.

mod carts;
mod mails;
mod orders;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Shop;

/// What an audit may come across because the test has brought it about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allow {
    /// Events that were given up.
    Parked,
    /// Charges whose ending the provider does not tell.
    UnknownCharges,
    /// Refunds that the provider has declined, or that have come back.
    DeclinedRefunds,
    /// The same, until the shop gave it up: money of orders that are over is still here.
    KeptMoney,
}

/// Collects what is wrong.
struct Findings(Vec<String>);

impl Findings {
    fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.0.push(otherwise());
        }
    }
}

/// What the provider says of one charge key.
#[derive(Default)]
struct Charged {
    taken: i64,
    given_back: i64,
    held: bool,
}

struct Order {
    id: i64,
    status: String,
    total: i64,
    expires_at: Option<i64>,
    /// What it still has: without what a refund has put back into stock.
    pieces: BTreeMap<i64, i64>,
}

struct Payment {
    status: String,
    amount: i64,
    refunded: i64,
    key: String,
    unknown: bool,
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("not an integer: {value}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// Pieces by product of lines such as `[{"productId": 1, "quantity": 2}]`.
fn pieces(lines: &Value) -> BTreeMap<i64, i64> {
    let lines: Vec<Value> = serde_json::from_str(lines.as_str().unwrap()).unwrap();
    let mut pieces = BTreeMap::new();
    for line in lines {
        *pieces.entry(int(&line["productId"])).or_default() += int(&line["quantity"]);
    }
    pieces
}

impl Shop {
    /// Checks everything that must hold in a shop at rest: call [`Shop::settle`] first.
    ///
    /// # Panics
    ///
    /// With all that is wrong.
    pub fn audit(&self) {
        self.audit_allowing(&[]);
    }

    /// The same, but for what the test itself has brought about.
    pub fn audit_allowing(&self, allowed: &[Allow]) {
        let wrong = self.violations(allowed);
        assert!(wrong.is_empty(), "the books do not add up:\n  {}", wrong.join("\n  "));
    }

    /// What is wrong with the books.
    pub fn violations(&self, allowed: &[Allow]) -> Vec<String> {
        let mut findings = Findings(Vec::new());
        self.audit_events(&mut findings, allowed);
        self.audit_accounts(&mut findings);
        let orders = self.orders();
        self.audit_orders(&mut findings);
        self.audit_stock(&mut findings, &orders);
        self.audit_money(&mut findings, &orders, allowed);
        self.audit_carts(&mut findings);
        self.audit_mails(&mut findings, allowed);
        findings.0
    }

    fn audit_events(&self, findings: &mut Findings, allowed: &[Allow]) {
        for service in &self.manifest.databases {
            let columns = "subscriber, subject, attempts, last_error, parked_at IS NOT NULL";
            for copy in self.query(service, &format!("SELECT {columns} FROM deliveries")) {
                let parked = copy[4] == 1;
                let fine = parked && allowed.contains(&Allow::Parked);
                findings.check(fine, || {
                    format!("{service}: an event is {}: {copy:?}", if parked { "parked" } else { "undelivered" })
                });
            }
        }
    }

    fn audit_accounts(&self, findings: &mut Findings) {
        for (table, default) in [
            ("addresses", "shipping_address_id"),
            ("addresses", "billing_address_id"),
            ("payment_methods", "payment_method_id"),
        ] {
            // Nothing when there is nothing to choose from, otherwise one of its own.
            let own = format!("SELECT t.id FROM {table} t WHERE t.user_id = u.id");
            let wrong = format!(
                "SELECT u.id FROM users u WHERE CASE WHEN EXISTS ({own}) \
                 THEN u.{default} IS NULL OR u.{default} NOT IN ({own}) ELSE u.{default} IS NOT NULL END"
            );
            let wrong = self.query("accounts", &wrong);
            findings.check(wrong.is_empty(), || format!("accounts {wrong:?}: the {default} is none of their own"));
        }
        let left = "SELECT u.id FROM users u LEFT JOIN written_details w ON w.user_id = u.id WHERE u.deleted_at IS NOT NULL \
             AND (u.login_name IS NOT NULL OR w.user_id IS NOT NULL OR EXISTS (SELECT 1 FROM addresses a WHERE a.user_id = u.id))";
        let left = self.query("accounts", left);
        findings.check(left.is_empty(), || format!("accounts {left:?} are deleted, but not all of them is gone"));
        let open = "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE s.revoked_at IS NULL AND (u.status <> 'active' OR u.deleted_at IS NOT NULL)";
        let open = self.query("accounts", open);
        findings.check(open.is_empty(), || format!("sessions {open:?} go on, but their accounts do not"));
    }

    fn orders(&self) -> Vec<Order> {
        let orders = self.query("orders", "SELECT id, status, total, expires_at, lines FROM orders ORDER BY id");
        let restocked = self.restocked();
        let order = |row: Vec<Value>| {
            let (id, mut pieces) = (int(&row[0]), pieces(&row[4]));
            for (product, back) in restocked.get(&id).into_iter().flatten() {
                *pieces.entry(*product).or_default() -= back;
            }
            pieces.retain(|_, left| *left != 0);
            Order { id, status: text(&row[1]), total: int(&row[2]), expires_at: row[3].as_i64(), pieces }
        };
        orders.into_iter().map(order).collect()
    }

    fn audit_stock(&self, findings: &mut Findings, orders: &[Order]) {
        let mut reservations: BTreeMap<i64, (String, BTreeMap<i64, i64>)> = BTreeMap::new();
        let mut held: BTreeMap<i64, i64> = BTreeMap::new();
        let mut sold: BTreeMap<i64, i64> = BTreeMap::new();
        for row in self.query("inventory", "SELECT order_id, status, lines FROM reservations") {
            let (status, lines) = (text(&row[1]), pieces(&row[2]));
            let sums = match status.as_str() {
                "held" => Some(&mut held),
                "sold" => Some(&mut sold),
                _ => None,
            };
            if let Some(sums) = sums {
                lines.iter().for_each(|(product, quantity)| *sums.entry(*product).or_default() += quantity);
            }
            if let Some(order) = row[0].as_i64() {
                reservations.insert(order, (status, lines));
            }
        }
        for order in orders {
            let (status, lines) = reservations.remove(&order.id).unwrap_or_default();
            let id = order.id;
            let fits = match order.status.as_str() {
                "reserved" => status == "held",
                "paid" | "shipped" | "delivered" => status == "sold" || order.pieces.is_empty() && status == "returned",
                "returned" => status == "returned",
                "failed" | "cancelled" => matches!(status.as_str(), "" | "rejected" | "released" | "returned"),
                _ => false,
            };
            findings.check(fits, || format!("order {id} is {}, but its reservation is `{status}`", order.status));
            let takes = status == "held" || status == "sold";
            findings.check(!takes || lines == order.pieces, || {
                format!("order {id} asks for {:?}, but inventory has {lines:?}", order.pieces)
            });
        }
        findings.check(reservations.is_empty(), || format!("reservations of no order: {:?}", reservations.keys()));
        self.audit_products(findings, &held, &sold);
    }

    fn audit_products(&self, findings: &mut Findings, held: &BTreeMap<i64, i64>, sold: &BTreeMap<i64, i64>) {
        let mut moved: BTreeMap<i64, BTreeMap<String, (i64, i64)>> = BTreeMap::new();
        let sums = "SELECT product_id, kind, sum(on_hand_delta), sum(reserved_delta) FROM movements GROUP BY 1, 2";
        for row in self.query("inventory", sums) {
            moved.entry(int(&row[0])).or_default().insert(text(&row[1]), (int(&row[2]), int(&row[3])));
        }
        let catalog: BTreeMap<i64, i64> = self
            .query("catalog", "SELECT id, stock FROM products WHERE status = 'active'")
            .into_iter()
            .map(|row| (int(&row[0]), int(&row[1])))
            .collect();
        let mut known = Vec::new();
        for row in self.query("inventory", "SELECT product_id, on_hand, reserved, discontinued FROM stock") {
            let (product, on_hand, reserved) = (int(&row[0]), int(&row[1]), int(&row[2]));
            known.push(product);
            let kinds = moved.remove(&product).unwrap_or_default();
            let total = kinds.values().fold((0, 0), |sum, deltas| (sum.0 + deltas.0, sum.1 + deltas.1));
            let of = |kind: &str| kinds.get(kind).copied().unwrap_or_default().0;
            let gone = -of("sold") - of("returned");
            let held = held.get(&product).copied().unwrap_or(0);
            let sold = sold.get(&product).copied().unwrap_or(0);
            let (available, shown) = (on_hand - reserved, catalog.get(&product).copied());
            let here = format!("product {product}: on hand {on_hand}, reserved {reserved}");
            let mut check = |holds, what: &str| findings.check(holds, || format!("{here}: {what}"));
            check(on_hand >= 0 && reserved >= 0 && available >= 0, "below zero");
            check(total == (on_hand, reserved), &format!("its movements add up to {total:?}"));
            check(on_hand == of("received") + of("adjusted") - gone, "not what came in less what went out");
            check(gone == sold, &format!("{gone} went out, but paid orders have {sold}"));
            check(reserved == held, &format!("{held} are held by reservations"));
            check(row[3] == 1 || shown.is_none_or(|shown| shown == available), &format!("the catalog shows {shown:?}"));
        }
        findings.check(moved.is_empty(), || format!("movements of unknown products: {:?}", moved.keys()));
        let missing: Vec<_> = catalog.keys().filter(|product| !known.contains(product)).collect();
        findings.check(missing.is_empty(), || format!("inventory does not know the products {missing:?}"));
    }

    /// What the provider has in its books, by charge key.
    fn charged(&self, findings: &mut Findings) -> BTreeMap<String, Charged> {
        let mut charged: BTreeMap<String, Charged> = BTreeMap::new();
        for (key, entry) in self.provider_books() {
            let approved = entry["ending"] == "Approved";
            let amount = if approved { int(&entry["amount"]) } else { 0 };
            match key.split_once('/') {
                Some(("charge", key)) => {
                    let charge = charged.entry(key.to_owned()).or_default();
                    charge.taken += amount;
                    charge.held |= entry["ending"] == "Authorized";
                }
                Some(("refund", _)) => {
                    charged.entry(text(&entry["charge_key"])).or_default().given_back += amount;
                }
                _ => findings.0.push(format!("the provider's books: what is {key}?")),
            }
        }
        // What an admin has by hand is in no provider's books, but that it may have declined before.
        let by_hand = "SELECT charge_key, amount, refunded FROM payments WHERE provider = 'hand'";
        for row in self.query("payments", by_hand) {
            let ours = Charged { taken: int(&row[1]), given_back: int(&row[2]), ..Charged::default() };
            let theirs = charged.insert(text(&row[0]), ours);
            findings.check(theirs.is_none_or(|theirs| theirs.taken == 0), || {
                format!("{} was paid by hand, and the provider was asked", row[0])
            });
        }
        charged
    }

    fn payments(&self) -> BTreeMap<i64, Payment> {
        let rows = self.query(
            "payments",
            "SELECT order_id, status, amount, refunded, charge_key, check_at IS NOT NULL FROM payments",
        );
        let payment = |row: Vec<Value>| {
            let payment = Payment {
                status: text(&row[1]),
                amount: int(&row[2]),
                refunded: int(&row[3]),
                key: text(&row[4]),
                unknown: row[5] == 1,
            };
            (int(&row[0]), payment)
        };
        rows.into_iter().map(payment).collect()
    }

    /// The sums of the ledger's accounts by order. Every posting has two entries that sum to zero, and so does the whole.
    fn ledger(&self, findings: &mut Findings) -> BTreeMap<i64, BTreeMap<String, i64>> {
        let askew = "SELECT posting, count(*), sum(amount) FROM ledger GROUP BY posting, order_id, payment_id, currency \
             HAVING count(*) <> 2 OR sum(amount) <> 0";
        for row in self.query("payments", askew) {
            findings.0.push(format!("the ledger: {} has {} entries that sum to {}", row[0], row[1], row[2]));
        }
        let mut ledger: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
        for row in self.query("payments", "SELECT order_id, account, sum(amount) FROM ledger GROUP BY 1, 2") {
            ledger.entry(int(&row[0])).or_default().insert(text(&row[1]), int(&row[2]));
        }
        for (order, accounts) in &ledger {
            let sum: i64 = accounts.values().sum();
            findings.check(sum == 0, || format!("the ledger: order {order} sums to {sum}: {accounts:?}"));
            let known =
                accounts.keys().all(|account| ["hand", "provider", "revenue", "refunds"].contains(&account.as_str()));
            findings.check(known, || format!("the ledger: order {order} has unknown accounts: {accounts:?}"));
        }
        let total: i64 = ledger.values().flat_map(BTreeMap::values).sum();
        findings.check(total == 0, || format!("the ledger sums to {total}"));
        ledger
    }

    fn audit_money(&self, findings: &mut Findings, orders: &[Order], allowed: &[Allow]) {
        let mut charged = self.charged(findings);
        let mut payments = self.payments();
        let mut ledger = self.ledger(findings);
        let declined = self.query("payments", "SELECT DISTINCT payment_id FROM refunds WHERE status = 'failed'");
        let kept_by_provider = allowed.contains(&Allow::KeptMoney);
        findings.check(declined.is_empty() || kept_by_provider || allowed.contains(&Allow::DeclinedRefunds), || {
            format!("refunds of the payments {declined:?} were declined")
        });
        let tokens = "SELECT p.id, p.status FROM payments p LEFT JOIN payable_orders o ON o.order_id = p.order_id \
             WHERE p.token IS NOT NULL AND (p.status <> 'pending' OR o.closed)";
        for row in self.query("payments", tokens) {
            findings.0.push(format!("payment {} is {}, and its token is still here", row[0], row[1]));
        }
        let now = i64::try_from(self.now().as_millis()).unwrap();
        for order in orders {
            let Order { id, status, total, .. } = order;
            let payment = payments.remove(id);
            let money = payment.as_ref().and_then(|payment| charged.remove(&payment.key)).unwrap_or_default();
            let kept = money.taken - money.given_back;
            let paid = payment.as_ref().map_or("none", |payment| payment.status.as_str());
            let unknown = payment.as_ref().is_some_and(|payment| payment.unknown);
            let unknown_is_fine = allowed.contains(&Allow::UnknownCharges);
            let here = format!(
                "order {id} is {status}, its payment is {paid}, {total} asked, {} taken, {} given back",
                money.taken, money.given_back
            );
            let mut check = |holds, what: &str| findings.check(holds, || format!("{here}: {what}"));
            check(kept >= 0, "more was given back than taken");
            check(!unknown || unknown_is_fine, "its ending is not known");
            let free = payment.as_ref().map_or(*total, |payment| payment.amount) == 0;
            check(matches!(paid, "succeeded" | "refunded") == (money.taken > 0) || free, "the payment is wrong");
            // It was changed while it was being paid, and what it cost before has gone back.
            let called_off = status == "cancelled" && kept == 0;
            check(money.taken == 0 || money.taken == *total || called_off, "that is not what it costs");
            let books = ledger.remove(id).unwrap_or_default();
            let of = |account: &str| books.get(account).copied().unwrap_or(0);
            let posted = (of("revenue"), of("refunds"), of("provider") + of("hand"));
            check(posted == (-money.taken, money.given_back, kept), "the ledger has other sums");
            match &payment {
                Some(payment) if money.taken > 0 => {
                    check(payment.amount == money.taken, "payments has another amount");
                    check(payment.refunded == money.given_back, "payments has other refunds");
                    check((paid == "refunded") == (kept == 0), "refunded is all or not all");
                }
                _ => {}
            }
            match status.as_str() {
                "paid" | "shipped" | "delivered" | "returned" => check(money.taken == *total, "paid is not taken"),
                "reserved" => {
                    check(money.taken == 0, "money without a paid order");
                    // Time goes on between the last tick and this look.
                    check(order.expires_at.is_some_and(|at| at > now - 5_000), "its time is up");
                }
                "failed" | "cancelled" => {
                    check(kept == 0 || kept_by_provider, "money is kept for an order that is over");
                    check(!money.held, "money is held for an order that is over");
                    check(paid != "pending" || unknown && unknown_is_fine, "its payment is still open");
                }
                _ => check(false, "it does not end"),
            }
            check(status == "reserved" || order.expires_at.is_none(), "it still has a deadline");
        }
        findings.check(payments.is_empty(), || format!("payments of no order: {:?}", payments.keys()));
        findings.check(ledger.is_empty(), || format!("the ledger knows orders that are none: {:?}", ledger.keys()));
        let stray: Vec<_> = charged.iter().filter(|(_, money)| money.taken != 0).map(|(key, _)| key).collect();
        findings.check(stray.is_empty(), || format!("the provider has charges that payments does not know: {stray:?}"));
    }
}
