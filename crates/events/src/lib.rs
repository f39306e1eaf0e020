//! What happened in the shop, told to whom it concerns, exactly once in effect.
//!
//! [`emit`] writes an event into the outbox, in the transaction that made it true. The [`relay`] delivers it to every
//! subscriber, at least once, in order per subject. [`receive`] has its effect in one transaction with a row in the
//! inbox, so a second copy has none.

mod envelope;
mod inbox;
mod lanes;
mod outbox;
mod relay;
pub mod trace;

use include_dir::{Dir, include_dir};
use store::Migrations;

pub use envelope::Envelope;
pub use inbox::{Batch, Receipt, Refused, knows_foreign, receive, write_down_foreign};
pub use lanes::outages;
pub use outbox::{Backlog, Parked, backlog, copy_all_to, emit, emit_all, parked, replay, replay_all};
pub use relay::{has_work, relay, relay_due};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/common");

/// The tables that every service with a database has: outbox, inbox, idempotency keys, rate limits, audit log.
pub const MIGRATIONS: Migrations = ("common", &FILES);

/// Deletes a bounded number of events that every subscriber has, and of inbox rows nobody will repeat.
///
/// `now` is Unix milliseconds. Delivered events are kept for a day, inbox rows for a week: longer than any retry.
pub async fn prune(database: &store::Database, now: model::Timestamp) -> store::Result<()> {
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
    let delivered = "created_at < $1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.outbox_id = outbox.id)";
    database.prune("outbox", "id", delivered, store::params![now.before(DAY).0]).await?;
    database.prune("inbox", "event_id", "received_at < $1", store::params![now.before(7 * DAY).0]).await
}
