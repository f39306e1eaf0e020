//! What clients of older shops write into an account: two addresses and a way to pay, as texts or objects of their own.
//! Nothing is computed from them but for the payment provider's token, which becomes the account's default.

use model::{Address, UserId};
use serde::Serialize;
use store::Transaction;
use web::Result;

use crate::{DATABASE, addresses::Stored, given::Given, payment_methods, repository};

/// Both addresses and the way to pay; what nobody has written is none.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shipping_address: Option<Given>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) billing_address: Option<Given>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payment_method: Option<Given>,
}

/// What is to change of it. What is absent stays; `None` inside removes.
#[derive(Debug, Default)]
pub(crate) struct WrittenChange {
    pub(crate) shipping_address: Option<Option<Given>>,
    pub(crate) billing_address: Option<Option<Given>>,
    pub(crate) payment_method: Option<Option<Given>>,
}

impl WrittenChange {
    pub(crate) const fn is_empty(&self) -> bool {
        self.shipping_address.is_none() && self.billing_address.is_none() && self.payment_method.is_none()
    }
}

/// What an account shows: what was written into it, and where nothing was, its default, if there is one.
pub(crate) async fn of(owner: UserId) -> Result<Written> {
    let mut written = repository::written::of(&DATABASE, owner).await?;
    if written.shipping_address.is_none() || written.billing_address.is_none() {
        let defaults = repository::addresses::defaults(&DATABASE, owner).await?;
        let shown = |is: fn(&Stored) -> bool| -> Result<Option<Given>> {
            let address: Option<&Address> = defaults.iter().find(|stored| is(stored)).map(|stored| &stored.address);
            Ok(address.map(Given::of).transpose()?)
        };
        if written.shipping_address.is_none() {
            written.shipping_address = shown(|stored| stored.defaults.shipping)?;
        }
        if written.billing_address.is_none() {
            written.billing_address = shown(|stored| stored.defaults.billing)?;
        }
    }
    if written.payment_method.is_none() {
        let default = repository::payment_methods::default(&DATABASE, owner).await?;
        written.payment_method = default.as_ref().map(Given::of).transpose()?;
    }
    Ok(written)
}

/// Keeps what is written into an account that begins.
pub(crate) async fn keep(transaction: &Transaction, owner: UserId, written: Written) -> Result<()> {
    let Written { shipping_address, billing_address, payment_method } = written;
    let change = WrittenChange {
        shipping_address: shipping_address.map(Some),
        billing_address: billing_address.map(Some),
        payment_method: payment_method.map(Some),
    };
    change_in(transaction, owner, change).await
}

/// Makes the change. A token of the payment provider becomes the account's default.
pub(crate) async fn change_in(transaction: &Transaction, owner: UserId, change: WrittenChange) -> Result<()> {
    if change.is_empty() {
        return Ok(());
    }
    let mut written = repository::written::of(transaction, owner).await?;
    let token = change.payment_method.as_ref().and_then(|given| given.as_ref()?.token());
    for (field, change) in [
        (&mut written.shipping_address, change.shipping_address),
        (&mut written.billing_address, change.billing_address),
        (&mut written.payment_method, change.payment_method),
    ] {
        if let Some(given) = change {
            *field = given;
        }
    }
    repository::written::set(transaction, owner, &written).await?;
    match token {
        Some(token) => payment_methods::prefer(transaction, owner, &token).await,
        None => Ok(()),
    }
}
