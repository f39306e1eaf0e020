//! What notifications do when something happened elsewhere.

use events::Envelope;
use model::event::{UserCreated, UserDeleted, UserUpdated};
use store::Transaction;
use web::Result;

use crate::{
    mail::{Reader, kind_of_event},
    mails,
};

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    if let Some(kind) = kind_of_event(&event.event_type) {
        return mails::make_of(transaction, kind, event).await;
    }
    if let Some(created) = event.read::<UserCreated>() {
        let UserCreated { id, name, email, locale, .. } = created?;
        return mails::know(transaction, id, &Reader { email, name, locale }, event.occurred_at).await;
    }
    if let Some(updated) = event.read::<UserUpdated>() {
        let UserUpdated { id, name, email, locale, .. } = updated?;
        return mails::know(transaction, id, &Reader { email, name, locale }, event.occurred_at).await;
    }
    if let Some(deleted) = event.read::<UserDeleted>() {
        return mails::forget(transaction, deleted?.id).await;
    }
    Ok(())
}
