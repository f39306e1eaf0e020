//! What each family shows of products and their stock, and does with them.

use std::time::Duration;

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

use crate::support::assert_message;

pub(super) fn item() -> Value {
    json!({ "itemName": "Mug", "unitPrice": 14.5, "upc": "036000291452", "availability": 5 })
}

pub(super) fn mug() -> Value {
    json!({ "name": "Mug", "description": "Holds 350 ml", "price": 14.5, "stock": 5 })
}

#[tokio::test]
async fn an_item_is_a_product_in_other_words() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let metadata = r#"{ "size": 1.10, "a": [null, {}], "b": "\u00fc" }"#;
    let body = format!(
        r#"{{"itemName":"Mug","unitPrice":14.5,"imageUrls":["/mug.png"],"upc":"036","stock":5,"metadata":{metadata}}}"#
    );
    let made = shop.post("/api/items", &json!({})).bytes(body).by(&sue).await;
    let id = made.body["itemId"].clone();
    assert_eq!(made.header("location"), Some(format!("/api/items/{id}").as_str()));
    assert!(made.text.contains(metadata), "kept as given: {}", made.text);
    let expected = json!({
        "itemId": id, "id": id, "itemName": "Mug", "name": "Mug", "description": "", "unitPrice": 14.5, "currency": "EUR",
        "imageUrls": ["/mug.png"], "upc": "036", "category": null, "availability": 5,
        "metadata": { "size": 1.10, "a": [null, {}], "b": "ü" },
    });
    assert_eq!(made.expect(201), expected);
    let path = format!("/api/items/{id}");
    let read = shop.get(format!("{path}/")).await;
    assert!(read.text.contains(metadata) && read.header("etag").is_some(), "{}", read.text);
    assert_eq!(read.expect(200), expected);
    assert_eq!(shop.get("/api/items").await.expect(200), json!([expected]));
    let product = shop.get(format!("/api/v1/products/{id}")).await.expect(200);
    assert_eq!((&product["name"], &product["price"], &product["stock"]), (&json!("Mug"), &json!(14.5), &json!(5)));

    let changed = shop.put(&path, &json!({ "itemName": "Cup", "upc": null })).by(&sue).await.expect(200);
    assert_eq!(
        (&changed["itemName"], &changed["upc"], &changed["unitPrice"]),
        (&json!("Cup"), &json!(null), &json!(14.5))
    );
    assert_eq!(shop.get(&path).await.expect(200), changed);
    shop.delete(&path).by(&sue).await.expect(204);
    for gone in [path.clone(), format!("{path}/availability")] {
        shop.settle().await;
        assert_message(&shop.get(&gone).await, 404, "item not found", &gone);
    }
    let increase = shop.put(format!("{path}/availability/increase?qty=1"), &json!({})).by(&sue).await;
    assert_message(&increase, 404, "item not found", "it is gone");
    shop.audit();
}

#[tokio::test]
async fn an_item_is_made_once_for_each_key() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let make = async || shop.post("/api/items", &item()).by(&sue).key("a mug").await;
    let mut answers = join_all((0..5).map(|_| make())).await;
    answers.push(make().await);
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(made.iter().all(|answer| answer.body == made[0].body), "{:?}", made[0].body);
    assert_eq!(answers.last().unwrap().header("idempotent-replayed"), Some("true"));
    assert_eq!(shop.get("/api/items").await.expect(200).as_array().unwrap().len(), 1);
    let other = shop.post("/api/items", &json!({ "itemName": "Cup", "unitPrice": 1 })).by(&sue).key("a mug").await;
    assert_message(&other, 422, "this Idempotency-Key was used with another request", "another body");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn lists_are_arrays_of_what_is_for_sale_the_newest_first() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    for (place, stock) in [(1, 1), (2, 0), (3, 1), (4, 1)] {
        let body =
            json!({ "itemName": format!("Mug {place}"), "unitPrice": 5 - place, "stock": stock, "category": "mugs" });
        shop.post("/api/items", &body).by(&sue).await.expect(201);
    }
    let draft = json!({ "name": "Draft", "description": "", "price": 1, "stock": 1, "status": "draft" });
    shop.post("/api/v1/products", &draft).by(&sue).await.expect(201);
    for (query, expected) in [
        ("", &[4, 3, 2, 1][..]),
        ("?limit=2", &[4, 3]),
        ("?limit=2&offset=1", &[3, 2]),
        ("?offset=4", &[]),
        ("?inStock=true&offset=1", &[3, 1]),
        ("?inStock=false", &[2]),
        // By price.
        ("?minPrice=2&maxPrice=4&offset=1", &[2, 1]),
        ("?category=mugs&limit=1", &[4]),
        ("?category=cups&minPrice=&maxPrice=&inStock=", &[]),
    ] {
        for path in ["/api/items", "/api/products", "/products"] {
            let list = shop.get(format!("{path}{query}")).await.expect(200);
            let names: Vec<_> = list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
            let expected: Vec<_> = expected.iter().map(|place| format!("Mug {place}")).collect();
            assert_eq!(names, expected, "{path}{query}");
        }
    }
}

/// What an item shows at both places.
async fn shown(shop: &Shop, id: &Value) -> (Value, Value) {
    let item = shop.get(format!("/api/items/{id}")).await.expect(200)["availability"].clone();
    let availability = shop.get(format!("/api/items/{id}/availability")).await.expect(200);
    assert_eq!(&availability["itemId"], id);
    (item, availability["availability"].clone())
}

#[tokio::test]
async fn pieces_taken_by_many_at_once_are_taken_exactly_once_and_never_below_zero() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let id = shop.post("/api/items", &item()).by(&sue).await.expect(201)["itemId"].clone();
    // At once: inventory has hardly heard of it.
    assert_eq!(shown(&shop, &id).await, (json!(5), json!(5)));
    let change = |what: &str| shop.request(Method::PUT, format!("/api/items/{id}/availability/{what}"));
    assert_eq!(change("increase?qty=20").by(&sue).await.expect(200), json!({ "itemId": id, "availability": 25 }));
    let taken = join_all((0..20).map(|_| async { change("decrease?qty=3").by(&sue).await })).await;
    let (done, refused): (Vec<_>, Vec<_>) = taken.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(done.len(), 8);
    let mut left: Vec<_> = done.iter().map(|answer| answer.body["availability"].as_i64().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, [1, 4, 7, 10, 13, 16, 19, 22]);
    for answer in refused {
        assert_message(&answer, 409, "1 on hand, 0 of them reserved: cannot go to -2", "more than there are");
    }
    let alike = async || shown(&shop, &id).await == (json!(1), json!(1));
    eventually(Duration::from_secs(5), "both places show the same", alike).await;
    let history = shop.get(format!("/api/v1/inventory/{id}/history?limit=100")).by(&sue).await.expect(200);
    let history = history["items"].as_array().unwrap();
    let sum: i64 = history.iter().map(|entry| entry["onHandDelta"].as_i64().unwrap()).sum();
    assert_eq!((history.len(), sum), (10, 1), "{history:?}");
    assert_eq!(history[0]["reason"], "decreased");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn pieces_that_are_promised_are_not_taken_and_a_key_takes_once() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (sue, ann) = (shop.seller("sue").await, shop.customer("ann").await);
    let id = shop.post("/api/items", &item()).by(&sue).await.expect(201)["itemId"].clone();
    shop.settle().await;
    let order = shop.place(&ann, id.as_i64().unwrap(), 3, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    assert_eq!(shown(&shop, &id).await, (json!(2), json!(2)));
    let decrease =
        |qty: u32| shop.request(Method::PUT, format!("/api/items/{id}/availability/decrease?qty={qty}")).by(&sue);
    let promised = decrease(3).await;
    assert_message(&promised, 409, "5 on hand, 3 of them reserved: cannot go to 2", "they are the order's");
    for _ in 0..2 {
        assert_eq!(decrease(1).key("broken").await.expect(200)["availability"], 1);
    }
    assert_eq!(decrease(2).key("broken").await.status, 422, "the same key for something else");
    shop.settle().await;
    assert_eq!(shown(&shop, &id).await, (json!(1), json!(1)));
    shop.audit();
}

#[tokio::test]
async fn until_inventory_has_heard_of_an_item_the_catalog_answers_for_it_and_nothing_is_changed() {
    needs_bench!("it holds up events");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (sue, rob) = (shop.seller("sue").await, shop.seller("rob").await);
    script.rule(|call| {
        let told = call.component == "catalog" && call.interface == "http" && call.phase == Phase::Before;
        if told && call.detail.contains("inventory") { Verdict::Fail("not now".into()) } else { Verdict::Proceed }
    });
    let id = shop.post("/api/items", &item()).by(&sue).await.expect(201)["itemId"].clone();
    assert_eq!(shown(&shop, &id).await, (json!(5), json!(5)));
    let increase = || shop.request(Method::PUT, format!("/api/items/{id}/availability/increase?qty=1"));
    let early = increase().by(&sue).await;
    assert_message(&early, 503, &format!("the inventory record of item {id} is not available: try again"), "too early");
    assert!(early.header("retry-after").is_some());
    let draft = json!({ "name": "Draft", "description": "", "price": 1, "stock": 7, "status": "draft" });
    let draft = shop.post("/api/v1/products", &draft).by(&sue).await.expect(201)["id"].clone();
    let hidden = shop.get(format!("/api/items/{draft}/availability"));
    assert_eq!(hidden.clone().by(&sue).await.expect(200)["availability"], 7);
    for answer in [hidden.clone().await, hidden.clone().by(&rob).await] {
        assert_message(&answer, 404, "item not found", "a draft");
    }
    assert_eq!(hidden.bearer("not.a.token").await.status, 401);
    script.clear();
    shop.settle_over_time().await;
    assert_eq!(increase().by(&sue).await.expect(200)["availability"], 6);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_product_is_made_shown_changed_and_deleted() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let made = shop.post("/product", &mug()).by(&sue).await.expect(201);
    for (field, value) in mug().as_object().unwrap() {
        assert_eq!(&made[field], value);
    }
    let path = format!("/product/{}", made["id"]);
    assert_eq!(shop.get(&path).await.expect(200), made);
    assert_eq!(shop.get("/products?limit=1&offset=0").await.expect(200), json!([made]));
    let patch = shop.request(Method::PATCH, &path).json(&json!({ "price": 13 })).by(&sue).await.expect(200);
    assert_eq!((&patch["price"], &patch["name"]), (&json!(13.0), &json!("Mug")));
    let deleted = shop.delete(&path).by(&sue).await.expect(200);
    assert_eq!(deleted, json!({ "message": "Product deleted successfully" }));
    assert_message(&shop.get(&path).await, 404, "product not found", "it is gone");
    assert_eq!(shop.get("/products").await.expect(200), json!([]));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn the_stock_of_many_products_is_one_question() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let mut ids = Vec::new();
    for (stock, status) in [(3, "active"), (0, "active"), (7, "draft")] {
        let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": stock, "status": status });
        ids.push(shop.post("/product", &body).by(&sue).await.expect(201)["id"].as_i64().unwrap());
    }
    let ask = async |ids: Value| shop.post("/product/stock", &json!({ "ids": ids })).await.expect(200);
    let expected = json!([{ "id": ids[1], "stock": 0 }, { "id": ids[0], "stock": 3 }]);
    assert_eq!(ask(json!([ids[1], ids[2], 999, ids[0], ids[1]])).await, expected, "as asked, and no drafts");
    assert_eq!(ask(json!([])).await, json!([]));
}

#[tokio::test]
async fn a_product_has_any_category_that_it_is_given_and_is_found_by_it() {
    let shop = Shop::start(ShopOptions::default()).await;
    let admin = shop.admin().await;
    let mut body = mug();
    body["category"] = json!("mugs");
    let made = shop.post("/api/admin/products", &body).by(admin).await.expect(201);
    assert_eq!(made["category"], "mugs", "nobody has made a category");
    let path = format!("/api/admin/products/{}", made["id"]);
    assert_eq!(shop.get(format!("/api/products/{}", made["id"])).await.expect(200), made);
    let found = async |query: &str| shop.get(format!("/api/products?{query}")).await.expect(200);
    assert_eq!(found("category=mugs&minPrice=14.5&maxPrice=14.50&inStock=true").await, json!([made]));
    assert_eq!(found("category=mugs&maxPrice=14.49").await, json!([]));
    let moved = shop.put(&path, &json!({ "category": "cups", "stock": 0 })).by(admin).await.expect(200);
    assert_eq!((&moved["category"], &moved["stock"]), (&json!("cups"), &json!(0)));
    assert_eq!(found("category=mugs").await, json!([]));
    shop.settle().await;
    assert_eq!(found("category=cups&inStock=false").await.as_array().unwrap().len(), 1);
    shop.delete(&path).by(admin).await.expect(204);
    assert_eq!(found("").await, json!([]));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn categories_are_a_list_in_the_order_they_were_made_in() {
    let shop = Shop::start(ShopOptions::default()).await;
    let admin = shop.admin().await;
    for name in ["Kitchen", "Lamps", "Tables"] {
        shop.post("/categories", &json!({ "name": name })).by(admin).await.expect(201);
    }
    let taken = shop.post("/categories", &json!({ "name": "Lamps" })).by(admin).await;
    assert_eq!((taken.status.as_u16(), taken.body["message"].is_string()), (409, true), "{}", taken.text);
    let names = async |query: &str| -> Vec<String> {
        let list = shop.get(format!("/categories{query}")).await.expect(200);
        list.as_array().unwrap().iter().map(|category| category["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["Kitchen", "Lamps", "Tables"]);
    assert_eq!(names("?limit=1&offset=1").await, ["Lamps"]);
    assert_eq!(names("?offset=3").await, [""; 0]);
}

#[tokio::test]
async fn a_product_is_described_to_other_components_and_to_nobody_else() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let kitchen = shop.post("/categories", &json!({ "name": "Kitchen" })).by(shop.admin().await).await.expect(201);
    let mut body = mug();
    body["categoryId"] = kitchen["id"].clone();
    let made = shop.post("/products", &body).by(&sue).await.expect(201);
    assert_eq!(made["category"], "Kitchen");
    assert_eq!(shop.get(format!("/products/{}", made["id"])).await.expect(200), made);
    let internal = format!("/internal/products/{}", made["id"]);
    let outside = shop.get(&internal).by(shop.admin().await).await;
    assert_message(&outside, 404, &format!("Route not found: GET {internal}"), "from outside");
    needs_bench!("it calls a component as another one does");
    assert_eq!(shop.internal("catalog", Method::GET, &internal, None).await.expect(200), made);
    assert_eq!(shop.internal("catalog", Method::GET, "/internal/products/999", None).await.status, 404);
    shop.settle().await;
    shop.audit();
}
