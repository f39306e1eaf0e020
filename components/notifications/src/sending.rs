//! Sending: who has begun to send a mail, and how that ends.
//!
//! A mail is begun by the transaction that makes it, and sent when that has committed; or by a tick, when it is due.
//! Whoever has begun it has it alone for [`LEASE`](crate::attempt::LEASE). If the instance dies, the next one that begins
//! it sends it again, under the same idempotency key.
//!
//! When the mail API has had too many mails, all instances rest, and go on with care: [`Pace`].

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use futures::future::join_all;
use model::Timestamp;
use serde::Deserialize;
use serde_json::json;
use store::Transaction;
use uuid::Uuid;
use web::{Result, client};

use crate::{
    attempt::{self, LEASE, Outcome, Pace, Reason, STALE},
    delivery,
    letter::{self, Frame, Letter},
    mail::{Content, Reader},
    repository::sending::{self as repository, Begun, Ended},
    settings::{self, Api, Delivery, Settings},
};

/// So long a tick goes on to begin mails.
const ROUND: Duration = Duration::from_secs(30);
/// Whoever must rest for longer lets a later tick go on.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Before it is tried again to note that a mail was sent.
const NOTE_AGAIN: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Begun>,
    running: bool,
    /// Until when the mail API wants no mails, as far as this instance knows: Unix milliseconds.
    paused_until: i64,
}

thread_local! {
    static QUEUE: RefCell<Queue> = RefCell::default();
}

/// Sends a mail that `transaction` has begun, when it has committed.
pub(crate) fn after(transaction: &Transaction, mail: Begun) {
    transaction.on_commit(move || QUEUE.with_borrow_mut(|queue| queue.waiting.push_back(mail)));
    web::after_commit(transaction, run());
}

/// Begins what is due, whoever began it last, and sends it, for a bounded time. The mail API wanted no mails until
/// `paused_until`.
pub(crate) async fn due(paused_until: Timestamp) {
    learn(paused_until);
    let end = Timestamp::now().after(ROUND);
    while let Pace::Going(at_once, _) = pace()
        && Timestamp::now() < end
    {
        // Whoever is sending in this instance would keep what is begun here waiting.
        if QUEUE.with_borrow(|queue| queue.running) {
            return;
        }
        match begin(at_once).await {
            Ok(begun) if begun.is_empty() => return,
            Ok(begun) => QUEUE.with_borrow_mut(|queue| queue.waiting.extend(begun)),
            Err(error) => return eprintln!("mails: cannot begin any: {error}"),
        }
        run().await;
    }
}

async fn begin(at_once: usize) -> Result<Vec<Begun>> {
    repository::begin(Timestamp::now(), at_once, settings::get()?.mails_per_hour).await
}

/// Notes what is known of the mail API.
fn learn(paused_until: Timestamp) {
    QUEUE.with_borrow_mut(|queue| queue.paused_until = queue.paused_until.max(paused_until.0));
}

fn pace() -> Pace {
    attempt::pace(Timestamp::now(), Timestamp(QUEUE.with_borrow(|queue| queue.paused_until)))
}

/// Any number, each time another.
fn jitter() -> u8 {
    let [first, ..] = Uuid::new_v4().into_bytes();
    first
}

/// The one who sends in this instance; another one may when this is dropped.
struct Running;

impl Running {
    fn start() -> Option<Self> {
        let free = QUEUE.with_borrow_mut(|queue| !std::mem::replace(&mut queue.running, true));
        free.then_some(Self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        QUEUE.with_borrow_mut(|queue| queue.running = false);
    }
}

/// Sends what waits in this instance, until nothing does.
async fn run() {
    let Some(_running) = Running::start() else { return };
    loop {
        let (at_once, rest) = match pace() {
            Pace::Going(at_once, rest) => (at_once, rest),
            // What is not sent is given back at once.
            Pace::Paused(_) => (usize::MAX, Duration::ZERO),
        };
        let batch: Vec<Begun> = QUEUE.with_borrow_mut(|queue| {
            let size = queue.waiting.len().min(at_once);
            queue.waiting.drain(..size).collect()
        });
        if batch.is_empty() {
            return;
        }
        if let Err(error) = send(batch).await {
            // Their time to be sent in runs out, and they are begun again.
            eprintln!("mails: cannot note what became of them: {error}");
        }
        let rest = match pace() {
            Pace::Going(..) => rest,
            Pace::Paused(rest) => rest,
        };
        if !rest.is_zero() && rest <= LONGEST_REST {
            spin_sdk::time::sleep(rest).await;
        }
    }
}

async fn send(batch: Vec<Begun>) -> Result<()> {
    let settings = settings::get()?;
    let now = Timestamp::now();
    let (mut fresh, mut others) = (Vec::with_capacity(batch.len()), Vec::new());
    for mail in batch {
        learn(mail.paused_until);
        match hindrance(&settings, &mail, now) {
            None => fresh.push(mail),
            Some(outcome) => others.push((mail, outcome)),
        }
    }
    settle_all(&others).await?;
    match &settings.delivery {
        Delivery::Log { full } => {
            let mut settled = Vec::with_capacity(fresh.len());
            for mut mail in fresh {
                let outcome = log(&settings, *full, &mut mail).await;
                settled.push((mail, outcome));
            }
            settle_all(&settled).await
        }
        Delivery::Api(api) => {
            // Each is settled when it ends: one that takes long must not make others come twice.
            let all = fresh.into_iter().map(async |mut mail| {
                let outcome = post(&settings, api, &mut mail).await;
                settle(&mail, &outcome).await
            });
            join_all(all).await.into_iter().collect()
        }
    }
}

/// Why a mail that was begun is not sent now.
fn hindrance(settings: &Settings, mail: &Begun, now: Timestamp) -> Option<Outcome> {
    if let Some(reason) = mail.progress.is_over(now) {
        return Some(Outcome::Refused(reason));
    }
    if mail.is_too_many() {
        let most = settings.mails_per_hour;
        return Some(Outcome::Refused(Reason::new(format!("its reader has had {most} mails within an hour"))));
    }
    if let Pace::Paused(rest) = pace() {
        return Some(Outcome::Untried(now.after(rest)));
    }
    // What has waited: its account may be gone meanwhile, or its time about to end.
    (mail.begun_at < now.before(STALE)).then_some(Outcome::Untried(now))
}

/// Notes how an attempt ended. That a mail has left the shop is noted as long as nobody else may send it, however often
/// that must be tried.
async fn settle(mail: &Begun, outcome: &Outcome) -> Result<()> {
    tell(mail, outcome);
    let now = Timestamp::now();
    if let Outcome::TooFast(_, wait) = outcome {
        let until = now.after(attempt::pause(*wait));
        learn(until);
        if let Err(error) = repository::pause(until).await {
            eprintln!("mails: cannot note that the mail API wants none: {error}");
        }
    }
    let ended = Ended { mail, outcome, next: attempt::next(outcome, mail.progress, now, jitter()) };
    loop {
        let noted = repository::settle(&ended, now).await;
        if noted.is_ok() || !outcome.is_sent() || mail.begun_at.after(LEASE) <= Timestamp::now() {
            return noted;
        }
        spin_sdk::time::sleep(NOTE_AGAIN).await;
    }
}

/// The same of attempts that had no effect outside the shop.
async fn settle_all(settled: &[(Begun, Outcome)]) -> Result<()> {
    let now = Timestamp::now();
    let ended = settled.iter().map(|(mail, outcome)| {
        tell(mail, outcome);
        Ended { mail, outcome, next: attempt::next(outcome, mail.progress, now, jitter()) }
    });
    repository::settle_all(&ended.collect::<Vec<_>>(), now).await
}

async fn log(settings: &Settings, full: bool, mail: &mut Begun) -> Outcome {
    let ready = async {
        address(settings, mail).await?;
        // What nobody reads need not be written.
        if full { compose(settings, mail).await.map(Some) } else { Ok(None) }
    };
    match ready.await {
        Ok(Some(Letter { subject, text, .. })) => {
            let (id, kind, to) = (mail.id, mail.kind, &mail.recipient);
            let line =
                json!({ "event": "mail", "mailId": id, "kind": kind, "to": to, "subject": subject, "text": text });
            println!("{line}");
            Outcome::Sent
        }
        Ok(None) => Outcome::Sent,
        Err(outcome) => outcome,
    }
}

async fn post(settings: &Settings, api: &Api, mail: &mut Begun) -> Outcome {
    match letter(settings, api, mail).await {
        Ok(letter) => delivery::send(api, &mail.idempotency_key(), letter).await,
        Err(outcome) => outcome,
    }
}

/// What the mail API is asked for: under one key always the same, whatever has changed since the first attempt.
async fn letter(settings: &Settings, api: &Api, mail: &mut Begun) -> Result<String, Outcome> {
    if let Some(letter) = &mail.letter {
        return Ok(letter.clone());
    }
    let to = address(settings, mail).await?;
    let letter = compose(settings, mail).await?;
    let refused = |error: serde_json::Error| Outcome::Refused(Reason::new(format!("it cannot be written: {error}")));
    let letter = delivery::body(api, &to, &letter).map_err(refused)?;
    match repository::keep_letter(mail, &letter).await {
        Ok(true) => Ok(letter),
        Ok(false) => Err(Outcome::Nobody),
        Err(error) => Err(Outcome::Later(Reason::new(error.to_string()), None)),
    }
}

/// Says in the log what became of a mail: never what it says, or to whom.
fn tell(mail: &Begun, outcome: &Outcome) {
    let (id, kind, attempts) = (mail.id, mail.kind, mail.progress.attempts);
    let event = match outcome {
        Outcome::Sent | Outcome::SentBefore(_) => "mail-sent",
        Outcome::Later(..) | Outcome::TooFast(..) | Outcome::Barred(_) => "mail-delayed",
        Outcome::Refused(_) => "mail-refused",
        Outcome::Nobody => "mail-dropped",
        Outcome::Untried(_) => return,
    };
    let reason = outcome.reason().map(|reason| &reason.what);
    println!("{}", json!({ "event": event, "mailId": id, "kind": kind, "attempt": attempts, "reason": reason }));
}

/// The address to send a mail to. An event of an order may overtake that of its customer's account: then accounts are
/// asked.
async fn address(settings: &Settings, mail: &mut Begun) -> Result<String, Outcome> {
    if let Some(to) = &mail.recipient {
        return Ok(to.clone());
    }
    if let Some(user_id) = mail.user_id {
        let reader = client::get::<Reader>("accounts", &format!("/internal/users/{user_id}")).await;
        let reader = reader.map_err(|error| Outcome::Later(Reason::new(error.to_string()), None))?;
        if let Some(Reader { email, name, locale }) = reader {
            (mail.name, mail.locale) = (Some(name), locale);
            return Ok(mail.recipient.insert(email).clone());
        }
        return Err(Outcome::Nobody);
    }
    let to = settings.shop_email.clone();
    let to = to.ok_or_else(|| Outcome::Barred(Reason::new("there is no address of the shop: set shop_email")))?;
    Ok(mail.recipient.insert(to).clone())
}

/// What the catalog says of a product.
#[derive(Deserialize)]
struct Offer {
    name: String,
}

async fn compose(settings: &Settings, mail: &Begun) -> Result<Letter, Outcome> {
    let refused = |error: String| Outcome::Refused(Reason::new(format!("it cannot be written: {error}")));
    let content = Content::read(mail.kind, &mail.data).map_err(|error| refused(error.to_string()))?;
    let product = match content.product_id() {
        None => None,
        Some(id) => {
            let offers = client::get::<Vec<Offer>>("catalog", &format!("/internal/products?ids={id}")).await;
            let offers = offers.map_err(|error| Outcome::Later(Reason::new(error.to_string()), None))?;
            offers.unwrap_or_default().pop().map(|offer| offer.name)
        }
    };
    let frame = Frame {
        shop: &settings.shop_name,
        locale: settings.locale_of(mail.locale.as_deref()),
        name: mail.name.as_deref(),
        product: product.as_deref(),
    };
    letter::write(&content, frame).map_err(|error| refused(error.to_string()))
}
