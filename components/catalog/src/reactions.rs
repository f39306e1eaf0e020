//! What the catalog does when inventory speaks.

use events::Envelope;
use model::event::StockChanged;
use store::Transaction;
use web::Result;

use crate::repository;

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    if let Some(change) = event.read::<StockChanged>() {
        repository::project_stock(transaction, &change?).await?;
    }
    Ok(())
}
