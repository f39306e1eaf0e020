//! A part of a cart is ordered, for orders that ask for it: no piece is ordered twice, and none lost, while the rest of the
//! cart is its customer's all the time.

use std::{collections::BTreeSet, time::Duration};

use bodega_host::{Phase, Verdict};
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Shop, eventually, needs_bench};

use crate::{
    checkout::{GRACE, MINE, PATIENCE, add, check_out, discount, ended, fail_orders, lines, mine, open, orders, uses},
    jitter::jitter,
    support::{assert_invalid, assert_problem},
};

/// A key of its own for each number.
pub(crate) fn key(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Asks for a part of the customer's cart as orders do; none when the answer broke off.
pub(crate) async fn try_part(
    shop: &Shop,
    of: &Customer,
    key: &str,
    product: i64,
    quantity: Option<i64>,
) -> Option<Answer> {
    let mut body = json!({ "key": key, "productId": product });
    if let Some(quantity) = quantity {
        body["quantity"] = json!(quantity);
    }
    let path = format!("/internal/users/{}/checkouts", of.id);
    shop.try_internal("carts", Method::POST, &path, Some(&body)).await
}

async fn part(shop: &Shop, of: &Customer, key: &str, product: i64, quantity: Option<i64>) -> Answer {
    try_part(shop, of, key, product, quantity).await.unwrap()
}

async fn withdraw(shop: &Shop, product: i64) {
    shop.delete(format!("/api/v1/products/{product}")).by(shop.admin().await).await.expect(204);
}

const OWED: &str = "SELECT count(*) FROM checkouts WHERE owed IS NOT NULL";

#[tokio::test]
async fn a_product_of_a_cart_is_ordered_once_for_a_key_and_the_rest_stays() {
    needs_bench!("it calls a component as another one");
    let (_, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    add(&shop, &ann, mug, 3).await.expect(200);
    let cart = add(&shop, &ann, cup, 1).await.expect(200);
    discount(&shop, &ann, json!({})).await;

    let placed = part(&shop, &ann, &key(1), mug, Some(2)).await.expect(201);
    assert_eq!((lines(&placed), &placed["userId"]), (vec![(mug, 2)], &json!(ann.id)));
    assert_eq!((&placed["status"], &placed["discountCode"]), (&json!("pending"), &Value::Null));
    let left = mine(&shop, &ann).await;
    assert_eq!((lines(&left), &left["id"], &left["status"]), (vec![(mug, 1), (cup, 1)], &cart["id"], &json!("open")));
    assert_eq!(left["discount"]["code"], "TEN", "the code is for the cart");
    for quantity in [Some(2), None] {
        assert_eq!(part(&shop, &ann, &key(1), mug, quantity).await.expect(201), placed, "the same order");
    }
    assert_eq!((orders(&shop), mine(&shop, &ann).await), (1, left));

    let all = part(&shop, &ann, &key(2), mug, None).await.expect(201);
    assert_eq!(lines(&all), [(mug, 1)], "all that is left of it");
    assert_eq!(lines(&mine(&shop, &ann).await), [(cup, 1)]);
    let rest = check_out(&shop, &ann, &json!({})).await.expect(201);
    assert_eq!((lines(&rest), &rest["discountCode"]), (vec![(cup, 1)], &json!("TEN")));
    shop.settle().await;
    assert_eq!((orders(&shop), uses(&shop).await), (3, json!(1)));
    assert_eq!(shop.query("carts", "SELECT DISTINCT details, status FROM checkouts"), [[Value::Null, json!("placed")]]);
    shop.audit();
}

#[tokio::test]
async fn what_is_not_in_the_cart_is_not_ordered() {
    needs_bench!("it calls a component as another one");
    let (_, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    let bob = shop.customer("bob").await;
    assert_invalid(&part(&shop, &bob, &key(1), mug, None).await, &["productId"], "there is no cart");
    add(&shop, &ann, mug, 2).await.expect(200);
    let before = mine(&shop, &ann).await;
    for (product, quantity, field) in [
        (cup, None, "productId"),
        (cup, Some(1), "productId"),
        (-1, None, "productId"),
        (mug, Some(3), "quantity"),
        (mug, Some(10_000), "quantity"),
        (mug, Some(0), "quantity"),
        (mug, Some(-1), "quantity"),
        (mug, Some(10_001), "quantity"),
    ] {
        let answer = part(&shop, &ann, &key(2), product, quantity).await;
        assert_invalid(&answer, &[field], &format!("{quantity:?} of {product}"));
    }
    assert_invalid(&part(&shop, &ann, "once", mug, None).await, &["key"], "no key");
    let answer = part(&shop, &ann, &key(2), cup, None).await;
    assert_eq!(answer.body["errors"][0]["message"], "product is not in the cart");
    assert_eq!((mine(&shop, &ann).await, orders(&shop)), (before, 0));

    part(&shop, &ann, &key(2), mug, Some(1)).await.expect(201);
    add(&shop, &ann, cup, 1).await.expect(200);
    add(&shop, &bob, mug, 1).await.expect(200);
    for (who, product, quantity) in [(&ann, cup, None), (&ann, mug, Some(2)), (&bob, mug, Some(1))] {
        let answer = part(&shop, who, &key(2), product, quantity).await;
        assert_problem(&answer, 409, "checkout-taken", "something else under the same key");
    }
    assert_eq!((lines(&mine(&shop, &bob).await), orders(&shop)), (vec![(mug, 1)], 1));
    let nobody = shop.request(Method::POST, format!("/internal/users/{}/checkouts", ann.id)).json(&json!({})).await;
    assert_eq!(nobody.status, 404, "from outside");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_part_that_is_refused_is_in_the_cart_again() {
    needs_bench!("it calls a component as another one");
    let (_, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    add(&shop, &ann, mug, 2).await.expect(200);
    add(&shop, &ann, cup, 3).await.expect(200);
    withdraw(&shop, cup).await;
    let refused = part(&shop, &ann, &key(1), cup, Some(2)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 2), (cup, 3)]);
    let again = part(&shop, &ann, &key(1), cup, Some(2)).await;
    assert_eq!((again.status, &again.body), (refused.status, &refused.body), "the same refusal");
    assert_eq!(part(&shop, &ann, &key(2), cup, None).await.status, 422);
    let mut back = lines(&mine(&shop, &ann).await);
    back.sort_unstable();
    assert_eq!((back, shop.value("carts", OWED), orders(&shop)), (vec![(mug, 2), (cup, 3)], json!(0), 0));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_part_whose_order_fails_is_in_the_cart_again() {
    needs_bench!("it calls a component as another one");
    let (_, shop, ann, mug) = open().await;
    let rare = shop.product(9.0, 1).await;
    add(&shop, &ann, rare, 2).await.expect(200);
    add(&shop, &ann, mug, 3).await.expect(200);
    let sold_out = part(&shop, &ann, &key(1), rare, None).await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(sold_out, "failed").await;
    let declined = part(&shop, &ann, &key(2), mug, Some(2)).await.expect(201);
    let order = declined["id"].as_i64().unwrap();
    shop.wait_for(order, "reserved").await;
    assert_eq!(lines(&mine(&shop, &ann).await).iter().find(|line| line.0 == mug), Some(&(mug, 1)));
    shop.pay(&ann, order, "tok_declined").await.expect(201);
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    let mut back = lines(&mine(&shop, &ann).await);
    back.sort_unstable();
    assert_eq!(back, [(mug, 3), (rare, 2)]);
    assert_eq!(part(&shop, &ann, &key(2), mug, Some(2)).await.expect(201), declined, "what it was answered then");
    assert_eq!(orders(&shop), 2);
    let paid = part(&shop, &ann, &key(3), mug, Some(2)).await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(paid, "reserved").await;
    shop.pay(&ann, paid, "tok_visa").await.expect(201);
    shop.wait_for(paid, "paid").await;
    shop.settle().await;
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_once_there_is_one_order_for_a_key_and_never_more_than_was_in_the_cart() {
    needs_bench!("it calls a component as another one");
    let (_, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 5).await.expect(200);
    let keys: Vec<_> = (0..12).map(key).collect();
    let answers = join_all(keys.iter().map(|key| part(&shop, &ann, key, mug, Some(1)))).await;
    let placed: BTreeSet<_> =
        answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.body["id"].as_i64()).collect();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_invalid(answer, &["productId"], "sold out in the cart");
    }
    assert_eq!((placed.len(), orders(&shop), lines(&mine(&shop, &ann).await)), (5, 5, vec![]));

    add(&shop, &ann, mug, 5).await.expect(200);
    let one = key(100);
    let answers = join_all((0..8).map(|_| part(&shop, &ann, &one, mug, Some(2)))).await;
    let placed: BTreeSet<_> = answers.into_iter().map(|answer| answer.expect(201)["id"].as_i64()).collect();
    assert_eq!((placed.len(), orders(&shop), lines(&mine(&shop, &ann).await)), (1, 6, vec![(mug, 3)]));
    shop.settle().await;
    shop.audit();
}

/// Every piece is in the one order, in the other one, or in the cart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_ordered_at_once_with_the_whole_loses_nothing_and_gives_nothing_away() {
    needs_bench!("it delays calls of components");
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.0, 1000).await;
    let mut endings = BTreeSet::new();
    for round in 0..30_u64 {
        shop.delete(MINE).by(&ann).await.expect(200);
        add(&shop, &ann, mug, 3).await.expect(200);
        jitter(&script, 5000 + round);
        let late = |millis: u64| tokio::time::sleep(Duration::from_millis(millis));
        let whole = async {
            late(40_u64.saturating_sub(round * 3)).await;
            check_out(&shop, &ann, &json!({})).await
        };
        let some = async {
            late((round * 3).saturating_sub(40)).await;
            let (placed, added) =
                join(part(&shop, &ann, &key(round), mug, Some(2)), async { add(&shop, &ann, cup, 1).await }).await;
            (placed, added.status == 200)
        };
        let (whole, (placed, added)) = join(whole, some).await;
        script.clear();
        assert!(whole.status == 201 || whole.body["code"] == "cart-empty", "{}", whole.text);
        assert!([201, 409, 422].contains(&placed.status.as_u16()), "{}", placed.text);
        let mut all = lines(&mine(&shop, &ann).await);
        for answer in [&whole, &placed].into_iter().filter(|answer| answer.status == 201) {
            all.extend(lines(&answer.body));
        }
        let of = |product| all.iter().filter(|line| line.0 == product).map(|line| line.1).sum::<i64>();
        assert_eq!((of(mug), of(cup)), (3, i64::from(added)), "round {round}: {} {}", whole.text, placed.text);
        endings.insert((whole.status.as_u16(), placed.status.as_u16()));
    }
    assert!(endings.len() > 1, "the rounds ended alike: {endings:?}");
    shop.settle().await;
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_the_cart_can_be_changed_and_ordered_while_a_part_is_on_its_way() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.0, 10).await;
    add(&shop, &ann, mug, 3).await.expect(200);
    fail_orders(&script, Phase::Before);
    let first = part(&shop, &ann, &key(1), mug, Some(2)).await;
    assert_problem(&first, 503, "unavailable", "nobody knows");
    script.clear();
    add(&shop, &ann, cup, 1).await.expect(200);
    shop.put(format!("{MINE}/items/{mug}"), &json!({ "quantity": 4 })).by(&ann).await.expect(200);
    let second = part(&shop, &ann, &key(2), mug, Some(1)).await.expect(201);
    let whole = check_out(&shop, &ann, &json!({})).await.expect(201);
    assert_eq!((lines(&second), lines(&whole)), (vec![(mug, 1)], vec![(mug, 3), (cup, 1)]));
    assert_eq!(orders(&shop), 2);
    let placed = part(&shop, &ann, &key(1), mug, Some(2)).await.expect(201);
    assert_eq!((lines(&placed), lines(&mine(&shop, &ann).await), orders(&shop)), (vec![(mug, 2)], vec![], 3));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_part_of_unknown_ending_is_finished_without_anybody_asking() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 3).await.expect(200);
    for (round, phase) in [(1, Phase::Before), (2, Phase::After)] {
        fail_orders(&script, phase);
        let name = key(round);
        for _ in 0..2 {
            assert_problem(&part(&shop, &ann, &name, mug, Some(1)).await, 503, "unavailable", "nobody knows");
        }
        let left = mine(&shop, &ann).await;
        assert_eq!((lines(&left), &left["status"]), (vec![(mug, 3 - i64::try_from(round).unwrap())], &json!("open")));
        script.clear();
        shop.clock.advance(GRACE);
        ended(&shop).await;
        assert_eq!(orders(&shop), i64::try_from(round).unwrap());
        let placed = part(&shop, &ann, &name, mug, Some(1)).await.expect(201);
        assert_eq!((lines(&placed), orders(&shop)), (vec![(mug, 1)], i64::try_from(round).unwrap()));
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_part_that_orders_never_understand_is_given_up_and_back() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 3).await.expect(200);
    fail_orders(&script, Phase::Before);
    assert_eq!(part(&shop, &ann, &key(1), mug, Some(2)).await.status, 503);
    let given_up = async || {
        shop.clock.advance(Duration::from_secs(301));
        shop.tick("carts").await;
        shop.value("carts", "SELECT count(*) FROM checkouts WHERE status = 'open'") == 0
    };
    eventually(PATIENCE, "it is given up", given_up).await;
    assert_eq!((lines(&mine(&shop, &ann).await), orders(&shop)), (vec![(mug, 3)], 0));
    script.clear();
    assert_problem(&part(&shop, &ann, &key(1), mug, Some(2)).await, 409, "checkout-given-up", "that key");
    part(&shop, &ann, &key(2), mug, Some(2)).await.expect(201);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_refused_part_waits_for_the_end_of_the_whole_carts_checkout() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.0, 10).await;
    add(&shop, &ann, mug, 1).await.expect(200);
    add(&shop, &ann, cup, 1).await.expect(200);
    fail_orders(&script, Phase::Before);
    assert_eq!(part(&shop, &ann, &key(1), cup, None).await.status, 503);
    assert_eq!(check_out(&shop, &ann, &json!({})).await.status, 503);
    assert_problem(&part(&shop, &ann, &key(2), mug, None).await, 409, "checkout-under-way", "the rest is frozen");
    withdraw(&shop, cup).await;
    // The part alone gets through.
    let part_only = key(1);
    script.rule(move |call| {
        let asked = call.component == "carts" && call.detail.ends_with("//orders.spin.internal/internal/orders");
        if asked && call.phase == Phase::After { Verdict::Fail("no connection".into()) } else { Verdict::Proceed }
    });
    let answer = part(&shop, &ann, &part_only, cup, None).await;
    assert_eq!(answer.status, 503, "its refusal is lost as well");
    script.clear();
    let answer = part(&shop, &ann, &part_only, cup, None).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let frozen = mine(&shop, &ann).await;
    assert_eq!((lines(&frozen), &frozen["status"]), (vec![(mug, 1)], &json!("checking-out")));
    assert_eq!(shop.value("carts", OWED), 1);
    shop.clock.advance(GRACE);
    ended(&shop).await;
    assert_eq!((lines(&mine(&shop, &ann).await), shop.value("carts", OWED)), (vec![(cup, 1)], json!(0)));
    assert_eq!(orders(&shop), 1);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn nothing_is_kept_of_a_part_whose_customer_is_gone() {
    needs_bench!("it fails calls of components and moves the clock");
    for (phase, sold) in [(Phase::Before, true), (Phase::After, true), (Phase::Before, false)] {
        let (script, shop, ann, mug) = open().await;
        let cup = shop.product(2.0, 10).await;
        add(&shop, &ann, mug, 1).await.expect(200);
        add(&shop, &ann, cup, 2).await.expect(200);
        fail_orders(&script, phase);
        assert_eq!(part(&shop, &ann, &key(1), cup, Some(1)).await.status, 503);
        shop.delete(format!("/api/v1/users/{}", ann.id)).by(shop.admin().await).await.expect(204);
        if !sold {
            withdraw(&shop, cup).await;
        }
        let left = || shop.query("carts", "SELECT (SELECT count(*) FROM carts), (SELECT count(*) FROM checkouts)");
        let gone = async || {
            shop.tick("accounts").await;
            left() == [[json!(0), json!(1)]]
        };
        eventually(PATIENCE, "carts know that she is gone", gone).await;
        script.clear();
        shop.clock.advance(GRACE);
        ended(&shop).await;
        shop.settle_over_time().await;
        assert_eq!(left(), [[json!(0), json!(0)]], "{phase:?}, sold: {sold}");
        // Whether an order comes into being after all is up to orders.
        let certain = if sold { phase == Phase::After } else { true };
        assert!(!certain || orders(&shop) == i64::from(sold), "{phase:?}, sold: {sold}");
        shop.audit();
    }
}
