//! Work that must not keep the customer waiting.

use std::cell::RefCell;

use futures::future::LocalBoxFuture;
use store::{Database, Transaction};

thread_local! {
    static WAITING: RefCell<Vec<LocalBoxFuture<'static, ()>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` when `transaction` has committed and the response that is being made is on its way, in the trace of
/// whoever asks for it. The instance may die before: only for what housekeeping would find and do later anyway.
pub fn after_commit(transaction: &Transaction, work: impl Future<Output = ()> + 'static) {
    let work: LocalBoxFuture<'static, ()> = match events::trace::current() {
        Some(trace) => Box::pin(events::trace::scope(trace, work)),
        None => Box::pin(work),
    };
    transaction.on_commit(move || WAITING.with_borrow_mut(|waiting| waiting.push(work)));
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
