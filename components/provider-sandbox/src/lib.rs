//! The sandbox: a payment provider that moves no money. What it answers follows from the token alone.
//!
//! | token | charge, authorize | later |
//! | --- | --- | --- |
//! | `tok_visa`, `tok_mastercard` | approved | approved |
//! | `tok_declined` | declined, `card-declined` | |
//! | `tok_insufficient_funds` | declined, `insufficient-funds` | |
//! | `tok_expired_card` | declined, `expired-card` | |
//! | `tok_timeout` | unknown, but the money is taken or held: a look-up finds it | approved |
//! | `tok_timeout_declined` | unknown, but refused: a look-up finds that | |
//! | `tok_timeout_lost` | unknown, and never arrived: a look-up finds nothing; the next one is approved | approved |
//! | `tok_unreachable` | unknown, and so is every look-up | |
//! | `tok_refund_declined` | approved | refund: declined, `refund-declined` |
//! | `tok_refund_declined_once` | approved | the first refund: declined, `refund-declined` |
//! | `tok_refund_reversed` | approved | the first refund: approved; whoever looks it up then finds it declined, `refund-reversed` |
//! | `tok_refund_timeout` | approved | refund: unknown, but given back: a look-up finds it |
//! | `tok_capture_declined` | approved | capture: declined, `capture-declined`, and still held |
//! | `tok_capture_expired` | approved | capture: declined, `authorization-expired`, and no longer held |
//! | `tok_capture_timeout` | approved | capture: unknown, but taken: a look-up finds it |
//! | `tok_void_timeout` | approved | void: unknown, but let go: a look-up finds it |
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
use wit::exports::bodega::payments::provider::{
    ChargeRequest, ChargeState, Guest, Outcome, RefundRequest, RefundState,
};

struct Sandbox;

/// How an operation in the books ended.
#[derive(Clone, Serialize, Deserialize)]
enum Ending {
    /// Taken, or given back.
    Approved,
    Authorized,
    Voided,
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
    /// The key of the first refund, when the token makes a difference between that one and others.
    first_refund: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Refund {
    charge_key: String,
    amount: u64,
    ending: Ending,
    /// It comes back as soon as somebody looks it up.
    #[serde(default)]
    comes_back: bool,
}

/// The ending of a new charge that is `held` or taken, and whether the shop is told.
fn charge_ending(token: &str, held: Ending) -> (Ending, bool) {
    let declined = |reason: &str| Ending::Declined(reason.to_owned());
    match token {
        "tok_visa"
        | "tok_mastercard"
        | "tok_refund_declined"
        | "tok_refund_declined_once"
        | "tok_refund_reversed"
        | "tok_refund_timeout"
        | "tok_capture_declined"
        | "tok_capture_expired"
        | "tok_capture_timeout"
        | "tok_void_timeout" => (held, true),
        "tok_declined" => (declined("card-declined"), true),
        "tok_insufficient_funds" => (declined("insufficient-funds"), true),
        "tok_expired_card" => (declined("expired-card"), true),
        "tok_timeout" => (held, false),
        "tok_timeout_declined" => (declined("card-declined"), false),
        "tok_timeout_lost" => (Ending::Lost, false),
        "tok_unreachable" => (Ending::Unreachable, false),
        _ => (declined("invalid-token"), true),
    }
}

/// The ending of a new refund, which may be the `first` of its charge, and whether the shop is told.
fn refund_ending(token: &str, first: bool) -> (Ending, bool) {
    match token {
        "tok_refund_declined" => (Ending::Declined("refund-declined".to_owned()), true),
        "tok_refund_declined_once" if first => (Ending::Declined("refund-declined".to_owned()), true),
        "tok_refund_timeout" => (Ending::Approved, false),
        _ => (Ending::Approved, true),
    }
}

/// The answer for an operation that is in the books.
fn outcome(key: &str, ending: &Ending) -> Outcome {
    match ending {
        Ending::Approved | Ending::Authorized => Outcome::Approved(format!("sandbox-{key}")),
        Ending::Voided => Outcome::Declined("voided".to_owned()),
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

/// Writes an entry into the books; `None` when that fails.
async fn write<T: Serialize>(books: &Store, entry_key: &str, entry: &T) -> Option<()> {
    let written = match serde_json::to_vec(entry) {
        Ok(entry) => books.set(entry_key, &entry).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    written.inspect_err(|error| eprintln!("sandbox: {entry_key}: {error}")).ok()
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
    match write(books, entry_key, entry).await {
        Some(()) if told => outcome(key, ending),
        _ => Outcome::Unknown,
    }
}

async fn open() -> Option<Store> {
    Store::open("provider-sandbox").await.inspect_err(|error| eprintln!("sandbox: cannot open the books: {error}")).ok()
}

/// A charge whose money is taken, or only held: `goal`.
async fn charge(request: ChargeRequest, goal: Ending) -> Option<Outcome> {
    let books = open().await?;
    let entry_key = format!("charge/{}", request.key);
    let (ending, told) = match read::<Charge>(&books, &entry_key).await? {
        Some(charge) if charge.amount != request.amount || charge.currency != request.currency => {
            return Some(Outcome::Declined("key-reused".to_owned()));
        }
        Some(Charge { ending: Ending::Lost, .. }) => (goal, true),
        Some(charge) => return Some(outcome(&request.key, &charge.ending)),
        None => charge_ending(&request.token, goal),
    };
    let ChargeRequest { key, token, amount, currency, .. } = request;
    let entry = Charge { token, amount, currency, ending: ending.clone(), first_refund: None };
    Some(settle(&books, &entry_key, &entry, &key, &ending, told).await)
}

async fn capture(key: &str) -> Option<Outcome> {
    let books = open().await?;
    let entry_key = format!("charge/{key}");
    let Some(mut charge) = read::<Charge>(&books, &entry_key).await? else { return Some(no_such_charge()) };
    let declined = |reason: &str| Outcome::Declined(reason.to_owned());
    match (&charge.ending, charge.token.as_str()) {
        (Ending::Authorized, "tok_capture_declined") => return Some(declined("capture-declined")),
        (Ending::Authorized, "tok_capture_expired") => {
            charge.ending = Ending::Declined("authorization-expired".to_owned());
        }
        (Ending::Authorized, _) => charge.ending = Ending::Approved,
        (ending, _) => return Some(outcome(key, ending)),
    }
    let told = charge.token != "tok_capture_timeout";
    Some(settle(&books, &entry_key, &charge, key, &charge.ending, told).await)
}

async fn void(key: &str) -> Option<Outcome> {
    let books = open().await?;
    let entry_key = format!("charge/{key}");
    let Some(mut charge) = read::<Charge>(&books, &entry_key).await? else { return Some(no_such_charge()) };
    let approved = || Outcome::Approved(format!("sandbox-{key}"));
    match charge.ending {
        Ending::Authorized => charge.ending = Ending::Voided,
        Ending::Voided => return Some(approved()),
        Ending::Approved => return Some(Outcome::Declined("captured".to_owned())),
        ending => return Some(outcome(key, &ending)),
    }
    let told = charge.token != "tok_void_timeout";
    match settle(&books, &entry_key, &charge, key, &charge.ending, told).await {
        Outcome::Unknown => Some(Outcome::Unknown),
        _ => Some(approved()),
    }
}

fn no_such_charge() -> Outcome {
    Outcome::Declined("no-such-charge".to_owned())
}

async fn refund(request: RefundRequest) -> Option<Outcome> {
    let books = open().await?;
    let entry_key = format!("refund/{}", request.key);
    if let Some(refund) = read::<Refund>(&books, &entry_key).await? {
        return Some(outcome(&request.key, &refund.ending));
    }
    let charge_entry = format!("charge/{}", request.charge_key);
    let charge = read::<Charge>(&books, &charge_entry).await?;
    let charge = charge.filter(|charge| matches!(charge.ending, Ending::Approved) && request.amount <= charge.amount);
    let Some(mut charge) = charge else { return Some(no_such_charge()) };
    let RefundRequest { key, charge_key, amount, .. } = request;
    let first = match charge.token.as_str() {
        "tok_refund_declined_once" | "tok_refund_reversed" if charge.first_refund.is_none() => {
            charge.first_refund = Some(key.clone());
            // On disk before the refund is: asked again after a crash, it is still the first.
            write(&books, &charge_entry, &charge).await?;
            true
        }
        _ => charge.first_refund.as_ref() == Some(&key),
    };
    let (ending, told) = refund_ending(&charge.token, first);
    let comes_back = first && charge.token == "tok_refund_reversed";
    let entry = Refund { charge_key, amount, ending: ending.clone(), comes_back };
    Some(settle(&books, &entry_key, &entry, &key, &ending, told).await)
}

async fn look_up_charge(key: &str) -> Option<ChargeState> {
    let books = open().await?;
    let reference = || format!("sandbox-{key}");
    let charge = read::<Charge>(&books, &format!("charge/{key}")).await?;
    Some(match charge.map(|charge| charge.ending) {
        Some(Ending::Approved) => ChargeState::Captured(reference()),
        Some(Ending::Authorized) => ChargeState::Authorized(reference()),
        Some(Ending::Voided) => ChargeState::Voided,
        Some(Ending::Declined(reason)) => ChargeState::Declined(reason),
        Some(Ending::Unreachable) => ChargeState::Unknown,
        Some(Ending::Lost) | None => ChargeState::Missing,
    })
}

async fn look_up_refund(key: &str) -> Option<RefundState> {
    let books = open().await?;
    let entry_key = format!("refund/{key}");
    let mut refund = read::<Refund>(&books, &entry_key).await?;
    if let Some(refund) = refund.as_mut().filter(|refund| refund.comes_back) {
        (refund.ending, refund.comes_back) = (Ending::Declined("refund-reversed".to_owned()), false);
        write(&books, &entry_key, refund).await?;
    }
    Some(match refund {
        Some(refund) => RefundState::Settled(outcome(key, &refund.ending)),
        None => RefundState::Missing,
    })
}

impl Guest for Sandbox {
    fn name() -> String {
        "sandbox".to_owned()
    }

    async fn charge(request: ChargeRequest) -> Outcome {
        charge(request, Ending::Approved).await.unwrap_or(Outcome::Unknown)
    }

    async fn authorize(request: ChargeRequest) -> Outcome {
        charge(request, Ending::Authorized).await.unwrap_or(Outcome::Unknown)
    }

    async fn capture(key: String) -> Outcome {
        capture(&key).await.unwrap_or(Outcome::Unknown)
    }

    async fn void(key: String) -> Outcome {
        void(&key).await.unwrap_or(Outcome::Unknown)
    }

    async fn refund(request: RefundRequest) -> Outcome {
        refund(request).await.unwrap_or(Outcome::Unknown)
    }

    async fn look_up_charge(key: String) -> ChargeState {
        look_up_charge(&key).await.unwrap_or(ChargeState::Unknown)
    }

    async fn look_up_refund(key: String) -> RefundState {
        look_up_refund(&key).await.unwrap_or(RefundState::Settled(Outcome::Unknown))
    }
}
