//! What notifications do when something happened elsewhere.

use events::Envelope;
use model::event::UserDeleted;
use store::Transaction;
use web::Result;

use crate::mails;

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    if let Some(deleted) = event.read::<UserDeleted>() {
        return mails::forget(transaction, deleted?.id).await;
    }
    Ok(())
}
