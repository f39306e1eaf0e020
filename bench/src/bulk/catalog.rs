//! Products and categories. The search and what categories lead to is written by the database's own triggers.

use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, params};

use super::world::{CURRENCY, DEPARTMENTS, Tally, category_names};
use super::{World, in_batches, open};

const CATEGORY: &str = "INSERT INTO categories (id, parent_id, name, slug, description, created_at, updated_at) \
     VALUES (?1, ?2, ?3, ?4, '', ?5, ?5)";
const ANCESTOR: &str = "INSERT INTO category_ancestors (category_id, ancestor_id) VALUES (?1, ?2)";
const PRODUCT: &str = "INSERT INTO products (id, supplier_id, name, description, price, currency, stock, stock_version, \
     category, category_id, sku, images, metadata, status, created_at, updated_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)";

/// Bytes of new entries that the search keeps in memory until it writes them: many, and as it is otherwise.
const MUCH: i64 = 64 << 20;
const USUAL: i64 = 1 << 20;

fn set_memory_of_search(path: &Path, bytes: i64) -> Result<()> {
    let database = open(path)?;
    for index in ["product_search", "product_names"] {
        database.execute(&format!("INSERT INTO {index} ({index}, rank) VALUES ('hashsize', ?1)"), [bytes])?;
    }
    Ok(())
}

pub(super) fn write(world: &World, tallies: &[Tally], path: &Path) -> Result<()> {
    let names: Vec<_> = category_names().collect();
    set_memory_of_search(path, MUCH)?;
    in_batches(path, "products", world.size, |database, number| {
        let product = world.product(number);
        if number == 1 {
            categories(database, product.created_at)?;
        }
        let leaf = product.category;
        let tally = tallies.get(usize::try_from(number)?).copied().unwrap_or_default();
        database.prepare_cached(PRODUCT)?.execute(params![
            product.id,
            product.supplier_id,
            product.name,
            World::description(number),
            product.price,
            CURRENCY,
            product.left,
            1 + tally.movements,
            names.get(leaf),
            i64::try_from(DEPARTMENTS.len() + 1 + leaf)?,
            product.sku,
            format!("[\"https://images.example.com/{number}.jpg\"]"),
            World::metadata(number),
            product.status,
            product.created_at,
        ])?;
        Ok(())
    })?;
    set_memory_of_search(path, USUAL)
}

/// The departments have the first ids, what is below them the next ones.
fn categories(database: &Connection, now: i64) -> Result<()> {
    let mut below = DEPARTMENTS.len();
    let write = |id: usize, parent: Option<usize>, name: &str| -> Result<()> {
        let (id, parent) = (i64::try_from(id)?, parent.map(i64::try_from).transpose()?);
        database.execute(CATEGORY, params![id, parent, name, name.to_lowercase(), now])?;
        for ancestor in [Some(id), parent].into_iter().flatten() {
            database.execute(ANCESTOR, [id, ancestor])?;
        }
        Ok(())
    };
    for (place, (name, _)) in DEPARTMENTS.iter().enumerate() {
        write(place + 1, None, name)?;
    }
    for (place, (_, names)) in DEPARTMENTS.iter().enumerate() {
        for name in names {
            below += 1;
            write(below, Some(place + 1), name)?;
        }
    }
    Ok(())
}
