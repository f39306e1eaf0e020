//! Anonymous carts that are taken along into a user's.

use super::*;

#[tokio::test]
async fn signing_in_with_a_cart_takes_it_along_once() {
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let (mug, cup) = (shop.product(1.0, 10).await, shop.product(2.0, 10).await);
    let with_items = async || {
        let token = token(&shop).await;
        add(&shop, mug, 3).header("x-cart-token", &token).await.expect(200);
        add(&shop, cup, 1).header("x-cart-token", &token).await.expect(200);
        token
    };
    add(&shop, mug, 9_997).by(&ann).await.expect(200);
    let token = with_items().await;
    let visit = || shop.get(MINE).by(&ann).header("x-cart-token", &token);
    let merged = visit().await.expect(200);
    assert_eq!(lines(&merged), [(mug, 10_000), (cup, 1)], "quantities add up");
    assert_eq!(visit().await.expect(200), merged, "and only once");
    assert_eq!(shop.get(MINE).header("x-cart-token", &token).await.status, 404, "the token is good for nothing now");
    assert_eq!(lines(&shop.get(MINE).by(&bob).header("x-cart-token", &token).await.expect(200)), []);

    // A change does the same, in its own transaction.
    let token = with_items().await;
    let added = add(&shop, cup, 1).by(&bob).header("x-cart-token", &token).await.expect(200);
    assert_eq!(lines(&added), [(mug, 3), (cup, 2)]);

    let token = with_items().await;
    let merge = || shop.post(format!("{MINE}/merge"), &json!({ "cartToken": token })).by(&bob);
    assert_eq!(lines(&merge().await.expect(200)), [(mug, 6), (cup, 3)]);
    // The answer may be lost: asked again, the cart is shown as it is by then. To others the token says nothing.
    assert_eq!(lines(&merge().await.expect(200)), [(mug, 6), (cup, 3)]);
    add(&shop, cup, 1).by(&bob).await.expect(200);
    assert_eq!(lines(&merge().await.expect(200)), [(mug, 6), (cup, 4)]);
    for (who, token) in [(&ann, token.as_str()), (&bob, "made up"), (&ann, "made up")] {
        let body = json!({ "cartToken": token });
        let others = shop.post(format!("{MINE}/merge"), &body).by(who).await;
        assert_problem(&others, 404, "not-found", token);
    }
    let kept = json!(shop.query("carts", "SELECT * FROM merged_carts")).to_string();
    assert!(kept.len() > 64 && !kept.contains(&token), "the token itself is nowhere: {kept}");
    assert_invalid(&shop.post(format!("{MINE}/merge"), &json!({})).by(&bob).await, &["cartToken"], "no token");
    assert_eq!(shop.value("carts", "SELECT count(*) FROM carts"), 2, "nothing is left of the others");
}

#[tokio::test]
async fn what_a_line_cannot_hold_stays_in_the_cart_that_was_brought_along() {
    let (shop, ann) = open().await;
    let (mug, cup) = (shop.product(1.0, 10).await, shop.product(2.0, 10).await);
    add(&shop, mug, 9_998).by(&ann).await.expect(200);
    let token = token(&shop).await;
    add(&shop, mug, 3).header("x-cart-token", &token).await.expect(200);
    add(&shop, cup, 1).header("x-cart-token", &token).await.expect(200);
    let visit = || shop.get(MINE).by(&ann).header("x-cart-token", &token);
    let merged = visit().await.expect(200);
    assert_eq!(lines(&merged), [(mug, 10_000), (cup, 1)]);
    assert_eq!(visit().await.expect(200), merged, "no more find room");
    assert_eq!(lines(&shop.get(MINE).header("x-cart-token", &token).await.expect(200)), [(mug, 1)], "the rest");
    shop.put(format!("{MINE}/items/{mug}"), &json!({ "quantity": 5 })).by(&ann).await.expect(200);
    assert_eq!(lines(&visit().await.expect(200)), [(mug, 6), (cup, 1)], "now there is room");
    assert_eq!(shop.get(MINE).header("x-cart-token", &token).await.status, 404, "nothing is left of it");
}

#[tokio::test]
async fn that_a_cart_was_merged_is_known_for_a_day() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    let token = token(&shop).await;
    add(&shop, mug, 1).header("x-cart-token", &token).await.expect(200);
    let merge = || shop.post(format!("{MINE}/merge"), &json!({ "cartToken": token })).by(&ann);
    // However it was taken along.
    shop.get(MINE).by(&ann).header("x-cart-token", &token).await.expect(200);
    shop.clock.advance(Duration::from_secs(23 * 60 * 60));
    shop.settle().await;
    assert_eq!(lines(&merge().await.expect(200)), [(mug, 1)]);
    shop.clock.advance(Duration::from_secs(2 * 60 * 60));
    let forgotten = async || {
        shop.tick("carts").await;
        shop.value("carts", "SELECT count(*) FROM merged_carts") == 0
    };
    eventually(Duration::from_secs(20), "it is forgotten", forgotten).await;
    assert_problem(&merge().await, 404, "not-found", "nobody knows any more");
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_that_is_merged_many_times_at_once_is_merged_once() {
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 10).await;
    let token = token(&shop).await;
    add(&shop, mug, 3).header("x-cart-token", &token).await.expect(200);
    let merges =
        (0..10).map(|_| shop.post(format!("{MINE}/merge"), &json!({ "cartToken": token })).by(&ann).into_future());
    for answer in join_all(merges).await {
        assert_eq!(lines(&answer.expect(200)), [(mug, 3)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_that_is_taken_along_by_many_at_once_goes_to_one() {
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(1.0, 10).await;
    for round in 1..=5 {
        let token = token(&shop).await;
        add(&shop, mug, 1).header("x-cart-token", &token).await.expect(200);
        let visits = (0..10).map(|visit| {
            let by = if visit % 2 == 0 { &ann } else { &bob };
            shop.get(MINE).by(by).header("x-cart-token", &token).into_future()
        });
        join_all(visits).await.into_iter().for_each(|answer| drop(answer.expect(200)));
        let pieces = async |by| mine(&shop, by).await["itemCount"].as_i64().unwrap();
        assert_eq!(pieces(&ann).await + pieces(&bob).await, round);
    }
}
