//! Categories: a tree, and the products in it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::support::{assert_invalid, assert_problem};
use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

const CATEGORIES: &str = "/api/v1/categories";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

async fn make(shop: &Shop, name: &str, parent: Option<i64>) -> i64 {
    let body = json!({ "name": name, "parentId": parent });
    shop.post(CATEGORIES, &body).by(shop.admin().await).await.expect(201)["id"].as_i64().unwrap()
}

async fn change(shop: &Shop, id: i64, body: Value) -> shop_tests::Answer {
    shop.put(format!("{CATEGORIES}/{id}"), &body).by(shop.admin().await).await
}

async fn offer(shop: &Shop, name: &str, fields: Value) -> i64 {
    let mut body = json!({ "name": name, "description": "", "price": 5, "stock": 1 });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    shop.post("/api/v1/products", &body).by(shop.admin().await).await.expect(201)["id"].as_i64().unwrap()
}

/// Ids of the products that a list shows, page by page.
async fn listed(shop: &Shop, path: &str) -> Vec<i64> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.get(format!("{path}{cursor}")).await.expect(200);
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn a_category_is_made_changed_and_removed() {
    let shop = open().await;
    let admin = shop.admin().await;
    let body = json!({ "name": " Home & Garden ", "description": "All of it." });
    let answer = shop.post(CATEGORIES, &body).by(admin).key("home").await;
    let again = shop.post(CATEGORIES, &body).by(admin).key("home").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let location = answer.header("location").unwrap().to_owned();
    let home = answer.expect(201);
    assert_eq!(again.expect(201), home);
    let mut expected = json!({
        "id": home["id"], "parentId": null, "name": "Home & Garden", "slug": "home-garden", "description": "All of it.",
        "createdAt": home["createdAt"], "updatedAt": home["createdAt"],
    });
    assert_eq!((&home, location), (&expected, format!("{CATEGORIES}/{}", home["id"])));
    let id = home["id"].as_i64().unwrap();
    let lamps = make(&shop, "Lamps", Some(id)).await;
    let shown = shop.get(format!("{CATEGORIES}/{lamps}/")).await.expect(200);
    let path = json!([
        { "id": id, "name": "Home & Garden", "slug": "home-garden" }, { "id": lamps, "name": "Lamps", "slug": "lamps" }
    ]);
    assert_eq!((&shown["path"], &shown["parentId"]), (&path, &json!(id)));
    let page = shop.get(format!("{CATEGORIES}?limit=1")).await.expect(200);
    assert_eq!(page["items"], json!([expected]));
    let next = format!("{CATEGORIES}?cursor={}", page["nextCursor"].as_str().unwrap());
    assert_eq!(shop.get(next).await.expect(200)["items"][0]["id"], lamps);

    let changed = change(&shop, id, json!({ "name": "Home", "slug": "home" })).await.expect(200);
    expected["name"] = json!("Home");
    expected["slug"] = json!("home");
    expected["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!(changed, expected);
    assert_eq!(change(&shop, id, json!({})).await.expect(200), expected);
    let tree = shop.get(format!("{CATEGORIES}/tree")).await.expect(200);
    assert_eq!((&tree["items"][0]["id"], &tree["items"][0]["children"][0]["id"]), (&json!(id), &json!(lamps)));

    let remove = async |id: i64| shop.delete(format!("{CATEGORIES}/{id}")).by(admin).await;
    assert_problem(&remove(id).await, 409, "category-not-empty", "a category is in it");
    let lamp = offer(&shop, "Lamp", json!({ "categoryId": lamps })).await;
    assert_problem(&remove(lamps).await, 409, "category-not-empty", "a product is in it");
    shop.delete(format!("/api/v1/products/{lamp}")).by(admin).await;
    assert_eq!(remove(lamps).await.status, 204);
    assert_eq!(remove(id).await.status, 204);
    for call in [
        shop.get(format!("{CATEGORIES}/{id}")),
        shop.get(format!("{CATEGORIES}/{id}/products")),
        shop.put(format!("{CATEGORIES}/{id}"), &json!({})).by(admin),
        shop.delete(format!("{CATEGORIES}/{id}")).by(admin),
    ] {
        assert_problem(&call.await, 404, "not-found", "gone");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let shop = open().await;
    let admin = shop.admin().await;
    let lamps = make(&shop, "Lamps", None).await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": " " }), "name"),
        (json!({ "name": "x".repeat(101) }), "name"),
        (json!({ "name": "x", "slug": "A b" }), "slug"),
        (json!({ "name": "🦀" }), "slug"),
        (json!({ "name": "x", "parentId": 99 }), "parentId"),
        (json!({ "name": "x", "parentId": "1" }), "parentId"),
        (json!({ "name": "x", "description": "x".repeat(10_001) }), "description"),
    ] {
        assert_invalid(&shop.post(CATEGORIES, &body).by(admin).await, &[field], &body.to_string());
    }
    assert_problem(&shop.post(CATEGORIES, &json!({ "name": "LAMPS" })).by(admin).await, 409, "slug-taken", "new");
    let tables = make(&shop, "Tables", None).await;
    assert_problem(&change(&shop, tables, json!({ "slug": "lamps" })).await, 409, "slug-taken", "changed");
    assert_invalid(&change(&shop, tables, json!({ "parentId": 99 })).await, &["parentId"], "moved");
    let deep = json!({ "name": "deep", "parentId": lamps });
    let mut below = shop.post(CATEGORIES, &deep).by(admin).await.expect(201)["id"].clone();
    for level in 3..=10 {
        let body = json!({ "name": format!("level {level}"), "parentId": below });
        below = shop.post(CATEGORIES, &body).by(admin).await.expect(201)["id"].clone();
    }
    let eleventh = json!({ "name": "level 11", "parentId": below });
    assert_problem(&shop.post(CATEGORIES, &eleventh).by(admin).await, 409, "category-too-deep", "new");
    assert_problem(&change(&shop, lamps, json!({ "parentId": tables })).await, 409, "category-too-deep", "moved");
    assert_problem(
        &change(&shop, lamps, json!({ "parentId": below })).await,
        409,
        "category-circle",
        "far below itself",
    );
    assert_problem(&change(&shop, lamps, json!({ "parentId": lamps })).await, 409, "category-circle", "below itself");
}

#[tokio::test]
async fn a_category_shows_the_products_of_all_below_it_wherever_it_is_moved() {
    let shop = open().await;
    let admin = shop.admin().await;
    let home = make(&shop, "Home", None).await;
    let lamps = make(&shop, "Lamps", Some(home)).await;
    let desk = make(&shop, "Desk lamps", Some(lamps)).await;
    let office = make(&shop, "Office", None).await;
    let one = offer(&shop, "One", json!({ "categoryId": home })).await;
    let two = offer(&shop, "Two", json!({ "categoryId": desk, "price": 2, "category": "ignored" })).await;
    let three = offer(&shop, "Three", json!({ "categoryId": lamps, "stock": 0, "price": 9 })).await;
    let label = offer(&shop, "Label", json!({ "category": "Lamps" })).await;
    let of = async |category: i64, query: &str| {
        let path = listed(&shop, &format!("{CATEGORIES}/{category}/products?limit=1{query}")).await;
        assert_eq!(listed(&shop, &format!("/api/v1/products?limit=2&categoryId={category}{query}")).await, path);
        path
    };
    assert_eq!(of(home, "").await, [three, two, one]);
    assert_eq!(of(lamps, "").await, [three, two]);
    assert_eq!(of(desk, "").await, [two]);
    assert_eq!(of(office, "").await, [0; 0]);
    assert_eq!(of(home, "&sort=price").await, [two, one, three]);
    assert_eq!(of(home, "&sort=-name").await, [two, three, one]);
    assert_eq!(of(home, "&inStock=true&maxPrice=5&sort=-price").await, [one, two]);
    assert_eq!(of(home, "&q=t&sort=newest").await, [three, two]);
    assert_eq!(of(lamps, "&category=Desk+lamps").await, [two]);
    assert_eq!(listed(&shop, "/api/v1/products?category=Lamps").await, [label, three], "a label is a label");
    let shown = shop.get(format!("/api/v1/products/{two}")).await.expect(200);
    assert_eq!((&shown["category"], &shown["categoryId"]), (&json!("Desk lamps"), &json!(desk)));

    change(&shop, lamps, json!({ "parentId": office })).await.expect(200);
    assert_eq!((of(home, "").await, of(office, "").await), (vec![one], vec![three, two]));
    change(&shop, desk, json!({ "parentId": null, "name": "On desks" })).await.expect(200);
    assert_eq!((of(office, "").await, of(desk, "").await), (vec![three], vec![two]));
    let shown = shop.get(format!("/api/v1/products/{two}")).await.expect(200);
    assert_eq!(shown["category"], "On desks", "the label follows the name");
    assert_eq!(listed(&shop, "/api/v1/products?q=desks").await, [two]);

    let put = async |product: i64, body: Value| {
        shop.put(format!("/api/v1/products/{product}"), &body).by(admin).await.expect(200)["category"].clone()
    };
    assert_eq!(put(two, json!({ "categoryId": lamps })).await, "Lamps");
    assert_eq!((of(office, "").await, of(desk, "").await), (vec![three, two], vec![]));
    assert_eq!(put(two, json!({ "category": "Free" })).await, "Free");
    assert_eq!(put(three, json!({ "categoryId": null })).await, Value::Null);
    assert_eq!(of(office, "").await, [0; 0]);
    assert_invalid(
        &shop.put(format!("/api/v1/products/{one}"), &json!({ "categoryId": 99 })).by(admin).await,
        &["categoryId"],
        "no category",
    );
}

/// A category with so many products.
async fn filled(shop: &Shop, products: usize) -> i64 {
    let lamps = make(shop, "Lamps", None).await;
    let row = |number| {
        json!({ "sku": format!("S-{number}"), "name": "Lamp", "description": "", "price": 1, "stock": 1,
            "categoryId": lamps })
    };
    let rows: String = (0..products).map(|number| format!("{}\n", row(number))).collect();
    let import = shop.post("/api/v1/products/import", &Value::Null).bytes(rows);
    let told = import.header("content-type", "application/x-ndjson").by(shop.admin().await).await;
    assert_eq!(told.text.matches("\"created\"").count(), products);
    lamps
}

fn labelled(shop: &Shop, label: &str) -> i64 {
    shop.value("catalog", &format!("SELECT count(*) FROM products WHERE category = '{label}'")).as_i64().unwrap()
}

async fn relabelled(shop: &Shop, label: &str, products: i64) {
    eventually(Duration::from_secs(60), "every product has the new label", async || {
        shop.tick("catalog").await;
        labelled(shop, label) == products
    })
    .await;
}

#[tokio::test]
async fn many_products_follow_a_new_name_some_at_a_time_and_the_last_name_wins() {
    needs_bench!("it ticks one service");
    let shop = open().await;
    let lamps = filled(&shop, 2_450).await;
    change(&shop, lamps, json!({ "name": "Lights" })).await.expect(200);
    assert_eq!(labelled(&shop, "Lights"), 200, "no more are rewritten in one transaction");
    let new = offer(&shop, "New", json!({ "categoryId": lamps })).await;
    let shown = shop.get(format!("/api/v1/products/{new}")).await.expect(200);
    assert_eq!(shown["category"], "Lights", "what is put into it meanwhile");
    // Meanwhile the old name and the new one both say what the product is in.
    let last = shop.value("catalog", "SELECT max(id) FROM products WHERE category = 'Lamps'");
    for label in ["Lamps", "Lights"] {
        let path = format!("/api/v1/products/{last}");
        let product = shop.put(&path, &json!({ "category": label })).by(shop.admin().await).await.expect(200);
        assert_eq!((&product["category"], &product["categoryId"]), (&json!("Lamps"), &json!(lamps)), "{label}");
    }
    shop.tick("catalog").await;
    assert_eq!(labelled(&shop, "Lights"), 2_201, "nor in one tick");
    let page = shop.get(format!("/api/v1/products?categoryId={lamps}&limit=1")).await.expect(200);
    assert_eq!(page["items"][0]["id"], new, "who asks for the category finds all of it");
    assert_eq!(shop.get("/api/v1/products?category=Lamps&limit=1").await.expect(200)["items"][0]["category"], "Lamps");

    change(&shop, lamps, json!({ "name": "Luminaires" })).await.expect(200);
    change(&shop, lamps, json!({ "description": "All of them." })).await.expect(200);
    relabelled(&shop, "Luminaires", 2_451).await;
    let events = "SELECT count(*) FROM outbox WHERE envelope LIKE '%PRODUCT_UPDATED%'";
    assert_eq!(shop.value("catalog", events), 0, "nothing that others are told of has changed");
    let pending = "SELECT count(*) FROM categories WHERE relabelled_to IS NOT NULL";
    assert_eq!(shop.value("catalog", pending), 0);
    assert_eq!(shop.get("/api/v1/products?q=luminaires&limit=1").await.expect(200)["items"][0]["id"], new);
    shop.settle().await;
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_whose_instances_die_on_the_way_is_finished() {
    needs_bench!("it kills instances");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let lamps = filled(&shop, 1_000).await;
    shop.settle().await;
    change(&shop, lamps, json!({ "name": "Lights" })).await.expect(200);
    // In the middle of the second batch of a tick.
    for phase in [Phase::Before, Phase::After] {
        let seen = AtomicUsize::new(0);
        script.rule(move |call| {
            let marks =
                call.component == "catalog" && call.phase == phase && call.detail.contains("relabelled_to = $1");
            if marks && seen.fetch_add(1, Ordering::SeqCst) == 1 { Verdict::Kill } else { Verdict::Proceed }
        });
        _ = shop.try_internal("catalog", Method::POST, "/internal/tick", None).await;
        let done = labelled(&shop, "Lights");
        assert_eq!(done, if phase == Phase::Before { 400 } else { 600 }, "whole batches");
    }
    script.clear();
    relabelled(&shop, "Lights", 1_000).await;
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn the_tree_is_the_shops_and_suppliers_only_add_to_it() {
    let shop = open().await;
    let sue = shop.seller("sue").await;
    let lamps = make(&shop, "Lamps", None).await;
    let body = json!({ "name": "Desk lamps", "parentId": lamps });
    let desk = shop.post(CATEGORIES, &body).by(&sue).await.expect(201)["id"].as_i64().unwrap();
    let before = shop.query("catalog", "SELECT * FROM categories ORDER BY id");
    for body in [json!({ "name": "Mine" }), json!({ "parentId": null }), json!({ "slug": "mine" }), json!({})] {
        let answer = shop.put(format!("{CATEGORIES}/{desk}"), &body).by(&sue).await;
        assert_problem(&answer, 403, "forbidden", &body.to_string());
    }
    assert_problem(&shop.delete(format!("{CATEGORIES}/{desk}")).by(&sue).await, 403, "forbidden", "delete");
    assert_eq!(shop.query("catalog", "SELECT * FROM categories ORDER BY id"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn categories_that_are_moved_at_once_never_make_a_circle() {
    let shop = open().await;
    for round in 0..5 {
        let mut ids = Vec::new();
        for number in 0..4 {
            ids.push(make(&shop, &format!("c {round} {number}"), None).await);
        }
        // Each under the next, and the last under the first: one of them must fail.
        let moves = (0..4).map(|place| change(&shop, ids[place], json!({ "parentId": ids[(place + 1) % 4] })));
        let statuses: Vec<_> = join_all(moves).await.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 1, "{statuses:?}");
    }
    let tree = shop.get(format!("{CATEGORIES}/tree")).await.expect(200);
    assert_eq!(tree.to_string().matches("\"slug\"").count(), 20, "every one hangs on the tree");
    let wrong = "SELECT count(*) FROM categories c WHERE NOT EXISTS (SELECT 1 FROM category_ancestors a \
         WHERE a.category_id = c.id AND a.ancestor_id = COALESCE(c.parent_id, c.id))";
    assert_eq!(shop.value("catalog", wrong), 0);
}
