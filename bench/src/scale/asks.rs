//! What is asked for: chosen at random each time, of what the shop has.

use anyhow::{Context, Result};
use bench::bulk::{ADJECTIVES, MATERIALS, vocabulary};

use super::Shop;
use super::check::LISTS;
use crate::connection::Token;

/// Path, and who asks.
type Request = Result<(String, Option<Token>)>;

/// One kind of request.
pub(super) struct Ask {
    pub(super) what: &'static str,
    pub(super) request: fn(&mut Shop) -> Request,
}

const fn ask(what: &'static str, request: fn(&mut Shop) -> Request) -> Ask {
    Ask { what, request }
}

/// Ranks of words that are in no name: of the most frequent one, and of those that are in one of thirty descriptions.
const FREQUENT: u32 = 0;
const USUAL: std::ops::Range<u32> = 40..60;

pub(super) const ASKS: &[Ask] = &[
    ask("product", |shop| {
        let number = loop {
            let product = shop.world.product(shop.rng.i64(1..=shop.world.size));
            if product.status == "active" {
                break product.id;
            }
        };
        anyone(format!("products/{number}"))
    }),
    ask("products, newest", |_| anyone("products")),
    ask("products, newest, deep", |shop| shop.deep(0)),
    ask("products by price", |_| anyone("products?sort=price")),
    ask("products by price, deep", |shop| shop.deep(1)),
    ask("products by name", |_| anyone("products?sort=name")),
    ask("products by price, from 20 to 50", |_| anyone("products?minPrice=20&maxPrice=50")),
    ask("category, newest", |shop| shop.in_category("")),
    ask("category by price", |shop| shop.in_category("&sort=price")),
    ask("category of the tree", |shop| {
        let id = shop.rng.i64(6..=25);
        anyone(format!("categories/{id}/products"))
    }),
    ask("category of the tree, deep", |shop| shop.deep(2)),
    ask("search, a word of one name", |shop| {
        let code = shop.world.product(shop.rng.i64(1..=shop.world.size)).code;
        anyone(format!("products?q={code}"))
    }),
    ask("search, a word of every eighth name", |shop| {
        let word = shop.rng.choice(MATERIALS).context("no words")?;
        anyone(format!("products?q={word}"))
    }),
    ask("search, the same, deep", |shop| shop.deep(3)),
    ask("search, the beginning of it", |shop| {
        let word = shop.rng.choice(MATERIALS).context("no words")?;
        anyone(format!("products?q={}", word.get(..4).unwrap_or(word)))
    }),
    ask("search, two words of every 48th name", |shop| {
        let (one, other) = (shop.rng.choice(ADJECTIVES), shop.rng.choice(MATERIALS));
        anyone(format!("products?q={}+{}", one.context("no words")?, other.context("no words")?))
    }),
    ask("search, a word of every 30th description", |shop| {
        let rank = shop.rng.u32(USUAL);
        anyone(format!("products?q={}", vocabulary(rank)))
    }),
    ask("search, a word of most descriptions", |_| anyone(format!("products?q={}", vocabulary(FREQUENT)))),
    ask("order", |shop| {
        let number = shop.rng.i64(1..=shop.world.size);
        shop.as_admin(format!("orders/{number}"))
    }),
    ask("orders of a customer", |shop| {
        let (_, token) = shop.customer()?;
        Ok(("/api/v1/orders".to_owned(), Some(token)))
    }),
    ask("orders, all", |shop| shop.as_admin("orders")),
    ask("orders, all, deep", |shop| shop.deep(4)),
    ask("orders that are shipped", |shop| shop.as_admin("orders?status=shipped")),
    ask("account", |shop| {
        let number = shop.rng.i64(1..=shop.world.size);
        let id = shop.world.user(number).id;
        shop.as_admin(format!("users/{id}"))
    }),
    ask("accounts, all", |shop| shop.as_admin("users")),
    ask("accounts, all, deep", |shop| shop.deep(5)),
    ask("accounts by the beginning of the address", |shop| {
        let email = shop.world.user(shop.rng.i64(1..=shop.world.size)).email;
        let start: String = email.chars().take(6).collect();
        shop.as_admin(format!("users?email={start}"))
    }),
    ask("stock of a product", |shop| {
        let number = shop.rng.i64(1..=shop.world.size);
        shop.as_admin(format!("inventory/{number}"))
    }),
    ask("payment of an order", |shop| {
        let number = shop.paid_order();
        shop.as_admin(format!("payments/order/{number}"))
    }),
    ask("payments, all", |shop| shop.as_admin("payments")),
];

fn anyone(path: impl AsRef<str>) -> Request {
    Ok((format!("/api/v1/{}", path.as_ref()), None))
}

impl Shop {
    fn as_admin(&self, path: impl AsRef<str>) -> Request {
        Ok((format!("/api/v1/{}", path.as_ref()), Some(self.admin.clone())))
    }

    /// A page of the second half of a list that has been read before.
    fn deep(&mut self, list: usize) -> Request {
        let path = LISTS.get(list).context("no such list")?.path;
        let cursors = self.depths.cursors.get(list).context("the list was not read")?;
        let half = cursors.get(cursors.len() / 2..).unwrap_or_default();
        let cursor = self.rng.choice(half).context("the list has no second page")?;
        Ok((format!("{path}cursor={cursor}"), Some(self.admin.clone())))
    }

    fn in_category(&mut self, rest: &str) -> Request {
        let name = self.rng.choice(bench::bulk::category_names()).context("no categories")?;
        anyone(format!("products?category={name}{rest}"))
    }

    fn paid_order(&mut self) -> i64 {
        loop {
            let number = self.rng.i64(1..=self.world.size);
            if self.world.has_payment(number) {
                return number;
            }
        }
    }
}
