use crate::{Database, Result, Value};

/// What a list is narrowed to: conditions that must all hold, and their values, numbered in the order of their first use.
#[derive(Debug, Default, Clone)]
pub struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// `left` is a column and a comparison, such as `created_at >=`.
    pub fn add(&mut self, left: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.sql.push(format!("{left} ${}", self.values.len()));
    }

    /// The same for what has a value.
    pub fn add_some(&mut self, left: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(left, value);
        }
    }

    /// `columns` are two columns and a comparison, such as `(created_at, id) <`: the place in a list.
    pub fn add_place(&mut self, columns: &str, place: (i64, i64)) {
        let first = self.values.len() + 1;
        self.values.extend([Value::Integer(place.0), Value::Integer(place.1)]);
        self.sql.push(format!("{columns} (${first}, ${})", first + 1));
    }

    /// What stands behind `WHERE`.
    pub fn sql(&self) -> String {
        if self.sql.is_empty() { "TRUE".to_owned() } else { self.sql.join(" AND ") }
    }

    /// Time and id of the last of the newest `rows` rows of `table` that these conditions find along an index: how far a
    /// look for something else among them goes. `None` when there are fewer.
    pub async fn floor(&self, database: &Database, table: &str, rows: u32) -> Result<Option<(i64, i64)>> {
        let query = format!(
            "SELECT created_at, id FROM {table} WHERE {} ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET {}",
            self.sql(),
            rows.saturating_sub(1)
        );
        let row = database.query_one(&query, self.values()).await?;
        row.map(|mut row| Ok((row.next()?, row.next()?))).transpose()
    }

    /// The values of the statement.
    pub fn values(&self) -> Vec<Value> {
        self.values.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::params;

    use super::*;

    #[test]
    fn parameters_are_numbered_in_order_of_use() {
        let mut conditions = Conditions::default();
        assert_eq!(conditions.sql(), "TRUE");
        conditions.add("status =", "paid");
        conditions.add_some("total >=", None::<i64>);
        conditions.add_place("(created_at, id) <", (7, 8));
        conditions.add_some("total <=", Some(9_i64));
        assert_eq!(conditions.sql(), "status = $1 AND (created_at, id) < ($2, $3) AND total <= $4");
        assert_eq!(conditions.values(), params!["paid", 7_i64, 8_i64, 9_i64]);
    }
}
