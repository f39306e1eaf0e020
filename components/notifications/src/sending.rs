//! Sending: who has begun to send a mail, and how that ends.
//!
//! A mail is begun by the transaction that makes it, and sent when that has committed; or by a tick, when it is due.
//! Whoever has begun it has it alone for [`LEASE`](crate::attempt::LEASE). If the instance dies, the next one that begins
//! it sends it again, under the same idempotency key.

use std::{cell::RefCell, collections::VecDeque};

use futures::future::join_all;
use model::Timestamp;
use serde::Deserialize;
use serde_json::json;
use store::Transaction;
use web::{Result, client};

use crate::{
    attempt::{Outcome, Reason, STALE},
    delivery,
    letter::{self, Frame, Letter},
    mail::{Content, Reader},
    repository::sending::{self as repository, Begun},
    settings::{self, Api, Delivery, Settings},
};

/// Mails that one instance sends at the same time.
const AT_ONCE: usize = 8;
/// So often a tick begins as many as that.
const ROUNDS: usize = 8;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Begun>,
    running: bool,
}

thread_local! {
    static QUEUE: RefCell<Queue> = RefCell::default();
}

/// Sends a mail that `transaction` has begun, when it has committed.
pub(crate) fn after(transaction: &Transaction, mail: Begun) {
    transaction.on_commit(move || QUEUE.with_borrow_mut(|queue| queue.waiting.push_back(mail)));
    web::after_commit(transaction, run());
}

/// Begins what is due, whoever began it last, and sends it: a bounded number of mails.
pub(crate) async fn due() {
    for _ in 0..ROUNDS {
        // Whoever is sending in this instance would keep what is begun here waiting.
        if QUEUE.with_borrow(|queue| queue.running) {
            return;
        }
        match repository::begin(Timestamp::now(), AT_ONCE).await {
            Ok(begun) if begun.is_empty() => return,
            Ok(begun) => QUEUE.with_borrow_mut(|queue| queue.waiting.extend(begun)),
            Err(error) => return eprintln!("mails: cannot begin any: {error}"),
        }
        run().await;
    }
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
        let batch: Vec<Begun> = QUEUE.with_borrow_mut(|queue| {
            let size = queue.waiting.len().min(AT_ONCE);
            queue.waiting.drain(..size).collect()
        });
        if batch.is_empty() {
            return;
        }
        if let Err(error) = send(batch).await {
            // Their time to be sent in runs out, and they are begun again.
            eprintln!("mails: cannot note what became of them: {error}");
        }
    }
}

async fn send(batch: Vec<Begun>) -> Result<()> {
    let settings = settings::get()?;
    let now = Timestamp::now();
    // What has waited is given back: its account may be gone meanwhile, or its time about to end.
    let (fresh, stale): (Vec<_>, Vec<_>) = batch.into_iter().partition(|mail| now.before(STALE) <= mail.begun_at);
    for mail in &stale {
        repository::give_back(mail, now).await?;
    }
    match &settings.delivery {
        Delivery::Log { full } => {
            let mut settled = Vec::with_capacity(fresh.len());
            for mut mail in fresh {
                let outcome = log(&settings, *full, &mut mail).await;
                tell(&mail, &outcome);
                settled.push((mail, outcome));
            }
            repository::settle_all(&settled).await
        }
        Delivery::Api(api) => {
            // Each is settled when it ends: one that takes long must not make others come twice.
            let all = fresh.into_iter().map(async |mut mail| {
                let outcome = post(&settings, api, &mut mail).await;
                tell(&mail, &outcome);
                repository::settle(&mail, &outcome).await
            });
            join_all(all).await.into_iter().collect()
        }
    }
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
    let ready = async {
        let to = address(settings, mail).await?;
        Ok((to, compose(settings, mail).await?))
    };
    match ready.await {
        Ok((to, letter)) => delivery::send(api, &mail.idempotency_key(), &to, &letter).await,
        Err(outcome) => outcome,
    }
}

/// Says in the log what became of a mail: never what it says, or to whom.
fn tell(mail: &Begun, outcome: &Outcome) {
    let (id, kind, attempts) = (mail.id, mail.kind, mail.attempts);
    let (event, reason) = match outcome {
        Outcome::Sent => ("mail-sent", None),
        Outcome::Later(reason, _) => ("mail-delayed", Some(&reason.what)),
        Outcome::Refused(reason) => ("mail-refused", Some(&reason.what)),
        Outcome::Nobody => ("mail-dropped", None),
    };
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
    let to = to.ok_or_else(|| Outcome::Refused(Reason::new("there is no address of the shop: set shop_email")))?;
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
