//! What the variables say: read once, when an instance starts.

use std::{cell::RefCell, rc::Rc, time::Duration};

use web::{Error, Result, variable};

use crate::{attempt::LONGEST_PATIENCE, locale::Locale, mail::is_address};

/// What mails look like, and where they go.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) shop_name: String,
    pub(crate) locale: Locale,
    /// The shop's own people.
    pub(crate) shop_email: Option<String>,
    /// So many a reader gets of those that anybody can bring about; 0: no limit.
    pub(crate) mails_per_hour: u32,
    pub(crate) delivery: Delivery,
}

impl Settings {
    /// The language of a mail to somebody who wants `tag`: the shop's when they have not said which, or it has no templates.
    pub(crate) fn locale_of(&self, tag: Option<&str>) -> Locale {
        tag.and_then(|tag| tag.parse().ok()).unwrap_or(self.locale)
    }
}

/// Where mails go.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Into the log: that there was one, or, if `full`, all that it says.
    Log { full: bool },
    /// To an HTTP API.
    Api(Api),
}

/// An HTTP mail API.
pub(crate) struct Api {
    /// Of its resource `emails`.
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) from: String,
    pub(crate) patience: Duration,
}

impl std::fmt::Debug for Api {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("url", &self.url).field("from", &self.from).finish_non_exhaustive()
    }
}

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

/// The settings; an error before they were read.
pub(crate) fn get() -> Result<Rc<Settings>> {
    let settings = SETTINGS.with_borrow(Clone::clone);
    settings.ok_or_else(|| Error::Internal("the settings were asked for before the instance had started".into()))
}

/// Reads the variables. An error names the one that is wrong.
pub(crate) async fn read() -> Result<()> {
    let wrong = |name: &str, why: &str| Error::Internal(format!("variable {name}: {why}"));
    let locale = variable::get("shop_locale").await?.unwrap_or_default();
    let locale = locale.parse().unwrap_or_else(|why| {
        if !locale.is_empty() {
            eprintln!("warning: the variable shop_locale {why}; mails are written in English");
        }
        Locale::default()
    });
    let shop_email = match variable::get("shop_email").await? {
        Some(address) => Some(address),
        None => variable::get("admin_email").await?,
    };
    let shop_email = shop_email.map(|address| address.trim().to_owned());
    if shop_email.as_deref().is_some_and(|address| !is_address(address)) {
        return Err(wrong("shop_email", "must be an email address"));
    }
    let delivery = match variable::get("mail_url").await? {
        None => match variable::get("mail_log").await?.as_deref().map(str::trim) {
            None | Some("summary") => Delivery::Log { full: false },
            Some("full") => Delivery::Log { full: true },
            Some(_) => return Err(wrong("mail_log", "must be `summary` or `full`")),
        },
        Some(url) => Delivery::Api(Api {
            url: format!("{}/emails", url.trim().trim_end_matches('/')),
            token: variable::get("mail_token").await?.map(|token| token.trim().to_owned()),
            from: variable::get("mail_from")
                .await?
                .ok_or_else(|| wrong("mail_from", "must be set when mail_url is"))?,
            patience: Duration::from_millis(variable::parsed("mail_timeout_ms", 10_000).await?).min(LONGEST_PATIENCE),
        }),
    };
    let shop_name = variable::get("shop_name").await?.unwrap_or_else(|| "Bodega".to_owned());
    let mails_per_hour = variable::parsed("mails_per_hour", 60).await?;
    SETTINGS.set(Some(Rc::new(Settings { shop_name, locale, shop_email, mails_per_hour, delivery })));
    Ok(())
}
