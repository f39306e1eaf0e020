//! The figures, and how they compare with what issue 2 aims at.

use std::time::Duration;

use crate::load::Figures;

/// No p99 above so many times its p50.
const TAIL: f64 = 20.0;

/// A line of the table.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) figures: Figures,
    /// Processor time of the server for each iteration, microseconds.
    pub(crate) server: Option<f64>,
    /// The same of the generator.
    pub(crate) generator: Option<f64>,
}

impl Row {
    /// How many iterations went wrong.
    pub(crate) fn errors(&self) -> u64 {
        self.figures.errors.values().sum()
    }

    fn tail(&self) -> f64 {
        self.figures.p99.as_secs_f64() / self.figures.p50.as_secs_f64().max(f64::EPSILON)
    }
}

/// What several rounds of the same load come to: the median of each figure, and all errors. `None` of no rounds.
pub(crate) fn median(mut rounds: Vec<Row>) -> Option<Row> {
    let what = rounds.first()?.what;
    let errors = rounds.iter().flat_map(|row| row.figures.errors.clone()).fold(
        std::collections::BTreeMap::new(),
        |mut sum, (what, count)| {
            *sum.entry(what).or_insert(0) += count;
            sum
        },
    );
    let mut middle = |value: fn(&Row) -> f64| {
        rounds.sort_by(|one, other| value(one).total_cmp(&value(other)));
        rounds.get(rounds.len() / 2).map_or(0.0, value)
    };
    let figures = Figures {
        rate: middle(|row| row.figures.rate),
        p50: Duration::from_secs_f64(middle(|row| row.figures.p50.as_secs_f64())),
        p99: Duration::from_secs_f64(middle(|row| row.figures.p99.as_secs_f64())),
        requests: middle(|row| row.figures.requests),
        count: 0,
        errors,
    };
    let server = middle(|row| row.server.unwrap_or(0.0));
    let generator = middle(|row| row.generator.unwrap_or(0.0));
    let count = rounds.iter().map(|row| row.figures.count).sum();
    Some(Row { what, figures: Figures { count, ..figures }, server: Some(server), generator: Some(generator) })
}

/// Prints the table, in Markdown; the first row is the floor.
pub(crate) fn print(rows: &[Row]) {
    let floor = rows.first().map_or(0.0, |row| row.figures.rate);
    println!(
        "| {:28} | {:>8} | {:>8} | {:>8} | {:>8} | {:>7} | {:>9} | {:>9} | {:>6} |",
        "", "a second", "of hello", "p50 ms", "p99 ms", "p99/p50", "server µs", "client µs", "errors"
    );
    println!("| {:-<28} | {}", "", "-------: | ".repeat(8).trim_end());
    for row in rows {
        let Figures { rate, p50, p99, .. } = &row.figures;
        let digits = if *rate < 1000.0 { 1 } else { 0 };
        let millis = |time: &Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
        let micros = |time: Option<f64>| time.map_or("-".into(), |time| format!("{time:.0}"));
        println!(
            "| {:28} | {rate:>8.digits$} | {:>7.0}% | {:>8} | {:>8} | {:>7.1} | {:>9} | {:>9} | {:>6} |",
            row.what,
            100.0 * rate / floor,
            millis(p50),
            millis(p99),
            row.tail(),
            micros(row.server),
            micros(row.generator),
            row.errors(),
        );
    }
    for row in rows {
        for (error, count) in &row.figures.errors {
            println!("{}: {count} × {error}", row.what);
        }
    }
}

/// One of the aims, and whether it is met.
pub(crate) fn aim(met: bool, text: String) {
    println!("{} {text}", if met { "met   " } else { "MISSED" });
}

/// Prints whether the aims for the rows are met: hello, product, list, log in, orders.
pub(crate) fn print_aims(rows: &[Row]) {
    if let [hello, product, list, _, orders] = rows {
        for row in [product, list] {
            let part = 100.0 * row.figures.rate / hello.figures.rate;
            aim(part >= 60.0, format!("{}: {part:.0}% of hello-world, aim 60%", row.what));
        }
        let rate = orders.figures.rate;
        aim(rate >= 140.0, format!("{}: {rate:.1} a second, aim 140", orders.what));
    }
    for row in rows {
        aim(row.tail() <= TAIL, format!("{}: p99 is {:.1} times p50, aim {TAIL:.0}", row.what, row.tail()));
    }
}
