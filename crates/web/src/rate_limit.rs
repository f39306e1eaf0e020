//! Rate limits per client address, shared by all instances of a service.
//!
//! An instance takes requests from the window's budget in small lots and hands them out from memory, so most requests
//! touch no database. Lots shrink to one as the budget runs out: the limit is never exceeded, whatever runs at once.

use std::{cell::RefCell, collections::HashMap};

use http::{HeaderMap, HeaderValue};
use model::Timestamp;
use store::{Database, Durability, params};

use crate::{Error, Result, variable};

/// As many as an instance serves on Spin before it ends, and with it what it holds.
const LARGEST_LOT: i64 = 128;

/// The limits of a service.
pub(crate) struct Limits {
    /// Of what most requests are counted by.
    usual: Limit,
    /// Of requests by which somebody could guess what lets them in.
    sign_in: Limit,
}

impl Limits {
    /// Those of `service`. Unless a variable says otherwise, a sixth of the requests may be for signing in.
    pub(crate) async fn of(service: &'static str) -> Result<Self> {
        let max: u32 = variable::limit(service, "rate_limit_max").await?;
        let window_ms: u32 = variable::limit(service, "rate_limit_window_ms").await?;
        let sign_in: u32 = variable::parsed("auth_rate_limit_max", max / 6).await?;
        let limit = |name, max: u32| Limit {
            name,
            max: max.max(1).into(),
            window_ms: window_ms.max(1).into(),
            windows: RefCell::default(),
        };
        Ok(Self { usual: limit("", max), sign_in: limit("sign-in/", sign_in) })
    }

    /// Counts a request of `client`; 429 when there were too many.
    pub(crate) async fn count(&self, database: &Database, client: &str, sign_in: bool) -> (Budget, Result<()>) {
        let limit = if sign_in { &self.sign_in } else { &self.usual };
        let (budget, outcome) = limit.count(database, client).await;
        match outcome {
            // A limit that cannot be counted must not close the shop.
            Err(Error::Internal(_) | Error::Unavailable(_)) if !sign_in => (budget, Ok(())),
            outcome => (budget, outcome),
        }
    }
}

/// So many requests in so many milliseconds.
struct Limit {
    /// What sets its rows apart from those of others.
    name: &'static str,
    max: i64,
    window_ms: i64,
    windows: RefCell<Windows>,
}

/// What is left to a client, for the headers of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    limit: i64,
    remaining: i64,
    /// Unix milliseconds.
    resets_at: i64,
}

/// What this instance knows of the present window, which all clients and all instances share.
#[derive(Default)]
struct Windows {
    end: i64,
    clients: HashMap<String, Window>,
}

/// A client's part of it.
#[derive(Default)]
struct Window {
    /// Requests that all instances together had taken when this one last asked.
    granted: i64,
    /// Of these, what this instance has not handed out.
    held: i64,
}

/// What a request does to its client's window.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Serve,
    Take(i64),
    Refuse,
}

impl Limit {
    async fn count(&self, database: &Database, client: &str) -> (Budget, Result<()>) {
        let now = Timestamp::now().0;
        let end = (now / self.window_ms + 1) * self.window_ms;
        let outcome = match self.step(client, end) {
            Step::Serve => Ok(true),
            Step::Refuse => Ok(false),
            Step::Take(wanted) => self.take(database, client, end, wanted).await,
        };
        let outcome = match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::TooManyRequests(u64::try_from((end - now + 999) / 1000).unwrap_or(1).max(1))),
            Err(error) => {
                eprintln!("error: rate limit: {error}");
                Err(error)
            }
        };
        (self.budget(client, end), outcome)
    }

    fn step(&self, client: &str, end: i64) -> Step {
        let mut windows = self.windows.borrow_mut();
        if windows.end != end {
            *windows = Windows { end, clients: HashMap::new() };
        }
        match windows.clients.get_mut(client) {
            Some(window) if window.held > 0 => {
                window.held -= 1;
                Step::Serve
            }
            Some(window) => self.lot(window.granted),
            None => self.lot(0),
        }
    }

    /// What to do when so much of the window is granted already and none of it is held here.
    fn lot(&self, granted: i64) -> Step {
        let left = self.max - granted;
        if left <= 0 { Step::Refuse } else { Step::Take((left / 16).clamp(1, LARGEST_LOT)) }
    }

    /// Takes up to `wanted` requests, one of which is handed out at once. False when there was none.
    async fn take(&self, database: &Database, client: &str, end: i64, wanted: i64) -> Result<bool> {
        let row = database
            .execute(
                Durability::Relaxed,
                "INSERT INTO rate_limits (client, window_end, granted) VALUES ($1, $2, $3) \
                 ON CONFLICT (client, window_end) DO UPDATE SET granted = rate_limits.granted + excluded.granted \
                 RETURNING granted",
                params![format!("{}{client}", self.name), end, wanted],
            )
            .await?
            .into_iter()
            .next();
        match row {
            Some(mut row) => Ok(self.taken(client, end, wanted, row.next()?)),
            None => Err(Error::Internal("rate_limits: no row".into())),
        }
    }

    /// Keeps what was taken, when `granted` are granted now. False when nothing was left.
    fn taken(&self, client: &str, end: i64, wanted: i64, granted: i64) -> bool {
        let got = (self.max - (granted - wanted)).clamp(0, wanted);
        let mut windows = self.windows.borrow_mut();
        // The window may have ended meanwhile: what is left of it is not for the next one.
        if windows.end == end {
            let window = windows.clients.entry(client.to_owned()).or_default();
            window.granted = window.granted.max(granted);
            window.held += (got - 1).max(0);
        }
        got > 0
    }

    fn budget(&self, client: &str, end: i64) -> Budget {
        let windows = self.windows.borrow();
        let window = windows.clients.get(client).filter(|_| windows.end == end);
        let used = window.map_or(0, |window| window.granted - window.held);
        Budget { limit: self.max, remaining: (self.max - used).max(0), resets_at: end }
    }
}

impl Budget {
    /// `X-RateLimit-Limit`, `-Remaining`, and `-Reset` in Unix seconds.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert("x-ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("x-ratelimit-reset", HeaderValue::from((self.resets_at + 999) / 1000));
    }
}

/// Forgets windows that are over, a bounded number at a time.
pub(crate) async fn prune(database: &Database, now: Timestamp) -> Result<()> {
    Ok(database.prune("rate_limits", "client, window_end", "window_end < $1", params![now.0]).await?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(max: i64) -> Limit {
        Limit { name: "", max, window_ms: 1000, windows: RefCell::default() }
    }

    /// The row that all instances share.
    fn grant(row: &mut i64, wanted: i64) -> i64 {
        *row += wanted;
        *row
    }

    proptest! {
        #[test]
        fn all_instances_together_serve_what_the_window_has(
            max in 1..200_i64,
            requests in proptest::collection::vec((0..4_usize, 0..3_usize), 0..600),
        ) {
            let instances = [limit(max), limit(max), limit(max), limit(max)];
            let (mut row, mut served) = (0, 0);
            let mut under_way: Vec<(usize, i64, i64)> = Vec::new();
            let arrive = |(instance, wanted, granted): (usize, i64, i64)| {
                i64::from(instances[instance].taken("a", 1000, wanted, granted))
            };
            for (instance, late) in requests {
                match instances[instance].step("a", 1000) {
                    Step::Serve => served += 1,
                    Step::Refuse => {}
                    Step::Take(wanted) => {
                        under_way.push((instance, wanted, grant(&mut row, wanted)));
                        if under_way.len() > late {
                            served += arrive(under_way.remove(0));
                        }
                    }
                }
                prop_assert!(served <= max);
            }
            served += under_way.into_iter().map(arrive).sum::<i64>();
            prop_assert!(served <= max);
            let held: i64 = instances.iter().map(|limit| limit.windows.borrow().clients.get("a").map_or(0, |window| window.held)).sum();
            prop_assert!(served + held <= max);
        }
    }

    #[test]
    fn what_is_left_of_a_window_is_not_for_the_next_one() {
        let limit = limit(100);
        assert_eq!(limit.step("a", 1000), Step::Take(6));
        assert_eq!(limit.step("a", 2000), Step::Take(6), "the next window has begun");
        assert!(limit.taken("a", 1000, 6, 6));
        assert_eq!(limit.step("a", 2000), Step::Take(6), "nothing of the old one is held");
        assert!(limit.taken("a", 2000, 6, 6));
        assert_eq!(limit.budget("a", 2000), Budget { limit: 100, remaining: 99, resets_at: 2000 });
        assert_eq!(limit.step("a", 2000), Step::Serve);
        assert_eq!(limit.step("b", 2000), Step::Take(6), "another client has its own");
        assert!(!limit.taken("b", 2000, 6, 200));
        assert_eq!(limit.step("b", 2000), Step::Refuse);
        assert_eq!(limit.budget("b", 2000).remaining, 0);
    }
}
