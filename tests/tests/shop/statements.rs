//! What a request costs in Postgres. Spin prepares each statement when it comes, so it is two round trips; what begins a
//! transaction is under way together with what takes its lock.

use shop_tests::{Call, Customer, Script, Seen, Shop, ShopOptions, needs_bench, on_postgres};

use serde_json::json;

/// Housekeeping, news of other services, or a new instance may come in between: the fewest of so many are the request's own.
const ROUNDS: usize = 8;

/// What goes on beside a request: keys of tokens, lots of the rate limit, what is counted of requests.
const BESIDE: [&str; 3] = ["FROM signing_keys", "INTO rate_limits", "INTO request_counts"];

/// The fewest round trips to Postgres that these components make from the request to its answer. Others may hear of it so
/// soon that they are at work by then.
async fn round_trips<'a>(
    (script, shop): (&Script, &'a Shop),
    components: &[&str],
    request: impl Fn(usize) -> Call<'a>,
) -> usize {
    let mut fewest: Option<Vec<Seen>> = None;
    for round in 0..ROUNDS {
        shop.settle().await;
        script.record();
        let answer = request(round).await;
        let mut seen = script.recorded();
        assert!(answer.status.is_success(), "{}", answer.text);
        seen.retain(|call| call.interface == "postgres" && components.contains(&call.component.as_str()));
        seen.retain(|call| !BESIDE.iter().any(|beside| call.detail.contains(beside)));
        if fewest.as_ref().is_none_or(|fewest| seen.len() < fewest.len()) {
            fewest = Some(seen);
        }
    }
    let fewest = fewest.unwrap();
    let cost = |call: &Seen| match (call.function, call.detail.as_str()) {
        ("open", _) => 1,
        (_, "BEGIN DEFERRABLE") => 0,
        _ => 2,
    };
    let trips = fewest.iter().map(cost).sum();
    let told: Vec<_> =
        fewest.iter().map(|call| format!("{}: {} {}", call.component, call.function, call.detail)).collect();
    println!("{trips} round trips: {told:#?}");
    trips
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_makes_so_many_round_trips_to_postgres_and_no_more() {
    needs_bench!("it looks at statements");
    if !on_postgres() {
        return;
    }
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let mug = shop.product(5.0, 1000).await;
    let ann: Customer = shop.customer("ann").await;
    let item = json!({ "productId": mug, "quantity": 1 });
    let login = json!({ "email": ann.email, "password": ann.password });

    let at = (&*script, &shop);
    let product = |_| shop.get(format!("/api/v1/products/{mug}"));
    assert_eq!(round_trips(at, &["catalog"], product).await, 2, "a product");
    let list = |_| shop.get("/api/v1/products?limit=20");
    assert_eq!(round_trips(at, &["catalog"], list).await, 2, "a list");
    // The cart as it is, prices; then: lock, cart, change, COMMIT.
    let add = |_| shop.post("/api/v1/carts/me/items", &item).by(&ann);
    assert_eq!(round_trips(at, &["carts", "catalog"], add).await, 12, "into a cart");
    // Prices; then: lock, order, its history, the event with its copies, COMMIT.
    let order = |_| shop.order(&ann, mug, 1, None);
    assert_eq!(round_trips(at, &["orders", "catalog"], order).await, 12, "an order");
    // And whether it was answered, before and with the lock, and the answer.
    let keyed = |round| shop.order(&ann, mug, 1, None).key(&format!("key {round}"));
    assert_eq!(round_trips(at, &["orders", "catalog"], keyed).await, 18, "an order with a key");
    assert_eq!(round_trips(at, &["orders", "catalog"], |_| keyed(0)).await, 2, "the same again");
    // The account; then: lock, session, refresh token, COMMIT.
    let sign_in = |_| shop.post("/api/v1/auth/login", &login);
    assert_eq!(round_trips(at, &["accounts"], sign_in).await, 10, "signing in");
}
