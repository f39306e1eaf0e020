//! Afterwards: every order is paid, and the stock is what it was less what was sold.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::connection::Token;
use crate::seed::{self, STOCK, pages};

/// How long orders that were cut off by the end of the time may take to be paid.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the shop's books say.
pub(crate) struct Books {
    /// Orders by status.
    pub(crate) orders: BTreeMap<String, usize>,
    /// What does not add up.
    pub(crate) wrong: Vec<String>,
}

/// Reads the books once no order is open and no stock is held any more.
pub(crate) async fn read(address: SocketAddr, customers: &[Token]) -> Result<Books> {
    let admin = seed::admin(address).await?;
    let began = Instant::now();
    loop {
        let books = look(address, customers, &admin).await?;
        if books.wrong.is_empty() || began.elapsed() > PATIENCE {
            return Ok(books);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn look(address: SocketAddr, customers: &[Token], admin: &Token) -> Result<Books> {
    let mut books = Books { orders: BTreeMap::new(), wrong: Vec::new() };
    let mut sold: BTreeMap<i64, i64> = BTreeMap::new();
    for customer in customers {
        for order in pages(address, customer, "/api/v1/orders").await? {
            let status = order["status"].as_str().context("an order without a status")?;
            *books.orders.entry(status.to_owned()).or_default() += 1;
            for item in order["items"].as_array().into_iter().flatten() {
                *sold.entry(int(item, "productId")?).or_default() += int(item, "quantity")?;
            }
        }
    }
    let unpaid = books.orders.iter().filter(|(status, _)| *status != "paid");
    books.wrong.extend(unpaid.map(|(status, count)| format!("{count} orders are {status}")));
    for record in pages(address, admin, "/api/v1/inventory").await? {
        let (product, on_hand, reserved) =
            (int(&record, "productId")?, int(&record, "onHand")?, int(&record, "reserved")?);
        let sold = sold.get(&product).copied().unwrap_or(0);
        if on_hand != STOCK - sold || reserved != 0 {
            let wrong = format!("product {product}: {sold} of {STOCK} sold, {on_hand} on hand, {reserved} reserved");
            books.wrong.push(wrong);
        }
    }
    Ok(books)
}

fn int(value: &Value, name: &str) -> Result<i64> {
    value[name].as_i64().with_context(|| format!("no {name} in {value}"))
}
