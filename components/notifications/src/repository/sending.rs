//! Who has begun to send a mail, and how that ended.

use model::{NotificationKind as Kind, Timestamp, UserId};
use store::{Durability, Row, Transaction, Value, params};
use web::Result;

use super::word;
use crate::{
    DATABASE,
    attempt::{self, LEASE, MOST_ATTEMPTS, Next, Outcome, Progress, Reason},
};

/// A mail that is made.
pub(crate) struct NewMail<'a> {
    pub(crate) key: &'a str,
    pub(crate) user_id: Option<UserId>,
    /// The address, when whoever has it made knows it.
    pub(crate) to: Option<&'a str>,
    pub(crate) kind: Kind,
    pub(crate) reference: Option<&'a str>,
    pub(crate) data: &'a str,
    pub(crate) keep_until: Timestamp,
}

/// A mail that this instance has begun to send.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) id: i64,
    key: String,
    sends: i64,
    pub(crate) progress: Progress,
    pub(crate) user_id: Option<UserId>,
    pub(crate) kind: Kind,
    pub(crate) data: String,
    pub(crate) recipient: Option<String>,
    /// The reader's, when it is known.
    pub(crate) name: Option<String>,
    /// Their language, when they have said which.
    pub(crate) locale: Option<String>,
    /// What the mail API was asked for by an attempt before this one.
    pub(crate) letter: Option<String>,
    /// Until when the mail API wants no mails.
    pub(crate) paused_until: Timestamp,
    made_at: Timestamp,
    /// When the mail to the same reader was made that is `most_an_hour` before this one.
    earlier: Option<Timestamp>,
    pub(crate) begun_at: Timestamp,
}

/// Of a mail that is begun: what it is, and what is known of its reader.
const BEGUN: &str = "id, key, sends, attempts, give_up_after, key_since, user_id, kind, data, \
     COALESCE(recipient, (SELECT u.email FROM users u WHERE u.id = mails.user_id)), \
     (SELECT u.name FROM users u WHERE u.id = mails.user_id), (SELECT u.locale FROM users u WHERE u.id = mails.user_id)";

/// The same, and what says whether it may be sent now.
fn begun(most_an_hour: u32) -> String {
    let earlier = match most_an_hour.checked_sub(1) {
        None => "NULL".to_owned(),
        Some(between) => format!(
            "(SELECT m.created_at FROM mails m WHERE m.user_id = mails.user_id AND m.id < mails.id \
             ORDER BY m.id DESC LIMIT 1 OFFSET {between})"
        ),
    };
    format!("{BEGUN}, letter, COALESCE((SELECT p.ends_at FROM pause p WHERE p.id = 1), 0), created_at, {earlier}")
}

impl Begun {
    fn read(mut row: Row, begun_at: Timestamp) -> Result<Self> {
        Ok(Self {
            id: row.next()?,
            key: row.next()?,
            sends: row.next()?,
            progress: Progress { attempts: row.next()?, give_up_after: row.next()?, key_since: Timestamp(row.next()?) },
            user_id: row.next::<Option<i64>>()?.map(UserId),
            kind: word(&mut row)?,
            data: row.next()?,
            recipient: row.next()?,
            name: row.next()?,
            locale: row.next()?,
            letter: row.next()?,
            paused_until: Timestamp(row.next()?),
            made_at: Timestamp(row.next()?),
            earlier: row.next::<Option<i64>>()?.map(Timestamp),
            begun_at,
        })
    }

    /// The same whoever sends it, until an admin has it sent again.
    pub(crate) fn idempotency_key(&self) -> String {
        match self.sends {
            1 => self.key.clone(),
            sends => format!("{}/{sends}", self.key),
        }
    }

    /// Whether its reader has had too many mails; an admin's word counts more.
    pub(crate) fn is_too_many(&self) -> bool {
        self.sends == 1 && attempt::is_too_many(self.kind, self.made_at, self.earlier)
    }
}

/// Makes a mail and begins to send it; `None` when it is here, or its reader is gone.
pub(crate) async fn insert(
    transaction: &Transaction,
    new: &NewMail<'_>,
    most_an_hour: u32,
    now: Timestamp,
) -> Result<Option<Begun>> {
    let insert = format!(
        "INSERT INTO mails (key, user_id, recipient, kind, reference, data, status, attempts, sends, give_up_after, \
         key_since, due_at, keep_until, created_at) \
         SELECT $1, $2, COALESCE($3, (SELECT u.email FROM users u WHERE u.id = $2)), $4, $5, $6, 'pending', 1, 1, $7, $8, \
         $9, $10, $8 WHERE NOT EXISTS (SELECT 1 FROM forgotten_users WHERE user_id = $2) \
         ON CONFLICT (key) DO NOTHING RETURNING {}",
        begun(most_an_hour)
    );
    let values = params![
        new.key,
        new.user_id.map(|user| user.0),
        new.to,
        new.kind.as_str(),
        new.reference,
        new.data,
        MOST_ATTEMPTS,
        now.0,
        now.after(LEASE).0,
        new.keep_until.0
    ];
    transaction.query_one(&insert, values).await?.map(|row| Begun::read(row, now)).transpose()
}

pub(super) fn begin_statement(limit: usize, most_an_hour: u32) -> String {
    // Asked for twice: of two who found the same, the second finds that it is not due any more.
    format!(
        "UPDATE mails SET attempts = attempts + 1, last_error = NULL, due_at = $1 WHERE id IN \
         (SELECT id FROM mails WHERE due_at <= $2 AND keep_until > $2 ORDER BY due_at LIMIT {limit}) AND due_at <= $2 \
         RETURNING {}",
        begun(most_an_hour)
    )
}

/// Begins up to `limit` mails that are due: whoever began them last has given up, or is gone.
pub(crate) async fn begin(now: Timestamp, limit: usize, most_an_hour: u32) -> Result<Vec<Begun>> {
    let values = params![now.after(LEASE).0, now.0];
    let rows = DATABASE.execute(Durability::Relaxed, &begin_statement(limit, most_an_hour), values).await?;
    rows.into_iter().map(|row| Begun::read(row, now)).collect()
}

/// Begins a mail that is settled once more, as another letter under another idempotency key; `None` when it waits, is of
/// no use any more, or is not here.
pub(crate) async fn begin_again(transaction: &Transaction, id: i64, now: Timestamp) -> Result<Option<Begun>> {
    let update = format!(
        "UPDATE mails SET status = 'pending', attempts = attempts + 1, sends = sends + 1, give_up_after = attempts + $1, \
         key_since = $2, last_error = NULL, due_at = $3 WHERE id = $4 AND status <> 'pending' AND keep_until > $2 \
         RETURNING {}",
        begun(0)
    );
    let values = params![MOST_ATTEMPTS, now.0, now.after(LEASE).0, id];
    transaction.query_one(&update, values).await?.map(|row| Begun::read(row, now)).transpose()
}

/// Keeps what the mail API is going to be asked for. False when the mail is somebody else's meanwhile, or gone.
pub(crate) async fn keep_letter(mail: &Begun, letter: &str) -> Result<bool> {
    let update = "UPDATE mails SET letter = $1, recipient = COALESCE(recipient, $2) \
         WHERE id = $3 AND attempts = $4 AND status = 'pending' RETURNING id";
    let values = params![letter, mail.recipient.as_deref(), mail.id, mail.progress.attempts];
    Ok(!DATABASE.execute(Durability::Relaxed, update, values).await?.is_empty())
}

/// Nobody sends anything before `until`.
pub(crate) async fn pause(until: Timestamp) -> Result<()> {
    let upsert = "INSERT INTO pause (id, ends_at) VALUES (1, $1) \
         ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at WHERE pause.ends_at < excluded.ends_at";
    DATABASE.execute(Durability::Relaxed, upsert, params![until.0]).await?;
    Ok(())
}

/// A mail whose attempt has ended.
pub(crate) struct Ended<'a> {
    pub(crate) mail: &'a Begun,
    pub(crate) outcome: &'a Outcome,
    pub(crate) next: Next,
}

/// Notes how an attempt ended. On disk at once: the mail has left the shop.
pub(crate) async fn settle(ended: &Ended<'_>, now: Timestamp) -> Result<()> {
    let (sql, values) = settling(ended, now);
    Ok(DATABASE.execute_in_turn(Durability::Durable, sql, values).await?)
}

/// Notes how attempts ended that had no effect outside the shop.
pub(crate) async fn settle_all(ended: &[Ended<'_>], now: Timestamp) -> Result<()> {
    match ended {
        [] => Ok(()),
        [ended] => {
            let (sql, values) = settling(ended, now);
            Ok(DATABASE.execute_in_turn(Durability::Relaxed, sql, values).await?)
        }
        all => {
            DATABASE
                .transaction(Durability::Relaxed, async |transaction| {
                    for ended in all {
                        let (sql, values) = settling(ended, now);
                        transaction.execute(sql, values).await?;
                    }
                    Ok(())
                })
                .await
        }
    }
}

const AGAIN: &str = "UPDATE mails SET due_at = $1, last_error = $2, recipient = COALESCE(recipient, $3) \
     WHERE id = $4 AND attempts = $5 AND status = 'pending'";
/// Nothing of the attempt remains, also not its letter.
const BACK: &str = "UPDATE mails SET attempts = attempts - 1, letter = $1, due_at = $2, last_error = $3, \
     recipient = COALESCE(recipient, $4) WHERE id = $5 AND attempts = $6 AND status = 'pending'";
/// An attempt that was begun and must not be made is none.
const FAILED: &str = "UPDATE mails SET status = 'failed', due_at = NULL, letter = NULL, last_error = $1, \
     attempts = CASE WHEN attempts > give_up_after THEN give_up_after ELSE attempts END, \
     recipient = COALESCE(recipient, $2) WHERE id = $3 AND attempts = $4 AND status = 'pending'";
pub(super) const SENT: &str = "UPDATE mails SET status = 'sent', due_at = NULL, letter = NULL, last_error = $1, sent_at = $2, \
     recipient = COALESCE(recipient, $3) WHERE id = $4 AND sends = $5 AND status <> 'sent'";
const DELETED: &str = "DELETE FROM mails WHERE id = $1 AND attempts = $2 AND status = 'pending'";

/// The statement that notes how an attempt ended. A mail that was sent is sent, whoever has begun it meanwhile, and also
/// when it was given up; of a failure only the one who has begun the last attempt can tell.
fn settling(ended: &Ended<'_>, now: Timestamp) -> (&'static str, Vec<Value>) {
    let Ended { mail, outcome, next } = ended;
    let (id, attempts, recipient) = (mail.id, mail.progress.attempts, mail.recipient.as_deref());
    let error = outcome.reason().map(Reason::text);
    match *next {
        Next::Sent => (SENT, params![error, now.0, recipient, id, mail.sends]),
        Next::Again(due_at) => (AGAIN, params![due_at.0, error, recipient, id, attempts]),
        Next::Back(due_at) => (BACK, params![mail.letter.as_deref(), due_at.0, error, recipient, id, attempts]),
        Next::Failed => (FAILED, params![error, recipient, id, attempts]),
        Next::Deleted => (DELETED, params![id, attempts]),
    }
}
