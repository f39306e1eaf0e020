//! What Stripe says, in the shop's words. Pure.

use serde::Deserialize;

use crate::wit::exports::bodega::payments::provider::{ChargeState, Outcome};

/// A payment intent.
#[derive(Debug, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    status: String,
    last_payment_error: Option<Problem>,
}

/// A refund.
#[derive(Debug, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    status: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    key: Option<String>,
}

/// One page of refunds.
#[derive(Debug, Deserialize)]
pub(crate) struct Refunds {
    pub(crate) data: Vec<Refund>,
    pub(crate) has_more: bool,
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: Problem,
}

/// Why something was refused.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    code: Option<String>,
    decline_code: Option<String>,
    r#type: Option<String>,
}

impl Intent {
    /// Where the money is.
    pub(crate) fn state(&self) -> ChargeState {
        match self.status.as_str() {
            "succeeded" => ChargeState::Captured(self.id.clone()),
            "requires_capture" => ChargeState::Authorized(self.id.clone()),
            "canceled" => ChargeState::Voided,
            "requires_payment_method" => match &self.last_payment_error {
                Some(problem) => ChargeState::Declined(problem.word()),
                None => ChargeState::Missing,
            },
            "requires_confirmation" => ChargeState::Missing,
            // Nobody of ours can pass a customer on to the bank: this one will not come further.
            "requires_action" => ChargeState::Declined("authentication-required".into()),
            _ => ChargeState::Unknown,
        }
    }
}

impl Refund {
    /// How it ended.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.status.as_deref() {
            Some("succeeded") => Outcome::Approved(self.id.clone()),
            Some("failed" | "canceled") => {
                Outcome::Declined(self.failure_reason.as_deref().map_or_else(|| "refund-failed".into(), hyphens))
            }
            _ => Outcome::Unknown,
        }
    }

    /// Whether it was made under this key of the shop.
    pub(crate) fn is(&self, key: &str) -> bool {
        self.metadata.key.as_deref() == Some(key)
    }
}

impl Problem {
    /// The most telling word: the bank's, unless it is none.
    pub(crate) fn word(&self) -> String {
        let bank = self.decline_code.as_deref().filter(|code| *code != "generic_decline");
        bank.or(self.code.as_deref()).or(self.r#type.as_deref()).map_or_else(|| "declined".into(), hyphens)
    }
}

fn hyphens(word: &str) -> String {
    word.chars().take(100).map(|letter| if letter == '_' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(json: &str) -> String {
        format!("{:?}", serde_json::from_str::<Intent>(json).unwrap().state())
    }

    #[test]
    fn an_intent_says_where_the_money_is() {
        for (status, expected) in [
            ("succeeded", "captured"),
            ("requires_capture", "authorized"),
            ("canceled", "voided"),
            ("requires_confirmation", "missing"),
            ("requires_payment_method", "missing"),
            ("requires_action", "declined"),
            ("processing", "unknown"),
            ("something_new", "unknown"),
        ] {
            let found = state(&format!(r#"{{"id":"pi_1","status":"{status}","last_payment_error":null,"more":1}}"#));
            assert!(found.to_lowercase().contains(expected), "{status}: {found}");
        }
        let declined = r#"{"id":"pi_1","status":"requires_payment_method","last_payment_error":
            {"code":"card_declined","decline_code":"insufficient_funds","type":"card_error"}}"#;
        assert!(state(declined).contains("insufficient-funds"));
    }

    #[test]
    fn a_refusal_has_a_word() {
        let word = |json: &str| serde_json::from_str::<Refusal>(json).unwrap().error.word();
        let card = r#"{"error":{"code":"card_declined","decline_code":"generic_decline","type":"card_error"}}"#;
        assert_eq!(word(card), "card-declined");
        assert_eq!(word(r#"{"error":{"type":"invalid_request_error"}}"#), "invalid-request-error");
        assert_eq!(word(r#"{"error":{}}"#), "declined");
    }

    #[test]
    fn a_refund_is_over_or_not() {
        let outcome = |json: &str| format!("{:?}", serde_json::from_str::<Refund>(json).unwrap().outcome());
        assert!(outcome(r#"{"id":"re_1","status":"succeeded"}"#).contains("re_1"));
        assert!(
            outcome(r#"{"id":"re_1","status":"failed","failure_reason":"lost_or_stolen_card"}"#).contains("lost-or")
        );
        for open in [r#"{"id":"re_1","status":"pending"}"#, r#"{"id":"re_1"}"#] {
            assert!(outcome(open).to_lowercase().contains("unknown"), "{open}");
        }
    }
}
