//! Mails: how they are made, who sees them, and what admins do with them.

use events::Envelope;
use http::StatusCode;
use model::{NotificationKind as Kind, NotificationStatus as Status, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Page, PageQuery, Result, audit};

use crate::{
    DATABASE,
    mail::{self, Content, FORGOTTEN, Mail, Notification, Reader, Trial},
    repository::{self, Filter, sending::NewMail, users},
    sending, settings,
};

const NOT_FOUND: Error = Error::not_found("notification");

/// The mail that was taken; without an id when it is to nobody any more.
#[derive(Serialize)]
pub(crate) struct Taken {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
}

/// Takes a mail from another service, once however often it is handed over. One to a user who has gone meanwhile is
/// dropped.
pub(crate) async fn take(mail: &Mail) -> Result<Taken> {
    let data = serde_json::to_string(&mail.secret)?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let now = Timestamp::now();
            let key = mail.id.to_string();
            let new = NewMail {
                key: &key,
                user_id: Some(mail.user_id),
                to: Some(&mail.to),
                kind: mail.secret.kind(),
                reference: None,
                data: &data,
                keep_until: mail.secret.keep_until(now),
            };
            Ok(match make(transaction, &new, now).await? {
                Some(id) => Taken { id: Some(id) },
                None => Taken { id: repository::id_of(transaction, &key).await? },
            })
        })
        .await
}

/// Makes the mail that an event brings about: in the transaction that takes the event in, and named after it.
pub(crate) async fn make_of(transaction: &Transaction, kind: Kind, event: &Envelope) -> Result<()> {
    let data = event.data.get();
    let user_id = Content::read(kind, data)?.user_id();
    let now = Timestamp::now();
    let key = event.event_id.to_string();
    let new = NewMail {
        key: &key,
        user_id,
        to: None,
        kind,
        reference: Some(&event.subject),
        data,
        keep_until: mail::keep_until(now),
    };
    if user_id.is_some() {
        make(transaction, &new, now).await?;
    }
    if kind == Kind::LowStock && is_news_to_the_shop(transaction, user_id).await? {
        let key = format!("{}/shop", event.event_id);
        make(transaction, &NewMail { key: &key, user_id: None, ..new }, now).await?;
    }
    Ok(())
}

/// Whether the shop's own people have an address, and it is not that of `reader`.
async fn is_news_to_the_shop(transaction: &Transaction, reader: Option<UserId>) -> Result<bool> {
    let Some(shop) = settings::get()?.shop_email.clone() else { return Ok(false) };
    let own = match reader {
        Some(reader) => users::address(transaction, reader).await?,
        None => None,
    };
    Ok(own.is_none_or(|own| !own.eq_ignore_ascii_case(&shop)))
}

/// Makes a mail and begins to send it; `None` when it is here already, or its reader is gone.
async fn make(transaction: &Transaction, new: &NewMail<'_>, now: Timestamp) -> Result<Option<i64>> {
    let begun = repository::sending::insert(transaction, new, settings::get()?.mails_per_hour, now).await?;
    Ok(begun.map(|begun| {
        let id = begun.id;
        sending::after(transaction, begun);
        id
    }))
}

/// A user is gone: so is what is known of them, and their mails, also those that come later.
pub(crate) async fn forget(transaction: &Transaction, user: UserId) -> Result<()> {
    users::forget(transaction, user).await?;
    repository::forget(transaction, user, Timestamp::now().after(FORGOTTEN)).await
}

/// Writes down what accounts said of a user at `said_at`. What is older than the memory of those who are gone makes
/// nobody known.
pub(crate) async fn know(transaction: &Transaction, user: UserId, reader: &Reader, said_at: Timestamp) -> Result<()> {
    let recent = Timestamp::now().before(FORGOTTEN) < said_at;
    users::know(transaction, user, reader, said_at, recent).await
}

/// A page of the mails to the caller, or of those to all for admins: the newest first.
pub(crate) async fn list(caller: &Caller, mut filter: Filter, page: &PageQuery) -> Result<Page<Notification>> {
    let admin = caller.role.administers();
    if !admin && *filter.user_id.get_or_insert(caller.user_id) != caller.user_id {
        return Err(Error::Forbidden("only admins see the mails of others"));
    }
    let before = page.after::<i64>()?.unwrap_or(i64::MAX);
    let (mails, looked_until) = repository::list(&filter, before, page.limit() + 1).await?;
    let mails = mails.into_iter().map(|mail| shown(mail, admin)).collect();
    Page::looked(mails, page.limit(), looked_until, |mail: &Notification| mail.id)
}

/// One mail.
pub(crate) async fn find(caller: &Caller, id: i64) -> Result<Notification> {
    let mail = repository::find(&DATABASE, id).await?;
    let admin = caller.role.administers();
    let mail = mail.filter(|mail| admin || mail.user_id == Some(caller.user_id)).ok_or(NOT_FOUND)?;
    Ok(shown(mail, admin))
}

/// What went wrong is the shop's business.
fn shown(mail: Notification, admin: bool) -> Notification {
    if admin { mail } else { Notification { last_error: None, ..mail } }
}

/// Sends a mail once more. Only admins may. 409 while it waits, and when what it says is of no use any more.
pub(crate) async fn resend(caller: &Caller, once: &Once, id: i64) -> Result<Answer> {
    caller.must_administer()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let now = Timestamp::now();
            let Some(begun) = repository::sending::begin_again(transaction, id, now).await? else {
                let mail = repository::find_in(transaction, id).await?.ok_or(NOT_FOUND)?;
                return Err(match mail.status {
                    Status::Pending => Error::Conflict("still-pending", "it is being sent already".into()),
                    Status::Sent | Status::Failed => {
                        Error::Conflict("expired", "what it says is of no use any more".into())
                    }
                });
            };
            sending::after(transaction, begun);
            answer(transaction, caller, once, "notification.resent", id).await
        })
        .await
}

/// Sends a mail to try how it arrives: to an address, or to the caller's own. Only admins may.
pub(crate) async fn test(caller: &Caller, once: &Once, to: Option<&str>, trial: &Trial) -> Result<Answer> {
    caller.must_administer()?;
    let data = serde_json::to_string(trial)?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let now = Timestamp::now();
            let key = Uuid::now_v7().to_string();
            let new = NewMail {
                key: &key,
                user_id: Some(caller.user_id),
                to,
                kind: Kind::Test,
                reference: None,
                data: &data,
                keep_until: mail::keep_until(now),
            };
            let id = make(transaction, &new, now).await?;
            let gone = Error::Unauthenticated("the account is gone");
            answer(transaction, caller, once, "notification.tested", id.ok_or(gone)?).await
        })
        .await
}

/// 202, with the mail as it is now; that an admin has sent it is written down.
async fn answer(transaction: &Transaction, caller: &Caller, once: &Once, action: &str, id: i64) -> Result<Answer> {
    let mail = repository::find_in(transaction, id).await?.ok_or(NOT_FOUND)?;
    audit::record(transaction, caller, action, format_args!("notification/{id}"), json!({})).await?;
    once.answer(transaction, Some(caller), StatusCode::ACCEPTED, &mail).await
}
