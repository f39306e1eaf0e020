//! A shop with something in it: customers, and products on sale.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use http::Uri;
use serde_json::{Value, json};

use crate::connection::{Connection, Token};

pub(crate) const ADMIN: (&str, &str) = ("admin@example.com", "a load of good measure");
pub(crate) const PASSWORD: &str = "a customer of good measure";
/// Pieces of each product: more than anybody buys here.
pub(crate) const STOCK: i64 = 1_000_000;
/// Connections that products are loaded by.
const LOADERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// What is in the shop.
pub(crate) struct Seeded {
    /// Bodies of sign-ins, one a customer.
    pub(crate) accounts: Arc<[Bytes]>,
    pub(crate) products: Arc<[i64]>,
}

impl Seeded {
    pub(crate) fn product_paths(&self) -> Result<Arc<[Uri]>> {
        let path = |id| Ok(format!("/api/v1/products/{id}").parse()?);
        self.products.iter().map(path).collect()
    }

    /// Tokens of all customers.
    pub(crate) async fn sign_in(&self, address: SocketAddr) -> Result<Arc<[Token]>> {
        let mut connection = Connection::new(address)?;
        let mut tokens = Vec::new();
        for account in self.accounts.iter() {
            let reply = connection.post("/api/v1/auth/login", None, &serde_json::from_slice(account)?).await?;
            tokens.push(Token::of(&reply.json()?)?);
        }
        Ok(tokens.into())
    }
}

/// Signs the admin in.
pub(crate) async fn admin(address: SocketAddr) -> Result<Token> {
    let body = json!({ "email": ADMIN.0, "password": ADMIN.1 });
    let reply = Connection::new(address)?.post("/api/v1/auth/login", None, &body).await?;
    Token::of(&reply.json().context("the admin cannot sign in")?)
}

/// Fills an empty shop, and waits until inventory knows every product.
pub(crate) async fn fill(address: SocketAddr, customers: u32, products: u32) -> Result<Seeded> {
    let admin = admin(address).await?;
    let mut accounts = Vec::new();
    let mut connection = Connection::new(address)?;
    for number in 0..customers {
        let account = json!({ "email": format!("customer-{number}@example.com"), "password": PASSWORD });
        connection.post("/api/v1/auth/register", None, &account).await?.json().context("cannot register")?;
        accounts.push(Bytes::from(account.to_string()));
    }
    let ids = try_join_all((0..LOADERS).map(|loader| load(address, &admin, loader, products))).await?;
    let mut ids = ids.concat();
    ids.sort_unstable();
    await_stock(address, &admin, ids.len()).await?;
    Ok(Seeded { accounts: accounts.into(), products: ids.into() })
}

/// Puts the products of one loader on sale.
async fn load(address: SocketAddr, admin: &Token, loader: usize, products: u32) -> Result<Vec<i64>> {
    let mut connection = Connection::new(address)?;
    let mut ids = Vec::new();
    for number in (0..products).skip(loader).step_by(LOADERS) {
        let created = connection.post("/api/v1/products", Some(admin), &product(number)).await?;
        let created = created.json().context("cannot create a product")?;
        ids.push(created["id"].as_i64().context("a product without an id")?);
    }
    Ok(ids)
}

fn product(number: u32) -> Value {
    json!({
        "name": format!("Product number {number}"),
        "description": "Sturdy, light, and made to be counted. ".repeat(5),
        "price": f64::from(500 + number % 9500) / 100.0,
        "stock": STOCK,
        "category": format!("category-{}", number % 10),
        "sku": format!("SKU-{number:06}"),
        "metadata": { "colour": "green", "weightGrams": 100 + number },
    })
}

async fn await_stock(address: SocketAddr, admin: &Token, products: usize) -> Result<()> {
    let began = Instant::now();
    loop {
        let known = pages(address, admin, "/api/v1/inventory").await?.len();
        if known == products {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "inventory knows {known} of {products} products");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// All items of a list.
pub(crate) async fn pages(address: SocketAddr, token: &Token, list: &str) -> Result<Vec<Value>> {
    let mut connection = Connection::new(address)?;
    let mut items = Vec::new();
    let mut path = format!("{list}?limit=100");
    loop {
        let page = connection.get(&path, Some(token)).await?.json().with_context(|| path.clone())?;
        items.extend(page["items"].as_array().context("a page without items")?.iter().cloned());
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("{list}?limit=100&cursor={cursor}"),
            None => return Ok(items),
        }
    }
}
