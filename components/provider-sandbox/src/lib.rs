//! The sandbox: a payment provider that moves no money. What it answers follows from the token alone.
//!
//! | token | charge | refund |
//! | --- | --- | --- |
//! | `tok_visa`, `tok_mastercard` | approved | approved |
//! | `tok_declined` | declined, `card-declined` | |
//! | `tok_insufficient_funds` | declined, `insufficient-funds` | |
//! | `tok_expired_card` | declined, `expired-card` | |
//! | `tok_timeout` | unknown, but the money is taken: a look-up finds it | approved |
//! | `tok_timeout_declined` | unknown, but refused: a look-up finds that | |
//! | `tok_timeout_lost` | unknown, and never arrived: a look-up finds nothing; the next charge is approved | approved |
//! | `tok_unreachable` | unknown, and so is every look-up | |
//! | `tok_refund_declined` | approved | declined, `refund-declined` |
//! | `tok_refund_timeout` | approved | unknown, but given back: a look-up finds it |
//! | any other | declined, `invalid-token` | |
//!
//! Its books are the key-value store `provider-sandbox`: `charge/<key>` and `refund/<key>`. An operation that is in the
//! books is answered from them, so a key is worth one operation, also after a restart.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use spin_sdk::{key_value::Store, wit_bindgen};

mod wit {
    #![allow(missing_docs)]
    super::wit_bindgen::generate!({
        path: "../../wit/payments",
        world: "payment-provider",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
    use super::Sandbox;
    export!(Sandbox);
}
use wit::exports::bodega::payments::provider::{ChargeRequest, Finding, Guest, Outcome, RefundRequest};

struct Sandbox;

/// How an operation in the books ended.
#[derive(Clone, Serialize, Deserialize)]
enum Ending {
    Approved,
    Declined(String),
    /// The request got lost on its way here the first time.
    Lost,
    /// Nobody will ever know.
    Unreachable,
}

#[derive(Serialize, Deserialize)]
struct Charge {
    token: String,
    amount: u64,
    currency: String,
    ending: Ending,
}

#[derive(Serialize, Deserialize)]
struct Refund {
    charge_key: String,
    amount: u64,
    ending: Ending,
}

/// The ending of a new charge, and whether the shop is told.
fn charge_ending(token: &str) -> (Ending, bool) {
    let declined = |reason: &str| Ending::Declined(reason.to_owned());
    match token {
        "tok_visa" | "tok_mastercard" | "tok_refund_declined" | "tok_refund_timeout" => (Ending::Approved, true),
        "tok_declined" => (declined("card-declined"), true),
        "tok_insufficient_funds" => (declined("insufficient-funds"), true),
        "tok_expired_card" => (declined("expired-card"), true),
        "tok_timeout" => (Ending::Approved, false),
        "tok_timeout_declined" => (declined("card-declined"), false),
        "tok_timeout_lost" => (Ending::Lost, false),
        "tok_unreachable" => (Ending::Unreachable, false),
        _ => (declined("invalid-token"), true),
    }
}

fn refund_ending(token: &str) -> (Ending, bool) {
    match token {
        "tok_refund_declined" => (Ending::Declined("refund-declined".to_owned()), true),
        "tok_refund_timeout" => (Ending::Approved, false),
        _ => (Ending::Approved, true),
    }
}

/// The answer for an operation that is in the books.
fn outcome(key: &str, ending: &Ending) -> Outcome {
    match ending {
        Ending::Approved => Outcome::Approved(format!("sandbox-{key}")),
        Ending::Declined(reason) => Outcome::Declined(reason.clone()),
        Ending::Lost | Ending::Unreachable => Outcome::Unknown,
    }
}

async fn read<T: DeserializeOwned>(books: &Store, key: &str) -> Option<Option<T>> {
    match books.get(key).await {
        Ok(Some(entry)) => serde_json::from_slice(&entry).ok().map(Some),
        Ok(None) => Some(None),
        Err(error) => {
            eprintln!("sandbox: {key}: {error}");
            None
        }
    }
}

/// Writes an operation into the books, then answers; an operation that cannot be written down did not happen.
async fn settle<T: Serialize>(
    books: &Store,
    entry_key: &str,
    entry: &T,
    key: &str,
    ending: &Ending,
    told: bool,
) -> Outcome {
    let written = match serde_json::to_vec(entry) {
        Ok(entry) => books.set(entry_key, &entry).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match written {
        Ok(()) if told => outcome(key, ending),
        Ok(()) => Outcome::Unknown,
        Err(error) => {
            eprintln!("sandbox: {entry_key}: {error}");
            Outcome::Unknown
        }
    }
}

async fn open() -> Option<Store> {
    Store::open("provider-sandbox").await.inspect_err(|error| eprintln!("sandbox: cannot open the books: {error}")).ok()
}

async fn charge(request: ChargeRequest) -> Option<Outcome> {
    let books = open().await?;
    let entry_key = format!("charge/{}", request.key);
    let (ending, told) = match read::<Charge>(&books, &entry_key).await? {
        Some(charge) if charge.amount != request.amount || charge.currency != request.currency => {
            return Some(Outcome::Declined("key-reused".to_owned()));
        }
        Some(Charge { ending: Ending::Lost, .. }) => (Ending::Approved, true),
        Some(charge) => return Some(outcome(&request.key, &charge.ending)),
        None => charge_ending(&request.token),
    };
    let ChargeRequest { key, token, amount, currency, .. } = request;
    let entry = Charge { token, amount, currency, ending: ending.clone() };
    Some(settle(&books, &entry_key, &entry, &key, &ending, told).await)
}

async fn refund(request: RefundRequest) -> Option<Outcome> {
    let books = open().await?;
    let entry_key = format!("refund/{}", request.key);
    if let Some(refund) = read::<Refund>(&books, &entry_key).await? {
        return Some(outcome(&request.key, &refund.ending));
    }
    let charge = read::<Charge>(&books, &format!("charge/{}", request.charge_key)).await?;
    let charge = charge.filter(|charge| matches!(charge.ending, Ending::Approved) && request.amount <= charge.amount);
    let Some(charge) = charge else { return Some(Outcome::Declined("no-such-charge".to_owned())) };
    let (ending, told) = refund_ending(&charge.token);
    let RefundRequest { key, charge_key, amount, .. } = request;
    let entry = Refund { charge_key, amount, ending: ending.clone() };
    Some(settle(&books, &entry_key, &entry, &key, &ending, told).await)
}

async fn look_up(key: &str) -> Option<Finding> {
    let books = open().await?;
    let charge = read::<Charge>(&books, &format!("charge/{key}")).await?.map(|charge| charge.ending);
    let ending = match charge {
        Some(ending) => Some(ending),
        None => read::<Refund>(&books, &format!("refund/{key}")).await?.map(|refund| refund.ending),
    };
    Some(match ending {
        Some(Ending::Lost) | None => Finding::Missing,
        Some(ending) => Finding::Settled(outcome(key, &ending)),
    })
}

impl Guest for Sandbox {
    async fn charge(request: ChargeRequest) -> Outcome {
        charge(request).await.unwrap_or(Outcome::Unknown)
    }

    async fn refund(request: RefundRequest) -> Outcome {
        refund(request).await.unwrap_or(Outcome::Unknown)
    }

    async fn look_up(key: String) -> Finding {
        look_up(&key).await.unwrap_or(Finding::Settled(Outcome::Unknown))
    }
}
