//! A payment provider behind Stripe's HTTP API, or one that is compatible with it.
//!
//! A charge is a payment intent, made and confirmed in two steps. Making one moves no money and is idempotent by the
//! shop's key; its id is in the books of this component before it is confirmed. So an intent that could have moved
//! money is always found again by its id, which Stripe answers consistently, and Stripe itself confirms, captures and
//! cancels an intent once. A refund carries the shop's key as its idempotency key, which Stripe remembers for a day, and
//! in its metadata, by which it is found among the refunds of its intent after that.
//!
//! The books are the key-value store `provider-stripe`: `charge/<key>` and `refund/<key>` hold the id of the intent, and
//! `breaker` what is known of Stripe's health.

mod books;
mod breaker;
mod client;
mod objects;
mod operations;

use spin_sdk::wit_bindgen;

mod wit {
    #![allow(missing_docs)]
    super::wit_bindgen::generate!({
        path: "../../wit/payments",
        world: "payment-provider",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
    use super::Stripe;
    export!(Stripe);
}
use wit::exports::bodega::payments::provider::{
    ChargeRequest, ChargeState, Guest, Outcome, RefundRequest, RefundState,
};

struct Stripe;

/// Why there is no answer to go by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// Stripe has refused: a word such as `card-declined`.
    Declined(String),
    /// Nobody knows: no answer, one that says to ask again, or the books cannot be read.
    Unknown,
}

type Result<T, E = Failure> = std::result::Result<T, E>;

fn outcome(result: Result<Outcome>) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(Failure::Declined(reason)) => Outcome::Declined(reason),
        Err(Failure::Unknown) => Outcome::Unknown,
    }
}

impl Guest for Stripe {
    fn name() -> String {
        "stripe".to_owned()
    }

    async fn charge(request: ChargeRequest) -> Outcome {
        outcome(operations::pay(request, "automatic").await)
    }

    async fn authorize(request: ChargeRequest) -> Outcome {
        outcome(operations::pay(request, "manual").await)
    }

    async fn capture(key: String) -> Outcome {
        outcome(operations::capture(&key).await)
    }

    async fn void(key: String) -> Outcome {
        outcome(operations::void(&key).await)
    }

    async fn refund(request: RefundRequest) -> Outcome {
        outcome(operations::refund(request).await)
    }

    async fn look_up_charge(key: String) -> ChargeState {
        operations::look_up_charge(&key).await.unwrap_or(ChargeState::Unknown)
    }

    async fn look_up_refund(key: String) -> RefundState {
        operations::look_up_refund(&key).await.unwrap_or(RefundState::Settled(Outcome::Unknown))
    }
}
