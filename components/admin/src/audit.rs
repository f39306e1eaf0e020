//! What admins did, in all services.

use web::{
    Caller, Error, PageQuery, Result,
    audit::{Entry, Search},
    client,
};

use crate::{
    merge::{self, Merged, Order, Place, behind},
    services,
};

/// What is in the audit logs of a service, or of all, newest first.
pub(crate) async fn list(caller: &Caller, service: &str, search: &Search, query: &PageQuery) -> Result<Merged<Entry>> {
    caller.must_administer()?;
    let services = services::meant(service)?;
    let after: Option<Place> = query.after()?;
    let answers = services::ask(&services, async |service| {
        let before = after.as_ref().map(|place| behind(place, service));
        let search = Search { before, limit: query.limit() + 1, ..search.clone() };
        client::post(service, "/internal/audit/search", &search).await?.ok_or(Error::Unavailable(service.into()))
    })
    .await;
    merge::page(answers, Order::NewestFirst, query.limit(), |entry: &Entry| (entry.at.0, entry.id))
}
