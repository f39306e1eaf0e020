//! `Idempotency-Key`: a request that comes twice is done once and answered twice.
//!
//! The answer is stored in the transaction that does the work. So either both exist or neither: there is no moment at
//! which a crash could leave the work done and the key unknown.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use garde::Validate;
use http::{HeaderValue, StatusCode, header, request::Parts};
use model::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use store::{Database, Row, Transaction, params};
use uuid::Uuid;

use crate::{Caller, Error, Result, body};

const HEADER: &str = "idempotency-key";
/// How long a key is remembered.
const MEMORY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// A request's claim to be done once. Without the header every request is its own.
#[derive(Debug, Clone)]
pub struct Once {
    key: Option<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    /// Method and path: one key may serve several resources.
    route: String,
    key: String,
    /// Of the body: another body under the same key is a mistake of the client.
    fingerprint: String,
}

/// A JSON body together with its claim to be done once.
#[derive(Debug, Clone)]
pub struct Submitted<T> {
    /// The body, parsed and validated.
    pub body: T,
    /// The claim.
    pub once: Once,
}

impl<T> FromRequest<()> for Submitted<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Error;

    async fn from_request(request: Request, _: &()) -> Result<Self> {
        let key = request.headers().get(HEADER).map(checked).transpose()?;
        let route = format!("{} {}", request.method(), request.uri().path());
        let bytes = body::json_bytes(request).await?;
        let key = key.map(|key| Key { route, key, fingerprint: fingerprint(&bytes) });
        Ok(Self { body: body::parse(&bytes)?, once: Once { key } })
    }
}

impl FromRequestParts<()> for Once {
    type Rejection = Error;

    /// Of a request without a body: what it says stands in its query.
    async fn from_request_parts(parts: &mut Parts, _: &()) -> Result<Self> {
        let key = parts.headers.get(HEADER).map(checked).transpose()?;
        let route = format!("{} {}", parts.method, parts.uri.path());
        let fingerprint = fingerprint(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self { key: key.map(|key| Key { route, key, fingerprint }) })
    }
}

fn checked(value: &HeaderValue) -> Result<String> {
    match value.to_str() {
        // A header may hold a tab, too.
        Ok(key) if (1..=255).contains(&key.len()) && !key.contains('\t') => Ok(key.to_owned()),
        _ => Err(Error::Malformed("Idempotency-Key must be 1 to 255 printable ASCII characters".into())),
    }
}

fn fingerprint(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A stored or fresh answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    body: String,
    replayed: bool,
}

impl Answer {
    /// A fresh answer.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Result<Self> {
        Ok(Self { status, body: serde_json::to_string(body)?, replayed: false })
    }

    /// The JSON that it carries.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// True when the work was done before, by another request with the same key.
    pub fn is_replay(&self) -> bool {
        self.replayed
    }

    /// The same answer with another body: for work that goes on after what was stored.
    pub fn with_body(self, body: &impl Serialize) -> Result<Self> {
        Ok(Self { body: serde_json::to_string(body)?, ..self })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response();
        if self.replayed {
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

const FIND: &str = "SELECT fingerprint, status, body FROM idempotency_keys WHERE scope = $1 AND key = $2";

impl Once {
    /// The same claim, but comparing only `text` of the request: for bodies with a password, whose hash must not be kept.
    #[must_use]
    pub fn comparing(mut self, text: &str) -> Self {
        if let Some(key) = &mut self.key {
            key.fingerprint = fingerprint(text.as_bytes());
        }
        self
    }

    /// A UUID for the work of this request: the same when `caller` sends it again with the same key, another one for
    /// every request without a key.
    pub fn uuid(&self, caller: &Caller) -> Uuid {
        let Some(key) = &self.key else { return Uuid::new_v4() };
        let digest = Sha256::digest(format!("{}\n{}\n{}", key.scope(Some(caller)), key.key, key.fingerprint));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The answer that was given before, without a lock: to be asked before any work. 422 when the key was used with
    /// another body.
    pub async fn answered(&self, database: &Database, caller: Option<&Caller>) -> Result<Option<Answer>> {
        let Some(key) = &self.key else { return Ok(None) };
        let row = database.query_one(FIND, params![key.scope(caller), key.key.as_str()]).await?;
        row.map(|row| key.replay(row)).transpose()
    }

    /// The same inside the transaction that would do the work: a request that ran beside this one may have done it.
    pub async fn answered_in(&self, transaction: &Transaction, caller: Option<&Caller>) -> Result<Option<Answer>> {
        let Some(key) = &self.key else { return Ok(None) };
        let row = transaction.query_one(FIND, params![key.scope(caller), key.key.as_str()]).await?;
        row.map(|row| key.replay(row)).transpose()
    }

    /// The same claim, apart from those of others who have no account either.
    #[must_use]
    pub fn within(mut self, scope: &str) -> Self {
        if let Some(key) = &mut self.key {
            key.route = format!("{} in {scope}", key.route);
        }
        self
    }

    /// Forgets the answer, in a transaction that finds that the work has come to nothing: the key is free again.
    pub async fn forget(&self, transaction: &Transaction, caller: Option<&Caller>) -> Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let delete = "DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2";
        Ok(transaction.execute(delete, params![key.scope(caller), key.key.as_str()]).await?)
    }

    /// Stores the answer in the transaction that did the work.
    pub async fn answer(
        &self,
        transaction: &Transaction,
        caller: Option<&Caller>,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Answer> {
        let answer = Answer::new(status, body)?;
        if let Some(key) = &self.key {
            let status = i64::from(status.as_u16());
            let stored = transaction
                .query_one(
                    "INSERT INTO idempotency_keys (scope, key, fingerprint, status, body, created_at) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scope, key) DO NOTHING RETURNING status",
                    params![
                        key.scope(caller),
                        key.key.as_str(),
                        key.fingerprint.as_str(),
                        status,
                        answer.body.as_str(),
                        Timestamp::now().0
                    ],
                )
                .await?;
            if stored.is_none() {
                return Err(Error::Unavailable("the request with the same Idempotency-Key".into()));
            }
        }
        Ok(answer)
    }
}

impl Key {
    /// Keys of different callers and resources do not meet.
    fn scope(&self, caller: Option<&Caller>) -> String {
        match caller {
            Some(caller) => format!("{} by {}", self.route, caller.user_id),
            None => format!("{} by anyone", self.route),
        }
    }

    fn replay(&self, mut row: Row) -> Result<Answer> {
        if row.next::<String>()? != self.fingerprint {
            return Err(Error::KeyReused);
        }
        let status = u16::try_from(row.next::<i64>()?).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or_else(|| Error::Internal("idempotency_keys: not a status".into()))?;
        Ok(Answer { status, body: row.next()?, replayed: true })
    }
}

/// Forgets keys that are older than a day, a bounded number at a time.
pub(crate) async fn prune(database: &Database, now: Timestamp) -> Result<()> {
    let old = params![now.before(MEMORY).0];
    Ok(database.prune("idempotency_keys", "scope, key", "created_at < $1", old).await?)
}
