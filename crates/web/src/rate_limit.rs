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
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    /// What all instances share.
    struct Shared {
        max: i64,
        row: i64,
        served: i64,
        refused: i64,
    }

    /// An instance as `answer` has it, with the waiting made visible.
    struct Instance {
        window: Window,
        /// What whoever asks wants, and gets.
        under_way: Option<(i64, i64)>,
        waiting: i64,
    }

    impl Shared {
        fn new(max: i64) -> Self {
            Self { max, row: 0, served: 0, refused: 0 }
        }

        fn instance(&self) -> Instance {
            Instance { window: Window::new(self.max, 1000), under_way: None, waiting: 0 }
        }

        fn note(&mut self, answer: Answer) {
            match answer {
                Answer::Served => self.served += 1,
                _ => self.refused += 1,
            }
        }

        fn arrives(&mut self, instance: &mut Instance) {
            if let Some(answer) = instance.window.known() {
                return self.note(answer);
            }
            std::mem::forget(instance.window.ask());
            match instance.under_way {
                Some(_) => instance.waiting += 1,
                None => self.asks(instance),
            }
        }

        fn asks(&mut self, instance: &mut Instance) {
            let wanted = instance.window.lot();
            self.row += wanted;
            instance.under_way = Some((wanted, self.row));
        }

        /// The database answers, and whoever waits has its turn.
        fn answers(&mut self, instance: &mut Instance) {
            let Some((wanted, granted)) = instance.under_way.take() else { return };
            let mut answer = Some(instance.window.taken(wanted, granted));
            while let Some(known) = answer {
                self.note(known);
                drop(Asking(&instance.window));
                if instance.waiting == 0 {
                    return;
                }
                instance.waiting -= 1;
                answer = instance.window.known();
            }
            self.asks(instance);
        }

        /// So many at once in an instance that has nothing to do then.
        fn burst(&mut self, instance: &mut Instance, requests: usize) {
            (0..requests).for_each(|_| self.arrives(instance));
            while instance.under_way.is_some() {
                self.answers(instance);
            }
        }
    }

    /// What a client can lose by an instance.
    fn loss(instance: &Instance) -> i64 {
        let window = &instance.window;
        window.served.get() / OF_SERVED + window.max / OF_LIMIT + window.asking.get()
    }

    proptest! {
        #[test]
        fn all_instances_together_serve_what_the_window_has_and_hardly_less(
            max in prop_oneof![1..200_i64, 5000..9000_i64],
            steps in proptest::collection::vec((0..4_usize, 0..12_u8, 1..40_usize), 0..600),
        ) {
            let mut shared = Shared::new(max);
            let mut instances = [(); 4].map(|()| shared.instance());
            let mut lost = 0;
            for (at, step, requests) in steps {
                match step {
                    0..6 => (0..requests).for_each(|_| shared.arrives(&mut instances[at])),
                    6..11 => shared.answers(&mut instances[at]),
                    _ => {
                        lost += loss(&instances[at]);
                        instances[at] = shared.instance();
                    }
                }
                prop_assert!(shared.served <= max);
            }
            for instance in &mut instances {
                while instance.under_way.is_some() {
                    shared.answers(instance);
                }
                prop_assert_eq!(instance.window.asking.get(), 0);
                lost += loss(instance);
            }
            let held: i64 = instances.iter().map(|instance| instance.window.held.get()).sum();
            prop_assert!(shared.served + held <= max);
            prop_assert!(shared.refused == 0 || shared.served + lost >= max, "{} served, {lost} lost", shared.served);
        }
    }

    #[test]
    fn nobody_loses_by_coming_slowly() {
        for at_once in [1, 6, 16] {
            let mut shared = Shared::new(120);
            for _ in 0..120 / at_once {
                // The one before has been idle for too long.
                shared.burst(&mut shared.instance(), at_once);
            }
            let rest = 120 - 120 / at_once * at_once;
            shared.burst(&mut shared.instance(), rest + 1);
            assert_eq!((shared.served, shared.refused), (120, 1), "{at_once} at once");
        }
    }

    #[test]
    fn a_crowd_has_all_there_is() {
        let mut shared = Shared::new(120);
        let (mut one, mut two) = (shared.instance(), shared.instance());
        for _ in 0..16 {
            shared.arrives(&mut one);
            shared.arrives(&mut two);
        }
        shared.burst(&mut one, 0);
        shared.burst(&mut two, 0);
        assert_eq!((shared.served, shared.refused), (32, 0));
        (0..20).for_each(|_| shared.burst(&mut one, 16));
        assert!(shared.served + two.window.held.get() == 120, "{} served", shared.served);
    }

    #[test]
    fn a_busy_instance_seldom_asks() {
        for (max, most) in [(120, 40), (1000, 40), (1_000_000, 1)] {
            let (shared, window) = (Shared::new(max), Window::new(max, 1000));
            let (mut row, mut asked) = (0, 0);
            for _ in 0..shared.max.min(128) {
                if window.known().is_none() {
                    let _asking = window.ask();
                    let wanted = window.lot();
                    (row, asked) = (row + wanted, asked + 1);
                    assert_eq!(window.taken(wanted, row), Answer::Served);
                }
            }
            assert!(asked <= most, "{asked} statements for a limit of {max}");
        }
    }

    #[test]
    fn what_nobody_could_count_is_counted_with_the_next_lot() {
        let window = Window::new(10, 1000);
        assert_eq!((0..3).filter(|_| window.owe()).count(), 3);
        assert_eq!(window.budget().remaining, 7);
        let _asking = window.ask();
        let wanted = window.lot();
        assert_eq!((wanted, window.taken(wanted, wanted + 5)), (4, Answer::Served), "others have taken 5");
        assert_eq!((window.budget().remaining, window.known()), (1, None));
        // Alone it gives what there is, and no more.
        let alone = Window::new(10, 1000);
        assert_eq!((0..30).filter(|_| alone.owe()).count(), 10);
        assert_eq!(alone.budget().remaining, 0);
        let _asking = alone.ask();
        let wanted = alone.lot();
        assert_eq!((wanted, alone.taken(wanted, wanted)), (12, Answer::Refused), "it has been answered already");
    }

    #[test]
    fn what_is_left_of_a_window_is_not_for_the_next_one() {
        let limit = Limit { name: "", max: 8192, window_ms: 1000, windows: RefCell::default() };
        let old = limit.window("a", 0);
        let new = limit.window("a", 1000);
        let _asking = (old.ask(), new.ask());
        assert_eq!(old.taken(old.lot(), 3), Answer::Served, "its lot arrives late");
        assert_eq!((old.held.get(), new.known()), (2, None));
        assert_eq!(new.taken(new.lot(), 3), Answer::Served);
        assert_eq!(new.budget(), Budget { limit: 8192, remaining: 8191, resets_at: 2000 });
        let same = limit.window("a", 1999);
        assert_eq!((same.known(), same.budget().remaining), (Some(Answer::Served), 8190));
        let other = limit.window("b", 1999);
        assert_eq!((other.known(), other.budget().remaining), (None, 8192), "another client has its own");
        assert_eq!((other.taken(3, 9000), other.known()), (Answer::Refused, Some(Answer::Refused)));
        assert_eq!(other.budget().remaining, 0);
    }

    #[test]
    fn without_a_database_an_instance_counts_for_itself() {
        let limit = Limit { name: "", max: 10, window_ms: 1000, windows: RefCell::default() };
        let answers = |client: &str, now| {
            let window = limit.window(client, now);
            limit.answer(None, client, &window).now_or_never()
        };
        let answers: Vec<_> = [("a", 0, 12), ("b", 0, 1), ("a", 1000, 1)]
            .into_iter()
            .flat_map(|(client, now, times)| (0..times).map(move |_| (client, now)))
            .map(|(client, now)| answers(client, now))
            .collect();
        let refused: Vec<_> = (0..answers.len()).filter(|at| answers[*at] != Some(Answer::Served)).collect();
        assert_eq!((refused, answers[10]), (vec![10, 11], Some(Answer::Refused)));
    }
}
