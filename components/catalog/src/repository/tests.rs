//! The statements on the engine itself: that they find what they should, and read no more than that.

use model::ProductId;
use proptest::prelude::*;
use rusqlite::{Connection, params_from_iter, types::Value as Native};

use super::*;

fn database() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    let mut files: Vec<_> = crate::FILES.files().collect();
    files.sort_by_key(|file| file.path());
    for file in files {
        database.execute_batch(file.contents_utf8().unwrap()).unwrap();
    }
    database
}

fn native(params: Vec<Value>) -> Vec<Native> {
    let native = |value| match value {
        Value::Null => Native::Null,
        Value::Integer(value) => Native::Integer(value),
        Value::Real(value) => Native::Real(value),
        Value::Text(value) => Native::Text(value),
        Value::Blob(value) => Native::Blob(value),
    };
    params.into_iter().map(native).collect()
}

#[derive(Debug, Clone)]
struct Item {
    id: i64,
    name: String,
    category: Option<&'static str>,
    price: i64,
    stock: i64,
    active: bool,
}

fn add(database: &Connection, item: &Item) {
    database
        .execute(
            "INSERT INTO products (id, supplier_id, name, description, price, currency, stock, category, metadata, status, \
             created_at, updated_at) VALUES (?1, 1, ?2, '', ?3, 'EUR', ?4, ?5, '{}', 'active', 0, 0)",
            (item.id, &item.name, item.price, item.stock, item.category),
        )
        .unwrap();
    if !item.active {
        database.execute("UPDATE products SET status = 'archived' WHERE id = ?1", [item.id]).unwrap();
    }
}

/// Price and id of what the list statement finds.
fn listed(database: &Connection, filter: &Filter, after: Option<Place>, count: u32) -> Vec<(i64, i64)> {
    let (sql, params) = list_statement(filter, after, count);
    let mut statement = database.prepare(&sql).unwrap();
    let rows = statement.query_map(params_from_iter(native(params)), |row| Ok((row.get(2)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn plan(database: &Connection, sql: &str, params: Vec<Value>) -> Vec<String> {
    let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map(params_from_iter(native(params)), |row| row.get(3)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn filters() -> Vec<Filter> {
    let mut filters = Vec::new();
    for category in [None, Some("lamps")] {
        for prices in [[None, None], [Some(100), None], [None, Some(900)], [Some(100), Some(900)]] {
            for q in [None, Some("red")] {
                for in_stock in [None, Some(true), Some(false)] {
                    filters.push(Filter::new(category, prices, q, in_stock));
                }
            }
        }
    }
    filters
}

fn place(order: Order, (price, id): (i64, i64)) -> Place {
    Place { price: (order == Order::Cheapest).then_some(price), id: ProductId(id) }
}

#[test]
fn every_combination_of_filters_has_its_index() {
    let database = database();
    for filter in filters() {
        for after in [None, Some(place(filter.order(), (500, 7)))] {
            let (sql, params) = list_statement(&filter, after, 21);
            let plan = plan(&database, &sql, params).join("; ");
            let searching = filter.search().is_some();
            let mut used = "(status=?".to_owned();
            if filter.category().is_some() {
                used.push_str(" AND category=?");
            }
            if filter.in_stock.is_some() {
                used.push_str(" AND <expr>=?");
            }
            match (filter.order(), after) {
                (Order::Newest, Some(_)) => used.push_str(" AND rowid<?"),
                (Order::Cheapest, Some(_)) => used.push_str(" AND (price,rowid)>(?,?)"),
                _ => {}
            }
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            if searching {
                assert!(plan.contains("SCAN s VIRTUAL TABLE INDEX"), "{sql}: {plan}");
                assert!(plan.contains("SEARCH p USING INTEGER PRIMARY KEY"), "{sql}: {plan}");
            } else {
                assert!(plan.contains(&used) && !plan.contains("SCAN"), "{sql}: {plan}");
            }
        }
    }
}

#[test]
fn single_products_are_found_by_key() {
    let database = database();
    for (sql, params) in [(FIND, params![1i64]), (WRITTEN, params![1i64]), (PROJECT_STOCK, params![5i64, 1i64, 1i64])] {
        let plan = plan(&database, sql, params);
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(plan[0].contains("USING INTEGER PRIMARY KEY (rowid=?)"), "{plan:?}");
    }
    let (offers, ids) = offers_statement(&[ProductId(3), ProductId(1), ProductId(2)]);
    let plan = plan(&database, &offers, ids);
    assert!(plan.len() == 1 && plan[0].contains("(status=? AND rowid=?"), "{plan:?}");
}

#[test]
fn older_news_of_stock_change_nothing() {
    let database = database();
    add(&database, &Item { id: 1, name: "Lamp".into(), category: None, price: 1, stock: 9, active: true });
    for (available, version, expected) in [(7, 2, 7), (8, 1, 7), (0, 2, 7), (0, 3, 0)] {
        let params = params![i64::from(available), i64::from(version), 1i64];
        database.execute(PROJECT_STOCK, params_from_iter(native(params))).unwrap();
        let stock: i32 = database.query_row("SELECT stock FROM products", [], |row| row.get(0)).unwrap();
        assert_eq!(stock, expected);
    }
}

#[test]
fn searches_follow_the_words() {
    let database = database();
    let found = |q: &str, category: Option<&str>| {
        let filter = Filter::new(category, [None, None], Some(q), None);
        listed(&database, &filter, None, 100).into_iter().map(|(_, id)| id).collect::<Vec<_>>()
    };
    let item = |id, name: &str, category| Item { id, name: name.into(), category, price: 1, stock: 1, active: true };
    add(&database, &item(1, "Red X-Ray lamp", Some("Lamps")));
    add(&database, &item(2, "Café table", Some("Tables")));
    add(&database, &item(3, "Table lamp", Some("Table lamps")));

    assert_eq!(found("lam", None), [3, 1]);
    assert_eq!(found("LAMP tab", None), [3]);
    assert_eq!(found("lamp", Some("Lamps")), [1]);
    assert_eq!(found("cafe", None), [2]);
    assert_eq!(found("cafe\u{301}", None), [2]);
    assert_eq!(found("x-ray", None), [1]);
    assert_eq!(found("nothing", None), [0; 0]);

    database.execute("UPDATE products SET name = 'Green chair', category = 'Chairs' WHERE id = 3", []).unwrap();
    assert_eq!((found("table", None), found("chair", Some("Chairs"))), (vec![2], vec![3]));
    database.execute("UPDATE products SET stock = 0, price = 7 WHERE id = 3", []).unwrap();
    assert_eq!(found("chair", None), [3]);
    database.execute("UPDATE products SET status = 'archived' WHERE id = 3", []).unwrap();
    assert_eq!(found("chair", None), [0; 0]);
}

#[test]
fn a_sku_is_free_again_when_its_product_is_archived() {
    let database = database();
    let add = || {
        database.execute(
            "INSERT INTO products (supplier_id, name, description, price, currency, stock, sku, metadata, status, \
             created_at, updated_at) VALUES (1, 'a', '', 1, 'EUR', 1, 'S-1', '{}', 'active', 0, 0)",
            [],
        )
    };
    add().unwrap();
    assert!(add().unwrap_err().to_string().contains("UNIQUE constraint failed"));
    database.execute("UPDATE products SET status = 'archived'", []).unwrap();
    add().unwrap();
}

/// The product as customers read it, put together from its columns once more.
fn from_columns(database: &Connection) -> serde_json::Value {
    let columns =
        "id, name, description, price, currency, stock, category, sku, metadata, status, created_at, updated_at";
    database
        .query_row(&format!("SELECT {columns} FROM products"), [], |row| {
            let text = |at: usize| row.get::<_, Option<String>>(at);
            let time = |at: usize| row.get(at).map(|time| Timestamp(time).to_string());
            let metadata: serde_json::Value = serde_json::from_str(&text(8)?.unwrap()).unwrap();
            Ok(serde_json::json!({
                "id": row.get::<_, i64>(0)?, "name": text(1)?, "description": text(2)?,
                "price": Money::from_minor(row.get(3)?), "currency": text(4)?, "stock": row.get::<_, i64>(5)?,
                "category": text(6)?, "sku": text(7)?, "metadata": metadata, "status": text(9)?,
                "createdAt": time(10)?, "updatedAt": time(11)?,
            }))
        })
        .unwrap()
}

/// The product as the database has written it.
fn written_json(database: &Connection) -> serde_json::Value {
    let body: String = database.query_row("SELECT body FROM products", [], |row| row.get(0)).unwrap();
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn item() -> impl Strategy<Value = Item> {
    let category = prop_oneof![Just(None), Just(Some("lamps")), Just(Some("tables"))];
    let word = prop_oneof![Just("red"), Just("redder"), Just("blue")];
    (word, category, 0..1_000i64, 0..3i64, any::<bool>()).prop_map(|(word, category, price, stock, active)| Item {
        id: 0,
        name: format!("{word} thing"),
        category,
        price: price / 50 * 50,
        stock,
        active,
    })
}

/// What the filter means, said once more without an index.
fn passes(filter: &Filter, item: &Item) -> bool {
    item.active
        && filter.category().is_none_or(|category| item.category == Some(category))
        && filter.min_price.is_none_or(|min| item.price >= min.minor())
        && filter.max_price.is_none_or(|max| item.price <= max.minor())
        && filter.in_stock.is_none_or(|in_stock| (item.stock > 0) == in_stock)
        && filter.search().is_none_or(|_| item.name.starts_with("red"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_add_up_to_what_the_filter_means(mut items in proptest::collection::vec(item(), 0..60), size in 1..7usize) {
        let database = database();
        for (id, item) in (1..).zip(&mut items) {
            item.id = id;
            add(&database, item);
        }
        for filter in filters() {
            let order = filter.order();
            let mut expected: Vec<_> =
                items.iter().filter(|item| passes(&filter, item)).map(|item| (item.price, item.id)).collect();
            match order {
                Order::Newest => expected.sort_by_key(|(_, id)| -id),
                Order::Cheapest => expected.sort(),
            }
            let mut found: Vec<(i64, i64)> = Vec::new();
            loop {
                let after = found.last().map(|last| place(order, *last));
                let page = listed(&database, &filter, after, u32::try_from(size).unwrap());
                found.extend(&page);
                if page.len() < size {
                    break;
                }
            }
            prop_assert_eq!(found, expected, "{:?}", filter);
        }
    }

    #[test]
    fn what_customers_read_is_what_the_columns_say_after_every_change(
        name in "\\PC{1,30}",
        description in "[\\PC\n\r\t\"\\\\]{0,50}",
        price in 0..=Money::MAX.minor(),
        stock in 0..1_000_000i64,
        category in proptest::option::of("\\PC{1,20}"),
        sku in proptest::option::of("[\"\\\\{}A-Z]{1,10}"),
        key in "[a-z\"\\\\]{0,5}",
        time in 0..4_102_444_800_000i64,
    ) {
        let database = database();
        let metadata = format!(" {{ {}: [1.10, null, {{}}] }} ", serde_json::to_string(&key).unwrap());
        let run = |sql: &str, params: Vec<Value>| {
            let mut statement = database.prepare(sql).unwrap();
            let rows = statement.query_map(params_from_iter(native(params)), |_| Ok(())).unwrap();
            rows.for_each(Result::unwrap);
            assert_eq!(written_json(&database), from_columns(&database), "{sql}");
        };
        run(INSERT, params![1i64, name.as_str(), "", price, "EUR", 3i64, "x", sku.as_deref(), "{}", "active", time, time]);
        let changed = params![
            "y", description, price / 7, stock, category.as_deref(), sku.as_deref(), metadata, time / 3, 1i64
        ];
        run(UPDATE, changed);
        run(PROJECT_STOCK, params![stock / 2, 1i64, 1i64]);
        run(ARCHIVE, params!["archived", time / 2, 1i64]);
        let written: String = database.query_row("SELECT body FROM products", [], |row| row.get(0)).unwrap();
        let wanted = serde_json::to_string(&Money::from_minor(price / 7)).unwrap();
        prop_assert!(written.contains(&format!(r#""price":{wanted},"#)), "{}", written);
    }

    #[test]
    fn no_search_breaks_the_statement(q in "\\PC{0,40}|[\"'*:^(){}+ \\-\\x00ORANDNEAR]{0,30}") {
        let filter = Filter::new(None, [None, None], Some(&q), None);
        if !filter.finds_nothing() {
            listed(&database(), &filter, None, 5);
        }
    }
}
