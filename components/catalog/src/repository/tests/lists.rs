//! Lists: that they find what they should, in order, and read no more than that.

use super::{
    super::facets::facet_statement,
    super::lists::{few_statement, may_be_far_apart, slice_statement, sorted_statement, statement},
    *,
};
use crate::product::{Facet, Filter, Order, Place, Search};

fn filter(query: &str) -> Filter {
    Filter::of_query(query).unwrap()
}

fn ids(database: &Connection, sql: &str, params: Vec<Value>) -> Vec<i64> {
    let mut statement = database.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let id = |json: String| serde_json::from_str::<serde_json::Value>(&json).unwrap()["id"].as_i64().unwrap();
    let rows = statement.query_map(params_from_iter(native(params)), |row| Ok(id(row.get(0)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// What the page's statement finds; a search tier by tier.
fn listed(database: &Connection, filter: &Filter, after: Option<&Place>, count: u32) -> Vec<i64> {
    let order = filter.order();
    let search = filter.search();
    if order != Order::Relevance {
        let search = search.map(|search| search.all());
        let (sql, params) = statement(Engine::Sqlite, filter, order, search.as_ref(), after, count);
        return ids(database, &sql, params);
    }
    (0..Search::TIERS)
        .flat_map(|tier| {
            let (sql, params) = statement(
                Engine::Sqlite,
                filter,
                Order::Newest,
                Some(&search.as_ref().unwrap().tier(tier)),
                None,
                count,
            );
            ids(database, &sql, params)
        })
        .collect()
}

const SORTS: [&str; 5] = ["newest", "price", "-price", "name", "-name"];

/// Every combination of these, as query strings.
fn queries(parts: &[&[&str]]) -> Vec<String> {
    parts.iter().fold(vec![String::new()], |queries, part| {
        queries.iter().flat_map(|query| part.iter().map(move |more| format!("{query}&{more}"))).collect()
    })
}

fn place(order: Order, item: &Item) -> Place {
    let id = ProductId(item.id);
    match order {
        Order::Newest | Order::Relevance => Place::Newest(id),
        Order::Cheapest => Place::Cheapest(item.price, id),
        Order::Dearest => Place::Dearest(item.price, id),
        Order::Name => Place::Name(item.name.clone(), id),
        Order::NameBackwards => Place::NameBackwards(item.name.clone(), id),
    }
}

#[test]
fn browsing_reads_along_an_index_whatever_is_asked_for() {
    let database = database();
    let sorts: Vec<_> = SORTS.iter().map(|sort| format!("sort={sort}")).collect();
    let sorts: Vec<_> = sorts.iter().map(String::as_str).collect();
    let prices = ["", "minPrice=1", "maxPrice=9", "minPrice=1&maxPrice=9"];
    for query in queries(&[&sorts, &["", "category=lamps"], &prices, &["", "inStock=true"]]) {
        let filter = filter(&query);
        let item = Item { price: 500, ..thing(7, "x", None) };
        let by_name = query.contains("name");
        for after in [None, Some(place(filter.order(), &item))] {
            let (sql, params) = statement(Engine::Sqlite, &filter, filter.order(), None, after.as_ref(), 21);
            let plan = plan(&database, &sql, params).join("; ");
            let mut used = "(status=?".to_owned();
            if filter.category().is_some() {
                used.push_str(" AND category=?");
            }
            if filter.in_stock.is_some() && !by_name {
                used.push_str(" AND <expr>=?");
            }
            match &after {
                Some(Place::Newest(_)) => used.push_str(" AND rowid<?"),
                Some(Place::Cheapest(..)) => used.push_str(" AND (price,rowid)>(?,?)"),
                Some(Place::Dearest(..)) if filter.min_price.is_none() => used.push_str(" AND (price,rowid)<(?,?)"),
                Some(Place::Name(..)) => used.push_str(" AND (name,rowid)>(?,?)"),
                Some(Place::NameBackwards(..)) => used.push_str(" AND (name,rowid)<(?,?)"),
                _ => {}
            }
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            assert!(plan.contains(&used) && !plan.contains("SCAN"), "{used} {sql}: {plan}");
        }
    }
}

#[test]
fn slices_are_passed_over_along_the_same_index() {
    let database = database();
    for id in 1..=9 {
        add(&database, &Item { price: 10 - id, ..thing(id, "x", Some(if id % 2 == 0 { "even" } else { "odd" })) });
    }
    for (query, offset, expected) in [
        ("", 0, &[9, 8, 7][..]),
        ("", 7, &[2, 1]),
        ("", 9, &[]),
        ("category=even", 1, &[6, 4, 2]),
        ("minPrice=0.03&inStock=true", 2, &[5, 4, 3]),
        ("category=odd&maxPrice=0.05&inStock=true", 0, &[9, 7, 5]),
    ] {
        let (sql, params) = slice_statement(Engine::Sqlite, &filter(query), offset, 3);
        let plan = plan(&database, &sql, params.clone()).join("; ");
        assert!(plan.contains("(status=?") && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        assert_eq!(ids(&database, &sql, params), expected, "{query} {offset}");
    }
}

#[test]
fn few_matches_that_may_stand_far_apart_are_sorted() {
    let database = database();
    for (query, apart) in [
        ("", false),
        ("inStock=true", false),
        ("minPrice=1", false),
        ("minPrice=1&sort=newest", true),
        ("maxPrice=9&sort=newest&category=lamps&inStock=false", true),
        ("sort=name&category=lamps", false),
        ("sort=name&inStock=false", true),
        ("sort=-name&maxPrice=9", true),
        ("sort=newest&maxPrice=9&q=red", false),
        ("sort=newest&maxPrice=9&supplierId=1", false),
    ] {
        let filter = filter(query);
        assert_eq!(may_be_far_apart(&filter, filter.order()), apart, "{query}");
        if !apart {
            continue;
        }
        let (sql, params) = few_statement(Engine::Sqlite, &filter);
        let few = plan(&database, &sql, params).join("; ");
        assert!(few.contains("COVERING INDEX products_cheapest") && few.contains("(status=?"), "{query}: {few}");
        let (sql, params) = sorted_statement(Engine::Sqlite, &filter, filter.order(), None, 21);
        let sorted = plan(&database, &sql, params).join("; ");
        // Of the newest no row is read that is not shown.
        let covering = filter.order() == Order::Newest;
        assert_eq!(sorted.contains("COVERING INDEX products_cheapest"), covering, "{query}: {sorted}");
        assert!(sorted.contains("INDEX products_cheapest"), "{query}: {sorted}");
        assert!(sorted.contains("SEARCH p USING INTEGER PRIMARY KEY (rowid=?)"), "{query}: {sorted}");
    }
    for query in ["minPrice=1", "maxPrice=9&category=lamps&inStock=true", "inStock=false", ""] {
        let (sql, params) = facet_statement(Engine::Sqlite, &filter(query), &Facet::Price);
        let prices = plan(&database, &sql, params).join("; ");
        assert_eq!(prices.matches("COVERING INDEX products_cheapest").count(), 2, "{query}: {prices}");
        assert!(!prices.contains("TEMP B-TREE"), "{query}: {prices}");
    }
    for query in ["minPrice=1", "maxPrice=9&category=lamps&inStock=true"] {
        let (sql, params) = facet_statement(Engine::Sqlite, &filter(query), &Facet::SupplierId);
        assert!(plan(&database, &sql, params).join("; ").contains("INDEX products_cheapest"), "{query}");
    }
}

#[test]
fn prices_are_counted_from_the_first_to_the_last() {
    let database = database();
    for (id, price, status) in [(1, 300, "active"), (2, 900, "active"), (3, 500, "active"), (4, 100, "draft")] {
        add(&database, &Item { price, status, ..thing(id, "x", None) });
    }
    let range = |query: &str| {
        let (sql, params) = facet_statement(Engine::Sqlite, &filter(query), &Facet::Price);
        let mut statement = database.prepare(&sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?));
        statement.query_row(params_from_iter(native(params)), read).unwrap()
    };
    assert_eq!(range(""), (Some(300), Some(900)));
    assert_eq!(range("maxPrice=8"), (Some(300), Some(500)));
    assert_eq!(range("minPrice=4&sort=newest&inStock=true"), (Some(500), Some(900)));
    assert_eq!(range("minPrice=10"), (None, None));
    assert_eq!(range("status=draft"), (Some(100), Some(100)));
    assert_eq!(range("supplierId=1&minPrice=4"), (Some(500), Some(900)));
}

#[test]
fn what_leads_to_products_is_read_newest_first_and_only_so_far() {
    let database = database();
    for (query, lead) in [
        ("q=red", "SCAN d VIRTUAL TABLE INDEX"),
        ("metadata.color=red", "SEARCH d USING PRIMARY KEY (path=? AND value=?"),
        ("categoryId=3", "SEARCH d USING PRIMARY KEY (category_id=?"),
        ("supplierId=3", "SEARCH d USING COVERING INDEX products_of_supplier (supplier_id=?"),
    ] {
        for more in ["", "&inStock=true", "&maxPrice=9&metadata.size=4&categoryId=3&supplierId=3&category=x"] {
            let more = more.replace(&format!("&{query}"), "");
            let filter = filter(&format!("{query}{more}&sort=newest"));
            for after in [None, Some(Place::Newest(ProductId(7)))] {
                let search = filter.search().map(|search| search.all());
                let (sql, params) =
                    statement(Engine::Sqlite, &filter, Order::Newest, search.as_ref(), after.as_ref(), 21);
                let plan = plan(&database, &sql, params).join("; ");
                let scans = plan.matches("SCAN").count();
                let leads = plan.matches("VIRTUAL TABLE INDEX").count();
                assert!(!plan.contains("TEMP B-TREE") && scans <= leads, "{sql}: {plan}");
                assert!(plan.contains("SEARCH p USING INTEGER PRIMARY KEY"), "{sql}: {plan}");
                assert_ne!(more.is_empty(), sql.contains("OFFSET"), "{sql}");
                if more.len() < 20 {
                    assert!(plan.contains(lead), "{sql}: {plan}");
                }
            }
        }
    }
    for facet in [Facet::Category, Facet::InStock, Facet::Price, Facet::Metadata("color".into())] {
        for query in ["", "q=red", "categoryId=1&inStock=true", "category=x"] {
            let (sql, params) = facet_statement(Engine::Sqlite, &filter(query), &facet);
            assert!(sql.contains(" LIMIT "), "{sql}");
            plan(&database, &sql, params);
        }
    }
}

#[test]
fn searches_follow_the_words() {
    let database = database();
    let found = |query: &str| listed(&database, &filter(query), None, 100);
    add(&database, &thing(1, "Red X-Ray lamp", Some("Lamps")));
    add(&database, &thing(2, "Café table", Some("Tables")));
    add(&database, &thing(3, "Table lamp", Some("Table lamps")));

    assert_eq!(found("q=lam"), [3, 1]);
    assert_eq!(found("q=LAMP+tab"), [3]);
    assert_eq!(found("q=lamp&category=Lamps"), [1]);
    assert_eq!(found("q=cafe"), [2]);
    assert_eq!(found("q=cafe%CC%81"), [2]);
    assert_eq!(found("q=x-ray"), [1]);
    assert_eq!(found("q=nothing"), [0; 0]);

    database.execute("UPDATE products SET name = 'Green chair', category = 'Chairs' WHERE id = 3", []).unwrap();
    assert_eq!((found("q=table"), found("q=chair&category=Chairs")), (vec![2], vec![3]));
    database.execute("UPDATE products SET stock = 0, price = 7 WHERE id = 3", []).unwrap();
    assert_eq!(found("q=chair"), [3]);
    database.execute("UPDATE products SET status = 'draft' WHERE id = 3", []).unwrap();
    assert_eq!((found("q=chair"), found("q=chair&status=draft")), (vec![], vec![3]));
    run(&database, DELETE, params!["archived", 1i64, 3i64]);
    assert_eq!((found("q=chair"), found("q=chair&status=archived")), (vec![], vec![]));
    for index in ["product_search", "product_names"] {
        let count = format!("SELECT count(*) FROM {index}");
        let left: i64 = database.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 2, "{index}");
    }
}

#[test]
fn the_best_fit_comes_first() {
    let database = database();
    let add = |id: i64, name: &str, description: &str, sku: &str| {
        run(
            &database,
            "INSERT INTO products (id, supplier_id, name, description, price, currency, stock, sku, metadata, status, \
             created_at, updated_at) VALUES ($1, 1, $2, $3, 1, 'EUR', 1, $4, '{}', 'active', 0, 0)",
            params![id, name, description, sku],
        );
    };
    add(1, "Lamp", "", "A");
    add(2, "Lampshade", "", "B");
    add(3, "Table", "Comes with a lamp.", "C");
    add(4, "A red lamp", "", "D");
    add(5, "Chair", "", "lamp");
    add(6, "Lampion", "Not a lamp.", "F");
    add(7, "Ladder", "", "G");
    add(8, "Bench", "Lampwork.", "H");
    assert_eq!(listed(&database, &filter("q=lamp"), None, 100), [5, 4, 1, 6, 2, 3, 8]);
    assert_eq!(listed(&database, &filter("q=lamp&sort=newest"), None, 100), [8, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn metadata_is_found_by_its_path() {
    let database = database();
    let found = |query: &str| listed(&database, &filter(query), None, 100);
    let add = |id: i64, metadata: &str| {
        add(&database, &thing(id, "x", None));
        run(&database, "UPDATE products SET metadata = $1 WHERE id = $2", params![metadata, id]);
    };
    add(1, r#"{"color":"red","size":{"eu":42},"tags":["new","sale"],"a b":"c","n":1.50,"ok":true,"no":null}"#);
    add(2, r#"{"color":"Red","size":{"eu":42.0},"tags":"new","deep":{"er":{"est":"x"}}}"#);
    for (query, wanted) in [
        ("metadata.color=red", &[1i64][..]),
        ("metadata.size.eu=42", &[1]),
        ("metadata.size.eu=42.0", &[2]),
        ("metadata.tags=new", &[2, 1]),
        ("metadata.tags=sale", &[1]),
        ("metadata.a+b=c", &[1]),
        ("metadata.n=1.5", &[1]),
        ("metadata.n=1.50", &[1]),
        ("metadata.ok=true", &[1]),
        ("metadata.ok=1", &[]),
        ("metadata.no=", &[]),
        ("metadata.deep.er.est=x", &[2]),
        ("metadata.deep=x", &[]),
        ("metadata.color=red&metadata.tags=sale&sort=name", &[1]),
        ("metadata.color=red&metadata.tags=none", &[]),
        ("metadata.color='+OR+1=1+--", &[]),
        ("metadata.$['color']=red", &[]),
    ] {
        assert_eq!(found(query), wanted, "{query}");
    }
    run(&database, "UPDATE products SET metadata = '{}' WHERE id = 1", vec![]);
    assert_eq!(found("metadata.tags=new"), [2]);
    run(&database, DELETE, params!["archived", 1i64, 2i64]);
    let left: i64 = database.query_row("SELECT count(*) FROM product_metadata", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

fn item() -> impl Strategy<Value = Item> {
    let label = prop_oneof![Just(None), Just(Some("lamps")), Just(Some("tables"))];
    let word = prop_oneof![Just("red"), Just("Redder"), Just("blue"), Just("BLUE")];
    let color = prop_oneof![Just(None), Just(Some("red")), Just(Some("green"))];
    let status = prop_oneof![3 => Just("active"), 1 => Just("draft")];
    let category = proptest::option::of(1..5i64);
    (word, label, category, 1..3i64, 0..1_000i64, 0..3i64, color, status).prop_map(
        |(word, label, category_id, supplier_id, price, stock, color, status)| Item {
            id: 0,
            name: format!("{word} thing"),
            label,
            category_id,
            supplier_id,
            price: price / 50 * 50,
            stock,
            color,
            status,
        },
    )
}

/// Categories 1, 2 below 1, 3 below 2, 4 beside them.
const PARENTS: [Option<i64>; 4] = [None, Some(1), Some(2), None];

/// What a query means, said once more without an index.
fn passes(query: &str, item: &Item) -> bool {
    let has = |part: &str| query.split('&').any(|given| given == part);
    item.status == if has("status=draft") { "draft" } else { "active" }
        && (!has("category=lamps") || item.label == Some("lamps"))
        && (!has("categoryId=2") || matches!(item.category_id, Some(2 | 3)))
        && (!has("minPrice=1") || item.price >= 100)
        && (!has("maxPrice=9") || item.price <= 900)
        && (!has("inStock=true") || item.stock > 0)
        && (!has("inStock=false") || item.stock == 0)
        && (!has("supplierId=1") || item.supplier_id == 1)
        && (!has("metadata.color=red") || item.color == Some("red"))
        && (!has("q=red") || item.name.to_lowercase().starts_with("red"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn pages_add_up_to_what_the_filter_means(
        mut items in proptest::collection::vec(item(), 0..60),
        size in 1..7usize,
        sort in proptest::sample::select(SORTS.as_slice()),
    ) {
        let database = database();
        plant(&database, &PARENTS);
        for (id, item) in (1..).zip(&mut items) {
            item.id = id;
            add(&database, item);
        }
        let sort = format!("sort={sort}");
        let all = queries(&[
            &[&sort], &["", "category=lamps"], &["", "categoryId=2"], &["", "minPrice=1&maxPrice=9"], &["", "q=red"],
            &["", "inStock=true", "inStock=false"], &["", "supplierId=1"], &["", "metadata.color=red"],
            &["", "status=draft"],
        ]);
        for query in all {
            let filter = filter(&query);
            let order = filter.order();
            let mut expected: Vec<_> = items.iter().filter(|item| passes(&query, item)).collect();
            let name = |item: &Item| item.name.to_ascii_lowercase();
            match order {
                Order::Newest | Order::Relevance => expected.sort_by_key(|item| -item.id),
                Order::Cheapest => expected.sort_by_key(|item| (item.price, item.id)),
                Order::Dearest => expected.sort_by_key(|item| (-item.price, -item.id)),
                Order::Name => expected.sort_by_key(|item| (name(item), item.id)),
                Order::NameBackwards => {
                    expected.sort_by_key(|item| (name(item), item.id));
                    expected.reverse();
                }
            }
            let expected: Vec<_> = expected.iter().map(|item| item.id).collect();
            let mut found: Vec<i64> = Vec::new();
            loop {
                let after = found.last().map(|last| items.iter().find(|item| item.id == *last).unwrap());
                let after = after.map(|item| place(order, item));
                let count = u32::try_from(size).unwrap();
                let page = listed(&database, &filter, after.as_ref(), count);
                if may_be_far_apart(&filter, order) {
                    let (sql, params) = sorted_statement(Engine::Sqlite, &filter, order, after.as_ref(), count);
                    prop_assert_eq!(&ids(&database, &sql, params), &page, "{} sorted", query);
                }
                found.extend(&page);
                if page.len() < size {
                    break;
                }
            }
            prop_assert_eq!(found, expected, "{}", query);
        }
    }

    #[test]
    fn no_search_breaks_the_statement(q in "\\PC{0,40}|[\"'*:^(){}+ \\-\\x00ORANDNEAR]{0,30}") {
        let search = Search::new(&q, None);
        if !search.finds_nothing() {
            let database = database();
            for expression in (0..Search::TIERS).map(|tier| search.tier(tier)).chain([search.all()]) {
                let (sql, params) = statement(Engine::Sqlite, &filter("q=x"), Order::Newest, Some(&expression), None, 5);
                ids(&database, &sql, params);
            }
        }
    }
}
