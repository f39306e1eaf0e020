//! SQL of facets: what is counted beside a list.

use model::Money;
use store::{Database, Engine, Row, Value};
use web::Result;

use super::lists::{Lead, MOST_MATCHES, Statement, browsing, has_prices, narrow, ordered};
use crate::product::{Facet, Filter, Order};

/// Values that are counted, those that are found most often.
const MOST_VALUES: u32 = 50;

/// A value, and how many products have it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = CountedFacet, example = json!([{"value": "kitchen", "count": 3}]))]
pub(crate) enum Counted {
    /// The most frequent values first.
    Values(Vec<FacetValue>),
    /// Of prices; `null` when there are none.
    Range { min: Option<Money>, max: Option<Money> },
}

impl Counted {
    /// What is counted where nothing is found.
    pub(crate) fn nothing(facet: &Facet) -> Self {
        match facet {
            Facet::Price => Counted::Range { min: None, max: None },
            _ => Counted::Values(Vec::new()),
        }
    }
}

/// One value of a facet.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct FacetValue {
    /// A text, a number or a boolean; `null` for products without one.
    #[schema(example = "kitchen")]
    value: serde_json::Value,
    /// So many products have it.
    #[schema(minimum = 0, example = 3)]
    count: i64,
}

/// Counts the values of a facet among the newest of what passes the filter.
pub(crate) async fn count(database: &Database, filter: &Filter, facet: &Facet) -> Result<Counted> {
    let (sql, params) = facet_statement(database.engine().await?, filter, facet);
    let rows = database.query(&sql, params).await?;
    if *facet == Facet::Price {
        let mut range = Counted::Range { min: None, max: None };
        for mut row in rows {
            let [min, max] = [row.next::<Option<i64>>()?, row.next()?].map(|price| price.map(Money::from_minor));
            range = Counted::Range { min, max };
        }
        return Ok(range);
    }
    let counted = |mut row: Row| {
        let value = match facet {
            Facet::Category | Facet::Metadata(_) => serde_json::json!(row.next::<Option<String>>()?),
            Facet::InStock => serde_json::json!(row.next::<bool>()?),
            Facet::CategoryId | Facet::SupplierId | Facet::Price => serde_json::json!(row.next::<Option<i64>>()?),
        };
        Ok(FacetValue { value, count: row.next()? })
    };
    rows.into_iter().map(counted).collect::<Result<_>>().map(Counted::Values)
}

/// The first price and the last one of what is browsed.
fn price_statement(engine: Engine, filter: &Filter) -> (String, Vec<Value>) {
    let mut statement = Statement::new(engine, "SELECT (SELECT p.price FROM ");
    browsing(&mut statement, filter, Order::Cheapest, None);
    statement.sql.push_str(" ORDER BY p.price LIMIT 1), (SELECT p.price FROM ");
    browsing(&mut statement, filter, Order::Dearest, None);
    statement.sql.push_str(" ORDER BY p.price DESC LIMIT 1)");
    (statement.sql, statement.params)
}

pub(super) fn facet_statement(engine: Engine, filter: &Filter, facet: &Facet) -> (String, Vec<Value>) {
    let search = filter.search().map(|search| search.all());
    let browses = Lead::of(filter, search.as_ref()).is_none();
    if browses && *facet == Facet::Price {
        return price_statement(engine, filter);
    }
    let value = match facet {
        Facet::Category => "p.category",
        Facet::CategoryId => "p.category_id",
        Facet::InStock => "p.stock > 0",
        Facet::SupplierId => "p.supplier_id",
        Facet::Price => "p.price",
        Facet::Metadata(_) => "p.id",
    };
    let outer = match facet {
        Facet::Price => "SELECT min(f.value), max(f.value) FROM ",
        Facet::Metadata(_) => "SELECT m.value, count(*) FROM ",
        _ => "SELECT f.value, count(*) FROM ",
    };
    let mut statement = Statement::new(engine, format!("{outer}(SELECT {value} AS value FROM "));
    // Within a range of prices those stand together that are the cheapest.
    let order = if browses && has_prices(filter) { Order::Cheapest } else { Order::Newest };
    let key = narrow(&mut statement, filter, order, search.as_ref(), None);
    statement.and(&format!(" ORDER BY {} LIMIT ", ordered(order, &key)), MOST_MATCHES, ") f");
    if let Facet::Metadata(path) = facet {
        let join = " CROSS JOIN product_metadata m INDEXED BY product_metadata_of_product ON m.product_id = f.value \
                    AND m.path = ";
        statement.and(join, path.as_str(), "");
    }
    if *facet != Facet::Price {
        statement.and(" GROUP BY 1 ORDER BY 2 DESC, 1 NULLS FIRST LIMIT ", MOST_VALUES, "");
    }
    (statement.sql, statement.params)
}
