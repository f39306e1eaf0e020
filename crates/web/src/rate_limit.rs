//! Rate limits per client address, shared by all instances of a service that has a database; others count for themselves.
//!
//! An instance takes requests from the window's budget in lots, hands them out from memory, and takes what it still holds
//! with it when it ends. So a lot is for those who wait for it, and not much more: enough that a busy instance seldom asks,
//! so little that hardly anything is lost. The limit is never exceeded, whatever runs at once.
//!
//! While the database does not answer, each instance counts for itself, and what it has served then goes with its next lot.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use http::{HeaderMap, HeaderValue};
use model::Timestamp;
use store::{Database, Durability, Turns, params};

use crate::{Error, Result, variable};

/// As many as an instance serves on Spin before it ends.
const LARGEST_LOT: i64 = 128;
/// Beside what is waited for, a lot has this part of what the instance has served to the client: it asks for more.
const OF_SERVED: i64 = 8;
/// And this part of the limit: of a high one nobody misses that.
const OF_LIMIT: i64 = 4096;
/// The limits of a service without a database, which must not need config to start: requests, and milliseconds.
const WITHOUT_DATABASE: (u32, u32) = (120, 60_000);

/// The limits of a service.
pub(crate) struct Limits {
    /// Where all instances count together. Without one, each counts for itself.
    database: Option<&'static Database>,
    /// Of what most requests are counted by.
    usual: Limit,
    /// Of requests by which somebody could guess what lets them in.
    sign_in: Limit,
}

impl Limits {
    /// Those of `service`. Unless somebody says otherwise, a sixth of the requests may be for signing in, where one can.
    pub(crate) async fn of(service: &'static str, database: Option<&'static Database>, sign_in: bool) -> Result<Self> {
        let (max, window_ms): (u32, u32) = match database {
            Some(_) => (
                variable::limit(service, "rate_limit_max").await?,
                variable::limit(service, "rate_limit_window_ms").await?,
            ),
            None => (
                variable::parsed("rate_limit_max", WITHOUT_DATABASE.0).await?,
                variable::parsed("rate_limit_window_ms", WITHOUT_DATABASE.1).await?,
            ),
        };
        let of_sign_in = match sign_in {
            true => variable::optional_limit(service, "auth_rate_limit_max").await?,
            false => None,
        };
        let limit = |name, max: u32| Limit {
            name,
            max: max.max(1).into(),
            window_ms: window_ms.max(1).into(),
            windows: RefCell::default(),
        };
        Ok(Self { database, usual: limit("", max), sign_in: limit("sign-in/", of_sign_in.unwrap_or(max / 6)) })
    }

    /// Counts a request of `client`; 429 when there were too many.
    pub(crate) async fn count(&self, client: &str, sign_in: bool) -> (Budget, Result<()>) {
        let limit = if sign_in { &self.sign_in } else { &self.usual };
        let now = Timestamp::now().0;
        let window = limit.window(client, now);
        let seconds = u64::try_from((window.end - now + 999) / 1000).unwrap_or(1).max(1);
        let outcome = match (limit.answer(self.database, client, &window).await, sign_in) {
            (Answer::Served, _) => Ok(()),
            (Answer::Refused, _) => Err(Error::TooManyRequests(seconds)),
            // A limit that all cannot count together must not close the shop; but nobody guesses uncounted.
            (Answer::Unknown, false) => match window.owe() {
                true => Ok(()),
                false => Err(Error::TooManyRequests(seconds)),
            },
            (Answer::Unknown, true) => Err(Error::Unavailable("signing in".into())),
        };
        (window.budget(), outcome)
    }

    /// What is left to `client`, whose request is not counted.
    pub(crate) fn budget(&self, client: &str) -> Budget {
        self.usual.window(client, Timestamp::now().0).budget()
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
    clients: HashMap<String, Rc<Window>>,
}

/// A client's part of it, in this instance. Whoever has come in it stays in it: a lot that arrives after its end is not for
/// the next one.
struct Window {
    max: i64,
    end: i64,
    /// Requests that all instances together had taken when this one last asked.
    granted: Cell<i64>,
    /// Of these, what this instance has not handed out.
    held: Cell<i64>,
    /// And what it has.
    served: Cell<i64>,
    /// What it has served that nobody could count.
    owed: Cell<i64>,
    /// Requests that wait to be answered, or ask.
    asking: Cell<i64>,
    /// How often nobody answered.
    failures: Cell<u32>,
    /// One asks, the others wait for what it gets.
    turns: Rc<Turns>,
}

/// Whether a request is within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Served,
    Refused,
    /// The database does not say.
    Unknown,
}

impl Limit {
    fn window(&self, client: &str, now: i64) -> Rc<Window> {
        let end = (now / self.window_ms + 1) * self.window_ms;
        let mut windows = self.windows.borrow_mut();
        if windows.end != end {
            *windows = Windows { end, clients: HashMap::new() };
        }
        match windows.clients.get(client) {
            Some(window) => window.clone(),
            None => windows.clients.entry(client.to_owned()).or_insert(Rc::new(Window::new(self.max, end))).clone(),
        }
    }

    async fn answer(&self, database: Option<&Database>, client: &str, window: &Window) -> Answer {
        if let Some(answer) = window.known() {
            return answer;
        }
        let failures = window.failures.get();
        let _asking = window.ask();
        let _turn = window.turns.take().await;
        if let Some(answer) = window.known() {
            return answer;
        }
        // Those who have waited for an answer in vain do not all try again, one after the other.
        if window.failures.get() != failures {
            return Answer::Unknown;
        }
        let wanted = window.lot();
        let granted = match database {
            Some(database) => self.take(database, client, window.end, wanted).await,
            None => Ok(window.granted.get() + wanted),
        };
        match granted {
            Ok(granted) => window.taken(wanted, granted),
            Err(error) => {
                eprintln!("error: rate limit: {error}");
                window.failures.set(failures.wrapping_add(1));
                Answer::Unknown
            }
        }
    }

    /// Takes `wanted` requests, or what is left of them. How many all instances have taken then.
    async fn take(&self, database: &Database, client: &str, end: i64, wanted: i64) -> Result<i64> {
        // A lot that is taken twice is lost, not given twice.
        let row = database
            .execute_unlocked(
                Durability::Relaxed,
                "INSERT INTO rate_limits (client, window_end, granted) VALUES ($1, $2, $3) \
                 ON CONFLICT (client, window_end) DO UPDATE SET granted = rate_limits.granted + excluded.granted \
                 RETURNING granted",
                params![format!("{}{client}", self.name), end, wanted],
            )
            .await?
            .into_iter()
            .next();
        Ok(row.ok_or(Error::Internal("rate_limits: no row".into()))?.next()?)
    }
}

impl Window {
    fn new(max: i64, end: i64) -> Self {
        let zero = Cell::default;
        Self {
            max,
            end,
            granted: zero(),
            held: zero(),
            served: zero(),
            owed: zero(),
            asking: zero(),
            failures: Cell::default(),
            turns: Turns::new(1),
        }
    }

    /// The answer to a request, when nobody must be asked for it.
    fn known(&self) -> Option<Answer> {
        if self.held.get() > 0 {
            self.held.set(self.held.get() - 1);
            self.served.set(self.served.get() + 1);
            return Some(Answer::Served);
        }
        (self.granted.get() >= self.max).then_some(Answer::Refused)
    }

    /// Counts a request among those that want a lot, until this is dropped.
    fn ask(&self) -> Asking<'_> {
        self.asking.set(self.asking.get() + 1);
        Asking(self)
    }

    /// How many requests to take, when none is held here.
    fn lot(&self) -> i64 {
        let more = (self.served.get() / OF_SERVED).max(self.max / OF_LIMIT);
        (self.asking.get() + more).min(self.max - self.granted.get()).clamp(1, LARGEST_LOT) + self.owed.get()
    }

    /// Serves a request that nobody can count, as long as there would be one for it if this instance were alone.
    fn owe(&self) -> bool {
        let room = self.granted.get() + self.owed.get() < self.max;
        if room {
            self.owed.set(self.owed.get() + 1);
            self.served.set(self.served.get() + 1);
        }
        room
    }

    /// Keeps what was taken, when `granted` are granted now, and hands one of it out.
    fn taken(&self, wanted: i64, granted: i64) -> Answer {
        let got = (self.max - (granted - wanted)).clamp(0, wanted);
        self.granted.set(granted.max(self.granted.get()));
        self.held.set(self.held.get() + (got - self.owed.take()).max(0));
        self.known().unwrap_or(Answer::Refused)
    }

    fn budget(&self) -> Budget {
        let used = self.granted.get() - self.held.get() + self.owed.get();
        Budget { limit: self.max, remaining: (self.max - used).max(0), resets_at: self.end }
    }
}

/// A request that wants a lot.
struct Asking<'a>(&'a Window);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.set(self.0.asking.get() - 1);
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
mod tests;
