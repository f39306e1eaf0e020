//! The statements on the engine itself: that they find what they should, and read no more than that.

mod lists;

use proptest::prelude::*;
use rusqlite::{Connection, params_from_iter, types::Value as Native};

use super::*;

fn database() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    let mut files: Vec<_> = crate::FILES.files().collect();
    files.retain(|file| !file.path().to_string_lossy().ends_with(".postgres.sql"));
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
        Value::Boolean(value) => Native::Integer(value.into()),
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
    label: Option<&'static str>,
    category_id: Option<i64>,
    supplier_id: i64,
    price: i64,
    stock: i64,
    color: Option<&'static str>,
    status: &'static str,
}

fn thing(id: i64, name: &str, label: Option<&'static str>) -> Item {
    Item {
        id,
        name: name.into(),
        label,
        category_id: None,
        supplier_id: 1,
        price: 1,
        stock: 1,
        color: None,
        status: "active",
    }
}

fn add(database: &Connection, item: &Item) {
    let metadata = item.color.map_or("{}".to_owned(), |color| format!("{{\"color\":\"{color}\"}}"));
    database
        .execute(
            "INSERT INTO products (id, supplier_id, name, description, price, currency, stock, category, category_id, \
             metadata, status, created_at, updated_at) VALUES (?1, ?2, ?3, '', ?4, 'EUR', ?5, ?6, ?7, ?8, ?9, 0, 0)",
            (
                item.id,
                item.supplier_id,
                &item.name,
                item.price,
                item.stock,
                item.label,
                item.category_id,
                metadata,
                item.status,
            ),
        )
        .unwrap();
}

fn run(database: &Connection, sql: &str, params: Vec<Value>) {
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map(params_from_iter(native(params)), |_| Ok(())).unwrap();
    rows.for_each(Result::unwrap);
}

/// Categories as parents: the one at place 0 has the id 1.
fn plant(database: &Connection, parents: &[Option<i64>]) {
    for (id, parent) in (1i64..).zip(parents) {
        database.execute("INSERT INTO categories VALUES (?1, ?2, 'c', ?1, '', 0, 0, NULL)", (id, parent)).unwrap();
        database.execute("INSERT INTO category_ancestors VALUES (?1, ?1)", [id]).unwrap();
        if let Some(parent) = parent {
            run(database, categories::UNDER, params![id, *parent]);
        }
    }
}

fn plan(database: &Connection, sql: &str, params: Vec<Value>) -> Vec<String> {
    let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map(params_from_iter(native(params)), |row| row.get(3)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn single_products_are_found_by_key() {
    let database = database();
    for (sql, params) in [
        (FIND, params![1i64]),
        (WRITTEN, params![1i64]),
        (PROJECT_STOCK, params![5i64, 1i64, 1i64]),
        (DELETE, params!["archived", 1i64, 1i64]),
    ] {
        let plan = plan(&database, sql, params);
        assert!(plan[0].contains("USING INTEGER PRIMARY KEY (rowid=?)"), "{plan:?}");
    }
    let (offers, ids) = offers_statement(&[ProductId(3), ProductId(1), ProductId(2)]);
    let offers = plan(&database, &offers, ids);
    assert!(offers.len() == 1 && offers[0].contains("(status=? AND rowid=?"), "{offers:?}");
    let (skus, texts) = skus_statement(&["a", "b", "c"]);
    let skus = plan(&database, &skus, texts);
    assert!(skus.len() == 1 && skus[0].contains("products_sku (sku=?"), "{skus:?}");
    for (of, params) in [(None, params![1i64, 9i64]), (Some(UserId(1)), params![1i64, 1i64, 9i64])] {
        let sql = &export_statement(Engine::Sqlite, of);
        let plan = plan(&database, sql, params);
        assert!(plan.len() == 1 && plan[0].contains("rowid>?"), "{plan:?}");
    }
}

#[test]
fn older_news_of_stock_change_nothing() {
    let database = database();
    add(&database, &Item { stock: 9, ..thing(1, "Lamp", None) });
    for (available, version, expected) in [(7, 2, 7), (8, 1, 7), (0, 2, 7), (0, 3, 0)] {
        run(&database, PROJECT_STOCK, params![i64::from(available), i64::from(version), 1i64]);
        let stock: i32 = database.query_row("SELECT stock FROM products", [], |row| row.get(0)).unwrap();
        assert_eq!(stock, expected);
    }
}

#[test]
fn a_sku_is_free_again_when_its_product_is_deleted() {
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
    assert!(add().is_err(), "it may be sold again");
    run(&database, DELETE, params!["archived", 1i64, 1i64]);
    add().unwrap();
}

#[test]
fn the_products_of_a_renamed_category_get_its_name_some_at_a_time() {
    let database = database();
    plant(&database, &[None, None]);
    for id in 1..=5 {
        add(&database, &Item { category_id: Some(1), ..thing(id, "x", Some("old")) });
    }
    add(&database, &Item { category_id: Some(2), ..thing(6, "x", Some("other")) });
    let renamed = || database.query_row(categories::RENAMED, [], |row| row.get::<_, i64>(0)).ok();
    let batch = || {
        let mut statement = database.prepare(categories::RELABEL).unwrap();
        let rows = statement.query_map([1, 2], |row| row.get::<_, i64>(0)).unwrap();
        let mut ids: Vec<_> = rows.map(Result::unwrap).collect();
        ids.sort_unstable();
        let to = if ids.len() < 2 { None } else { ids.last() };
        database.execute(categories::SET_RELABELLED, (to, 1)).unwrap();
        ids
    };
    assert_eq!((renamed(), batch()), (None, vec![]), "nothing is to be done");
    database.execute("UPDATE categories SET name = 'new', relabelled_to = 0 WHERE id = 1", []).unwrap();
    assert_eq!((renamed(), batch(), batch(), renamed()), (Some(1), vec![1, 2], vec![3, 4], Some(1)));
    database.execute("UPDATE categories SET name = 'newer', relabelled_to = 0 WHERE id = 1", []).unwrap();
    assert_eq!((batch(), batch(), batch(), renamed()), (vec![1, 2], vec![3, 4], vec![5], None));
    let labels = pairs(&database, "SELECT category = 'newer', count(*) FROM products GROUP BY 1");
    assert_eq!(labels, [(0, 1), (1, 5)]);

    let plan = plan(&database, categories::RELABEL, params![1i64, 2i64]).join("; ");
    assert!(plan.contains("SEARCH products USING INTEGER PRIMARY KEY"), "{plan}");
    assert!(plan.contains("COVERING INDEX products_of_category (category_id=? AND rowid>?)"), "{plan}");
    assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn whether_a_category_was_renamed_is_seen_at_once() {
    let plan = plan(&database(), categories::RENAMED, vec![]);
    // The index has only those.
    assert_eq!(plan, ["SCAN categories USING INDEX categories_renamed"]);
}

/// What category_products must hold, found by climbing from each product's category.
fn climbed(database: &Connection) -> Vec<(i64, i64)> {
    let climb = "WITH RECURSIVE up (category_id, product_id) AS (SELECT category_id, id FROM products \
         WHERE category_id IS NOT NULL UNION ALL SELECT c.parent_id, up.product_id FROM up \
         JOIN categories c ON c.id = up.category_id WHERE c.parent_id IS NOT NULL) SELECT * FROM up ORDER BY 1, 2";
    pairs(database, climb)
}

fn pairs(database: &Connection, sql: &str) -> Vec<(i64, i64)> {
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The product as customers read it, put together from its columns once more.
fn from_columns(database: &Connection) -> serde_json::Value {
    let columns = "id, name, description, price, currency, stock, category, sku, metadata, status, created_at, updated_at, \
         category_id, upc, images, supplier_id";
    database
        .query_row(&format!("SELECT {columns} FROM products"), [], |row| {
            let text = |at: usize| row.get::<_, Option<String>>(at);
            let time = |at: usize| row.get(at).map(|time| Timestamp(time).to_string());
            let json =
                |at: usize| text(at).map(|json| serde_json::from_str::<serde_json::Value>(&json.unwrap()).unwrap());
            Ok(serde_json::json!({
                "id": row.get::<_, i64>(0)?, "name": text(1)?, "description": text(2)?,
                "price": Money::from_minor(row.get(3)?), "currency": text(4)?, "stock": row.get::<_, i64>(5)?,
                "category": text(6)?, "sku": text(7)?, "metadata": json(8)?, "status": text(9)?,
                "createdAt": time(10)?, "updatedAt": time(11)?, "categoryId": row.get::<_, Option<i64>>(12)?,
                "upc": text(13)?, "images": json(14)?, "supplierId": row.get::<_, i64>(15)?,
            }))
        })
        .unwrap()
}

/// The product as the database has written it.
fn written_json(database: &Connection) -> serde_json::Value {
    let body: String = database.query_row("SELECT body FROM products", [], |row| row.get(0)).unwrap();
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The product as a use case reads it.
fn stored(database: &Connection, id: i64) -> Product {
    let mut statement = database.prepare(FIND).unwrap();
    let columns = statement.column_count();
    let values = statement.query_row([id], |row| (0..columns).map(|at| row.get::<_, Native>(at)).collect());
    let values: Vec<Native> = values.unwrap();
    let ours = values.into_iter().map(|value| match value {
        Native::Null => Value::Null,
        Native::Integer(value) => Value::Integer(value),
        Native::Real(value) => Value::Real(value),
        Native::Text(value) => Value::Text(value),
        Native::Blob(value) => Value::Blob(value),
    });
    product(Row::new(ours.collect())).unwrap().product
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_products_of_a_category_are_those_of_all_below_it_whatever_moves(
        moves in proptest::collection::vec((1..7i64, proptest::option::of(1..7i64)), 0..30),
        products in proptest::collection::vec((1..9i64, proptest::option::of(1..7i64)), 0..30),
    ) {
        let database = database();
        plant(&database, &[None; 6]);
        for id in 1..9 {
            add(&database, &Item { category_id: (id < 7).then_some(id), ..thing(id, "x", None) });
        }
        let mut products = products.into_iter();
        for (id, parent) in moves {
            // The rule of `categories`: not under itself.
            let circle = "SELECT 1 FROM category_ancestors WHERE category_id = ?1 AND ancestor_id = ?2";
            let circle = parent.is_some_and(|parent| database.prepare(circle).unwrap().exists([parent, id]).unwrap());
            if !circle {
                run(&database, categories::UNDER_NOBODY, params![id]);
                if let Some(parent) = parent {
                    run(&database, categories::UNDER, params![id, parent]);
                }
                database.execute("UPDATE categories SET parent_id = ?2 WHERE id = ?1", (id, parent)).unwrap();
            }
            if let Some((product, category)) = products.next() {
                run(&database, "UPDATE products SET category_id = $1 WHERE id = $2", params![category, product]);
            }
            let kept = pairs(&database, "SELECT category_id, product_id FROM category_products ORDER BY 1, 2");
            prop_assert_eq!(kept, climbed(&database));
        }
        run(&database, DELETE, params!["archived", 1i64, 1i64]);
        prop_assert!(climbed(&database).iter().all(|(_, product)| *product != 1));
        let kept = pairs(&database, "SELECT category_id, product_id FROM category_products ORDER BY 1, 2");
        prop_assert_eq!(kept, climbed(&database));
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
            run(&database, sql, params);
            assert_eq!(written_json(&database), from_columns(&database), "{sql}");
        };
        let images = serde_json::to_string(&[&name, &key]).unwrap();
        run(
            &format!("INSERT INTO products (supplier_id, name, description, price, currency, stock, category, \
             category_id, sku, upc, images, metadata, status, created_at, updated_at) VALUES {}", store::values(1, 15)),
            params![
                7i64, name.as_str(), "", price, "EUR", 3i64, "x", 5i64, sku.as_deref(), category.as_deref(), "[]", "{}",
                "draft", time, time
            ],
        );
        let mut product = stored(&database, 1);
        product.name = "y".into();
        product.description = description;
        product.price = Money::from_minor(price / 7);
        product.stock = u32::try_from(stock).unwrap();
        product.category = category;
        product.category_id = None;
        product.upc = sku;
        product.images = Images::stored(&images).unwrap();
        product.metadata = Metadata::stored(metadata).unwrap();
        product.status = ProductStatus::Active;
        product.updated_at = Timestamp(time / 3);
        let (sql, params) = update_statement(&[&product]).unwrap();
        run(&sql, params);
        assert_eq!(stored(&database, 1), product);
        run(PROJECT_STOCK, params![stock / 2, 1i64, 1i64]);
        run("UPDATE products SET category = $1 WHERE category_id = $2", params!["z", 5i64]);
        run(DELETE, params!["archived", time / 2, 1i64]);
        let written: String = database.query_row("SELECT body FROM products", [], |row| row.get(0)).unwrap();
        let wanted = serde_json::to_string(&Money::from_minor(price / 7)).unwrap();
        prop_assert!(written.contains(&format!(r#""price":{wanted},"#)), "{}", written);
    }
}
