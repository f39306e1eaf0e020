use serde::{Deserialize, Serialize};

use crate::{Database, Result, Row, Value};

/// How far a page looks for rows that few may be like.
pub const WINDOW: u32 = 1000;

/// The place of a row in a list of the newest: when it was made, and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(pub i64, pub i64);

/// What a list is narrowed to: conditions that must all hold, and their values, numbered in the order of their first use.
#[derive(Debug, Default, Clone)]
pub struct Conditions {
    /// Left sides, and how many values each is compared with.
    sql: Vec<(String, usize)>,
    values: Vec<Value>,
}

impl Conditions {
    /// `left` is a column and a comparison, such as `created_at >=`. A parenthesis that it ends with is closed.
    pub fn add(&mut self, left: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.sql.push((left.to_owned(), 1));
    }

    /// A condition that is compared with nothing, such as `NOT hidden`.
    pub fn add_flag(&mut self, condition: &str) {
        self.sql.push((condition.to_owned(), 0));
    }

    /// The same for what has a value.
    pub fn add_some(&mut self, left: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(left, value);
        }
    }

    /// `columns` are two columns and a comparison, such as `(created_at, id) <`: the place in a list.
    pub fn add_place(&mut self, columns: &str, Place(at, id): Place) {
        self.values.extend([Value::Integer(at), Value::Integer(id)]);
        self.sql.push((columns.to_owned(), 2));
    }

    /// What was made then or later, before that, and stands behind that place in a list of the newest.
    pub fn add_age(&mut self, from: Option<i64>, to: Option<i64>, after: Option<Place>) {
        self.add_some("created_at >=", from);
        self.add_some("created_at <", to);
        if let Some(after) = after {
            self.add_place("(created_at, id) <", after);
        }
    }

    /// These, and after them `others`.
    pub fn append(&mut self, others: Self) {
        self.sql.extend(others.sql);
        self.values.extend(others.values);
    }

    /// Whether everything passes.
    pub const fn is_empty(&self) -> bool {
        self.sql.is_empty()
    }

    /// What stands behind `WHERE`.
    pub fn sql(&self) -> String {
        if self.sql.is_empty() {
            return "TRUE".to_owned();
        }
        let mut next = 1;
        let conditions = self.sql.iter().map(|(left, count)| {
            let first = next;
            next += count;
            match count {
                0 => left.clone(),
                1 if left.ends_with('(') => format!("{left}${first})"),
                1 => format!("{left} ${first}"),
                _ => format!("{left} (${first}, ${})", first + 1),
            }
        });
        conditions.collect::<Vec<_>>().join(" AND ")
    }

    /// The statement that finds up to `limit` rows of `table`, the newest first.
    pub fn newest(&self, table: &str, columns: &str, limit: &str) -> String {
        format!("SELECT {columns} FROM {table} WHERE {} ORDER BY created_at DESC, id DESC LIMIT {limit}", self.sql())
    }

    /// Runs it with these, which an index finds in that order, and `others`, which must be looked at row by row. When `few`
    /// may pass those, it looks at [`WINDOW`] rows at most, and says where the look ended if the list goes on there.
    pub async fn find_newest(
        mut self,
        others: Self,
        few: bool,
        database: &Database,
        (table, columns): (&str, &str),
        limit: u32,
    ) -> Result<(Vec<Row>, Option<Place>)> {
        let mut end = None;
        if few {
            let last = self.newest(table, "created_at, id", &format!("1 OFFSET {}", WINDOW - 1));
            if let Some(mut row) = database.query_one(&last, self.values()).await? {
                let place = Place(row.next()?, row.next()?);
                self.add_place("(created_at, id) >=", place);
                end = Some(place);
            }
        }
        self.append(others);
        Ok((database.query(&self.newest(table, columns, &limit.to_string()), self.values()).await?, end))
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
        conditions.add_flag("NOT hidden");
        conditions.add_some("total >=", None::<i64>);
        conditions.add_place("(created_at, id) <", Place(7, 8));
        let mut others = Conditions::default();
        assert!(others.is_empty() && !conditions.is_empty());
        others.add_some("total <=", Some(9_i64));
        conditions.append(others);
        assert_eq!(conditions.sql(), "status = $1 AND NOT hidden AND (created_at, id) < ($2, $3) AND total <= $4");
        assert_eq!(conditions.values(), params!["paid", 7_i64, 8_i64, 9_i64]);
    }
}
