//! What is for sale: writing products, finding them, reading them cheaply.

use std::{collections::BTreeMap, time::Duration};

use crate::support::{assert_invalid, assert_problem};
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Shop, ShopOptions, eventually};

const PRODUCTS: &str = "/api/v1/products";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

fn lamp() -> Value {
    json!({ "name": "Lamp", "description": "Bright.", "price": 19.99, "stock": 3 })
}

fn lamp_with(fields: &Value) -> Value {
    let mut body = lamp();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// Offers a product: a lamp but for these fields.
async fn offer(shop: &Shop, fields: Value) -> Value {
    shop.post(PRODUCTS, &lamp_with(&fields)).by(shop.admin().await).await.expect(201)
}

fn at(product: &Value) -> String {
    format!("{PRODUCTS}/{}", product["id"])
}

/// A product as this text describes it.
fn offer_raw<'a>(shop: &'a Shop, by: &'a Customer, body: &str) -> Call<'a> {
    shop.post(PRODUCTS, &Value::Null).by(by).bytes(body)
}

/// A change as this text describes it.
fn change_raw<'a>(shop: &'a Shop, product: &Value, by: &'a Customer, body: &str) -> Call<'a> {
    shop.put(at(product), &Value::Null).by(by).bytes(body)
}

/// The names of what a list shows, in its order.
async fn names(shop: &Shop, query: &str) -> Vec<String> {
    let page = shop.get(format!("{PRODUCTS}?limit=100&{query}")).await.expect(200);
    assert!(page.get("nextCursor").is_none(), "{query}");
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_product_is_offered_changed_and_withdrawn() {
    let shop = open().await;
    let admin = shop.admin().await;
    let fields = json!({ "name": " Lamp ", "category": " Light ", "sku": " L-1 ", "metadata": { "watts": 7 } });
    let answer = shop.post(PRODUCTS, &lamp_with(&fields)).by(admin).await;
    let location = answer.header("location").unwrap().to_owned();
    let lamp = answer.expect(201);
    assert_eq!(location, at(&lamp));
    let expected = json!({
        "id": lamp["id"], "name": "Lamp", "description": "Bright.", "price": 19.99, "currency": "EUR", "stock": 3,
        "category": "Light", "categoryId": null, "sku": "L-1", "upc": null, "images": [], "metadata": { "watts": 7 },
        "status": "active", "supplierId": admin.id,
        "createdAt": lamp["createdAt"], "updatedAt": lamp["createdAt"],
    });
    assert_eq!(lamp, expected);
    assert_eq!(shop.get(&location).await.expect(200), lamp);
    assert_eq!(shop.get(PRODUCTS).await.expect(200), json!({ "items": [lamp] }));

    let mut wanted = lamp.clone();
    for (field, value, shown) in [
        ("name", json!(" Lantern "), json!("Lantern")),
        ("description", json!(""), json!("")),
        ("price", json!(0), json!(0.0)),
        ("category", json!(null), json!(null)),
        ("sku", json!("L-2"), json!("L-2")),
        ("metadata", json!(null), json!({})),
        ("upc", json!(" 0012345678905 "), json!("0012345678905")),
        (
            "images",
            json!(["https://cdn.example.com/1.jpg", "/2.jpg"]),
            json!(["https://cdn.example.com/1.jpg", "/2.jpg"]),
        ),
        ("images", json!(null), json!([])),
        ("upc", json!(null), json!(null)),
    ] {
        let changed = shop.put(&location, &json!({ field: value })).by(admin).await.expect(200);
        wanted[field] = shown;
        wanted["updatedAt"] = changed["updatedAt"].clone();
        assert_eq!(changed, wanted, "what is left out stays: {field}");
    }
    assert_eq!(shop.put(&location, &json!({})).by(admin).await.expect(200), wanted, "no change is no change");

    let id = lamp["id"].as_i64().unwrap();
    eventually(Duration::from_secs(20), "inventory has the product", async || shop.check(id, 3).await.status == 200)
        .await;
    assert_eq!(shop.delete(&location).by(admin).await.status, 204);
    assert_problem(&shop.get(&location).await, 404, "not-found", "get");
    assert_problem(&shop.put(&location, &json!({})).by(admin).await, 404, "not-found", "put");
    assert_problem(&shop.delete(&location).by(admin).await, 404, "not-found", "delete again");
    assert!(names(&shop, "").await.is_empty() && names(&shop, "q=lantern").await.is_empty());
    let ann = shop.customer("ann").await;
    assert_invalid(&shop.order(&ann, id, 1, None).await, &["items[0].productId"], "an order");
    eventually(Duration::from_secs(20), "nobody is told of its stock", async || shop.check(id, 1).await.status == 404)
        .await;
    for unknown in ["999", "0", "-1", "lamp", "1.0", "99999999999999999999"] {
        assert_problem(&shop.get(format!("{PRODUCTS}/{unknown}")).await, 404, "not-found", unknown);
    }
}

#[tokio::test]
async fn every_field_has_its_limits() {
    let shop = open().await;
    let admin = shop.admin().await;
    let lamp = offer(&shop, json!({})).await;
    let long = |length: usize| json!("ü".repeat(length));
    for (field, good) in [
        ("name", long(200)),
        ("description", long(10_000)),
        ("description", json!("Two\r\nlines,\ta tab.")),
        ("stock", json!(0)),
        ("stock", json!(1_000_000)),
        ("category", long(100)),
        ("sku", long(64)),
        ("metadata", json!({})),
        ("upc", long(64)),
        ("images", json!(vec!["/a"; 20])),
        ("status", json!("draft")),
    ] {
        let shown = offer(&shop, json!({ field: good })).await;
        assert_eq!(shown[field], good);
        shop.delete(at(&shown)).by(admin).await;
    }
    let bad = [
        ("name", vec![json!(""), json!(" "), long(201), json!("two\nlines"), json!(1)]),
        ("description", vec![long(10_001), json!("nul\u{0}"), json!({})]),
        ("price", vec![json!(-0.01), json!("19.99"), json!(true)]),
        ("stock", vec![json!(-1), json!(1_000_001), json!(0.5), json!("3"), json!(4_294_967_296_i64)]),
        ("category", vec![json!(""), long(101), json!("two\nlines"), json!([])]),
        ("sku", vec![json!(" "), long(65), json!(7)]),
        ("upc", vec![json!(""), long(65), json!(7)]),
        ("images", vec![json!("/a"), json!(["a"]), json!(["javascript:alert(1)"]), json!(vec!["/a"; 21])]),
        ("status", vec![json!("deleted"), json!("Active"), json!(1)]),
        ("categoryId", vec![json!("1"), json!(99)]),
        ("metadata", vec![json!([]), json!("{}"), json!({ "x": "x".repeat(16 * 1024) })]),
    ];
    for (field, values) in bad {
        for value in values {
            let what = format!("{field}: {value}");
            assert_invalid(&shop.post(PRODUCTS, &lamp_with(&json!({ field: value }))).by(admin).await, &[field], &what);
            assert_invalid(&shop.put(at(&lamp), &json!({ field: value })).by(admin).await, &[field], &what);
        }
    }
    for field in ["name", "description", "price", "stock"] {
        let mut body = self::lamp();
        body.as_object_mut().unwrap().remove(field);
        assert_invalid(&shop.post(PRODUCTS, &body).by(admin).await, &[field], &format!("without {field}"));
    }
    let several = json!({ "name": "", "stock": 1_000_001 });
    assert_invalid(&shop.post(PRODUCTS, &lamp_with(&several)).by(admin).await, &["name", "stock"], "two at once");
    assert_eq!(shop.get(PRODUCTS).await.expect(200), json!({ "items": [lamp] }), "nothing else was created or changed");
}

#[tokio::test]
async fn prices_are_exact() {
    let shop = open().await;
    let admin = shop.admin().await;
    let body = |price: &str| format!(r#"{{ "name": "x", "description": "", "stock": 1, "price": {price} }}"#);
    let refused = [
        "19.999",
        "0.001",
        "1e-3",
        "19.990000000000000001",
        "1e400",
        "1E99999999999",
        "10000000000.01",
        "\"1\"",
        "-0.01",
        "-1e400",
        "null",
        "true",
        "[1]",
    ];
    for price in refused {
        let answer = offer_raw(&shop, admin, &body(price)).await;
        assert_invalid(&answer, &["price"], price);
    }
    for price in ["01", "1.", ".5", "+1", "NaN", "1e"] {
        let answer = offer_raw(&shop, admin, &body(price)).await;
        assert_problem(&answer, 400, "malformed", price);
    }
    assert!(names(&shop, "").await.is_empty(), "nothing was created");
    for (price, shown) in [
        ("0", "0.0"),
        ("0.1", "0.1"),
        ("0.07", "0.07"),
        ("19.990", "19.99"),
        ("1999e-2", "19.99"),
        ("1.5e2", "150.0"),
        ("-0", "0.0"),
        ("9999999999.99", "9999999999.99"),
        ("10000000000", "10000000000.0"),
        ("0e999", "0.0"),
    ] {
        let answer = offer_raw(&shop, admin, &body(price)).await;
        assert!(answer.text.contains(&format!("\"price\":{shown},")), "{price}: {}", answer.text);
        let product = answer.expect(201);
        let read = shop.get(at(&product)).await;
        assert!(read.text.contains(&format!("\"price\":{shown},")), "{price}: {}", read.text);
        for price in refused.into_iter().filter(|price| *price != "null") {
            let change = format!(r#"{{ "price": {price} }}"#);
            let answer = change_raw(&shop, &product, admin, &change).await;
            assert_invalid(&answer, &["price"], price);
        }
        assert_eq!(shop.get(at(&product)).await.text, read.text);
    }
}

#[tokio::test]
async fn paging_visits_every_product_once() {
    let shop = open().await;
    let mut ids = BTreeMap::new();
    for number in 0..45 {
        let category = if number % 2 == 0 { "even" } else { "odd" };
        let fields = json!({ "name": format!("Lamp {number}"), "category": category, "price": number % 4 });
        let product = offer(&shop, fields).await;
        ids.insert(product["id"].as_i64().unwrap(), (category, number % 4));
    }
    for (query, order_by_price, wanted) in [
        ("limit=7", false, 45),
        ("limit=45", false, 45),
        ("limit=44", false, 45),
        ("", false, 45),
        ("limit=1&category=odd", false, 22),
        ("limit=5&q=lamp", false, 45),
        ("limit=5&q=lamp&category=even&inStock=true", false, 23),
        ("limit=4&minPrice=0", true, 45),
        ("limit=3&minPrice=1&maxPrice=2&category=odd&inStock=true", true, 11),
        ("limit=10&inStock=false", false, 0),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = shop.get(format!("{PRODUCTS}?{query}{cursor}")).await.expect(200);
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|item| item["id"].as_i64().unwrap()));
            // What comes in between does not shift what is to come.
            offer(&shop, json!({ "name": "Latecomer", "category": "late", "price": 3, "stock": 0 })).await;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
            assert!(!items.is_empty() && seen.len() < 200, "{query}: {seen:?}");
        }
        // Latecomers show up where they belong: at the end of the prices, and where the list is of what is sold out.
        seen.retain(|id| ids.contains_key(id));
        let place = |id: &i64| if order_by_price { (ids[id].1, *id) } else { (0, -id) };
        assert!(seen.is_sorted_by(|one, next| place(one) < place(next)), "{query}: {seen:?}");
        assert_eq!(seen.len(), wanted, "{query}");
    }
    let first = shop.get(format!("{PRODUCTS}?limit=2")).await.expect(200);
    let cursor = first["nextCursor"].as_str().unwrap();
    for (query, status, field) in [
        (format!("minPrice=1&cursor={cursor}"), 400, ""),
        ("cursor=x".to_owned(), 400, ""),
        ("cursor=e30".to_owned(), 400, ""),
        ("limit=many".to_owned(), 400, ""),
        ("limit=-1".to_owned(), 400, ""),
        ("limit=0".to_owned(), 422, "limit"),
        ("limit=101".to_owned(), 422, "limit"),
        (format!("cursor={}", "x".repeat(2001)), 422, "cursor"),
        (format!("q={}", "x".repeat(201)), 422, "q"),
        (format!("category={}", "x".repeat(101)), 422, "category"),
        ("minPrice=0.001".to_owned(), 400, ""),
        ("maxPrice=cheap".to_owned(), 400, ""),
        ("inStock=perhaps".to_owned(), 400, ""),
    ] {
        let answer = shop.get(format!("{PRODUCTS}?{query}")).await;
        if status == 422 {
            assert_invalid(&answer, &[field], &query);
        } else {
            assert_problem(&answer, status, "malformed", &query);
        }
    }
}

#[tokio::test]
async fn filters_find_what_was_asked_for_and_nothing_else() {
    let shop = open().await;
    for fields in [
        json!({ "name": "Red lamp", "category": "Home & Garden", "price": 10, "sku": "RL-7" }),
        json!({ "name": "Blue lampshade", "category": "Home & Garden", "price": 20.5, "stock": 0 }),
        json!({ "name": "Küche", "description": "Ein Ofen OR ein Herd", "category": "home & garden", "price": 30 }),
        json!({ "name": "The \"C++\" book", "description": "In 21 days", "category": "Büro", "price": 9.99 }),
        json!({ "name": "🦀 crab", "description": "日本語 text", "price": 0, "stock": 0 }),
    ] {
        offer(&shop, fields).await;
    }
    let [lamp, shade, kitchen, book, crab] = ["Red lamp", "Blue lampshade", "Küche", "The \"C++\" book", "🦀 crab"];
    for (query, wanted) in [
        ("", &[crab, book, kitchen, shade, lamp][..]),
        ("q=&category=&minPrice=&maxPrice=", &[crab, book, kitchen, shade, lamp]),
        ("q=lamp", &[lamp, shade]),
        ("q=LAMP", &[lamp, shade]),
        ("q=lam+re", &[lamp]),
        ("q=amp", &[]),
        ("q=red+blue", &[]),
        ("q=garden", &[kitchen, shade, lamp]),
        ("q=rl-7", &[lamp]),
        ("q=k%C3%BCche", &[kitchen]),
        ("q=KUCHE", &[kitchen]),
        ("q=%E6%97%A5%E6%9C%AC", &[crab]),
        // What is an operator to the engine is a word to us.
        ("q=ofen+OR+herd", &[kitchen]),
        ("q=lamp+OR+ofen", &[]),
        ("q=lamp+NOT+red", &[]),
        ("q=lamp+AND+red", &[]),
        ("q=NEAR(lamp+red)", &[]),
        ("q=-lamp", &[lamp, shade]),
        ("q=lamp*", &[lamp, shade]),
        ("q=%5Elamp", &[lamp, shade]),
        ("q=name:lamp", &[]),
        ("q=%7Bname%7D:lamp", &[]),
        ("q=%22lamp", &[lamp, shade]),
        ("q=%22red+lamp%22", &[lamp]),
        ("q=%22C%2B%2B%22+21", &[book]),
        ("q='+OR+1=1+--", &[]),
        ("q=a%01b%0A", &[]),
        // No word at all is in nothing.
        ("q=%F0%9F%A6%80", &[]),
        ("q=***", &[]),
        ("q=%22%22", &[]),
        ("q=%F0%9F%A6%80+crab", &[crab]),
        ("category=Home+%26+Garden", &[shade, lamp]),
        ("category=home+%26+garden", &[kitchen]),
        ("category=Home", &[]),
        ("category=B%C3%BCro", &[book]),
        ("category='+OR+1=1+--", &[]),
        ("inStock=true", &[book, kitchen, lamp]),
        ("inStock=false", &[crab, shade]),
        ("minPrice=0", &[crab, book, lamp, shade, kitchen]),
        ("minPrice=10", &[lamp, shade, kitchen]),
        ("minPrice=10.01&maxPrice=20.50", &[shade]),
        ("maxPrice=9.98", &[crab]),
        ("minPrice=20&maxPrice=10", &[]),
        ("maxPrice=20&category=Home+%26+Garden", &[lamp]),
        ("q=lamp&minPrice=10.01", &[shade]),
        ("q=lamp&inStock=true&category=Home+%26+Garden&maxPrice=10", &[lamp]),
        ("q=lamp&category=B%C3%BCro", &[]),
    ] {
        assert_eq!(names(&shop, query).await, wanted, "{query}");
    }
    let words = (0..40).map(|_| "lamp").collect::<Vec<_>>().join("+");
    assert_eq!(names(&shop, &format!("q={words}")).await, [lamp, shade], "many words");
}

#[tokio::test]
async fn a_sku_names_one_product() {
    let shop = open().await;
    let admin = shop.admin().await;
    let first = offer(&shop, json!({ "sku": "L-1" })).await;
    let other = offer(&shop, json!({})).await;
    offer(&shop, json!({ "sku": "l-1" })).await;
    let taken = lamp_with(&json!({ "sku": " L-1 " }));
    assert_problem(&shop.post(PRODUCTS, &taken).by(admin).await, 409, "sku-taken", "a new product");
    let change = json!({ "name": "Other", "sku": "L-1" });
    assert_problem(&shop.put(at(&other), &change).by(admin).await, 409, "sku-taken", "a change");
    assert_eq!(shop.get(at(&other)).await.expect(200), other, "nothing of it was done");
    shop.put(at(&first), &json!({ "sku": "L-1" })).by(admin).await.expect(200);
    assert_eq!(shop.delete(at(&first)).by(admin).await.status, 204);
    assert_eq!(shop.post(PRODUCTS, &taken).by(admin).await.expect(201)["sku"], "L-1", "free again");

    let keyed = |body: &Value| shop.post(PRODUCTS, body).by(admin).key("lamp");
    let created = keyed(&lamp_with(&json!({ "sku": "L-9" }))).await;
    let again = keyed(&lamp_with(&json!({ "sku": "L-9" }))).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("location"), created.header("location"));
    assert_eq!(again.expect(201), created.expect(201));
    assert_problem(&keyed(&taken).await, 422, "idempotency-key-reused", "another body");
}

#[tokio::test]
async fn metadata_is_kept_as_given() {
    let shop = open().await;
    let admin = shop.admin().await;
    let given = r#"{ "b": 1.10, "a": [true, null, 12345678901234567890], "ü": "\u00e4\n", "a": {"x" : {} } }"#;
    let body = format!(r#"{{ "name": "x", "description": "", "stock": 1, "price": 1, "metadata": {given} }}"#);
    let created = offer_raw(&shop, admin, &body).await;
    assert!(created.text.contains(given), "{}", created.text);
    let product = created.expect(201);
    shop.put(at(&product), &json!({ "name": "y" })).by(admin).await.expect(200);
    for path in [at(&product), PRODUCTS.to_owned()] {
        let read = shop.get(path).await;
        assert!(read.text.contains(given), "{}", read.text);
    }
    let deep = format!(r#"{{ "metadata": {{ "x": {}{} }} }}"#, "[".repeat(500), "]".repeat(500));
    let refused = change_raw(&shop, &product, admin, &deep).await;
    assert!([400, 422].contains(&refused.status.as_u16()), "{}", refused.text);
    assert_eq!(offer(&shop, json!({})).await["metadata"], json!({}), "nothing is an empty object");
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let shop = open().await;
    let admin = shop.admin().await;
    let product = offer(&shop, json!({})).await;
    shop.settle().await;
    for path in [at(&product), format!("{PRODUCTS}?q=lamp")] {
        let tag_of = async || shop.get(&path).await.header("etag").map(str::to_owned).unwrap();
        let tag = tag_of().await;
        assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        assert_eq!(tag_of().await, tag);
        for known in [tag.clone(), format!("\"x\", {tag}"), tag.trim_start_matches("W/").to_owned(), "*".to_owned()] {
            let answer = shop.get(&path).header("if-none-match", &known).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (304, ""), "{path} {known}");
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
            assert!(answer.header("x-request-id").is_some());
        }
        let other = shop.get(&path).header("if-none-match", "W/\"x\"").await;
        assert_eq!(other.status, 200);
        shop.put(at(&product), &json!({ "description": path })).by(admin).await.expect(200);
        let changed = shop.get(&path).header("if-none-match", &tag).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
    }
    let missing = shop.get(format!("{PRODUCTS}/999")).header("if-none-match", "*").await;
    assert_eq!((missing.status.as_u16(), missing.header("etag")), (404, None));
}

#[tokio::test]
async fn the_lists_follow_what_inventory_says() {
    let shop = open().await;
    let (admin, ann) = (shop.admin().await, shop.customer("ann").await);
    let mug = shop.product(5.0, 2).await;
    let shown = async |in_stock: bool| names(&shop, &format!("inStock={in_stock}")).await.len();
    let deadline = Duration::from_secs(20);
    assert_eq!((shown(true).await, shown(false).await), (1, 0));
    let order = shop.place(&ann, mug, 2, None).await;
    eventually(deadline, "the last is promised", async || shown(false).await == 1).await;
    assert_eq!(shown(true).await, 0);
    shop.cancel(&ann, order).await.expect(200);
    eventually(deadline, "it is back", async || shown(true).await == 1).await;
    let adjust = json!({ "delta": -2, "reason": "broken" });
    shop.post(format!("/api/v1/inventory/{mug}/adjust"), &adjust).by(admin).await.expect(200);
    eventually(deadline, "it is broken", async || shown(true).await == 0).await;
    shop.put(format!("{PRODUCTS}/{mug}"), &json!({ "stock": 9 })).by(admin).await.expect(200);
    assert_eq!(shown(true).await, 1, "what the seller says is shown at once");
    eventually(deadline, "inventory has heard", async || shop.stock(mug).await["available"] == 9).await;
    shop.settle().await;
    assert_eq!(shop.get(format!("{PRODUCTS}/{mug}")).await.expect(200)["stock"], 9);
    shop.audit();
}

#[tokio::test]
async fn what_is_not_for_sale_is_there_for_its_seller_and_admins_alone() {
    let shop = open().await;
    let admin = shop.admin().await;
    let (ann, sue, rob) = (shop.customer("ann").await, shop.seller("sue").await, shop.seller("rob").await);
    let body = lamp_with(&json!({ "status": "draft", "sku": "D-1", "metadata": { "color": "red" } }));
    let draft = shop.post(PRODUCTS, &body).by(&sue).await.expect(201);
    let id = draft["id"].as_i64().unwrap();
    assert_eq!((&draft["status"], &draft["supplierId"]), (&json!("draft"), &json!(sue.id)));
    shop.settle().await;
    let lists = ["", "?q=lamp", "?category=x", "?metadata.color=red", &format!("?supplierId={}", sue.id)];
    for status in ["draft", "archived"] {
        shop.put(at(&draft), &json!({ "status": status })).by(&sue).await.expect(200);
        assert_problem(&shop.get(at(&draft)).await, 404, "not-found", "nobody");
        for other in [&ann, &rob] {
            assert_problem(&shop.get(at(&draft)).by(other).await, 404, "not-found", &other.email);
        }
        for owner in [&sue, admin] {
            assert_eq!(shop.get(at(&draft)).by(owner).await.expect(200)["status"], status);
        }
        assert_problem(&shop.put(at(&draft), &json!({ "price": 1 })).by(&rob).await, 404, "not-found", "rob");
        for list in lists {
            assert_eq!(shop.get(format!("{PRODUCTS}{list}")).by(&sue).await.expect(200)["items"], json!([]), "{list}");
        }
        let own = format!("{PRODUCTS}?status={status}");
        assert_eq!(shop.get(&own).by(&sue).await.expect(200)["items"][0]["id"], id);
        assert_eq!(shop.get(&own).by(admin).await.expect(200)["items"][0]["id"], id);
        assert_eq!(shop.get(&own).by(&rob).await.expect(200)["items"], json!([]));
        assert_eq!(shop.get(format!("{own}&q=lamp")).by(&sue).await.expect(200)["items"][0]["id"], id);
        assert_eq!(shop.get(&own).await.status, 401);
        assert_eq!(shop.get(&own).by(&ann).await.status, 403);
        assert_eq!(shop.get(format!("{own}&supplierId={}", sue.id)).by(&rob).await.status, 403);
        assert_invalid(&shop.order(&ann, id, 1, None).await, &["items[0].productId"], status);
    }
    shop.put(at(&draft), &json!({ "status": "active" })).by(&sue).await.expect(200);
    for list in lists.into_iter().filter(|list| !list.contains("category")) {
        assert_eq!(shop.get(format!("{PRODUCTS}{list}")).await.expect(200)["items"][0]["id"], id, "{list}");
    }
    shop.order(&ann, id, 1, None).await.expect(201);
    // A token that no longer holds hides nothing that everybody may read.
    assert_eq!(shop.get(at(&draft)).header("authorization", "Bearer old").await.status, 200);
    shop.settle().await;
    shop.audit();
}
