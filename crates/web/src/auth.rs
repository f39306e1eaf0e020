//! Who is calling: access tokens are HS256 JWTs, checked here with the keys that `accounts` makes.

use std::{cell::RefCell, collections::HashSet};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use jwt_simple::prelude::*;
use model::{Role, Timestamp, UserId};
use send_wrapper::SendWrapper;

use crate::{Error, Result, headers, service};

/// Who makes the tokens.
pub const ISSUER: &str = "bodega";
/// Whom the tokens are for.
pub const AUDIENCE: &str = "bodega-shop";

const NO_TOKEN: Error = Error::Unauthenticated("sign in: send `Authorization: Bearer <access token>`");
const BAD_TOKEN: Error = Error::InvalidToken("the access token is not valid, or no longer");

/// A key that signs and checks access tokens, as `accounts` hands it to the other services.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct SigningKey {
    /// Its name, which tokens carry in their header.
    pub kid: String,
    /// 32 random bytes, URL-safe base64.
    pub secret: String,
}

impl SigningKey {
    /// The key itself; an error when `secret` is not base64.
    pub fn key(&self) -> Result<HS256Key> {
        let secret =
            URL_SAFE_NO_PAD.decode(&self.secret).map_err(|_| Error::Internal("signing key: not base64".into()))?;
        Ok(HS256Key::from_bytes(&secret).with_key_id(&self.kid))
    }
}

/// What the shop's tokens say beside the registered claims; the subject is the user's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenClaims {
    /// What the user may do.
    pub role: Role,
    /// The sign-in that the token belongs to.
    pub sid: String,
}

/// A signed-in caller. As an argument of a handler it demands one: 401 otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub user_id: UserId,
    /// What it may do.
    pub role: Role,
    /// The sign-in.
    pub session: String,
    /// The request, by the id that its answer carries; empty where only a token was checked.
    pub request_id: String,
}

impl Caller {
    /// 403 unless the caller is an admin.
    pub fn must_administer(&self) -> Result<()> {
        if self.role.administers() { Ok(()) } else { Err(Error::Forbidden("only admins may do this")) }
    }

    /// 403 unless the caller may write products and stock.
    pub fn must_sell(&self) -> Result<()> {
        if self.role.sells() { Ok(()) } else { Err(Error::Forbidden("only suppliers and admins may do this")) }
    }

    /// True for the owner of a thing and for admins.
    pub fn may_see(&self, owner: UserId) -> bool {
        self.user_id == owner || self.role.administers()
    }
}

/// Somebody who reads what everybody may read: who it is, is looked at only where that decides.
#[derive(Debug, Clone)]
pub struct Viewer(Result<Option<HeaderValue>>);

impl Viewer {
    /// The caller, if there is a token; 401 when it does not hold.
    pub async fn caller(&self) -> Result<Option<Caller>> {
        match self.0.clone()?.as_ref().map(token).transpose()? {
            None => Ok(None),
            Some(token) => check(token).await.map(|(caller, _)| Some(caller)),
        }
    }

    /// The caller; 401 without one.
    pub async fn demanded(&self) -> Result<Caller> {
        self.caller().await?.ok_or(NO_TOKEN)
    }
}

impl FromRequestParts<()> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &()) -> Result<Self> {
        Ok(Self(authorization(&parts.headers).map(Option::<&HeaderValue>::cloned)))
    }
}

struct Keys {
    known: Vec<(String, HS256Key)>,
    asked_at: Timestamp,
}

thread_local! {
    static KEYS: RefCell<Keys> = const { RefCell::new(Keys { known: Vec::new(), asked_at: Timestamp(0) }) };
}

fn known_key(kid: &str) -> Option<HS256Key> {
    KEYS.with_borrow(|keys| keys.known.iter().find(|(known, _)| known == kid).map(|(_, key)| key.clone()))
}

/// The key named `kid`. Unknown ones are asked for, at most once a second: made-up names must not cost more.
async fn key(kid: &str) -> Result<Option<HS256Key>> {
    if let Some(key) = known_key(kid) {
        return Ok(Some(key));
    }
    let now = Timestamp::now();
    if KEYS.with_borrow(|keys| !keys.known.is_empty() && (now.0 - keys.asked_at.0).abs() < 1000) {
        return Ok(None);
    }
    let fresh = service::signing_keys().await?;
    let known = fresh.iter().map(|key| Ok((key.kid.clone(), key.key()?))).collect::<Result<Vec<_>>>()?;
    KEYS.set(Keys { known, asked_at: now });
    Ok(known_key(kid))
}

/// Checks an access token: signature, algorithm, times, issuer, audience. 401 when anything is wrong.
pub async fn check(token: &str) -> Result<(Caller, JWTClaims<TokenClaims>)> {
    if token.len() > 2048 {
        return Err(BAD_TOKEN);
    }
    let metadata = Token::decode_metadata(token).map_err(|_| BAD_TOKEN)?;
    let key = key(metadata.key_id().ok_or(BAD_TOKEN)?).await?.ok_or(BAD_TOKEN)?;
    let options = VerificationOptions {
        time_tolerance: Some(Duration::from_secs(0)),
        allowed_issuers: Some(HashSet::from([ISSUER.to_owned()])),
        allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
        ..VerificationOptions::default()
    };
    let claims = key.verify_token::<TokenClaims>(token, Some(options)).map_err(|_| BAD_TOKEN)?;
    // Ours end, and nothing of ours was ever signed without that.
    claims.expires_at.ok_or(BAD_TOKEN)?;
    let user_id = claims.subject.as_deref().and_then(|subject| subject.parse().ok()).map(UserId).ok_or(BAD_TOKEN)?;
    Ok((
        Caller { user_id, role: claims.custom.role, session: claims.custom.sid.clone(), request_id: String::new() },
        claims,
    ))
}

/// The `Authorization` header, if there is one. 401 when there are several: who checks another one than we would believe
/// somebody else.
fn authorization(headers: &HeaderMap) -> Result<Option<&HeaderValue>> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next();
    if all.next().is_some() { Err(BAD_TOKEN) } else { Ok(first) }
}

/// The token of an `Authorization: Bearer` header; 401 when it says something else.
fn token(value: &HeaderValue) -> Result<&str> {
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(BAD_TOKEN)?;
    // RFC 6750 3.1: another scheme is no token that does not hold.
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(NO_TOKEN) }
}

async fn caller(parts: &Parts) -> Result<Option<Caller>> {
    match authorization(&parts.headers)?.map(token).transpose()? {
        None => Ok(None),
        Some(token) => {
            let (caller, _) = check(token).await?;
            Ok(Some(Caller { request_id: headers::request_id(&parts.headers).to_owned(), ..caller }))
        }
    }
}

impl FromRequestParts<()> for Caller {
    type Rejection = Error;

    fn from_request_parts(parts: &mut Parts, _: &()) -> impl Future<Output = Result<Self>> + Send {
        SendWrapper::new(async move { caller(parts).await?.ok_or(NO_TOKEN) })
    }
}

impl OptionalFromRequestParts<()> for Caller {
    type Rejection = Error;

    fn from_request_parts(parts: &mut Parts, _: &()) -> impl Future<Output = Result<Option<Self>>> + Send {
        SendWrapper::new(async move { caller(parts).await })
    }
}
