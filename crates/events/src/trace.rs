//! The W3C trace that the running task belongs to.
//!
//! One instance serves many requests at once, so the current trace is set anew at every poll of a task and taken away
//! after it.

use std::{cell::RefCell, pin::pin, rc::Rc, task::Poll};

use uuid::Uuid;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Trace>>> = const { RefCell::new(None) };
}

/// What a task belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// W3C `traceparent`: the trace, and the task as a span of it.
    pub traceparent: String,
    /// `X-Request-Id` of the request that the task answers; what an event or the clock has started has none.
    pub request_id: Option<String>,
}

impl Trace {
    /// Of a task that nobody asked for: a trace of its own.
    pub fn new() -> Rc<Self> {
        Rc::new(Self { traceparent: span(None, Uuid::new_v4()), request_id: None })
    }

    /// Of a task that follows from `traceparent`: the same trace, another span.
    pub fn following(traceparent: &str) -> Rc<Self> {
        Rc::new(Self { traceparent: span(Some(traceparent), Uuid::new_v4()), request_id: None })
    }
}

/// The `traceparent` of what follows from `parent`; of the beginning of a trace without one, and when it is not well
/// formed. `random` becomes the id of the span.
pub fn span(parent: Option<&str>, random: Uuid) -> String {
    let random = random.simple().to_string();
    format!("00-{}-{}-01", parent.and_then(id).unwrap_or(&random), &random[16..])
}

/// The trace id of a well-formed `traceparent`, <https://www.w3.org/TR/trace-context/>.
pub fn id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let valid = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (valid && !zero(trace) && !zero(parent)).then_some(trace)
}

/// Runs `task` as a part of `trace`.
pub async fn scope<F: Future>(trace: Rc<Trace>, task: F) -> F::Output {
    let mut task = pin!(task);
    let mut own = Some(trace);
    std::future::poll_fn(move |context| {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, &mut own));
        let poll: Poll<F::Output> = task.as_mut().poll(context);
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, &mut own));
        poll
    })
    .await
}

/// What the running task belongs to, when that is known.
pub fn current() -> Option<Rc<Trace>> {
    CURRENT.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join};

    use super::*;

    #[test]
    fn interleaved_tasks_keep_their_own_trace() {
        let task = |name: &'static str| {
            scope(Rc::new(Trace { traceparent: name.to_owned(), request_id: None }), async move {
                for _ in 0..3 {
                    assert_eq!(current().unwrap().traceparent, name);
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

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_well_formed_traces_go_on() {
        assert_eq!(id(SENT), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_follows_is_another_span_of_the_same_trace() {
        let random = Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888);
        assert_eq!(span(Some(SENT), random), "00-4bf92f3577b34da6a3ce929d0e0e4736-5555666677778888-01");
        assert_eq!(span(Some("x"), random), "00-11112222333344445555666677778888-5555666677778888-01");
        assert!(id(&Trace::new().traceparent).is_some());
        assert_ne!(Trace::following(SENT), Trace::following(SENT));
    }
}
