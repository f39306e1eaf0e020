//! Carts that become orders, killed on the way.

use super::*;

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
