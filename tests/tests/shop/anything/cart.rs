//! What a customer does with the cart.

use std::{
    collections::BTreeSet,
    future::IntoFuture,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use futures::future::{join, join_all};
use proptest::prelude::*;
use serde_json::json;
use shop_tests::{Answer, Customer, Shop};

use super::TOKENS;
use crate::cart_parts::{key, try_part};

const MINE: &str = "/api/v1/carts/me";
/// Of requests of all cases.
static KEYS: AtomicU64 = AtomicU64::new(0);

/// A change of what is in the cart, or of its code. Products and codes are taken modulo how many there are.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Add { product: usize, quantity: u32 },
    Set { product: usize, quantity: u32 },
    UseCode { code: usize },
    DropCode,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Change(Change),
    /// With each of these cards, all at once, under one key or under none; and a change so many milliseconds later.
    CheckOut {
        cards: Vec<Option<usize>>,
        keyed: bool,
        meanwhile: Option<(u64, Change)>,
    },
    /// A part of it, twice at once, under one key or under two.
    Part {
        product: usize,
        quantity: Option<i64>,
        keyed: bool,
    },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..3usize, 1..3u32).prop_map(|(product, quantity)| Change::Add { product, quantity }),
        1 => (0..3usize, 0..3u32).prop_map(|(product, quantity)| Change::Set { product, quantity }),
        3 => (0..3usize).prop_map(|code| Change::UseCode { code }),
        1 => Just(Change::DropCode),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    // One that works, one that does not, or none.
    let card = prop::option::weighted(0.8, prop_oneof![2 => Just(0usize), 1 => 0..TOKENS.len()]);
    let cards = prop_oneof![
        3 => prop::collection::vec(card.clone(), 1),
        1 => card.clone().prop_map(|card| vec![card; 2]),
        1 => prop::collection::vec(card, 2),
    ];
    prop_oneof![
        4 => change().prop_map(Step::Change),
        3 => (cards, any::<bool>(), prop::option::of((0..30u64, change())))
            .prop_map(|(cards, keyed, meanwhile)| Step::CheckOut { cards, keyed, meanwhile }),
        2 => (0..3usize, prop::option::of(1..3i64), any::<bool>())
            .prop_map(|(product, quantity, keyed)| Step::Part { product, quantity, keyed }),
    ]
}

/// The cart of a case, and what has been put into it.
pub(super) struct Cart<'a> {
    shop: &'a Shop,
    ann: &'a Customer,
    products: &'a [i64],
    codes: [String; 3],
    /// The last order before this case.
    first: i64,
    /// Pieces that the shop has said to be in the cart.
    put: AtomicI64,
    /// Some of them may have been taken out again.
    set: AtomicBool,
}

impl<'a> Cart<'a> {
    /// An empty cart, and codes: one can be used once, one once by each customer, and one by nobody.
    pub(super) async fn new(shop: &'a Shop, ann: &'a Customer, products: &'a [i64], first: i64) -> Self {
        let codes = ["PERCENT", "FIXED", "RICH"].map(|kind| format!("{kind}-{}", products[0]));
        for discount in [
            json!({ "code": codes[0], "kind": "percentage", "value": 15, "maxUses": 1 }),
            json!({ "code": codes[1], "kind": "fixed", "value": 7, "maxUsesPerCustomer": 1 }),
            // Whether a cart is worth enough is known when it is ordered: that is refused.
            json!({ "code": codes[2], "kind": "fixed", "value": 7, "minimum": 1_000_000 }),
        ] {
            shop.post("/api/v1/discounts", &discount).by(shop.admin().await).await.expect(201);
        }
        shop.delete(MINE).by(ann).await.expect(200);
        Self { shop, ann, products, codes, first, put: AtomicI64::new(0), set: AtomicBool::new(false) }
    }

    /// Changes the cart. What is wrong with the answer, if anything is.
    async fn change(&self, change: &Change) -> Option<String> {
        let product = |number: &usize| self.products[number % self.products.len()];
        let call = match change {
            Change::Add { product: number, quantity } => {
                let body = json!({ "productId": product(number), "quantity": quantity });
                self.shop.post(format!("{MINE}/items"), &body)
            }
            Change::Set { product: number, quantity } => {
                self.shop.put(format!("{MINE}/items/{}", product(number)), &json!({ "quantity": quantity }))
            }
            Change::UseCode { code } => {
                self.shop.put(format!("{MINE}/discount"), &json!({ "code": self.codes[code % self.codes.len()] }))
            }
            Change::DropCode => self.shop.delete(format!("{MINE}/discount")),
        };
        let answer = call.by(self.ann).await;
        match change {
            Change::Add { quantity, .. } | Change::Set { quantity, .. } if answer.status == 200 => {
                self.put.fetch_add(i64::from(*quantity), Ordering::Relaxed);
                self.set.fetch_or(matches!(change, Change::Set { .. }), Ordering::Relaxed);
            }
            _ => {}
        }
        (!fits_change(change, &answer)).then(|| format!("{change:?}: {answer:?}"))
    }

    /// Checks out with all of these cards at once. What is wrong with the answers, if anything is.
    async fn check_out(&self, cards: &[Option<usize>], keyed: bool) -> Option<String> {
        let key = format!("checkout {}", KEYS.fetch_add(1, Ordering::Relaxed));
        let submit = |card: &Option<usize>| {
            let body = card.map_or(json!({}), |card| json!({ "payment": { "token": TOKENS[card] } }));
            let call = self.shop.post(format!("{MINE}/checkout"), &body).by(self.ann);
            let call = if keyed { call.key(&key) } else { call };
            call.into_future()
        };
        let answers = join_all(cards.iter().map(submit)).await;
        let placed = answers.iter().filter(|answer| answer.status == 201);
        let placed: BTreeSet<_> = placed.map(|answer| answer.body["id"].as_i64()).collect();
        let one = !keyed || placed.len() < 2;
        (!one || !answers.iter().all(fits_check_out)).then(|| format!("{answers:?}"))
    }

    /// Orders a part twice at once. What is wrong with the answers, if anything is.
    async fn order_part(&self, product: usize, quantity: Option<i64>, keyed: bool) -> Option<String> {
        let product = self.products[product % self.products.len()];
        let keys = KEYS.fetch_add(2, Ordering::Relaxed);
        let (one, two) = (key(keys), key(if keyed { keys } else { keys + 1 }));
        let ask = async |name: &str| try_part(self.shop, self.ann, name, product, quantity).await.unwrap();
        let (one, two) = join(ask(&one), ask(&two)).await;
        let same = !keyed || one.status != 201 || two.status != 201 || one.body["id"] == two.body["id"];
        (!same || !fits_part(&one) || !fits_part(&two)).then(|| format!("{one:?} {two:?}"))
    }

    /// Does one step. What is wrong with the answers, if anything is.
    pub(super) async fn take(&self, step: &Step) -> Option<String> {
        match step {
            Step::Change(change) => self.change(change).await,
            Step::Part { product, quantity, keyed } => self.order_part(*product, *quantity, *keyed).await,
            Step::CheckOut { cards, keyed, meanwhile } => {
                let changing = async {
                    let (millis, change) = meanwhile.as_ref()?;
                    tokio::time::sleep(Duration::from_millis(*millis)).await;
                    self.change(change).await
                };
                let (ordering, changing) = join(self.check_out(cards, *keyed), changing).await;
                ordering.or(changing)
            }
        }
    }

    /// Of a shop at rest: every piece that was put into the cart is there or in an order that has not failed, and no
    /// other.
    pub(super) fn lost_or_given_away(&self) -> Option<String> {
        let pieces = |of: String| {
            let sum = format!("SELECT COALESCE(sum(json_extract(value, '$.quantity')), 0) FROM {of}");
            self.shop.value("carts", &sum).as_i64().unwrap()
        };
        let ordered =
            pieces(format!("checkouts, json_each(lines) WHERE status = 'placed' AND order_id > {}", self.first));
        let left = pieces(format!("carts, json_each(lines) WHERE user_id = {}", self.ann.id));
        let (put, set) = (self.put.load(Ordering::Relaxed), self.set.load(Ordering::Relaxed));
        let fits = ordered + left == put || set && ordered + left < put;
        (!fits).then(|| format!("{put} pieces were put into the cart: {ordered} ordered, {left} left"))
    }
}

fn refused(answer: &Answer, codes: &[&str]) -> bool {
    // 401 when time has passed the access token while the request was on its way.
    answer.status == 401 || answer.status == 409 && codes.iter().any(|code| answer.body["code"] == *code)
}

fn fits_change(change: &Change, answer: &Answer) -> bool {
    answer.status == 200
        || refused(answer, &["checkout-under-way"])
        || match change {
            Change::Set { .. } => answer.status == 404,
            Change::UseCode { .. } => refused(answer, &["discount-exhausted"]),
            Change::Add { .. } | Change::DropCode => false,
        }
}

fn fits_part(answer: &Answer) -> bool {
    answer.status == 201
        || refused(answer, &["checkout-under-way", "checkout-given-up", "placement-forgotten"])
        || answer.status == 422
            && ["productId", "quantity"].iter().any(|field| answer.body["errors"][0]["field"] == *field)
}

fn fits_check_out(answer: &Answer) -> bool {
    const CODES: [&str; 7] = [
        "cart-empty",
        "checkout-under-way",
        "discount-exhausted",
        "discount-minimum",
        "discount-used",
        // Time has passed in an instant that usually takes longer.
        "discount-taken",
        "placement-forgotten",
    ];
    answer.status == 201
        || refused(answer, &CODES)
        || answer.status == 422 && answer.body["code"] == "idempotency-key-reused"
}
