//! What the variables say of the way in and out: for whom, from where, and how long one waits.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
    time::Duration,
};

use crate::{Error, Result, access_log::AccessLog, client_address::Proxies, cors::Cors, variable};

/// How long a body may take to arrive, unless `body_timeout_ms` says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The variables, read once in an instance.
pub(crate) struct Edge {
    /// `cors_origins`.
    pub(crate) cors: Cors,
    /// `trusted_proxies`.
    pub(crate) proxies: Proxies,
    /// `access_log`.
    pub(crate) log: AccessLog,
}

thread_local! {
    static EDGE: OnceCell<Rc<Edge>> = const { OnceCell::new() };
    static BODY_PATIENCE: Cell<Duration> = const { Cell::new(PATIENCE) };
}

/// What the variables say; an error that names the one that says nothing.
pub(crate) async fn get() -> Result<Rc<Edge>> {
    if let Some(edge) = EDGE.with(|edge| edge.get().cloned()) {
        return Ok(edge);
    }
    let wrong =
        |name: &'static str| move |part: String| Error::Internal(format!("variable {name}: `{part}` is not valid"));
    let text = async |name| variable::get(name).await.map(Option::unwrap_or_default);
    let log = text("access_log").await?;
    let log = if log.is_empty() { Some(AccessLog::Public) } else { AccessLog::parse(&log) }.ok_or(log);
    let edge = Edge {
        cors: Cors::parse(&text("cors_origins").await?).map_err(wrong("cors_origins"))?,
        proxies: Proxies::parse(&text("trusted_proxies").await?).map_err(wrong("trusted_proxies"))?,
        log: log.map_err(wrong("access_log"))?,
    };
    let patience: u64 = variable::parsed("body_timeout_ms", 0).await?;
    if patience > 0 {
        BODY_PATIENCE.set(Duration::from_millis(patience));
    }
    Ok(EDGE.with(|cell| cell.get_or_init(|| Rc::new(edge)).clone()))
}

/// How long a body, or a line of a body of lines, may take to arrive.
pub(crate) fn body_patience() -> Duration {
    BODY_PATIENCE.get()
}
