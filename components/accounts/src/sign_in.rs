//! Sessions: how they begin, go on and end, and what a token is worth.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{Role, Timestamp};
use serde::Serialize;
use store::Durability;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{
    Caller, Error, Page, PageQuery, Result,
    auth::{self, AUDIENCE, ISSUER},
};

use crate::{
    DATABASE,
    account::{self, Email, Status, User},
    accounts::acting,
    keys, proof,
    repository::{self, sessions::NewSession},
    session::{self, Session, Verdict},
};

/// One sentence for every reason, so that it gives none of them away.
const NOT_SIGNED_IN: Error = Error::Unauthenticated("the email address or the password is wrong");
const SESSION_OVER: Error = Error::Unauthenticated("the refresh token is not valid, or no longer: sign in");

/// A pair of tokens and whose it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedIn {
    /// For `Authorization: Bearer`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl")]
    pub(crate) access_token: String,
    /// For the next pair of tokens, once.
    #[schema(example = "5pZ5BpLJk0wYQmGvSO2o4Xh8Jm1cE3rT7uV9yA6dNfQ")]
    pub(crate) refresh_token: String,
    #[schema(example = "Bearer")]
    pub(crate) token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    pub(crate) expires_in: u64,
    pub(crate) user: User,
}

/// By what somebody says who he is, in the form in which it is compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// An address, or a text in its place.
    Email(String),
    /// The name of an account. Of several with the same the first that took it is meant.
    Name(String),
}

impl Known {
    pub(crate) fn by_email(text: &str) -> Self {
        Self::Email(Email::normal(text))
    }

    /// By either: a name to sign in with is never an address.
    pub(crate) fn by_either(text: &str) -> Self {
        match account::login_name(text) {
            Some(name) => Self::Name(name),
            None => Self::by_email(text),
        }
    }

    /// Failures are counted under what was said: nobody learns from them whose name it is.
    fn fingerprint(&self) -> String {
        let (Self::Email(text) | Self::Name(text)) = self;
        session::fingerprint(text)
    }
}

/// Starts a session. 401 for a wrong password, an unknown address or name, and a suspended account, after the same work
/// and in the same words; 429 when there were too many of these.
pub(crate) async fn log_in(by: &Known, password: &str, user_agent: Option<&str>) -> Result<SignedIn> {
    let fingerprint = by.fingerprint();
    let (account, failures) = repository::users::known_with_failures(by, &fingerprint).await?;
    let matches = proof::check(account.as_ref(), failures, password).await?.is_some();
    let Some(account) = account.filter(|account| matches && account.user.status == Status::Active) else {
        return Err(proof::fail(&fingerprint, NOT_SIGNED_IN).await);
    };
    let id = Uuid::now_v7().to_string();
    let refresh_token = new_refresh_token()?;
    let now = Timestamp::now();
    let expires_at = now.after(session::REFRESH);
    let new = NewSession {
        id: &id,
        owner: account.user.id,
        password_hash: &account.password_hash,
        fingerprint: &fingerprint,
        user_agent,
        expires_at,
    };
    let opened = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if !repository::sessions::insert(transaction, new, now).await? {
                return Ok(false);
            }
            let token = session::fingerprint(&refresh_token);
            repository::sessions::insert_refresh_token(transaction, &token, &id, expires_at).await?;
            if failures.count > 0 {
                repository::failures::clear(transaction, &fingerprint).await?;
            }
            Ok::<_, Error>(true)
        })
        .await?;
    if opened {
        signed_in(account.user, &id, refresh_token).await
    } else {
        // While the password was checked, it was changed, the account closed, or others have failed too often.
        Err(proof::fail(&fingerprint, NOT_SIGNED_IN).await)
    }
}

/// Goes on with a session: a new pair of tokens, once. 401 when the token is not good for that; one that comes a second
/// time ends the session for everybody who holds a token of it.
pub(crate) async fn refresh(refresh_token: &str) -> Result<SignedIn> {
    let fingerprint = session::fingerprint(refresh_token);
    // Made-up tokens must not take the write lock.
    if repository::sessions::of_refresh_token(&fingerprint).await?.is_none() {
        return Err(SESSION_OVER);
    }
    let next = new_refresh_token()?;
    let rotated = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let now = Timestamp::now();
            let found = repository::sessions::refresh_token(transaction, &fingerprint).await?.ok_or(SESSION_OVER)?;
            match found.presented.judge(now) {
                Verdict::Over => Ok(None),
                Verdict::Rotate if repository::sessions::use_refresh_token(transaction, &fingerprint, now).await? => {
                    let expires_at = now.after(session::REFRESH);
                    let fingerprint = session::fingerprint(&next);
                    let session = &found.session;
                    repository::sessions::insert_refresh_token(transaction, &fingerprint, session, expires_at).await?;
                    repository::sessions::extend(transaction, session, now, expires_at).await?;
                    Ok::<_, Error>(Some((found.owner, found.session)))
                }
                Verdict::Rotate | Verdict::Reused => {
                    // This must be committed, so the refusal comes after.
                    repository::sessions::revoke(transaction, &found.session, now).await?;
                    Ok(None)
                }
            }
        })
        .await?;
    let (user, session) = rotated.ok_or(SESSION_OVER)?;
    signed_in(user, &session, next).await
}

fn new_refresh_token() -> Result<String> {
    keys::random().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

async fn signed_in(user: User, session: &str, refresh_token: String) -> Result<SignedIn> {
    let access_token = keys::sign(&user, session).await?;
    Ok(SignedIn { access_token, refresh_token, token_type: "Bearer", expires_in: session::ACCESS.as_secs(), user })
}

/// Ends the session of a refresh token, or else of the access token. Once more changes nothing, and a token that is
/// none of ours has nothing to end. 401 without any.
pub(crate) async fn log_out(caller: Result<Caller>, refresh_token: Option<&str>) -> Result<()> {
    let session = match refresh_token {
        Some(token) => repository::sessions::of_refresh_token(&session::fingerprint(token)).await?,
        None => Some(caller?.session),
    };
    match session {
        Some(session) => {
            DATABASE
                .transaction(Durability::Durable, async |transaction| {
                    repository::sessions::revoke(transaction, &session, Timestamp::now()).await
                })
                .await
        }
        None => Ok(()),
    }
}

/// Ends all sessions of the caller.
pub(crate) async fn log_out_everywhere(caller: &Caller) -> Result<()> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            repository::sessions::revoke_all(transaction, caller.user_id, None, Timestamp::now()).await
        })
        .await
}

/// A page of the caller's open sessions, the newest first.
pub(crate) async fn sessions(caller: &Caller, page: &PageQuery) -> Result<Page<Session>> {
    let owner = acting(&DATABASE, caller).await?.user.id;
    let after: Option<String> = page.after()?;
    let mut sessions = repository::sessions::list(owner, Timestamp::now(), after, page.limit() + 1).await?;
    sessions.iter_mut().for_each(|session| session.current = session.id == caller.session);
    Page::new(sessions, page.limit(), |session| session.id.clone())
}

/// Ends one of the caller's sessions.
pub(crate) async fn revoke(caller: &Caller, id: &str) -> Result<()> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let owner = acting(transaction, caller).await?.user.id;
            if repository::sessions::revoke_of(transaction, id, owner, Timestamp::now()).await? {
                Ok(())
            } else {
                Err(Error::not_found("session"))
            }
        })
        .await
}

/// What a token is worth, RFC 7662 2.2. Its names are the RFC's.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Introspection {
    Active(ActiveToken),
    Inactive(InactiveToken),
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ActiveToken {
    #[schema(example = true)]
    active: bool,
    /// The account's id.
    #[schema(example = "17")]
    sub: String,
    #[schema(example = "ann@example.com")]
    username: String,
    role: Role,
    scope: Role,
    /// The sign-in.
    #[schema(example = "0198c1f2-5c1e-7d3a-9f43-1f1b6c1c7f10")]
    sid: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    #[schema(example = "bodega")]
    iss: &'static str,
    #[schema(example = "bodega-shop")]
    aud: &'static str,
    /// When it was made, in Unix seconds.
    #[schema(example = 1_795_420_800)]
    iat: Option<u64>,
    /// When it expires, in Unix seconds.
    #[schema(example = 1_795_421_700)]
    exp: Option<u64>,
}

/// It says nothing else, and least of all why.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InactiveToken {
    #[schema(example = false)]
    active: bool,
}

/// Whether an access token is good now: of ours, not expired, of a session that goes on and an account that may act.
/// The role is what it is now. Only programs of the shop and admins may ask.
pub(crate) async fn introspect(caller: &Caller, token: &str) -> Result<Introspection> {
    if !caller.role.administers() && caller.role != Role::Service {
        return Err(Error::Forbidden("only programs of the shop and admins may do this"));
    }
    acting(&DATABASE, caller).await?;
    const INACTIVE: Introspection = Introspection::Inactive(InactiveToken { active: false });
    let (owner, claims) = match auth::check(token).await {
        Ok(checked) => checked,
        Err(Error::InvalidToken(_)) => return Ok(INACTIVE),
        Err(error) => return Err(error),
    };
    let Some(account) = repository::users::acting(&DATABASE, &owner).await? else { return Ok(INACTIVE) };
    let user = account.user;
    Ok(Introspection::Active(ActiveToken {
        active: true,
        sub: user.id.to_string(),
        username: user.email,
        role: user.role,
        scope: user.role,
        sid: owner.session,
        token_type: "Bearer",
        iss: ISSUER,
        aud: AUDIENCE,
        iat: claims.issued_at.map(|time| time.as_secs()),
        exp: claims.expires_at.map(|time| time.as_secs()),
    }))
}
