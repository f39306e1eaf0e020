//! Customers who order all the time, whatever happens.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use shop_tests::{Call, Customer, Shop};

use crate::kafka::Processor;

/// So many orders in all.
pub const ORDERS: usize = 2_000;
const CUSTOMERS: usize = 16;
/// For a request to get through.
const PATIENCE: Duration = Duration::from_secs(60);
/// Fewer than are ordered.
pub const LAST_ONES: u32 = 120;

/// How an order is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Charged,
    Declined,
    Cancelled,
    /// An external processor says on Kafka that it has the money.
    PaidElsewhere,
    /// Of what there is not enough of.
    OneOfTheLast,
}

impl Way {
    fn of(number: usize) -> Self {
        match number % 10 {
            0 => Self::OneOfTheLast,
            1 => Self::Declined,
            2 => Self::Cancelled,
            3 => Self::PaidElsewhere,
            _ => Self::Charged,
        }
    }

    fn token(self) -> Option<&'static str> {
        match self {
            Self::Charged | Self::OneOfTheLast => Some("tok_visa"),
            Self::Declined => Some("tok_declined"),
            Self::Cancelled | Self::PaidElsewhere => None,
        }
    }
}

/// What is ordered of whom.
pub struct Load {
    pub shop: Shop,
    processor: Processor,
    customers: Vec<Customer>,
    plenty: i64,
    last_ones: i64,
    next: AtomicUsize,
    placed: AtomicUsize,
    /// Odd while the shop or its database is away.
    outages: AtomicUsize,
    /// Requests that failed while the shop and its database were there.
    failed: Mutex<Vec<String>>,
}

impl Load {
    pub async fn new(shop: Shop, processor: Processor) -> Arc<Self> {
        let mut customers = Vec::new();
        for number in 0..CUSTOMERS {
            customers.push(shop.customer(&format!("customer-{number}")).await);
        }
        let (plenty, last_ones) = (shop.product(5.0, 100_000).await, shop.product(5.0, LAST_ONES).await);
        Arc::new(Self {
            shop,
            processor,
            customers,
            plenty,
            last_ones,
            next: AtomicUsize::new(0),
            placed: AtomicUsize::new(0),
            outages: AtomicUsize::new(0),
            failed: Mutex::default(),
        })
    }

    /// Has all customers order until there are [`ORDERS`].
    pub fn start(self: &Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        let order = |customer: usize| {
            let load = self.clone();
            tokio::spawn(async move {
                loop {
                    let number = load.next.fetch_add(1, Ordering::SeqCst);
                    if number >= ORDERS {
                        return;
                    }
                    load.order(&load.customers[customer], number).await;
                }
            })
        };
        (0..CUSTOMERS).map(order).collect()
    }

    async fn order(&self, customer: &Customer, number: usize) {
        let way = Way::of(number);
        let product = if way == Way::OneOfTheLast { self.last_ones } else { self.plenty };
        let key = format!("order-{number}");
        let order = || self.shop.order(customer, product, 2, way.token()).key(&key);
        let id = self.insist(order, 201).await["id"].as_i64().unwrap();
        self.placed.fetch_add(1, Ordering::SeqCst);
        match way {
            Way::Cancelled => _ = self.insist(|| self.shop.cancel(customer, id), 200).await,
            Way::PaidElsewhere => {
                let event = json!({
                    "specversion": "1.0", "id": format!("psp-{id}"), "source": "/psp", "type": "PAYMENT_SUCCEEDED",
                    "data": { "orderId": id, "amount": 10.0, "currency": "EUR" }
                });
                self.processor.say("payments.events", &format!("order/{id}"), &event.to_string());
            }
            _ => {}
        }
    }

    /// Sends a request until it gets through, as a client does that wants its order.
    async fn insist<'a>(&self, call: impl Fn() -> Call<'a>, status: u16) -> serde_json::Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let before = self.outages.load(Ordering::SeqCst);
            let answer = call().send().await;
            let refused = match answer {
                Ok(answer) if answer.status == status => return answer.body,
                Ok(answer) => format!("{} {}", answer.status, answer.text),
                Err(error) => format!("{error:?}"),
            };
            if before.is_multiple_of(2) && before == self.outages.load(Ordering::SeqCst) {
                self.failed.lock().unwrap().push(refused.clone());
            }
            assert!(Instant::now() < end, "in vain: {refused}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until so many more orders are placed, or all.
    pub async fn some(&self, count: usize) {
        let goal = (self.placed.load(Ordering::SeqCst) + count).min(ORDERS);
        let end = Instant::now() + PATIENCE;
        while self.placed.load(Ordering::SeqCst) < goal {
            assert!(Instant::now() < end, "nobody can order anything: {:?}", self.failed.lock().unwrap().last());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Has the shop or its database killed and brought back by `kill`. Until it serves again, requests may fail.
    pub async fn outage(&self, kill: impl FnOnce()) {
        self.outages.fetch_add(1, Ordering::SeqCst);
        tokio::task::block_in_place(kill);
        self.some(100).await;
        self.outages.fetch_add(1, Ordering::SeqCst);
    }

    /// What the external processor says beside that.
    pub fn processor(&self) -> &Processor {
        &self.processor
    }

    /// Fails if requests have failed for which there was no reason.
    pub fn assert_nobody_was_refused(&self) {
        let mut failed: BTreeMap<String, usize> = BTreeMap::new();
        self.failed.lock().unwrap().iter().for_each(|refused| *failed.entry(refused.clone()).or_default() += 1);
        assert!(failed.is_empty(), "{failed:#?}");
    }
}
