//! Carts that become orders, killed on the way.

use shop_tests::Answer;

use super::*;
use crate::cart_parts::{key, try_part};

/// What a customer does until the cart has become an order; the keys make it safe to do any of it again.
async fn buy_by_cart(world: &World, round: usize) {
    let shop = &world.shop;
    let items = json!({ "productId": world.mug, "quantity": 1 });
    world.persist(shop.post("/api/v1/carts/me/items", &items).by(&world.ann).key(&format!("add {round}"))).await;
    let code = json!({ "code": "TEN" });
    world.persist(shop.put("/api/v1/carts/me/discount", &code).by(&world.ann)).await;
    let body = json!({ "payment": { "token": "tok_visa" } });
    let submit = shop.post("/api/v1/carts/me/checkout", &body).by(&world.ann).key(&format!("submit {round}"));
    let order = world.persist(submit).await["id"].as_i64().unwrap();
    shop.settle_over_time().await;
    assert_eq!(world.status(order), "paid");
}

async fn world_with_a_code() -> World {
    let world = World::new(None).await;
    let discount = json!({ "code": "TEN", "kind": "percentage", "value": 10 });
    world.shop.post("/api/v1/discounts", &discount).by(world.shop.admin().await).await.expect(201);
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_with_a_code_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = world_with_a_code().await;
    let act = async |round, (): &()| buy_by_cart(&world, round).await;
    let check = |rounds: usize, (): &()| {
        world.assert_counts(rounds, rounds, 0, rounds);
        assert_eq!(world.shop.value("carts", "SELECT uses FROM discounts"), rounds);
        assert_eq!(world.shop.value("carts", "SELECT count(*) FROM carts"), 0, "no item is left behind");
    };
    at_every_call("buy by cart", &world, 1, async |_| (), act, check).await;
}

/// The customer is gone after the first attempt: the cart is as it was, or it is an order, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_that_nobody_repeats_ends_by_itself_after_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = world_with_a_code().await;
    let shop = &world.shop;
    let prepare = async |round: usize| {
        let left = shop.delete("/api/v1/carts/me").by(&world.ann).await;
        assert_eq!(left.status, 200);
        let items = json!({ "productId": world.mug, "quantity": 1 });
        shop.post("/api/v1/carts/me/items", &items).by(&world.ann).await.expect(200);
        shop.put("/api/v1/carts/me/discount", &json!({ "code": "TEN" })).by(&world.ann).await.expect(200);
        let orders = shop.value("orders", "SELECT count(*) FROM orders").as_i64().unwrap();
        shop.settle_over_time().await;
        (round, orders)
    };
    let act = async |_, _: &(usize, i64)| {
        let submit = shop.post("/api/v1/carts/me/checkout", &json!({ "payment": { "token": "tok_visa" } }));
        // The answer itself may break off.
        if let Ok(answer) = submit.by(&world.ann).send().await {
            assert!(answer.status == 201 || answer.status.is_server_error(), "{}", answer.text);
        }
        shop.settle_over_time().await;
    };
    let check = |_, (_, before): &(usize, i64)| {
        let count = |service, table: &str| shop.value(service, &format!("SELECT count(*) FROM {table}")).as_i64();
        let ordered = count("orders", "orders").unwrap() - before;
        let kept = shop.value("carts", "SELECT COALESCE(sum(json_array_length(lines)), 0) FROM carts");
        assert!(ordered == 0 && kept == 1 || ordered == 1 && kept == 0, "{ordered} ordered, {kept} kept");
        let uses = shop.value("carts", "SELECT uses FROM discounts");
        assert_eq!(uses, count("orders", "orders").unwrap(), "a use for each order");
    };
    at_every_call("check out and leave", &world, 1, prepare, act, check).await;
}

/// The card is declined: the cart is the customer's again, once, with its code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_whose_order_fails_comes_back_after_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = world_with_a_code().await;
    let shop = &world.shop;
    let items = json!({ "productId": world.mug, "quantity": 1 });
    shop.post("/api/v1/carts/me/items", &items).by(&world.ann).await.expect(200);
    shop.put("/api/v1/carts/me/discount", &json!({ "code": "TEN" })).by(&world.ann).await.expect(200);
    let act = async |round: usize, (): &()| {
        let body = json!({ "payment": { "token": "tok_declined" } });
        let submit = shop.post("/api/v1/carts/me/checkout", &body).by(&world.ann).key(&format!("submit {round}"));
        let order = world.persist(submit).await["id"].as_i64().unwrap();
        shop.settle_over_time().await;
        assert_eq!(world.status(order), "failed");
    };
    let check = |rounds: usize, (): &()| {
        assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), rounds);
        let kept = shop.query("carts", "SELECT json_extract(lines, '$[0].quantity'), discount_code FROM carts");
        assert_eq!(kept, [[json!(1), json!("TEN")]], "neither less nor more comes back");
        assert_eq!(shop.value("carts", "SELECT uses FROM discounts"), 0);
    };
    at_every_call("a declined cart", &world, 1, async |_| (), act, check).await;
}

/// Asks for two pieces of ann's cart, again and again, until it has an answer that repeating would not change.
async fn persist_part(world: &World, key: &str, product: i64) -> Answer {
    for _ in 0..20 {
        match try_part(&world.shop, &world.ann, key, product, Some(2)).await {
            Some(answer) if !answer.status.is_server_error() => return answer,
            _ => world.shop.settle_over_time().await,
        }
    }
    panic!("no answer after 20 attempts");
}

/// Pieces in all carts.
fn kept(shop: &Shop) -> i64 {
    let pieces = "SELECT COALESCE(sum(json_extract(value, '$.quantity')), 0) FROM carts, json_each(lines)";
    shop.value("carts", pieces).as_i64().unwrap()
}

fn ordered(shop: &Shop) -> i64 {
    shop.value("orders", "SELECT count(*) FROM orders").as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_cart_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let shop = &world.shop;
    let act = async |round: usize, (): &()| {
        let items = json!({ "productId": world.mug, "quantity": 3 });
        world.persist(shop.post("/api/v1/carts/me/items", &items).by(&world.ann).key(&format!("add {round}"))).await;
        let placed = persist_part(&world, &key(round.try_into().unwrap()), world.mug).await.expect(201);
        let order = placed["id"].as_i64().unwrap();
        shop.settle_over_time().await;
        assert_eq!(world.status(order), "reserved");
    };
    let check = |rounds: usize, (): &()| {
        let rounds = i64::try_from(rounds).unwrap();
        assert_eq!((ordered(shop), kept(shop)), (rounds, rounds), "two are ordered, one is left");
    };
    at_every_call("order a part", &world, 1, async |_| (), act, check).await;
}

/// Orders are gone after the first attempt: the part is in the cart again, or it is an order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_nobody_asks_for_again_ends_by_itself_after_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let shop = &world.shop;
    let prepare = async |_| {
        shop.delete("/api/v1/carts/me").by(&world.ann).await.expect(200);
        let items = json!({ "productId": world.mug, "quantity": 3 });
        shop.post("/api/v1/carts/me/items", &items).by(&world.ann).await.expect(200);
        shop.settle_over_time().await;
        ordered(shop)
    };
    let act = async |round: usize, _: &i64| {
        let name = key(round.try_into().unwrap());
        if let Some(answer) = try_part(shop, &world.ann, &name, world.mug, Some(2)).await {
            assert!(answer.status == 201 || answer.status.is_server_error(), "{}", answer.text);
        }
        shop.settle_over_time().await;
    };
    let check = |_, before: &i64| {
        let end = (ordered(shop) - before, kept(shop));
        assert!([(0, 3), (1, 1)].contains(&end), "{end:?}: ordered, and kept");
    };
    at_every_call("order a part and leave", &world, 1, prepare, act, check).await;
}

/// Orders refuse, because the product is not sold any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_refused_comes_back_after_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let shop = &world.shop;
    let prepare = async |_| {
        shop.delete("/api/v1/carts/me").by(&world.ann).await.expect(200);
        let cup = shop.product(1.0, 5).await;
        for (product, quantity) in [(cup, 3), (world.mug, 1)] {
            let items = json!({ "productId": product, "quantity": quantity });
            shop.post("/api/v1/carts/me/items", &items).by(&world.ann).await.expect(200);
        }
        shop.delete(format!("/api/v1/products/{cup}")).by(shop.admin().await).await.expect(204);
        shop.settle_over_time().await;
        cup
    };
    let act = async |round: usize, cup: &i64| {
        let name = key(round.try_into().unwrap());
        if let Some(answer) = try_part(shop, &world.ann, &name, *cup, Some(2)).await {
            assert!(answer.status == 422 || answer.status.is_server_error(), "{}", answer.text);
        }
        shop.settle_over_time().await;
        // The kill may also meet this one.
        let again = persist_part(&world, &name, *cup).await;
        // Orders had forgotten it for one who died before writing down why.
        assert!(again.status == 422 || again.body["code"] == "placement-forgotten", "{}", again.text);
        shop.settle_over_time().await;
    };
    let check = |_, _: &i64| assert_eq!((ordered(shop), kept(shop)), (0, 4));
    at_every_call("a part that is refused", &world, 1, prepare, act, check).await;
}

/// The order of a part fails, because the card is declined.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_whose_order_fails_comes_back_after_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::new(None).await;
    let shop = &world.shop;
    let items = json!({ "productId": world.mug, "quantity": 3 });
    shop.post("/api/v1/carts/me/items", &items).by(&world.ann).await.expect(200);
    let act = async |round: usize, (): &()| {
        let placed = persist_part(&world, &key(round.try_into().unwrap()), world.mug).await.expect(201);
        let order = placed["id"].as_i64().unwrap();
        shop.settle_over_time().await;
        world.persist(shop.pay(&world.ann, order, "tok_declined").key(&format!("pay {round}"))).await;
        shop.settle_over_time().await;
        assert_eq!(world.status(order), "failed");
    };
    let check = |rounds: usize, (): &()| {
        assert_eq!((ordered(shop), kept(shop)), (i64::try_from(rounds).unwrap(), 3), "neither less nor more");
    };
    at_every_call("a part whose order fails", &world, 1, async |_| (), act, check).await;
}
