//! Whatever customers and sellers do, in whatever order, at once or one after the other: the books add up.

use std::{
    future::IntoFuture,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use shop_tests::{Allow, Answer, Customer, Shop, ShopOptions, needs_bench, say};

use crate::webhooks;

mod cart;

use cart::Cart;

/// Unless PROPTEST_CASES says otherwise.
const CASES: u32 = 64;
const TIMEOUT: Duration = Duration::from_secs(3600);
const TOKENS: [&str; 14] = [
    "tok_visa",
    "tok_mastercard",
    "tok_declined",
    "tok_timeout",
    "tok_timeout_declined",
    "tok_timeout_lost",
    "tok_capture_timeout",
    "tok_capture_declined",
    "tok_capture_expired",
    "tok_void_timeout",
    "tok_of_nobody",
    "tok_refund_timeout",
    "tok_refund_declined_once",
    "tok_refund_reversed",
];
/// The first of those whose refunds are something special.
const REFUNDS: usize = 11;

/// Each message of the provider has an id of its own.
static MESSAGES: AtomicUsize = AtomicUsize::new(0);

const STATUSES: [&str; 5] = ["shipped", "delivered", "returned", "cancelled", "paid"];

/// Something that somebody does. Orders and products are counted from the first of the case, and taken modulo how many
/// there are by then.
#[derive(Debug, Clone)]
enum Step {
    Place {
        product: usize,
        quantity: u32,
        token: Option<usize>,
    },
    Pay {
        order: usize,
        token: usize,
        capture: bool,
    },
    Capture {
        order: usize,
    },
    Void {
        order: usize,
    },
    Cancel {
        order: usize,
    },
    /// The customer wants something else instead, or has it brought elsewhere.
    Change {
        order: usize,
        item: Option<(usize, u32)>,
    },
    /// The customer takes the money back.
    TakeBack {
        order: usize,
        cents: Option<u32>,
    },
    Refund {
        order: usize,
        cents: Option<u32>,
    },
    /// The provider says that there is news of an order's payment.
    Tell {
        order: usize,
    },
    SetStatus {
        order: usize,
        status: usize,
    },
    GiveBack {
        order: usize,
        cents: Option<u32>,
        quantity: Option<u32>,
        restock: bool,
    },
    Adjust {
        product: usize,
        delta: i32,
    },
    SetStock {
        product: usize,
        stock: u32,
    },
    Pass {
        seconds: u64,
    },
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    // A refund comes late in an order's life.
    let token = prop_oneof![2 => 0..TOKENS.len(), 1 => REFUNDS..TOKENS.len()];
    prop_oneof![
        6 => (0..3usize, 1..4u32, prop::option::of(token.clone()))
            .prop_map(|(product, quantity, token)| Step::Place { product, quantity, token }),
        4 => (0..20usize, token, any::<bool>())
            .prop_map(|(order, token, capture)| Step::Pay { order, token, capture }),
        2 => (0..20usize).prop_map(|order| Step::Capture { order }),
        1 => (0..20usize).prop_map(|order| Step::Void { order }),
        3 => (0..20usize).prop_map(|order| Step::Cancel { order }),
        4 => (0..20usize, prop::option::weighted(0.8, (0..3usize, 1..4u32)))
            .prop_map(|(order, item)| Step::Change { order, item }),
        2 => (0..20usize, prop::option::of(1..2000u32)).prop_map(|(order, cents)| Step::Refund { order, cents }),
        2 => (0..20usize, prop::option::of(1..2000u32)).prop_map(|(order, cents)| Step::TakeBack { order, cents }),
        4 => (0..20usize).prop_map(|order| Step::Tell { order }),
        3 => (0..20usize, 0..STATUSES.len()).prop_map(|(order, status)| Step::SetStatus { order, status }),
        3 => (0..20usize, prop::option::of(1..2000u32), prop::option::of(1..3u32), prop::bool::ANY)
            .prop_map(|(order, cents, quantity, restock)| Step::GiveBack { order, cents, quantity, restock }),
        1 => (0..3usize, -6..6i32).prop_map(|(product, delta)| Step::Adjust { product, delta }),
        1 => (0..3usize, 0..8u32).prop_map(|(product, stock)| Step::SetStock { product, stock }),
        1 => (1..4000u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Tick),
    ]
}

/// A step with orders and products, or one with the cart.
#[derive(Debug, Clone)]
enum Move {
    Shop(Step),
    Cart(cart::Step),
}

/// What is done at once, one group after the other.
fn groups() -> impl Strategy<Value = Vec<Vec<Move>>> {
    let either = prop_oneof![3 => step().prop_map(Move::Shop), 2 => cart::step().prop_map(Move::Cart)];
    prop::collection::vec(prop::collection::vec(either, 1..6), 1..10)
}

struct Case<'a> {
    shop: &'a Shop,
    ann: &'a Customer,
    products: &'a [i64],
    cart: Cart<'a>,
    /// The last order before this case.
    first: i64,
}

impl Case<'_> {
    fn order(&self, number: usize) -> Option<i64> {
        let orders = self.shop.query("orders", &format!("SELECT id FROM orders WHERE id > {} ORDER BY id", self.first));
        let number = number.checked_rem(orders.len())?;
        orders[number][0].as_i64()
    }

    async fn payment(&self, order: usize) -> Option<i64> {
        self.shop.payment_of(self.order(order)?).await.body["id"].as_i64()
    }

    /// What the admin does with the payment of an order, if it has one.
    async fn at_payment(&self, order: usize, action: &str, body: &Value) -> Option<Answer> {
        let payment = self.payment(order).await?;
        let path = format!("/api/v1/payments/{payment}/{action}");
        Some(self.shop.post(path, body).by(self.shop.admin().await).await)
    }

    /// Does one step; the answer, when there is one.
    async fn take(&self, step: &Step) -> Option<Answer> {
        let admin = self.shop.admin().await;
        let product = |number: &usize| self.products[number % self.products.len()];
        Some(match step {
            Step::Place { product: number, quantity, token } => {
                self.shop.order(self.ann, product(number), *quantity, token.map(|token| TOKENS[token])).await
            }
            Step::Pay { order, token, capture } => {
                let body = json!({ "orderId": self.order(*order)?, "token": TOKENS[*token], "capture": capture });
                self.shop.post("/api/v1/payments", &body).by(self.ann).await
            }
            Step::Capture { order } => self.at_payment(*order, "capture", &json!({})).await?,
            Step::Void { order } => self.at_payment(*order, "void", &json!({})).await?,
            Step::Cancel { order } => self.shop.cancel(self.ann, self.order(*order)?).await,
            Step::Change { order, item } => {
                let body = match item {
                    Some((number, quantity)) => {
                        json!({ "items": [{ "productId": product(number), "quantity": quantity }] })
                    }
                    None => json!({ "shippingAddress": "2 Side St" }),
                };
                self.shop.put(format!("/api/orders/{}", self.order(*order)?), &body).by(self.ann).await
            }
            Step::Refund { order, cents } => {
                let body = cents.map_or(json!({}), |cents| json!({ "amount": f64::from(cents) / 100.0 }));
                self.at_payment(*order, "refund", &body).await?
            }
            Step::TakeBack { order, cents } => {
                let body = cents.map_or(json!({}), |cents| json!({ "amount": f64::from(cents) / 100.0 }));
                let path = format!("/api/payments/{}/refund", self.payment(*order).await?);
                self.shop.post(path, &body).by(self.ann).await
            }
            Step::Tell { order } => {
                let id = format!("msg_{}", MESSAGES.fetch_add(1, Ordering::SeqCst));
                let message = json!({ "type": "news", "data": { "orderId": self.order(*order)? } });
                webhooks::signed(self.shop, &id, &message).await
            }
            Step::SetStatus { order, status } => {
                let path = format!("/api/v1/orders/{}/status", self.order(*order)?);
                self.shop.put(path, &json!({ "status": STATUSES[*status] })).by(admin).await
            }
            Step::GiveBack { order, cents, quantity, restock } => {
                let order = self.order(*order)?;
                let mut body = cents.map_or(json!({}), |cents| json!({ "amount": f64::from(cents) / 100.0 }));
                if let Some(quantity) = quantity {
                    let first = format!("SELECT json_extract(lines, '$[0].productId') FROM orders WHERE id = {order}");
                    let product = self.shop.value("orders", &first);
                    body["items"] = json!([{ "productId": product, "quantity": quantity }]);
                    body["restock"] = json!(restock);
                }
                self.shop.post(format!("/api/v1/orders/{order}/refunds"), &body).by(admin).await
            }
            Step::Adjust { product: number, delta } => {
                let path = format!("/api/v1/inventory/{}/adjust", product(number));
                self.shop.post(path, &json!({ "delta": delta, "reason": "counted" })).by(admin).await
            }
            Step::SetStock { product: number, stock } => {
                let path = format!("/api/v1/products/{}", product(number));
                self.shop.put(path, &json!({ "stock": stock })).by(admin).await
            }
            Step::Pass { seconds } => {
                self.shop.clock.advance(Duration::from_secs(*seconds));
                return None;
            }
            Step::Tick => {
                self.shop.tick_all().await;
                return None;
            }
        })
    }

    /// What is wrong with the answer to a step, if anything is.
    async fn wrong(&self, step: &Move) -> Option<String> {
        match step {
            Move::Cart(step) => self.cart.take(step).await,
            Move::Shop(step) => {
                let answer = self.take(step).await?;
                // 401 when time has passed the access token, or the signature, while the request was on its way.
                let fits = answer.status.is_success() || [401, 409, 422].contains(&answer.status.as_u16());
                (!fits).then(|| format!("{answer:?}"))
            }
        }
    }

    async fn run(&self, groups: &[Vec<Move>]) -> Result<(), TestCaseError> {
        for group in groups {
            let wrong = join_all(group.iter().map(|step| self.wrong(step).into_future())).await;
            for (step, wrong) in group.iter().zip(wrong) {
                let Some(wrong) = wrong else { continue };
                return Err(TestCaseError::fail(format!("{step:?}: {wrong}")));
            }
        }
        self.shop.settle_over_time().await;
        // That has moved the clock; what is over by that, ends now.
        self.shop.settle().await;
        // And what that leaves open at the provider is found out.
        self.shop.settle_over_time().await;
        let mut wrong = self.shop.violations(&[Allow::DeclinedRefunds]);
        wrong.extend(self.cart.lost_or_given_away());
        prop_assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }
}

#[test]
fn whatever_happens_the_books_add_up() {
    needs_bench!("it moves the clock");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // One shop for all cases, each with products of its own: what went wrong in a case is told by that case.
    let shop = runtime.block_on(Shop::start(ShopOptions { order_timeout: TIMEOUT, ..webhooks::options() }));
    let ann = runtime.block_on(shop.customer("ann"));
    // Shrinking repeats a case many times, each in the shop as it is by then.
    let mut config = Config { max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let outcome = TestRunner::new(config).run(&groups(), |groups| {
        runtime.block_on(async {
            let products = vec![shop.product(5.0, 5).await, shop.product(9.99, 3).await, shop.product(0.0, 4).await];
            // A case before this one may have failed halfway.
            shop.settle_over_time().await;
            let first = shop.value("orders", "SELECT COALESCE(max(id), 0) FROM orders").as_i64().unwrap();
            let cart = Cart::new(&shop, &ann, &products, first).await;
            Case { shop: &shop, ann: &ann, products: &products, cart, first }.run(&groups).await
        })
    });
    let checkouts = shop.query("carts", "SELECT status, count(*), count(discount_code) FROM checkouts GROUP BY status");
    let uses = shop.query("carts", "SELECT status, count(*) FROM redemptions GROUP BY status");
    say(&format!("checkouts, and those with a code: {checkouts:?}; uses of codes: {uses:?}"));
    let refunds = shop.query("payments", "SELECT status, count(*) FROM refunds GROUP BY status");
    let back = shop.value("payments", "SELECT count(*) / 2 FROM ledger WHERE posting LIKE 'refund-reversal/%'");
    say(&format!("refunds: {refunds:?}, of which {back} had succeeded before they failed"));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
