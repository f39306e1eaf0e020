//! Hashing and checking passwords, by the component `passwords`: each takes 35 to 100 ms of a core and 7 MiB.
//!
//! When many sign in at once they wait here, where waiting costs nothing. An instance asks for one at a time; whoever
//! does not get a turn soon enough is sent away to try again. Between instances nothing is counted, so every request
//! also says when it stops being of use, and `passwords` does not begin what comes too late.

use std::{rc::Rc, time::Duration};

use futures::future::{Either, select};
use model::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::Turns;
use web::{Error, Result, client};

thread_local! {
    /// Under load there are several instances, so one at a time in each uses all cores. Two were no faster with 16
    /// clients on two cores, and took 150 MB more.
    static TURNS: Rc<Turns> = Turns::new(1);
}

/// How long one may wait for a turn. With what comes after it, less than callers in the shop wait for an answer (5 s).
const WAIT: Duration = Duration::from_secs(3);
/// From the start of the wait until the work must have begun.
const DEADLINE: Duration = Duration::from_secs(4);

/// A hash with the work of all others and no password: who signs in with an unknown address waits as long as everybody.
const NOBODY: &str = "$argon2id$v=19$m=7168,t=5,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Serialize)]
struct Request<'a> {
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    deadline: Timestamp,
}

#[derive(Deserialize)]
struct Hashed {
    hash: String,
}

#[derive(Deserialize)]
struct Verified {
    matches: bool,
}

/// A turn at `passwords`. The next in line waits until it is dropped.
pub(crate) struct Turn {
    _turn: store::Turn,
    deadline: Timestamp,
}

/// Waits for a turn. 503 when too many are waiting.
pub(crate) async fn turn() -> Result<Turn> {
    let deadline = Timestamp::now().after(DEADLINE);
    let turns = TURNS.with(Rc::clone);
    match select(Box::pin(turns.take()), Box::pin(spin_sdk::time::sleep(WAIT))).await {
        Either::Left((turn, _)) => Ok(Turn { _turn: turn, deadline }),
        Either::Right(_) => Err(busy()),
    }
}

impl Turn {
    /// The PHC string to keep for `password`.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        self.ask::<Hashed>("/internal/hash", password, None).await.map(|answer| answer.hash)
    }

    /// Whether `password` is the one that was hashed. Without a hash the answer is no, after the same work.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let answer = self.ask::<Verified>("/internal/verify", password, Some(hash.unwrap_or(NOBODY))).await?;
        Ok(hash.is_some() && answer.matches)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, password: &str, hash: Option<&str>) -> Result<T> {
        match client::post("passwords", path, &Request { password, hash, deadline: self.deadline }).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Error::Internal(format!("passwords has no {path}"))),
            Err(Error::Unavailable(_)) => Err(busy()),
            Err(error) => Err(error),
        }
    }
}

fn busy() -> Error {
    Error::Unavailable("the check of passwords".into())
}
