//! What notifications do when something happened elsewhere.

use events::Envelope;
use model::event::UserDeleted;
use store::Transaction;
use web::Result;

use crate::repository;

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    if let Some(deleted) = event.read::<UserDeleted>() {
        return repository::forget(transaction, deleted?.id).await;
    }
    Ok(())
}
