//! What an instance leaves behind that dies inside a transaction: nothing, whichever engine it was in.
//!
//! In Postgres its connection goes back to the pool as it is, with the transaction and its locks.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bodega_host::{Phase, Verdict};
use serde_json::json;
use shop_tests::{Script, Shop, ShopOptions, needs_bench};

const ADDRESSES: &str = "/api/v1/users/me/addresses";
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_finishes_the_transaction_of_an_instance_that_has_died() {
    needs_bench!("it kills instances");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let add = |name: &str| {
        let address = json!({ "name": name, "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US" });
        shop.post(ADDRESSES, &address).by(&ann)
    };
    add("before").await.expect(201);
    let killed = Arc::new(AtomicUsize::new(0));
    for _ in 0..ROUNDS {
        let (inside, count) = (Mutex::new(None), killed.clone());
        script.rule(move |call| {
            if call.component != "accounts" {
                return Verdict::Proceed;
            }
            let mut inside = inside.lock().unwrap();
            if call.phase == Phase::After && call.detail.starts_with("INSERT INTO addresses") {
                *inside = Some(call.instance);
            }
            if call.phase == Phase::Before && call.detail == "COMMIT" && *inside == Some(call.instance) {
                count.fetch_add(1, Ordering::Relaxed);
                return Verdict::Kill;
            }
            Verdict::Proceed
        });
        let answer = add("dead").send().await;
        assert!(!answer.is_ok_and(|answer| answer.status.is_success()), "it has died");
        script.clear();
        add("alive").await.expect(201);
        assert_eq!(shop.get(ADDRESSES).by(&ann).await.expect(200)["items"][0]["name"], "before");
    }
    assert_eq!(killed.load(Ordering::Relaxed), ROUNDS);
    let names = shop.query("accounts", "SELECT name, count(*) FROM addresses GROUP BY name ORDER BY name");
    assert_eq!(names, [vec![json!("alive"), json!(ROUNDS)], vec![json!("before"), json!(1)]]);
    shop.settle().await;
    shop.audit();
}
