//! Work that must not keep the customer waiting.

use std::cell::RefCell;

use futures::future::LocalBoxFuture;
use store::Database;

thread_local! {
    static WAITING: RefCell<Vec<LocalBoxFuture<'static, ()>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` once the response that is being made is on its way. The instance may die before: only for what
/// housekeeping would find and do later anyway.
pub fn after_response(work: impl Future<Output = ()> + 'static) {
    WAITING.with_borrow_mut(|waiting| waiting.push(Box::pin(work)));
}

/// Starts what has been left to do, and delivers the events that it emits.
pub(crate) fn start(database: Option<&'static Database>) {
    for work in WAITING.take() {
        spin_sdk::wasip3::spawn(async move {
            work.await;
            if let Some(database) = database {
                events::relay(database).await;
            }
        });
    }
}
