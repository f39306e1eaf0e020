//! What an order costs beside its goods, by the shop's own rules and by others.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Shop, ShopOptions, eventually, needs_bench};

use crate::{
    checkout::{MINE, add, check_out},
    support::{assert_invalid, assert_problem},
};

const ORDERS: &str = "/api/v1/orders";

fn to(country: &str) -> Value {
    json!({ "name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "postalCode": "1", "country": country })
}

fn items(product: i64, quantity: u32) -> Value {
    json!([{ "productId": product, "quantity": quantity }])
}

async fn quote(shop: &Shop, body: &Value) -> Answer {
    shop.internal("orders", Method::POST, "/internal/quotes", Some(body)).await
}

/// Subtotal, discount, shipping, tax and total.
fn sums(order: &Value) -> [f64; 5] {
    ["subtotal", "discount", "shipping", "tax", "total"].map(|part| order[part].as_f64().unwrap())
}

/// A shop with rates.
async fn open(rates: &[(&str, &str)]) -> (Shop, Customer) {
    let variables = rates.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

#[tokio::test]
async fn tax_and_shipping_are_part_of_what_is_charged() {
    let rates = [("tax_percent", "7.7"), ("shipping_flat", "4.90"), ("shipping_free_from", "50")];
    let (shop, ann) = open(&rates).await;
    let mug = shop.product(9.99, 100).await;
    for (quantity, expected) in [(1, [9.99, 0.0, 4.9, 1.15, 16.04]), (6, [59.94, 0.0, 0.0, 4.62, 64.56])] {
        let placed = shop.order(&ann, mug, quantity, Some("tok_visa")).await.expect(201);
        assert_eq!(sums(&placed), expected);
        let id = placed["id"].as_i64().unwrap();
        shop.wait_for(id, "paid").await;
        assert_eq!(shop.payment_of(id).await.expect(200)["amount"], expected[4]);
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_quote_says_what_an_order_would_cost_and_places_nothing() {
    needs_bench!("nobody outside makes internal calls");
    let (shop, _) = open(&[("shipping_flat", "5")]).await;
    let (mug, cup) = (shop.product(0.05, 100).await, shop.product(10.0, 100).await);
    let both = json!([{ "productId": mug, "quantity": 1 }, { "productId": cup, "quantity": 3 }]);
    let with = |discount: Value| json!({ "items": both, "discount": discount, "shippingAddress": to("DE") });
    let percent = |value: f64| json!({ "code": "SPRING", "kind": "percentage", "value": value });
    for (discount, expected) in [
        (json!(null), [30.05, 0.0, 5.0, 0.0, 35.05]),
        (percent(10.0), [30.05, 3.01, 5.0, 0.0, 32.04]),
        (percent(0.01), [30.05, 0.0, 5.0, 0.0, 35.05]),
        (percent(100.0), [30.05, 30.05, 5.0, 0.0, 5.0]),
        (json!({ "code": "X", "kind": "fixed", "value": 1.5 }), [30.05, 1.5, 5.0, 0.0, 33.55]),
        (json!({ "code": "X", "kind": "fixed", "value": 99 }), [30.05, 30.05, 5.0, 0.0, 5.0]),
        (json!({ "code": "X", "kind": "fixed", "value": 1, "minimum": 30.05 }), [30.05, 1.0, 5.0, 0.0, 34.05]),
        (json!({ "code": "X", "kind": "fixed", "value": 1, "minimum": 30.06 }), [30.05, 0.0, 5.0, 0.0, 35.05]),
    ] {
        let quoted = quote(&shop, &with(discount.clone())).await.expect(200);
        assert_eq!(sums(&quoted), expected, "{discount}");
        assert_eq!(quoted["currency"], "EUR");
        let lines = quoted["items"].as_array().unwrap();
        assert_eq!((&lines[0]["productId"], &lines[1]["total"]), (&json!(mug), &json!(30.0)));
    }
    for (discount, field) in [
        (percent(0.0), "discount.value"),
        (percent(-1.0), "discount.value"),
        (percent(100.01), "discount.value"),
        (percent(0.001), "discount.value"),
        (json!({ "code": "X", "kind": "gift", "value": 1 }), "discount.kind"),
        (json!({ "code": "", "kind": "fixed", "value": 1 }), "discount.code"),
        (json!({ "code": "X", "kind": "fixed", "value": 1, "minimum": -1 }), "discount.minimum"),
    ] {
        assert_invalid(&quote(&shop, &with(discount.clone())).await, &[field], &discount.to_string());
    }
    let unknown = json!({ "items": items(999, 1) });
    assert_invalid(&quote(&shop, &unknown).await, &["items[0].productId"], "unknown");
    assert_eq!(shop.post("/internal/quotes", &with(json!(null))).await.status, 404, "from outside");
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), 0);
}

/// The shop with another component for its rules: what an owner would change in `spin.toml`.
async fn boutique() -> (Shop, Customer) {
    let dependency = |component: &str| format!("\"bodega:pricing/rules@1.0.0\" = {{ component = \"{component}\"");
    let source = |component: &str| {
        format!("[component.{component}]\nsource = \"target/wasm32-wasip1/release/{component}.wasm\"\n")
    };
    let changes = vec![
        (dependency("pricing"), dependency("boutique")),
        (source("pricing"), format!("{}{}", source("boutique"), source("pricing"))),
    ];
    let shop = Shop::start(ShopOptions { changes, ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

#[tokio::test]
async fn a_shop_brings_its_own_rules() {
    let (shop, ann) = boutique().await;
    let mug = shop.product(10.0, 100).await;
    let order = |quantity: u32, country: &str| {
        let body = json!({ "items": items(mug, quantity), "shippingAddress": to(country),
            "payment": { "token": "tok_visa" } });
        shop.post(ORDERS, &body).by(&ann)
    };
    let placed = order(5, "DE").await.expect(201);
    assert_eq!(sums(&placed), [50.0, 20.0, 0.0, 0.0, 30.0], "every second piece is free");
    assert_eq!(placed["items"][0]["discount"], 20.0);
    assert_eq!(sums(&shop.order(&ann, mug, 1, None).await.expect(201)), [10.0, 0.0, 15.0, 0.0, 25.0]);
    assert_invalid(&order(1, "AQ").await, &["shippingAddress.country"], "the rules refuse it");

    let once = json!({ "code": "ONCE", "kind": "fixed", "value": 1, "maxUses": 1 });
    shop.post("/api/v1/discounts", &once).by(shop.admin().await).await.expect(201);
    let refused = json!({ "items": items(mug, 1), "shippingAddress": to("AQ"), "discountCode": "ONCE" });
    assert_invalid(&shop.post(ORDERS, &refused).by(&ann).await, &["shippingAddress.country"], "with a code");
    assert_eq!(shop.value("carts", "SELECT uses FROM discounts"), 0, "the code is still to be had");

    let id = placed["id"].as_i64().unwrap();
    shop.wait_for(id, "paid").await;
    assert_eq!(shop.payment_of(id).await.expect(200)["amount"], 30.0);
    shop.settle().await;
    shop.audit();
}

/// Quantities for which the boutique's rules answer what cannot be.
const NONSENSE: [u32; 5] = [13, 14, 15, 16, 17];
/// The quantity that kills whoever asks for its price.
const TRAP: u32 = 18;

/// A refusal for good that says nothing of what was wrong with the quote.
#[track_caller]
fn assert_not_priceable(answer: &Answer, what: &str) {
    assert_problem(answer, 409, "not-priceable", what);
    assert_eq!(answer.body["detail"], "the shop cannot say what this costs: nothing was ordered", "{what}");
}

#[tokio::test]
async fn nothing_is_placed_on_a_quote_that_does_not_add_up() {
    let (shop, ann) = boutique().await;
    let mug = shop.product(10.0, 100).await;
    for quantity in NONSENSE {
        let answer = shop.order(&ann, mug, quantity, Some("tok_visa")).key("k").await;
        assert_not_priceable(&answer, &quantity.to_string());
    }
    assert_eq!(shop.get(ORDERS).by(&ann).await.expect(200), json!({ "items": [] }));
    shop.order(&ann, mug, 12, Some("tok_visa")).key("k").await.expect(201);
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 88);
    shop.audit();
}

#[tokio::test]
async fn a_cart_that_has_no_price_is_its_customers_at_once() {
    let (shop, ann) = boutique().await;
    let mug = shop.product(10.0, 100).await;
    let admin = shop.admin().await;
    for code in ["GOOD", "NONSENSE"] {
        let once = json!({ "code": code, "kind": "fixed", "value": 1, "maxUses": 1 });
        shop.post("/api/v1/discounts", &once).by(admin).await.expect(201);
    }
    let use_code = async |code: &'static str| {
        shop.put(format!("{MINE}/discount"), &json!({ "code": code })).by(&ann).await.expect(200);
    };
    let quantity = async |quantity: u32| {
        shop.put(format!("{MINE}/items/{mug}"), &json!({ "quantity": quantity })).by(&ann).await.expect(200)
    };
    add(&shop, &ann, mug, 1).await.expect(200);
    use_code("GOOD").await;
    let pay = json!({ "payment": { "token": "tok_visa" } });
    for nonsense in NONSENSE {
        let before = quantity(nonsense).await;
        assert_not_priceable(&check_out(&shop, &ann, &pay).key("k").await, &nonsense.to_string());
        assert_eq!(shop.get(MINE).by(&ann).await.expect(200), before, "open, and as it was");
        let estimate = shop.get(format!("{MINE}?estimate=true")).by(&ann).await;
        assert_not_priceable(&estimate, "an estimate, too");
    }
    // Only the code makes nonsense of it, so that it is redeemed before the price is known.
    quantity(3).await;
    use_code("NONSENSE").await;
    assert_not_priceable(&check_out(&shop, &ann, &pay).key("k").await, "with the code");
    let used = "SELECT sum(uses) FROM discounts";
    assert_eq!(shop.value("carts", used), 0, "no code is used, nor held");
    let keys = shop.query("carts", "SELECT key, status FROM checkouts");
    assert_eq!(keys.len(), NONSENSE.len() + 1);
    for row in &keys {
        let key = row[0].as_str().unwrap();
        let known = shop.query("orders", &format!("SELECT order_id FROM placements WHERE key = '{key}'"));
        assert_eq!((&row[1], known), (&json!("refused"), vec![vec![Value::Null]]), "nothing can be placed any more");
    }
    use_code("GOOD").await;
    let placed = check_out(&shop, &ann, &pay).key("k").await.expect(201);
    assert_eq!(placed["items"][0]["quantity"], 3);
    shop.settle().await;
    assert_eq!((shop.value("carts", used), shop.stock(mug).await["available"].clone()), (json!(1), json!(97)));
    shop.audit();
}

#[tokio::test]
async fn rules_that_die_over_a_cart_hold_it_until_it_is_given_up() {
    needs_bench!("it moves the clock");
    let (shop, ann) = boutique().await;
    let mug = shop.product(10.0, 100).await;
    add(&shop, &ann, mug, TRAP).await.expect(200);
    assert_eq!(check_out(&shop, &ann, &json!({})).await.status, 503, "nobody knows");
    assert_eq!(shop.get(MINE).by(&ann).await.expect(200)["status"], "checking-out");
    let given_up = async || {
        shop.clock.advance(Duration::from_secs(301));
        shop.tick("carts").await;
        shop.get(MINE).by(&ann).await.expect(200)["status"] == "open"
    };
    eventually(Duration::from_secs(30), "it is given up", given_up).await;
    shop.put(format!("{MINE}/items/{mug}"), &json!({ "quantity": 1 })).by(&ann).await.expect(200);
    check_out(&shop, &ann, &json!({})).await.expect(201);
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), 1);
    shop.settle().await;
    shop.audit();
}
