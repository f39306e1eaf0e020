//! The W3C trace that the running task belongs to.
//!
//! One instance serves many requests at once, so the current trace is set anew at every poll of a task and taken away
//! after it.

use std::{cell::RefCell, pin::pin, task::Poll};

thread_local! {
    static CURRENT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `task` with `traceparent` as its trace.
pub async fn scope<F: Future>(traceparent: String, task: F) -> F::Output {
    let mut task = pin!(task);
    let mut own = Some(traceparent);
    std::future::poll_fn(move |context| {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, &mut own));
        let poll: Poll<F::Output> = task.as_mut().poll(context);
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, &mut own));
        poll
    })
    .await
}

/// The `traceparent` of the running task, when it has one.
pub fn current() -> Option<String> {
    CURRENT.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join};

    use super::*;

    #[test]
    fn interleaved_tasks_keep_their_own_trace() {
        let task = |name: &'static str| {
            scope(name.to_owned(), async move {
                for _ in 0..3 {
                    assert_eq!(current().as_deref(), Some(name));
                    let mut first = true;
                    std::future::poll_fn(|context| {
                        context.waker().wake_by_ref();
                        if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
                    })
                    .await;
                }
            })
        };
        let mut both = Box::pin(join(task("one"), task("two")));
        while (&mut both).now_or_never().is_none() {}
        assert_eq!(current(), None);
    }
}
