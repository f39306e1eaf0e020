//! Accounts.

use std::path::Path;

use anyhow::Result;
use rusqlite::params;

use super::{World, in_batches, open};

const USER: &str = "INSERT INTO users (id, email, username, password_hash, role, status, created_at, first_name, last_name, \
     shipping_address_id, billing_address_id, payment_method_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11)";
// Both have the number of their account: nobody has two.
const ADDRESS: &str = "INSERT INTO addresses (id, user_id, name, line1, city, postal_code, country) \
     VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6)";
const CARD: &str = "INSERT INTO payment_methods (id, user_id, token, brand, last4, created_at) \
     VALUES (?1, ?1, 'tok_visa', 'visa', ?2, ?3)";

/// The newest account there is, and the hash of its password.
pub(super) fn newest(path: &Path) -> Result<(i64, String)> {
    let newest = "SELECT id, password_hash FROM users ORDER BY id DESC LIMIT 1";
    Ok(open(path)?.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

pub(super) fn write(world: &World, password_hash: &str, path: &Path) -> Result<()> {
    in_batches(path, "accounts", world.size, |database, number| {
        let user = world.user(number);
        let status = if user.active { "active" } else { "suspended" };
        database.prepare_cached(USER)?.execute(params![
            user.id,
            user.email,
            user.first_name,
            password_hash,
            user.role,
            status,
            user.created_at,
            user.first_name,
            user.last_name,
            user.address.is_some().then_some(user.id),
            user.card.is_some().then_some(user.id),
        ])?;
        if let Some(address) = user.address {
            let model::Address { name, line1, city, postal_code, country, .. } = address;
            let values = params![user.id, name, line1, city, postal_code, country];
            database.prepare_cached(ADDRESS)?.execute(values)?;
        }
        if let Some(last4) = user.card {
            database.prepare_cached(CARD)?.execute(params![user.id, last4, user.created_at])?;
        }
        Ok(())
    })
}
