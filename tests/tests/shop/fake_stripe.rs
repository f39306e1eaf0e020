//! A server that behaves as Stripe does, as far as `provider-stripe` asks it to, and has moods.

use std::{collections::BTreeMap, sync::Mutex};

use bytes::Bytes;
use http::{Method, request::Parts};
use serde_json::{Value, json};

pub use crate::local_server::Mood;
use crate::local_server::{LocalServer, Work};

/// A request that the server got.
type Form = BTreeMap<String, String>;

#[derive(Default)]
struct Books {
    intents: Vec<Value>,
    refunds: Vec<Value>,
    /// Path, parameters and answer of what was carried out under each idempotency key.
    remembered: BTreeMap<String, (String, Form, (u16, Value))>,
}

/// What the server does with requests.
#[derive(Default)]
pub struct Stripe(Mutex<Books>);

/// A running server. It ends when it is dropped.
pub type FakeStripe = LocalServer<Stripe>;

/// The key that the server wants.
pub const SECRET: &str = "sk_test_fake";

pub async fn start() -> FakeStripe {
    LocalServer::start(Stripe::default()).await
}

impl Stripe {
    /// The bank sends back what has been given back so far.
    pub fn fail_refunds(&self) {
        for refund in &mut self.0.lock().unwrap().refunds {
            refund["status"] = "failed".into();
            refund["failure_reason"] = "expired_or_canceled_card".into();
        }
    }

    /// The books in the words of the sandbox provider: one entry for each intent and each refund that moved something.
    pub fn books(&self) -> Vec<(String, Value)> {
        let books = self.0.lock().unwrap();
        let ending = |status: &Value| match status.as_str().unwrap() {
            "succeeded" => "Approved",
            "requires_capture" => "Authorized",
            _ => "Nothing",
        };
        let key = |object: &Value| object["metadata"]["key"].as_str().unwrap().to_owned();
        let charge = |intent: &Value| {
            let entry = json!({ "amount": intent["amount"], "ending": ending(&intent["status"]) });
            (format!("charge/{}", key(intent)), entry)
        };
        let refund = |refund: &Value| {
            let of = books.intents.iter().find(|intent| intent["id"] == refund["payment_intent"]).unwrap();
            let entry =
                json!({ "charge_key": key(of), "amount": refund["amount"], "ending": ending(&refund["status"]) });
            (format!("refund/{}", key(refund)), entry)
        };
        books.intents.iter().map(charge).chain(books.refunds.iter().map(refund)).collect()
    }
}

impl Work for Stripe {
    fn carry_out(&self, head: &Parts, body: &Bytes) -> (u16, Value) {
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let mut form: Form =
            form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        form.extend(form_urlencoded::parse(body).into_owned());
        let key = header("idempotency-key");
        match header("authorization").as_deref() == Some(&format!("Bearer {SECRET}")) {
            true => self.0.lock().unwrap().once(&head.method, head.uri.path(), &form, key.as_deref()),
            false => (401, json!({ "error": { "type": "invalid_request_error" } })),
        }
    }
}

fn refused(status: u16, kind: &str, code: &str) -> (u16, Value) {
    (status, json!({ "error": { "type": kind, "code": code } }))
}

impl Books {
    /// What was carried out under a key is answered again; other parameters under it are refused.
    fn once(&mut self, method: &Method, path: &str, form: &Form, key: Option<&str>) -> (u16, Value) {
        let known = key.and_then(|key| self.remembered.get(key));
        if let Some((known_path, known_form, answer)) = known {
            let same = known_path == path && known_form == form;
            return if same { answer.clone() } else { refused(400, "idempotency_error", "idempotency_key_in_use") };
        }
        let answer = self.carry_out(method, path, form);
        if let Some(key) = key {
            self.remembered.insert(key.to_owned(), (path.to_owned(), form.clone(), answer.clone()));
        }
        answer
    }

    fn carry_out(&mut self, method: &Method, path: &str, form: &Form) -> (u16, Value) {
        let segments: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        match (method.as_str(), segments.as_slice()) {
            ("POST", ["payment_intents"]) => self.create(form),
            ("POST", ["refunds"]) => self.refund(form),
            ("GET", ["refunds"]) => self.list_refunds(form),
            ("GET", ["payment_intents", id]) => match self.intents.iter().find(|intent| intent["id"] == **id) {
                Some(intent) => (200, intent.clone()),
                None => refused(404, "invalid_request_error", "resource_missing"),
            },
            ("POST", ["payment_intents", id, action]) => self.act(id, action),
            _ => refused(404, "invalid_request_error", "url_invalid"),
        }
    }

    fn create(&mut self, form: &Form) -> (u16, Value) {
        let token = form.get("payment_method_data[card][token]").or(form.get("payment_method"));
        let (Some(token), Some(amount)) = (token, form.get("amount").and_then(|amount| amount.parse::<i64>().ok()))
        else {
            return refused(400, "invalid_request_error", "parameter_missing");
        };
        if token == "tok_nobodys" {
            return refused(400, "invalid_request_error", "resource_missing");
        }
        let intent = json!({
            "id": format!("pi_{}", self.intents.len() + 1), "object": "payment_intent", "amount": amount,
            "currency": form["currency"], "capture_method": form["capture_method"], "status": "requires_confirmation",
            "payment_method": token, "last_payment_error": null, "metadata": { "key": form["metadata[key]"] },
        });
        self.intents.push(intent.clone());
        (200, intent)
    }

    fn act(&mut self, id: &str, action: &str) -> (u16, Value) {
        let Some(intent) = self.intents.iter_mut().find(|intent| intent["id"] == id) else {
            return refused(404, "invalid_request_error", "resource_missing");
        };
        let next = match (action, intent["status"].as_str().unwrap()) {
            ("confirm", "requires_confirmation" | "requires_payment_method")
                if intent["payment_method"] == "tok_declined" =>
            {
                intent["status"] = "requires_payment_method".into();
                intent["last_payment_error"] = json!({ "type": "card_error", "code": "card_declined" });
                return refused(402, "card_error", "card_declined");
            }
            ("confirm", "requires_confirmation") if intent["capture_method"] == "manual" => "requires_capture",
            ("confirm", "requires_confirmation") | ("capture", "requires_capture") => "succeeded",
            ("cancel", "requires_capture" | "requires_confirmation" | "requires_payment_method") => "canceled",
            _ => return refused(400, "invalid_request_error", "payment_intent_unexpected_state"),
        };
        intent["status"] = next.into();
        (200, intent.clone())
    }

    fn refund(&mut self, form: &Form) -> (u16, Value) {
        let (intent, amount) = (&form["payment_intent"], form["amount"].parse::<i64>().unwrap());
        let charged =
            self.intents.iter().find(|known| known["id"] == intent.as_str() && known["status"] == "succeeded");
        let Some(charged) = charged.and_then(|intent| intent["amount"].as_i64()) else {
            return refused(400, "invalid_request_error", "payment_intent_unexpected_state");
        };
        let of = |refund: &&Value| refund["payment_intent"] == intent.as_str() && refund["status"] == "succeeded";
        let given_back = self.refunds.iter().filter(of);
        let given_back: i64 = given_back.map(|refund| refund["amount"].as_i64().unwrap()).sum();
        if given_back + amount > charged {
            return refused(400, "invalid_request_error", "charge_already_refunded");
        }
        let refund = json!({
            "id": format!("re_{}", self.refunds.len() + 1), "object": "refund", "amount": amount, "status": "succeeded",
            "payment_intent": intent, "metadata": { "key": form["metadata[key]"] },
        });
        self.refunds.push(refund.clone());
        (200, refund)
    }

    /// Newest first, one a page, so that pages are turned.
    fn list_refunds(&self, form: &Form) -> (u16, Value) {
        let of = |refund: &&Value| refund["payment_intent"] == form["payment_intent"].as_str();
        let all: Vec<_> = self.refunds.iter().rev().filter(of).collect();
        let start = match form.get("starting_after") {
            Some(id) => all.iter().position(|refund| refund["id"] == id.as_str()).unwrap() + 1,
            None => 0,
        };
        let page: Vec<_> = all.iter().skip(start).take(1).collect();
        (200, json!({ "object": "list", "data": page, "has_more": all.len() > start + 1 }))
    }
}
