//! The instance that makes a call to the outside is killed, before the call and after it, at one call after the other of
//! what a purchase takes. The client does what a sane client does: it repeats its request under the same key. Whatever
//! the point, everything ends as if nothing had happened.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bodega_host::{HostCall, Phase, Verdict};
use futures::future::join;
use serde_json::{Value, json};
use shop_tests::{Allow, Call, Customer, Script, Seen, Shop, ShopOptions, is_database, needs_bench, on_postgres, say};

use crate::{ingest, refund_requests, webhooks};

mod brokers;
mod checkouts;
mod mails;
mod orders;
mod refunds;

/// For one round: a request that an instance takes with it may take a minute to fail.
const PATIENCE: Duration = Duration::from_secs(150);
const STOCK: u32 = 1_000_000;
/// Rounds before the first kill.
const SEEN: usize = 3;
/// With this set, tests that otherwise take a part of the points take all.
const EVERY_POINT: &str = "BODEGA_EVERY_POINT";
/// On Postgres one of so many of the points: the statements are those of SQLite, and only how they get to the database, and
/// how a transaction begins and ends, is another way.
const OF_POSTGRES: usize = 7;

/// What a call is, whatever order or instance it is for: component, interface, function, and the text without ids.
type Kind = (String, &'static str, &'static str, String);

/// The `occurrence`th call of a kind, from 0.
#[derive(Debug, Clone)]
struct Point {
    kind: Kind,
    occurrence: usize,
    phase: Phase,
}

fn kind(component: &str, interface: &'static str, function: &'static str, detail: &str) -> Kind {
    // Ids and uuids differ from run to run; placeholders ($1) do not, but losing them does no harm.
    let detail = match interface {
        _ if is_database(interface) => detail.to_owned(),
        "key-value" => detail.split('/').next().unwrap_or_default().to_owned(),
        _ => detail.chars().filter(|character| !character.is_ascii_digit()).collect(),
    };
    (component.to_owned(), interface, function, detail)
}

/// All points of what was recorded.
fn points(recorded: Vec<Seen>) -> Vec<Point> {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut points = Vec::new();
    // What instances count is written down and added up whenever it is time: `metrics` kills there.
    for seen in recorded.into_iter().filter(|seen| !seen.detail.contains("request_counts")) {
        let kind = kind(&seen.component, seen.interface, seen.function, &seen.detail);
        let count = counts.entry(kind.clone()).or_default();
        for phase in [Phase::Before, Phase::After] {
            points.push(Point { kind: kind.clone(), occurrence: *count, phase });
        }
        *count += 1;
    }
    points
}

/// Kills once, at a point.
struct Killer {
    point: Point,
    passed: AtomicUsize,
    fired: AtomicBool,
}

impl Killer {
    fn decide(&self, call: &HostCall<'_>) -> Verdict {
        if call.phase != self.point.phase
            || kind(call.component, call.interface, call.function, call.detail) != self.point.kind
            || self.passed.fetch_add(1, Ordering::SeqCst) != self.point.occurrence
        {
            return Verdict::Proceed;
        }
        self.fired.store(true, Ordering::SeqCst);
        Verdict::Kill
    }
}

/// A shop in which the same thing happens again and again.
struct World {
    script: Arc<Script>,
    shop: Shop,
    ann: Customer,
    mug: i64,
    /// What is no finding here.
    allowed: &'static [Allow],
}

impl World {
    async fn new(max_instance_reuse: Option<usize>) -> Self {
        Self::with(max_instance_reuse, ShopOptions::default()).await
    }

    async fn with(max_instance_reuse: Option<usize>, options: ShopOptions) -> Self {
        let script = Script::new();
        let options = ShopOptions { max_instance_reuse, control: Some(script.clone()), ..options };
        // Time passes in jumps here; no order's time may be up by them.
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        let shop = Shop::start(ShopOptions { order_timeout: year, ..options }).await;
        let ann = shop.customer("ann").await;
        let mug = shop.product(5.0, STOCK).await;
        shop.settle().await;
        Self { script, shop, ann, mug, allowed: &[] }
    }

    /// Repeats a request, at once, until it has an answer that repeating would not change. Meanwhile the shop goes on
    /// with what the first attempt has begun.
    async fn persist(&self, request: Call<'_>) -> Value {
        let mut answer = request.clone().send().await;
        for _ in 0..20 {
            match answer {
                Ok(answer) if !answer.status.is_server_error() => {
                    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
                    return answer.body;
                }
                // An answer can break off, too.
                Ok(_) | Err(_) => {
                    (answer, ()) = join(request.clone().send(), self.shop.settle_over_time()).await;
                }
            }
        }
        panic!("no answer after 20 attempts");
    }

    async fn place(&self, key: &str, token: Option<&str>) -> i64 {
        let placed = self.persist(self.shop.order(&self.ann, self.mug, 1, token).key(key)).await;
        placed["id"].as_i64().unwrap()
    }

    async fn paid(&self, key: &str) -> i64 {
        self.paid_by(key, "tok_visa").await
    }

    async fn paid_by(&self, key: &str, token: &str) -> i64 {
        let order = self.place(key, Some(token)).await;
        self.shop.settle_over_time().await;
        assert_eq!(self.status(order), "paid");
        order
    }

    fn status(&self, order: i64) -> Value {
        self.shop.value("orders", &format!("SELECT status FROM orders WHERE id = {order}"))
    }

    /// Of the provider's books: operations of a kind that are approved.
    fn approved(&self, kind: &str) -> usize {
        let books = self.shop.provider_books();
        books.iter().filter(|(key, entry)| key.starts_with(kind) && entry["ending"] == "Approved").count()
    }

    /// Checks that after `rounds` rounds there are so many of everything, and no more.
    fn assert_counts(&self, orders: usize, charges: usize, refunds: usize, sold: usize) {
        let count = |service: &str, table: &str| self.shop.value(service, &format!("SELECT count(*) FROM {table}"));
        assert_eq!(count("orders", "orders"), orders, "orders");
        assert_eq!(count("payments", "payments"), charges, "payments");
        assert_eq!(self.approved("charge/"), charges, "charges at the provider");
        assert_eq!(count("payments", "refunds"), refunds, "refunds");
        assert_eq!(self.approved("refund/"), refunds, "refunds at the provider");
        let on_hand = self.shop.value("inventory", "SELECT on_hand FROM stock");
        assert_eq!(on_hand, i64::from(STOCK) - i64::try_from(sold).unwrap(), "stock");
    }
}

/// Runs `act` some times to see its calls, and then once for each `stride`th point, killed there: an odd one, so that both
/// phases are met. Of what was seen the least counts: what only new instances do is not done each time, unless all
/// instances are new.
///
/// `prepare` makes what `act` acts on; `check` gets that and the number of rounds so far. Each round has a number of its
/// own, from which the client makes its keys.
async fn at_every_call<T>(
    name: &str,
    world: &World,
    stride: usize,
    prepare: impl AsyncFn(usize) -> T,
    act: impl AsyncFn(usize, &T),
    check: impl Fn(usize, &T),
) {
    let mut seen = Vec::new();
    for round in 0..SEEN {
        let given = prepare(round).await;
        world.script.record();
        act(round, &given).await;
        seen.push(points(world.script.recorded()));
        check(round + 1, &given);
        world.shop.audit_allowing(world.allowed);
    }
    let points = seen.into_iter().min_by_key(Vec::len).unwrap();

    let stride = if on_postgres() { stride * OF_POSTGRES } else { stride };
    let stride = if std::env::var_os(EVERY_POINT).is_some() { 1 } else { stride };
    assert_eq!(stride % 2, 1, "{name}: an even stride meets one phase only");
    let (mut tried, mut reached) = (0, 0);
    for point in points.iter().step_by(stride) {
        let round = SEEN + tried;
        tried += 1;
        let given = prepare(round).await;
        // Signing in is not what is tried here.
        world.shop.access_token(&world.ann).await;
        world.shop.access_token(world.shop.admin().await).await;
        let killer =
            Arc::new(Killer { point: point.clone(), passed: AtomicUsize::new(0), fired: AtomicBool::new(false) });
        let rule = killer.clone();
        world.script.rule(move |call| rule.decide(call));
        let acting = tokio::time::timeout(PATIENCE, act(round, &given)).await;
        assert!(acting.is_ok(), "{name}: no end after a kill at {point:?}");
        world.script.clear();
        reached += usize::from(killer.fired.load(Ordering::SeqCst));
        let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check(round + 1, &given);
            world.shop.audit_allowing(world.allowed);
        }));
        assert!(wrong.is_ok(), "{name}: after a kill at {point:?}");
    }
    say(&format!("{name}: killed at {reached} of {tried} points tried, of {} recorded", points.len()));
    assert!(points.len() > 30, "only {} points were recorded", points.len());
    // What two instances do at the same time can come in another order, or once less.
    assert!(tried - reached <= tried.div_ceil(10), "only {reached} of {tried} points were reached");
}

async fn place_then_pay(world: &World, round: usize) {
    let order = world.place(&format!("place {round}"), None).await;
    world.shop.settle_over_time().await;
    assert_eq!(world.status(order), "reserved");
    let pay = world.shop.pay(&world.ann, order, "tok_visa").key(&format!("pay {round}"));
    world.persist(pay).await;
    world.shop.settle_over_time().await;
    assert_eq!(world.status(order), "paid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let act = async |round, (): &()| place_then_pay(&world, round).await;
    let check = |rounds, (): &()| world.assert_counts(rounds, rounds, 0, rounds);
    at_every_call("place, then pay", &world, 1, async |_| (), act, check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_in_one_request_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let act = async |round: usize, (): &()| {
        world.paid(&round.to_string()).await;
    };
    let check = |rounds, (): &()| world.assert_counts(rounds, rounds, 0, rounds);
    at_every_call("place with a card", &world, 1, async |_| (), act, check).await;
}

/// A charge of which the provider knows nothing, found out about and sent again by housekeeping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_charge_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| {
        let order = world.place(&round.to_string(), Some("tok_timeout_lost")).await;
        world.shop.settle().await;
        assert_eq!(world.status(order), "reserved");
        order
    };
    let act = async |_, order: &i64| {
        world.shop.settle_over_time().await;
        assert_eq!(world.status(*order), "paid");
    };
    let check = |rounds, _: &i64| world.assert_counts(rounds, rounds, 0, rounds);
    at_every_call("find out about a charge", &world, 1, prepare, act, check).await;
}

/// Every request meets an instance that has to open its database, to ask for keys, and so on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_from_new_instances_survives_a_kill() {
    needs_bench!("it kills instances");
    let world = World::new(Some(1)).await;
    let act = async |round, (): &()| place_then_pay(&world, round).await;
    let check = |rounds, (): &()| world.assert_counts(rounds, rounds, 0, rounds);
    at_every_call("place, then pay, new instances", &world, 7, async |_| (), act, check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| world.paid(&round.to_string()).await;
    let act = async |_, order: &i64| {
        world.persist(world.shop.cancel(&world.ann, *order)).await;
        world.shop.settle_over_time().await;
        assert_eq!(world.status(*order), "cancelled");
    };
    let check = |rounds, _: &i64| world.assert_counts(rounds, rounds, rounds, 0);
    at_every_call("cancel a paid order", &world, 1, prepare, act, check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| {
        let order = world.paid(&round.to_string()).await;
        let payment = world.shop.value("payments", &format!("SELECT id FROM payments WHERE order_id = {order}"));
        payment.as_i64().unwrap()
    };
    let act = async |round: usize, payment: &i64| {
        let admin = world.shop.admin().await;
        let (path, body) = (format!("/api/v1/payments/{payment}/refund"), json!({ "amount": 2.0 }));
        let refund = world.shop.post(&path, &body).by(admin).key(&format!("refund {round}"));
        world.persist(refund).await;
        world.shop.settle_over_time().await;
        let refunded = world.shop.value("payments", &format!("SELECT refunded FROM payments WHERE id = {payment}"));
        assert_eq!(refunded, 200, "payment {payment}");
    };
    let check = |rounds, _: &i64| world.assert_counts(rounds, rounds, rounds, rounds);
    at_every_call("refund a part", &world, 1, prepare, act, check).await;
}

/// Money that is held, and taken later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_and_its_capture_survive_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| {
        let order = world.place(&format!("place {round}"), None).await;
        world.shop.settle_over_time().await;
        order
    };
    let act = async |round: usize, order: &i64| {
        let body = json!({ "orderId": order, "token": "tok_visa", "capture": false });
        let hold = world.shop.post("/api/v1/payments", &body).by(&world.ann).key(&format!("hold {round}"));
        let payment = world.persist(hold).await;
        world.shop.settle_over_time().await;
        let path = format!("/api/v1/payments/{}/capture", payment["id"]);
        world.persist(world.shop.post(path, &json!({})).by(world.shop.admin().await)).await;
        world.shop.settle_over_time().await;
        assert_eq!(world.status(*order), "paid");
    };
    let check = |rounds, _: &i64| world.assert_counts(rounds, rounds, 0, rounds);
    at_every_call("authorize, then capture", &world, 1, prepare, act, check).await;
}

/// Money that is held for an order that is cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_void_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| {
        let order = world.place(&format!("place {round}"), None).await;
        world.shop.settle_over_time().await;
        let body = json!({ "orderId": order, "token": "tok_visa", "capture": false });
        world.shop.post("/api/v1/payments", &body).by(&world.ann).await.expect(201);
        order
    };
    let act = async |_, order: &i64| {
        world.persist(world.shop.cancel(&world.ann, *order)).await;
        world.shop.settle_over_time().await;
        let status = format!("SELECT status FROM payments WHERE order_id = {order}");
        assert_eq!(world.shop.value("payments", &status), "voided");
    };
    let check = |_, order: &i64| assert_eq!(world.status(*order), "cancelled");
    at_every_call("cancel what is only held", &world, 1, prepare, act, check).await;
}

/// The provider tells how a charge ended that the shop knows nothing of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::with(None, webhooks::options()).await;
    let prepare = async |round: usize| {
        let order = world.place(&round.to_string(), Some("tok_timeout")).await;
        world.shop.settle().await;
        assert_eq!(world.status(order), "reserved");
        order
    };
    let act = async |round: usize, order: &i64| {
        let message = json!({ "type": "charge.succeeded", "data": { "orderId": order } });
        // A sender repeats a message until it is taken, and now and then once more.
        for _ in 0..2 {
            world.persist(webhooks::signed(&world.shop, &format!("msg_{round}"), &message)).await;
        }
        world.shop.settle_over_time().await;
        assert_eq!(world.status(*order), "paid");
    };
    let check = |rounds, _: &i64| world.assert_counts(rounds, rounds, 0, rounds);
    at_every_call("take a webhook", &world, 1, prepare, act, check).await;
}

/// The same for a refund that orders have asked for, by an event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requested_refund_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let prepare = async |round: usize| world.paid(&round.to_string()).await;
    let act = async |round: usize, order: &i64| {
        refund_requests::emit(&world.shop, *order, &refund_requests::uuid(round), json!(2.0));
        world.shop.tick("orders").await;
        let refunded = format!("SELECT refunded FROM payments WHERE order_id = {order}");
        // Unless something dies, that is all it takes; a round of housekeeping too early would only add calls to see.
        for _ in 0..100 {
            if world.shop.value("payments", &refunded) == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.shop.settle_over_time().await;
        assert_eq!(world.shop.value("payments", &refunded), 200);
    };
    let check = |rounds, _: &i64| world.assert_counts(rounds, rounds, rounds, rounds);
    at_every_call("refund what orders ask for", &world, 1, prepare, act, check).await;
}
