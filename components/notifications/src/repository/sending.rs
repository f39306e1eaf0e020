//! Who has begun to send a mail, and how that ended.

use model::{NotificationKind as Kind, Timestamp, UserId};
use store::{Durability, Row, Transaction, Value, params};
use web::Result;

use super::word;
use crate::{
    DATABASE,
    attempt::{self, LEASE, MOST_ATTEMPTS, Outcome},
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
    pub(crate) attempts: i64,
    give_up_after: i64,
    pub(crate) user_id: Option<UserId>,
    pub(crate) kind: Kind,
    pub(crate) data: String,
    pub(crate) recipient: Option<String>,
    /// The reader's, when it is known.
    pub(crate) name: Option<String>,
    /// Their language, when they have said which.
    pub(crate) locale: Option<String>,
    pub(crate) begun_at: Timestamp,
}

/// Of a mail that is begun: what it is, and what is known of its reader.
const BEGUN: &str = "id, key, sends, attempts, give_up_after, user_id, kind, data, \
     COALESCE(recipient, (SELECT u.email FROM users u WHERE u.id = mails.user_id)), \
     (SELECT u.name FROM users u WHERE u.id = mails.user_id), (SELECT u.locale FROM users u WHERE u.id = mails.user_id)";

impl Begun {
    fn read(mut row: Row, begun_at: Timestamp) -> Result<Self> {
        Ok(Self {
            id: row.next()?,
            key: row.next()?,
            sends: row.next()?,
            attempts: row.next()?,
            give_up_after: row.next()?,
            user_id: row.next::<Option<i64>>()?.map(UserId),
            kind: word(&mut row)?,
            data: row.next()?,
            recipient: row.next()?,
            name: row.next()?,
            locale: row.next()?,
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
}

/// Makes a mail and begins to send it; `None` when it is here, or its reader is gone.
pub(crate) async fn insert(transaction: &Transaction, new: &NewMail<'_>, now: Timestamp) -> Result<Option<Begun>> {
    let insert = format!(
        "INSERT INTO mails (key, user_id, recipient, kind, reference, data, status, attempts, sends, give_up_after, due_at, \
         keep_until, created_at) \
         SELECT $1, $2, COALESCE($3, (SELECT u.email FROM users u WHERE u.id = $2)), $4, $5, $6, 'pending', 1, 1, $7, $8, \
         $9, $10 WHERE NOT EXISTS (SELECT 1 FROM forgotten_users WHERE user_id = $2) \
         ON CONFLICT (key) DO NOTHING RETURNING {BEGUN}"
    );
    let values = params![
        new.key,
        new.user_id.map(|user| user.0),
        new.to,
        new.kind.as_str(),
        new.reference,
        new.data,
        MOST_ATTEMPTS,
        now.after(LEASE).0,
        new.keep_until.0,
        now.0
    ];
    transaction.query_one(&insert, values).await?.map(|row| Begun::read(row, now)).transpose()
}

pub(super) fn begin_statement(limit: usize) -> String {
    // Asked for twice: of two who found the same, the second finds that it is not due any more.
    format!(
        "UPDATE mails SET attempts = attempts + 1, last_error = NULL, due_at = $1 WHERE id IN \
         (SELECT id FROM mails WHERE due_at <= $2 AND keep_until > $2 ORDER BY due_at LIMIT {limit}) AND due_at <= $2 \
         RETURNING {BEGUN}"
    )
}

/// Begins up to `limit` mails that are due: whoever began them last has given up, or is gone.
pub(crate) async fn begin(now: Timestamp, limit: usize) -> Result<Vec<Begun>> {
    let values = params![now.after(LEASE).0, now.0];
    let rows = DATABASE.execute(Durability::Relaxed, &begin_statement(limit), values).await?;
    rows.into_iter().map(|row| Begun::read(row, now)).collect()
}

/// Begins a mail that is settled once more, under another idempotency key; `None` when it waits, is of no use any more,
/// or is not here.
pub(crate) async fn begin_again(transaction: &Transaction, id: i64, now: Timestamp) -> Result<Option<Begun>> {
    let update = format!(
        "UPDATE mails SET status = 'pending', attempts = attempts + 1, sends = sends + 1, give_up_after = attempts + $1, \
         last_error = NULL, due_at = $2 WHERE id = $3 AND status <> 'pending' AND keep_until > $4 RETURNING {BEGUN}"
    );
    let values = params![MOST_ATTEMPTS, now.after(LEASE).0, id, now.0];
    transaction.query_one(&update, values).await?.map(|row| Begun::read(row, now)).transpose()
}

/// Gives back a mail that this instance has begun and not sent.
pub(crate) async fn give_back(mail: &Begun, now: Timestamp) -> Result<()> {
    let update = "UPDATE mails SET due_at = $1, attempts = attempts - 1 \
         WHERE id = $2 AND attempts = $3 AND status = 'pending'";
    DATABASE.execute(Durability::Relaxed, update, params![now.0, mail.id, mail.attempts]).await?;
    Ok(())
}

/// Notes how an attempt ended. On disk at once: the mail has left the shop.
pub(crate) async fn settle(mail: &Begun, outcome: &Outcome) -> Result<()> {
    let (sql, values) = settling(mail, outcome, Timestamp::now());
    DATABASE.execute(Durability::Durable, sql, values).await?;
    Ok(())
}

/// Notes how attempts ended that had no effect outside the shop.
pub(crate) async fn settle_all(settled: &[(Begun, Outcome)]) -> Result<()> {
    let now = Timestamp::now();
    match settled {
        [] => Ok(()),
        [(mail, outcome)] => {
            let (sql, values) = settling(mail, outcome, now);
            DATABASE.execute(Durability::Relaxed, sql, values).await?;
            Ok(())
        }
        settled => {
            DATABASE
                .transaction(Durability::Relaxed, async |transaction| {
                    for (mail, outcome) in settled {
                        let (sql, values) = settling(mail, outcome, now);
                        transaction.execute(sql, values).await?;
                    }
                    Ok(())
                })
                .await
        }
    }
}

/// The statement that notes how an attempt ended. A mail that was sent is sent, whoever has begun it meanwhile; of a
/// failure only the one who has begun the last attempt can tell.
fn settling(mail: &Begun, outcome: &Outcome, now: Timestamp) -> (&'static str, Vec<Value>) {
    const LATER: &str = "UPDATE mails SET due_at = $1, last_error = $2, recipient = COALESCE(recipient, $3) \
         WHERE id = $4 AND attempts = $5 AND status = 'pending'";
    const FAILED: &str = "UPDATE mails SET status = 'failed', due_at = NULL, last_error = $1, \
         recipient = COALESCE(recipient, $2) WHERE id = $3 AND attempts = $4 AND status = 'pending'";
    const SENT: &str = "UPDATE mails SET status = 'sent', due_at = NULL, last_error = NULL, sent_at = $1, \
         recipient = COALESCE(recipient, $2) WHERE id = $3 AND sends = $4 AND status = 'pending'";
    const NOBODY: &str = "DELETE FROM mails WHERE id = $1 AND attempts = $2 AND status = 'pending'";
    let (id, attempts, recipient) = (mail.id, mail.attempts, mail.recipient.as_deref());
    match outcome {
        Outcome::Sent => (SENT, params![now.0, recipient, id, mail.sends]),
        Outcome::Later(reason, wait) => match attempt::next(now, mail.give_up_after - attempts, *wait) {
            Some(due_at) => (LATER, params![due_at.0, reason.text(), recipient, id, attempts]),
            None => (FAILED, params![reason.text(), recipient, id, attempts]),
        },
        Outcome::Refused(reason) => (FAILED, params![reason.text(), recipient, id, attempts]),
        Outcome::Nobody => (NOBODY, params![id, attempts]),
    }
}
