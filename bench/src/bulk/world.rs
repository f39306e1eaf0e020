//! Who and what is in a filled shop. All of it follows from its number, counted from 1, so the books of each service are
//! written for themselves and agree. Shops of any size are alike: a product has as many orders, a customer too, and each
//! word is as frequent.

use fastrand::Rng;
use model::event::{OrderedItem, SoldItem};
use model::{Address, Money, OrderId, ProductId, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::words::{
    ADJECTIVES, COLOURS, FIRST_NAMES, LAST_NAMES, MATERIALS, NOUNS, TOWNS, VOCABULARY, code, vocabulary,
};

pub(super) const CURRENCY: &str = "EUR";
const DAY: i64 = 24 * 60 * 60 * 1000;
/// Accounts and products are made in the first days, orders placed in those after them; the last ones are at rest.
const OPENED: i64 = 760 * DAY;
const FIRST_ORDER: i64 = 730 * DAY;
const LAST_ORDER: i64 = 5 * DAY;
/// Every so many accounts one is a supplier's, who has as many products.
const SUPPLIERS: i64 = 50;
/// Categories, each with four below it.
pub(super) const DEPARTMENTS: [(&str, [&str; 4]); 5] = [
    ("Furniture", ["Seating", "Tables", "Storage", "Beds"]),
    ("Lighting", ["Ceiling", "Floor", "Desks", "Outdoor"]),
    ("Kitchen", ["Cooking", "Cutlery", "Tableware", "Glasses"]),
    ("Garden", ["Tools", "Planters", "Hammocks", "Grills"]),
    ("Office", ["Paper", "Pens", "Binders", "Trays"]),
];
/// How many of those below have products in them: all.
const CATEGORIES: usize = 20;

/// The categories that have products in them, in the order of their ids, which follow those of the departments.
pub fn category_names() -> impl ExactSizeIterator<Item = &'static str> {
    (0..CATEGORIES).map(|place| DEPARTMENTS[place / 4].1[place % 4])
}

/// What a shop of some size has.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// So many products, accounts and orders each.
    pub size: i64,
    /// The account with the number 1.
    first_user: i64,
    now: i64,
}

/// A product, without what is only said in its description.
#[derive(Debug)]
pub struct Product {
    /// Its id.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// The word of its name that no other product has.
    pub code: String,
    /// Minor units.
    pub price: i64,
    /// `active`, `draft` or `archived`.
    pub status: &'static str,
    /// So many pieces are left.
    pub left: i64,
    pub(super) sku: String,
    /// Of the categories that have products, counted from 0.
    pub(super) category: usize,
    pub(super) supplier_id: i64,
    pub(super) created_at: i64,
}

/// An account.
#[derive(Debug)]
pub struct User {
    /// Its id.
    pub id: i64,
    /// Its address.
    pub email: String,
    /// Whether it may sign in.
    pub active: bool,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) role: &'static str,
    pub(super) created_at: i64,
    pub(super) address: Option<Address>,
    /// The last digits of a card.
    pub(super) card: Option<String>,
}

/// How an order has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Paid,
    Shipped,
    Delivered,
    /// Delivered, and so much of the money has gone back.
    Reduced(i64),
    /// The card was declined.
    Failed,
    /// Nobody paid it.
    Expired,
    /// Cancelled after it was paid: all of the money has gone back.
    CalledOff,
}

/// A line of an order, as orders keep it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    product_id: ProductId,
    name: String,
    sku: String,
    unit_price: Money,
    quantity: u32,
    total: Money,
    discount: Money,
}

/// An order. Its payment and its refund have its number.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: i64,
    pub(super) user_id: i64,
    pub(super) lines: Vec<Line>,
    pub(super) total: i64,
    pub(super) ending: Ending,
    pub(super) address: String,
    pub(super) placed_at: i64,
}

/// What orders have done to a product's stock.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) sold: i64,
    pub(super) movements: i64,
    pub(super) last_at: i64,
}

/// Chance that is the same each time, for one kind of thing and its number.
fn chance(kind: u64, number: i64) -> Rng {
    Rng::with_seed((kind << 48) ^ number.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A UUID of version 7 of that time.
pub(super) fn uuid(kind: u64, number: i64, at: i64) -> Uuid {
    let bytes = chance(kind, number).u128(..).to_le_bytes();
    let random = std::array::from_fn(|place| bytes[place]);
    uuid::Builder::from_unix_timestamp_millis(at.unsigned_abs(), &random).into_uuid()
}

fn pick<T: Copy>(rng: &mut Rng, among: &[T]) -> T {
    among[rng.usize(..among.len())]
}

impl World {
    pub(super) fn new(size: i64, first_user: i64, now: i64) -> Self {
        Self { size, first_user, now }
    }

    fn user_id(&self, number: i64) -> i64 {
        self.first_user + number - 1
    }

    fn opened(&self, number: i64) -> i64 {
        self.now - OPENED + number * (OPENED - FIRST_ORDER - DAY) / self.size
    }

    /// A product; its id is its number.
    pub fn product(&self, number: i64) -> Product {
        let rng = &mut chance(1, number);
        let code = code(number);
        let (adjective, material, noun) = (pick(rng, &ADJECTIVES), pick(rng, &MATERIALS), pick(rng, &NOUNS));
        // From two to two thousand, as many below 63 as above it.
        let price = (199.0 * 1000f64.powf(rng.f64())) as i64 / 10 * 10 + 9;
        let status = match rng.u32(..100) {
            0..2 => "draft",
            2 => "archived",
            _ => "active",
        };
        Product {
            id: number,
            name: format!("{adjective} {material} {noun} {code}"),
            sku: format!("SKU-{number:07}"),
            code,
            price,
            status,
            left: if rng.u32(..100) < 5 { 0 } else { rng.i64(50..500) },
            category: rng.usize(..CATEGORIES),
            supplier_id: self.user_id(self.size.min((number - 1) / SUPPLIERS * SUPPLIERS + SUPPLIERS)),
            created_at: self.opened(number),
        }
    }

    pub(super) fn description(number: i64) -> String {
        let rng = &mut chance(2, number);
        let words = (0..rng.u32(10..22)).map(|_| {
            let rank = (f64::from(VOCABULARY).powf(rng.f64())) as u32 - 1;
            vocabulary(rank)
        });
        words.collect::<Vec<_>>().join(" ") + "."
    }

    pub(super) fn metadata(number: i64) -> String {
        let rng = &mut chance(3, number);
        json!({ "colour": pick(rng, &COLOURS), "weightGrams": rng.u32(50..5000) }).to_string()
    }

    /// An account.
    pub fn user(&self, number: i64) -> User {
        let rng = &mut chance(4, number);
        let (first_name, last_name) = (pick(rng, &FIRST_NAMES), pick(rng, &LAST_NAMES));
        let address = Address {
            name: format!("{first_name} {last_name}"),
            line1: format!("Long Street {}", rng.u32(1..400)),
            line2: None,
            city: pick(rng, &TOWNS).to_owned(),
            region: None,
            postal_code: format!("{:05}", rng.u32(1000..99999)),
            country: "DE".to_owned(),
            phone: None,
        };
        let supplies = number % SUPPLIERS == 0 || number == self.size;
        User {
            id: self.user_id(number),
            email: format!("{first_name}.{last_name}.{number}@example.com").to_lowercase(),
            active: rng.u32(..100) > 0,
            first_name,
            last_name,
            role: if supplies { "supplier" } else { "user" },
            created_at: self.opened(number),
            address: (rng.u32(..100) < 60).then_some(address),
            card: (rng.u32(..100) < 30).then(|| format!("{:04}", rng.u32(..10_000))),
        }
    }

    /// The number of the account that has placed an order: of ten, one has placed four in ten, and five none.
    pub fn customer(&self, order: i64) -> i64 {
        const OF_TEN: [i64; 10] = [0, 0, 0, 0, 1, 1, 1, 2, 3, 4];
        // A prime, so that a customer's orders are years apart.
        let place = order * 7_368_787 % self.size;
        self.size.min(place / 10 * 10 + OF_TEN[usize::try_from(place % 10).unwrap_or(0)] + 1)
    }

    /// An order, with between one and three products: every fifth line is one of the products of which there are a
    /// hundredth.
    pub(super) fn order(&self, number: i64) -> Order {
        let rng = &mut chance(5, number);
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..pick(rng, &[1, 1, 1, 2, 2, 3]) {
            let mut wanted = rng.i64(1..=self.size);
            if rng.u32(..5) == 0 && self.size >= 100 {
                wanted = wanted / 100 * 100;
            }
            // The next one that is for sale: nearly all are.
            let mut products = (wanted..wanted + self.size).map(|at| self.product(at % self.size + 1));
            let product = products.find(|product| product.status == "active");
            let Some(product) = product.filter(|product| lines.iter().all(|line| line.product_id.0 != product.id))
            else {
                continue;
            };
            let (unit_price, quantity) = (Money::from_minor(product.price), pick(rng, &[1, 1, 1, 2, 3]));
            lines.push(Line {
                product_id: ProductId(product.id),
                name: product.name,
                sku: product.sku,
                unit_price,
                quantity,
                total: Money::from_minor(product.price * i64::from(quantity)),
                discount: Money::ZERO,
            });
        }
        let total = lines.iter().map(|line| line.total.minor()).sum();
        let ending = match rng.u32(..100) {
            0..76 => Ending::Delivered,
            76..78 => Ending::Reduced(rng.i64(1..=total)),
            78..83 => Ending::Shipped,
            83..87 => Ending::Paid,
            87..93 => Ending::Failed,
            93..97 => Ending::Expired,
            _ => Ending::CalledOff,
        };
        let customer = self.user(self.customer(number));
        let address = json!({
            "name": format!("{} {}", customer.first_name, customer.last_name),
            "line1": "Short Street 1", "city": "Berlin", "postalCode": "10115", "country": "DE",
        });
        Order {
            id: number,
            user_id: customer.id,
            lines,
            total,
            ending,
            address: address.to_string(),
            placed_at: self.now - FIRST_ORDER + number * (FIRST_ORDER - LAST_ORDER) / self.size,
        }
    }

    /// Whether somebody has tried to pay that order.
    pub fn has_payment(&self, order: i64) -> bool {
        self.order(order).ending != Ending::Expired
    }

    pub(super) fn tallies(&self) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); usize::try_from(self.size).unwrap_or(0) + 1];
        for order in (1..=self.size).map(|number| self.order(number)) {
            for line in &order.lines {
                let tally = &mut tallies[usize::try_from(line.product_id.0).unwrap_or(0)];
                for (kind, at) in order.movements() {
                    tally.movements += 1;
                    tally.last_at = tally.last_at.max(at);
                    match kind {
                        "sold" => tally.sold += i64::from(line.quantity),
                        "returned" => tally.sold -= i64::from(line.quantity),
                        _ => {}
                    }
                }
            }
        }
        tallies
    }

    /// Whether something of that time is so young that the shop still has its mail.
    pub(super) fn has_mails_of(&self, at: i64) -> bool {
        self.now - at < 30 * DAY
    }

    /// When such a mail is deleted.
    pub(super) fn kept_until(at: i64) -> i64 {
        at + 30 * DAY
    }
}

impl Order {
    pub(super) fn status(&self) -> &'static str {
        match self.ending {
            Ending::Paid => "paid",
            Ending::Shipped => "shipped",
            Ending::Delivered | Ending::Reduced(_) => "delivered",
            Ending::Failed => "failed",
            Ending::Expired | Ending::CalledOff => "cancelled",
        }
    }

    pub(super) fn reason(&self) -> Option<&'static str> {
        match self.ending {
            Ending::Failed => Some("card-declined"),
            Ending::Expired => Some("not paid in time"),
            Ending::CalledOff => Some("ordered by mistake"),
            _ => None,
        }
    }

    pub(super) fn reserved_at(&self) -> i64 {
        self.placed_at + 20
    }

    /// When the provider has answered.
    pub(super) fn charged_at(&self) -> i64 {
        self.placed_at + 45
    }

    pub(super) fn paid_at(&self) -> Option<i64> {
        (!matches!(self.ending, Ending::Failed | Ending::Expired)).then_some(self.placed_at + 50)
    }

    pub(super) fn shipped_at(&self) -> Option<i64> {
        let shipped = matches!(self.ending, Ending::Shipped | Ending::Delivered | Ending::Reduced(_));
        shipped.then_some(self.placed_at + DAY)
    }

    fn delivered_at(&self) -> Option<i64> {
        matches!(self.ending, Ending::Delivered | Ending::Reduced(_)).then_some(self.placed_at + 2 * DAY)
    }

    /// When it was over without being delivered.
    pub(super) fn ended_at(&self) -> Option<i64> {
        match self.ending {
            Ending::Failed => Some(self.placed_at + 55),
            Ending::Expired => Some(self.placed_at + 15 * 60 * 1000),
            Ending::CalledOff => Some(self.placed_at + DAY / 2),
            _ => None,
        }
    }

    /// How much has gone back, and when that was asked for.
    pub(super) fn refund(&self) -> Option<(i64, i64)> {
        match self.ending {
            Ending::Reduced(amount) => Some((amount, self.placed_at + 3 * DAY)),
            Ending::CalledOff => Some((self.total, self.placed_at + DAY / 2 + 10)),
            _ => None,
        }
    }

    /// What orders call its refund when it was asked for; none when it followed from the order's end.
    pub(super) fn refund_request(&self) -> Option<String> {
        let (_, at) = self.refund()?;
        matches!(self.ending, Ending::Reduced(_)).then(|| uuid(6, self.id, at).to_string())
    }

    pub(super) fn updated_at(&self) -> i64 {
        let last = [self.paid_at(), self.shipped_at(), self.delivered_at(), self.ended_at()];
        let refunded = self.refund().map(|(_, at)| at + 30);
        last.into_iter().chain([refunded]).flatten().max().unwrap_or(self.placed_at)
    }

    /// What happened to it: type, status, why, when.
    pub(super) fn history(&self) -> Vec<(&'static str, &'static str, Option<String>, i64)> {
        let mut history = vec![
            ("ORDER_PLACED", "pending", None, self.placed_at),
            ("ORDER_RESERVED", "reserved", None, self.reserved_at()),
        ];
        history.extend(self.paid_at().map(|at| ("ORDER_PAID", "paid", None, at)));
        history.extend(self.shipped_at().map(|at| ("ORDER_SHIPPED", "shipped", None, at)));
        history.extend(self.delivered_at().map(|at| ("ORDER_DELIVERED", "delivered", None, at)));
        let reason = self.reason().map(str::to_owned);
        let end = if self.ending == Ending::Failed { "ORDER_FAILED" } else { "ORDER_CANCELLED" };
        history.extend(self.ended_at().map(|at| (end, self.status(), reason, at)));
        if let (Ending::Reduced(amount), Some((_, at))) = (self.ending, self.refund()) {
            let what = format!("{}.{:02} {CURRENCY}: scratched", amount / 100, amount % 100);
            history.push(("REFUND_REQUESTED", "delivered", Some(what), at));
        }
        history
    }

    /// What it does to the stock of each of its products, and when.
    pub(super) fn movements(&self) -> Vec<(&'static str, i64)> {
        let mut movements = vec![("reserved", self.reserved_at())];
        match (self.paid_at(), self.ended_at()) {
            (Some(paid), None) => movements.push(("sold", paid)),
            (Some(paid), Some(ended)) => movements.extend([("sold", paid), ("returned", ended)]),
            (None, ended) => movements.extend(ended.map(|ended| ("released", ended))),
        }
        movements
    }

    pub(super) fn ordered(&self) -> Vec<OrderedItem> {
        let ordered = |line: &Line| OrderedItem { product_id: line.product_id, quantity: line.quantity };
        let mut ordered: Vec<_> = self.lines.iter().map(ordered).collect();
        ordered.sort_by_key(|item| item.product_id);
        ordered
    }

    pub(super) fn sold(&self) -> Vec<SoldItem> {
        let sold = |line: &Line| {
            let Line { product_id, unit_price, quantity, total, .. } = *line;
            SoldItem { product_id, name: line.name.clone(), unit_price, quantity, total }
        };
        self.lines.iter().map(sold).collect()
    }

    /// What people read out.
    pub(super) fn number(&self) -> String {
        let year: String = Timestamp(self.placed_at).to_string().chars().take(4).collect();
        format!("B-{year}-{:06}", self.id)
    }

    pub(super) fn ids(&self) -> (OrderId, UserId) {
        (OrderId(self.id), UserId(self.user_id))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn shops_of_any_size_are_alike() {
        for size in [1_000, 20_000] {
            let world = World::new(size, 3, 1_800_000_000_000);
            let mut of: BTreeMap<i64, i64> = BTreeMap::new();
            (1..=size).for_each(|order| *of.entry(world.customer(order)).or_default() += 1);
            assert_eq!(of.values().filter(|orders| **orders == 4).count() as i64, size / 10, "{size}");
            assert_eq!(of.len() as i64, size / 2, "{size}");
            let mut in_category = [0; CATEGORIES];
            (1..=size).for_each(|number| in_category[world.product(number).category] += 1);
            assert!(in_category.iter().all(|count| *count >= 20), "{in_category:?}");
        }
    }
}
