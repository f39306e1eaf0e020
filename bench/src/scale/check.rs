//! Whether a filled shop has what it is to have, as it tells itself; and where its lists are deep.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Shop;

/// A list that is read from its beginning to its end.
pub(super) struct List {
    pub(super) path: &'static str,
    /// Entries of a page.
    step: usize,
    /// How many entries it has; none is known of some.
    entries: fn(&Shop) -> Option<i64>,
}

/// Accounts that were there before the shop was filled.
const BEFORE: i64 = 2;
/// Entries of a page when nobody says.
const PAGE: usize = 20;
/// Things of each kind that are looked at one by one.
const LOOKS: usize = 50;

pub(super) const LISTS: [List; 6] = [
    List { path: "/api/v1/products?", step: 100, entries: |shop| Some(shop.active()) },
    List { path: "/api/v1/products?sort=price&", step: 100, entries: |shop| Some(shop.active()) },
    List { path: "/api/v1/categories/1/products?", step: 20, entries: |_| None },
    List { path: "/api/v1/products?q=walnut&", step: 20, entries: |_| None },
    List { path: "/api/v1/orders?", step: 100, entries: |shop| Some(shop.world.size) },
    List { path: "/api/v1/users?", step: 100, entries: |shop| Some(shop.world.size + BEFORE) },
];

/// Where pages of the [`LISTS`] begin that are full.
#[derive(Default)]
pub(super) struct Depths {
    pub(super) cursors: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<IgnoredAny>,
    next_cursor: Option<String>,
}

impl Shop {
    /// Reads the lists to their ends and looks at some of what is in them.
    pub(super) async fn check(&mut self) -> Result<()> {
        for list in &LISTS {
            let (entries, cursors) = self.read(list).await?;
            let expected = (list.entries)(self).unwrap_or(entries);
            ensure!(entries == expected, "{} has {entries} entries, not {expected}", list.path);
            self.depths.cursors.push(cursors);
        }
        for _ in 0..LOOKS {
            let product = self.world.product(self.rng.i64(1..=self.world.size));
            let shown = self.look(&format!("/api/v1/products/{}", product.id)).await?;
            let same = shown["name"] == product.name && shown["stock"] == product.left;
            ensure!(same && minor(&shown["price"]) == product.price, "{product:?} is {shown}");
            let stock = self.look(&format!("/api/v1/inventory/{}", product.id)).await?;
            ensure!(stock["onHand"] == product.left, "{product:?} has {stock}");
            let order = self.rng.i64(1..=self.world.size);
            let customer = self.world.user(self.world.customer(order));
            let order = self.look(&format!("/api/v1/orders/{order}")).await?;
            ensure!(order["userId"] == customer.id, "{customer:?} has not placed {order}");
            let account = self.look(&format!("/api/v1/users/{}", customer.id)).await?;
            ensure!(account["email"] == customer.email, "{customer:?} is {account}");
        }
        Ok(())
    }

    async fn look(&mut self, path: &str) -> Result<Value> {
        let admin = self.admin.clone();
        self.get(path, &admin).await
    }

    /// How many entries a list has, and where each of its pages begins but the first one and those at the end.
    async fn read(&mut self, list: &List) -> Result<(i64, Vec<String>)> {
        let first = format!("{}limit={}", list.path, list.step);
        let (mut entries, mut cursors) = (0, Vec::<String>::new());
        loop {
            let path = cursors.last().map_or_else(|| first.clone(), |cursor| format!("{first}&cursor={cursor}"));
            let reply = self.connection.get(&path, Some(&self.admin)).await?;
            ensure!(reply.status.is_success(), "{path}: {}", reply.status);
            let page: Page = serde_json::from_slice(&reply.body).with_context(|| path.clone())?;
            entries += page.items.len();
            let Some(cursor) = page.next_cursor else { break };
            cursors.push(cursor);
        }
        cursors.truncate(entries.saturating_sub(PAGE) / list.step);
        Ok((i64::try_from(entries)?, cursors))
    }

    /// How many products customers see.
    fn active(&self) -> i64 {
        let active = (1..=self.world.size).filter(|number| self.world.product(*number).status == "active");
        i64::try_from(active.count()).unwrap_or(i64::MAX)
    }
}

fn minor(price: &Value) -> i64 {
    (price.as_f64().unwrap_or(-1.0) * 100.0).round() as i64
}
