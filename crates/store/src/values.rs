/// `($1, $2), ($3, $4)` for two rows of two columns.
pub fn values(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let columns: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", columns.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// `VALUES` with columns of these types, for where no table says what they are: Postgres takes them for text otherwise.
pub fn typed_values(rows: usize, types: &[&str]) -> String {
    let first: Vec<_> = types.iter().zip(1..).map(|(kind, column)| format!("CAST(${column} AS {kind})")).collect();
    let all = values(rows, types.len());
    let rest = all.split_once(')').map_or("", |(_, rest)| rest);
    format!("VALUES ({}){rest}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_parameters_are_numbered_through() {
        assert_eq!(values(2, 2), "($1, $2), ($3, $4)");
        let typed = "VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT)), ($3, $4)";
        assert_eq!(typed_values(2, &["BIGINT", "TEXT"]), typed);
        assert_eq!(typed_values(1, &["BIGINT"]), "VALUES (CAST($1 AS BIGINT))");
    }
}
