//! Finding products: by words, by metadata, sorted, counted.

use crate::support::{assert_invalid, assert_problem};
use serde_json::{Value, json};
use shop_tests::{Shop, ShopOptions};

const PRODUCTS: &str = "/api/v1/products";

async fn open() -> Shop {
    let shop = Shop::start(ShopOptions::default()).await;
    let admin = shop.admin().await;
    for (name, description, category, price, stock, color) in [
        ("Desk lamp", "Bright.", "Lamps", 20.0, 3, "red"),
        ("lampshade", "Of paper.", "Lamps", 5.5, 0, "white"),
        ("Table", "Holds a lamp.", "Tables", 99.0, 1, "red"),
        ("Chair", "Sits.", "Chairs", 20.0, 2, "blue"),
    ] {
        let body = json!({
            "name": name, "description": description, "category": category, "price": price, "stock": stock,
            "upc": format!("00{price}"), "metadata": { "color": color, "size": { "eu": price }, "tags": ["new", color] },
        });
        shop.post(PRODUCTS, &body).by(admin).await.expect(201);
    }
    shop
}

/// The names of what a list shows, one on a page.
async fn names(shop: &Shop, query: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.get(format!("{PRODUCTS}?limit=1&{query}{cursor}")).await.expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return names,
        }
        assert!(names.len() < 20, "{query}: {names:?}");
    }
}

#[tokio::test]
async fn the_best_fit_comes_first_and_every_order_is_paged_to_its_end() {
    let shop = open().await;
    let [lamp, shade, table, chair] = ["Desk lamp", "lampshade", "Table", "Chair"];
    for (query, wanted) in [
        ("q=lamp", &[lamp, shade, table][..]),
        ("search=lamp", &[lamp, shade, table]),
        ("q=lamp&sort=relevance&inStock=true", &[lamp, table]),
        ("q=lamp&sort=newest", &[table, shade, lamp]),
        ("q=lamp&sort=price", &[shade, lamp, table]),
        ("q=lamp&sort=-price&minPrice=6", &[table, lamp]),
        ("q=0099", &[table]),
        ("q=lam", &[shade, lamp, table]),
        ("sort=price", &[shade, lamp, chair, table]),
        ("sort=-price", &[table, chair, lamp, shade]),
        ("sort=name", &[chair, lamp, shade, table]),
        ("sort=-name&inStock=true", &[table, lamp, chair]),
        ("sort=newest&maxPrice=20", &[chair, shade, lamp]),
        ("sort=-createdAt&category=Lamps", &[shade, lamp]),
        ("metadata.color=red", &[table, lamp]),
        ("metadata.color=red&sort=price", &[lamp, table]),
        ("metadata.color=red&metadata.size.eu=99.0", &[table]),
        ("metadata.size.eu=5.5", &[shade]),
        ("metadata.tags=new&sort=name&category=Lamps", &[lamp, shade]),
        ("metadata.tags=new&q=lamp&inStock=false", &[shade]),
        ("metadata.color=pink", &[]),
        ("metadata.=x", &[]),
        ("metadata.'--=x", &[]),
        ("supplierId=999", &[]),
        ("categoryId=999", &[]),
    ] {
        assert_eq!(names(&shop, query).await, wanted, "{query}");
    }
    for (query, field) in [
        ("sort=relevance", "sort"),
        ("facets=name", "facets"),
        ("facets=price,category,inStock,supplierId,categoryId,metadata.a", "facets"),
        ("metadata.1=a&metadata.2=a&metadata.3=a&metadata.4=a&metadata.5=a&metadata.6=a", "metadata"),
    ] {
        assert_invalid(&shop.get(format!("{PRODUCTS}?{query}")).await, &[field], query);
    }
    let first = shop.get(format!("{PRODUCTS}?limit=1&sort=price")).await.expect(200);
    let cursor = first["nextCursor"].as_str().unwrap();
    for query in ["sort=-price", "sort=name", "", "q=lamp", "sort=colour"] {
        let answer = shop.get(format!("{PRODUCTS}?{query}&cursor={cursor}")).await;
        assert_problem(&answer, 400, "malformed", query);
    }
}

#[tokio::test]
async fn long_names_fit_into_a_cursor() {
    let shop = Shop::start(ShopOptions::default()).await;
    let name = |number: usize| format!("{}{number}", "🦀".repeat(199));
    for number in 0..3 {
        let body = json!({ "name": name(number), "description": "", "price": 1, "stock": 1 });
        shop.post(PRODUCTS, &body).by(shop.admin().await).await.expect(201);
    }
    assert_eq!(names(&shop, "sort=name").await, [name(0), name(1), name(2)]);
    assert_eq!(names(&shop, "sort=-name").await, [name(2), name(1), name(0)]);
}

#[tokio::test]
async fn facets_count_what_the_list_shows() {
    let shop = open().await;
    let facets =
        async |query: &str| shop.get(format!("{PRODUCTS}?limit=1&{query}")).await.expect(200)["facets"].clone();
    let count = |value: Value, count: i64| json!({ "value": value, "count": count });
    assert_eq!(facets("q=lamp").await, Value::Null);
    let all = facets("facets=category,inStock,price,metadata.color,supplierId").await;
    assert_eq!(
        all["category"],
        json!([count(json!("Lamps"), 2), count(json!("Chairs"), 1), count(json!("Tables"), 1)])
    );
    assert_eq!(all["inStock"], json!([count(json!(true), 3), count(json!(false), 1)]));
    assert_eq!(all["price"], json!({ "min": 5.5, "max": 99.0 }));
    let colors = [count(json!("red"), 2), count(json!("blue"), 1), count(json!("white"), 1)];
    assert_eq!(all["metadata.color"], json!(colors));
    assert_eq!(all["supplierId"], json!([count(json!(shop.admin().await.id), 4)]));
    let some = facets("q=lamp&maxPrice=50&facets=category,metadata.tags").await;
    assert_eq!(some["category"], json!([count(json!("Lamps"), 2)]));
    let tags = [count(json!("new"), 2), count(json!("red"), 1), count(json!("white"), 1)];
    assert_eq!(some["metadata.tags"], json!(tags));
    assert_eq!(
        facets("q=***&facets=category,price").await,
        json!({ "category": [], "price": { "min": null, "max": null } })
    );
    assert_eq!(facets("category=None&facets=price").await, json!({ "price": { "min": null, "max": null } }));
}
