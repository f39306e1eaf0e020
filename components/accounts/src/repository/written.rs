//! What clients of older shops write into an account.

use model::UserId;
use store::{Transaction, params};
use web::{Error, Result};

use super::Source;
use crate::{given::Given, written::Written};

/// What has been written into an account: nothing where there is nothing.
pub(crate) async fn of(source: &impl Source, owner: UserId) -> Result<Written> {
    let find = "SELECT shipping_address, billing_address, payment_method FROM written_details WHERE user_id = $1";
    let Some(mut row) = source.row(find, params![owner.0]).await? else { return Ok(Written::default()) };
    let mut next = || row.next::<Option<String>>()?.map(Given::stored).transpose().map_err(Error::from);
    Ok(Written { shipping_address: next()?, billing_address: next()?, payment_method: next()? })
}

/// Writes it down, in the place of what was there.
pub(crate) async fn set(transaction: &Transaction, owner: UserId, written: &Written) -> Result<()> {
    let upsert = "INSERT INTO written_details (user_id, shipping_address, billing_address, payment_method) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (user_id) DO UPDATE SET shipping_address = excluded.shipping_address, \
         billing_address = excluded.billing_address, payment_method = excluded.payment_method";
    let text = |given: &Option<Given>| given.as_ref().map(|given| given.as_str().to_owned());
    let Written { shipping_address, billing_address, payment_method } = written;
    let values = params![owner.0, text(shipping_address), text(billing_address), text(payment_method)];
    Ok(transaction.execute(upsert, values).await?)
}
