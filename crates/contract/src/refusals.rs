//! The ways in which the shop refuses, as documents tell of them.

use serde_json::{Value, json};
use web::{Error, FieldError};

use crate::complete::{add_headers, everywhere, is_classic};

/// A refusal without words of its own is the shared one.
pub(crate) fn refusal(name: &str, status: &str, response: &mut Value) {
    let Some(shared) = REFUSALS.iter().find(|refusal| refusal.status == status) else {
        panic!("{name} is refused with {status}, which `contract` does not know");
    };
    let classic = is_classic(name);
    if response["description"].as_str().is_none_or(str::is_empty) {
        *response =
            json!({"$ref": format!("#/components/responses/{}{}", if classic { "Classic" } else { "" }, shared.name)});
    } else if classic {
        shared.write_classic(response);
    } else {
        shared.write(response);
    }
}

/// A way in which the shop refuses.
pub(crate) struct Refusal {
    status: &'static str,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    headers: &'static [&'static str],
    example: fn() -> Error,
}

pub(crate) const REFUSALS: &[Refusal] = &[
    Refusal {
        status: "400",
        name: "Malformed",
        description: "The request cannot be understood.",
        headers: &[],
        example: || Error::Malformed("the body is not JSON: expected value at line 1 column 1".into()),
    },
    Refusal {
        status: "401",
        name: "Unauthenticated",
        description: "Nobody is signed in, or the access token does not hold.",
        headers: &["WWW-Authenticate"],
        example: || Error::Unauthenticated("sign in: send `Authorization: Bearer <access token>`"),
    },
    Refusal {
        status: "403",
        name: "Forbidden",
        description: "The caller is known, and may not do this.",
        headers: &[],
        example: || Error::Forbidden("only admins may do this"),
    },
    Refusal {
        status: "404",
        name: "NotFound",
        description: "There is no such thing, or none that the caller may see.",
        headers: &[],
        example: || Error::not_found("order"),
    },
    Refusal {
        status: "408",
        name: "TooSlow",
        description: "The body took too long to arrive.",
        headers: &[],
        example: || Error::TooSlow,
    },
    Refusal {
        status: "409",
        name: "Conflict",
        description: "It contradicts the present state. The code says how.",
        headers: &[],
        example: || Error::Conflict("insufficient-stock", "product 1: 3 wanted, 2 available".into()),
    },
    Refusal {
        status: "412",
        name: "PreconditionFailed",
        description: "What `If-Match` demands does not hold.",
        headers: &[],
        example: || Error::PreconditionFailed("the cart is another one by now"),
    },
    Refusal {
        status: "413",
        name: "TooLarge",
        description: "The body is too long.",
        headers: &[],
        example: || Error::TooLarge,
    },
    Refusal {
        status: "414",
        name: "UriTooLong",
        description: "Path and query are too long.",
        headers: &[],
        example: || Error::UriTooLong,
    },
    Refusal {
        status: "415",
        name: "UnsupportedMediaType",
        description: "The body is of a type that is not taken here.",
        headers: &[],
        example: || Error::UnsupportedMediaType,
    },
    Refusal {
        status: "422",
        name: "Invalid",
        description: "The request is understood, but some fields are not what they must be, or its `Idempotency-Key` was \
                      used with another one.",
        headers: &[],
        example: || Error::invalid("items[0].quantity", "lower than 1"),
    },
    Refusal {
        status: "429",
        name: "TooManyRequests",
        description: "Too many requests.",
        headers: &["Retry-After"],
        example: || Error::TooManyRequests(17),
    },
    // Of all that may go wrong on our side, only what an admin can put right is documented.
    Refusal {
        status: "431",
        name: "HeadersTooLarge",
        description: "The headers are too long, or too many.",
        headers: &[],
        example: || Error::HeadersTooLarge,
    },
    Refusal {
        status: "500",
        name: "Misconfigured",
        description: "The shop is not configured as it must be.",
        headers: &[],
        example: || {
            Error::Misconfigured(vec![FieldError { field: "shipping_flat".into(), message: "must be a number".into() }])
        },
    },
    Refusal {
        status: "503",
        name: "Unavailable",
        description: "A moment later it may work. Nothing has changed, or what has changed is finished later.",
        headers: &["Retry-After"],
        example: || Error::Unavailable("the database".into()),
    },
];

impl Refusal {
    /// A description that begins with a code in backticks has an example with that code.
    pub(crate) fn write(&self, response: &mut Value) {
        let mut headers = everywhere();
        headers.extend(self.headers);
        add_headers(response, &headers);
        let example = (self.example)().to_json().unwrap();
        let mut example: Value = serde_json::from_str(example.get()).unwrap();
        let described = response["description"].as_str().and_then(|text| text.strip_prefix('`')?.split_once('`'));
        let is_word = |code: &str| code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if let Some((code, text)) = described.filter(|(code, _)| is_word(code)) {
            example["type"] = format!("urn:bodega:problem:{code}").into();
            example["code"] = code.into();
            example["detail"] = text.trim_start_matches(':').trim().into();
        }
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        response["content"] = json!({"application/problem+json": {"schema": schema, "example": example}});
    }

    /// The same in the shape of older shops: the description is what is said.
    pub(crate) fn write_classic(&self, response: &mut Value) {
        let mut headers = everywhere();
        headers.extend(self.headers);
        add_headers(response, &headers);
        let said = response["description"].as_str().unwrap_or_default();
        let error = (self.example)();
        let own = said != self.description;
        let message = if own { said.trim_end_matches('.').into() } else { error.message_for_classics() };
        let mut example = json!({"message": message});
        if !error.fields().is_empty() {
            example["errors"] = json!(error.fields());
        }
        let schema = json!({"$ref": "#/components/schemas/ClassicError"});
        response["content"] = json!({"application/json": {"schema": schema, "example": example}});
    }
}
