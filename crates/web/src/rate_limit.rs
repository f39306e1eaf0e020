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

/// So many requests in so many milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    max: i64,
    window_ms: i64,
}

/// What is left to a client, for the headers of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    limit: i64,
    remaining: i64,
    /// Unix milliseconds.
    resets_at: i64,
}

/// What this instance holds of a client's window.
struct Window {
    end: i64,
    /// Requests that all instances together had taken when this one last asked.
    granted: i64,
    /// Of these, what this instance has not handed out.
    held: i64,
}

/// What a request does to its client's window.
enum Step {
    Serve,
    Take(i64),
    Refuse,
}

thread_local! {
    static WINDOWS: RefCell<HashMap<String, Window>> = RefCell::new(HashMap::new());
}

impl Limit {
    /// The limit of `service`.
    pub(crate) async fn of(service: &'static str) -> Result<Self> {
        let max: u32 = variable::limit(service, "rate_limit_max").await?;
        let window_ms: u32 = variable::limit(service, "rate_limit_window_ms").await?;
        Ok(Self { max: max.max(1).into(), window_ms: window_ms.max(1).into() })
    }

    /// Counts a request of `client`; 429 when there were too many.
    pub(crate) async fn count(&self, database: &Database, client: &str) -> (Budget, Result<()>) {
        let now = Timestamp::now().0;
        // Windows are the same for all instances.
        let end = (now / self.window_ms + 1) * self.window_ms;
        let step = WINDOWS.with_borrow_mut(|windows| {
            windows.retain(|_, window| window.end > now);
            match windows.get_mut(client) {
                Some(window) if window.held > 0 => {
                    window.held -= 1;
                    Step::Serve
                }
                Some(window) => self.lot(window.granted),
                None => self.lot(0),
            }
        });
        let served = match step {
            Step::Serve => true,
            Step::Refuse => false,
            Step::Take(wanted) => match self.take(database, client, end, wanted).await {
                Ok(got) => got > 0,
                // A limit that cannot be counted must not close the shop.
                Err(error) => {
                    eprintln!("rate limit: {error}");
                    true
                }
            },
        };
        let outcome = if served { Ok(()) } else { Err(self.refusal(end, now)) };
        (self.budget(client, end), outcome)
    }

    /// What to do when so much of the window is granted already and none of it is held here.
    fn lot(&self, granted: i64) -> Step {
        let left = self.max - granted;
        if left <= 0 { Step::Refuse } else { Step::Take((left / 16).clamp(1, LARGEST_LOT)) }
    }

    /// Takes up to `wanted` requests, one of which is handed out at once. Returns how many there were.
    async fn take(&self, database: &Database, client: &str, end: i64, wanted: i64) -> Result<i64> {
        let row = database
            .execute(
                Durability::Relaxed,
                "INSERT INTO rate_limits (client, window_end, granted) VALUES ($1, $2, $3) \
                 ON CONFLICT (client, window_end) DO UPDATE SET granted = rate_limits.granted + excluded.granted \
                 RETURNING granted",
                params![client, end, wanted],
            )
            .await?
            .into_iter()
            .next();
        let granted = match row {
            Some(mut row) => row.next::<i64>()?,
            None => return Err(Error::Internal("rate_limits: no row".into())),
        };
        let got = (self.max - (granted - wanted)).clamp(0, wanted);
        WINDOWS.with_borrow_mut(|windows| {
            let window = windows.entry(client.to_owned()).or_insert(Window { end, granted: 0, held: 0 });
            window.granted = window.granted.max(granted);
            window.held += (got - 1).max(0);
        });
        Ok(got)
    }

    fn refusal(&self, end: i64, now: i64) -> Error {
        Error::TooManyRequests(u64::try_from((end - now + 999) / 1000).unwrap_or(1).max(1))
    }

    fn budget(&self, client: &str, end: i64) -> Budget {
        let used = WINDOWS.with_borrow(|windows| windows.get(client).map_or(0, |window| window.granted - window.held));
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
    database
        .execute(
            Durability::Relaxed,
            "DELETE FROM rate_limits WHERE (client, window_end) IN \
             (SELECT client, window_end FROM rate_limits WHERE window_end < $1 LIMIT 500)",
            params![now.0],
        )
        .await?;
    Ok(())
}
