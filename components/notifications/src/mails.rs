//! Taking mails, and saying which there are.

use model::{Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Transaction};
use web::{Caller, Error, Page, PageQuery, Result};

use crate::{
    DATABASE,
    mail::{FORGOTTEN, Mail, Notification},
    repository,
};

/// The mail that was taken; without an id when it is to nobody any more.
#[derive(Serialize)]
pub(crate) struct Taken {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
}

/// Keeps a mail, once however often it is handed over, and says in the log that it waits: never what it says. One to a
/// user who has gone meanwhile is dropped.
pub(crate) async fn take(mail: &Mail) -> Result<Taken> {
    let data = serde_json::to_string(&mail.content)?;
    let (id, fresh) = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            match repository::insert(transaction, mail, &data, Timestamp::now()).await? {
                Some(id) => Ok((Some(id), true)),
                None => Ok::<_, Error>((repository::id_of(transaction, &mail.id.to_string()).await?, false)),
            }
        })
        .await?;
    if fresh {
        println!("{}", json!({ "event": "mail-waits", "mailId": id, "kind": mail.content.kind() }));
    }
    Ok(Taken { id })
}

/// A user is gone: so are the mails, and those that come later.
pub(crate) async fn forget(transaction: &Transaction, user: UserId) -> Result<()> {
    repository::forget(transaction, user, Timestamp::now().after(FORGOTTEN)).await
}

/// A page of the mails to the caller, or of all for admins: the newest first.
pub(crate) async fn list(caller: &Caller, page: &PageQuery) -> Result<Page<Notification>> {
    let before = page.after::<i64>()?.unwrap_or(i64::MAX);
    let owner = (!caller.role.administers()).then_some(caller.user_id);
    let mails = repository::list(owner, before, page.limit() + 1).await?;
    Page::new(mails, page.limit(), |mail| mail.id)
}

/// One mail.
pub(crate) async fn find(caller: &Caller, id: i64) -> Result<Notification> {
    let mail = repository::find(id).await?;
    mail.filter(|mail| caller.may_see(mail.user_id)).ok_or(Error::not_found("notification"))
}
