//! The keys of access tokens, and the tokens.
//!
//! There are two keys: the newest signs, the one before it still checks what it has signed. Once a day a new one takes
//! over. All instances read them from the database, so all have the same ones; those of other services ask when they
//! meet a key they do not know.

use std::{cell::RefCell, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jwt_simple::prelude::{Claims, Duration as TokenDuration, HS256Key, MACLike};
use model::Timestamp;
use store::Durability;
use uuid::Uuid;
use web::{
    Error, Result,
    auth::{AUDIENCE, ISSUER, SigningKey, TokenClaims},
};

use crate::{DATABASE, account::User, repository, session};

/// How long a key signs. The one before it stays for as long again: much longer than any token it signed.
const ROTATION: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an instance goes on signing with a key before it looks whether there is a newer one.
const MEMORY: Duration = Duration::from_secs(60);

/// A signing key and when it was made.
pub(crate) struct StoredKey {
    pub(crate) key: SigningKey,
    pub(crate) created_at: Timestamp,
}

/// The key that this instance signs with, and when it read it.
struct Signer {
    key: HS256Key,
    read_at: Timestamp,
}

thread_local! {
    static SIGNER: RefCell<Option<Signer>> = const { RefCell::new(None) };
}

/// The keys that check access tokens, the one that signs first. Makes a new one when it is time.
pub(crate) async fn all() -> Result<Vec<SigningKey>> {
    let now = Timestamp::now();
    let mut keys = repository::keys::newest(&DATABASE).await?;
    if is_due(&keys, now) {
        keys = rotate(now).await?;
    }
    Ok(keys.into_iter().map(|stored| stored.key).collect())
}

/// Whether the newest of `keys` has signed for long enough, or there is none.
fn is_due(keys: &[StoredKey], now: Timestamp) -> bool {
    keys.first().is_none_or(|newest| newest.created_at.after(ROTATION) <= now)
}

/// Makes a key and forgets all but the one before it, unless another instance has just done so.
async fn rotate(now: Timestamp) -> Result<Vec<StoredKey>> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let keys = repository::keys::newest(transaction).await?;
            if !is_due(&keys, now) {
                return Ok(keys);
            }
            let secret = URL_SAFE_NO_PAD.encode(random()?);
            let fresh = StoredKey { key: SigningKey { kid: Uuid::now_v7().to_string(), secret }, created_at: now };
            repository::keys::insert(transaction, &fresh).await?;
            repository::keys::forget(transaction).await?;
            repository::keys::newest(transaction).await
        })
        .await
}

/// An access token for `user` in that session, good for [`session::ACCESS`] from now.
pub(crate) async fn sign(user: &User, session: &str) -> Result<String> {
    let key = signer().await?;
    let claims = TokenClaims { role: user.role, sid: session.to_owned() };
    // From and not before this second, until so many seconds from it.
    let claims = Claims::with_custom_claims(claims, TokenDuration::from_secs(session::ACCESS.as_secs()))
        .with_issuer(ISSUER)
        .with_audience(AUDIENCE)
        .with_subject(user.id);
    key.authenticate(claims).map_err(|error| Error::Internal(format!("access token: {error}")))
}

async fn signer() -> Result<HS256Key> {
    let now = Timestamp::now();
    let known = SIGNER.with_borrow(|signer| {
        let fresh = signer.as_ref().filter(|signer| (now.0 - signer.read_at.0).unsigned_abs() < memory());
        fresh.map(|signer| signer.key.clone())
    });
    if let Some(key) = known {
        return Ok(key);
    }
    let newest = all().await?.into_iter().next().ok_or_else(|| Error::Internal("no signing key".into()))?;
    let key = newest.key()?;
    SIGNER.set(Some(Signer { key: key.clone(), read_at: now }));
    Ok(key)
}

const fn memory() -> u64 {
    MEMORY.as_secs() * 1000
}

/// 32 bytes that nobody can guess.
pub(crate) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("randomness: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Timestamp = Timestamp(1_000_000);

    fn keys() -> Vec<StoredKey> {
        vec![StoredKey { key: SigningKey { kid: "1".into(), secret: String::new() }, created_at: MADE }]
    }

    #[test]
    fn a_key_signs_for_a_day() {
        assert!(is_due(&[], MADE));
        assert!(!is_due(&keys(), MADE));
        assert!(!is_due(&keys(), Timestamp(MADE.after(ROTATION).0 - 1)));
        assert!(is_due(&keys(), MADE.after(ROTATION)));
    }

    #[test]
    fn a_key_checks_for_longer_than_what_it_signed_lasts() {
        assert!(ROTATION > session::ACCESS + MEMORY);
    }
}
