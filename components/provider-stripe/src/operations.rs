//! The contract's operations, in requests to Stripe.

use crate::{
    Failure, Result,
    books::Books,
    client::{Client, Form},
    objects::{Intent, Refund, Refunds},
    wit::exports::bodega::payments::provider::{ChargeRequest, ChargeState, Outcome, RefundRequest, RefundState},
};

/// Refunds of one page, the most there may be.
const PAGE: &str = "100";

fn charge_entry(key: &str) -> String {
    format!("charge/{key}")
}

fn refund_entry(key: &str) -> String {
    format!("refund/{key}")
}

/// Takes money, or holds it: `capture_method` is `automatic` or `manual`.
pub(crate) async fn pay(request: ChargeRequest, capture_method: &str) -> Result<Outcome> {
    let books = Books::open().await?;
    let client = Client::new(&books).await?;
    let entry = charge_entry(&request.key);
    let id = match books.text(&entry).await? {
        Some(id) => id,
        None => {
            let id = create(&client, &request, capture_method).await?;
            // On disk before any money moves: who looks this key up finds the intent.
            books.set(&entry, id.as_bytes()).await?;
            id
        }
    };
    let path = format!("/v1/payment_intents/{id}/confirm");
    let intent = client.post::<Intent>(&path, &[("error_on_requires_action", "true")], None).await;
    paid(reached(&client, &id, intent).await)
}

/// Makes the intent of a charge. It moves no money.
async fn create(client: &Client<'_>, request: &ChargeRequest, capture_method: &str) -> Result<String> {
    let (amount, currency) = (request.amount.to_string(), request.currency.to_ascii_lowercase());
    let mut form = vec![
        ("amount", amount.as_str()),
        ("currency", &currency),
        ("capture_method", capture_method),
        ("payment_method_types[]", "card"),
        ("description", &request.description),
        ("metadata[key]", &request.key),
    ];
    if request.token.starts_with("tok_") {
        form.extend([("payment_method_data[type]", "card"), ("payment_method_data[card][token]", &request.token)]);
    } else {
        form.push(("payment_method", &request.token));
    }
    Ok(client.post::<Intent>("/v1/payment_intents", &form, Some(&request.key)).await?.id)
}

/// Where an intent has got to. It may have been there already when it is asked to go there: then the request is refused,
/// and only a look tells that from a refusal of the bank.
async fn reached(client: &Client<'_>, id: &str, answer: Result<Intent>) -> Result<ChargeState> {
    match answer {
        Ok(intent) => Ok(intent.state()),
        Err(Failure::Unknown) => Err(Failure::Unknown),
        Err(Failure::Declined(reason)) => match find(client, id).await? {
            // It stands where it stood.
            ChargeState::Missing => Err(Failure::Declined(reason)),
            state => Ok(state),
        },
    }
}

async fn find(client: &Client<'_>, id: &str) -> Result<ChargeState> {
    Ok(client.get::<Intent>(&format!("/v1/payment_intents/{id}"), &[]).await?.state())
}

fn paid(state: Result<ChargeState>) -> Result<Outcome> {
    match state? {
        ChargeState::Captured(reference) | ChargeState::Authorized(reference) => Ok(Outcome::Approved(reference)),
        ChargeState::Voided => Err(Failure::Declined("voided".into())),
        ChargeState::Declined(reason) => Err(Failure::Declined(reason)),
        ChargeState::Missing | ChargeState::Unknown => Err(Failure::Unknown),
    }
}

pub(crate) async fn capture(key: &str) -> Result<Outcome> {
    match end(key, "capture", &[]).await? {
        ChargeState::Captured(reference) => Ok(Outcome::Approved(reference)),
        ChargeState::Unknown => Err(Failure::Unknown),
        _ => Err(Failure::Declined("capture-declined".into())),
    }
}

pub(crate) async fn void(key: &str) -> Result<Outcome> {
    match end(key, "cancel", &[("cancellation_reason", "abandoned")]).await? {
        ChargeState::Voided => Ok(Outcome::Approved(key.to_owned())),
        ChargeState::Unknown => Err(Failure::Unknown),
        _ => Err(Failure::Declined("void-declined".into())),
    }
}

/// Captures or cancels what is held. Stripe does that to an intent once.
async fn end(key: &str, action: &str, form: Form<'_>) -> Result<ChargeState> {
    let books = Books::open().await?;
    let client = Client::new(&books).await?;
    let id = books.text(&charge_entry(key)).await?.ok_or_else(no_such_charge)?;
    let intent = client.post::<Intent>(&format!("/v1/payment_intents/{id}/{action}"), form, None).await;
    reached(&client, &id, intent).await
}

fn no_such_charge() -> Failure {
    Failure::Declined("no-such-charge".into())
}

pub(crate) async fn refund(request: RefundRequest) -> Result<Outcome> {
    let books = Books::open().await?;
    let client = Client::new(&books).await?;
    let id = books.text(&charge_entry(&request.charge_key)).await?.ok_or_else(no_such_charge)?;
    // On disk before any money moves: who looks this key up knows where to look.
    books.set(&refund_entry(&request.key), id.as_bytes()).await?;
    let amount = request.amount.to_string();
    let form = [("payment_intent", id.as_str()), ("amount", &amount), ("metadata[key]", &request.key)];
    Ok(client.post::<Refund>("/v1/refunds", &form, Some(&request.key)).await?.outcome())
}

pub(crate) async fn look_up_charge(key: &str) -> Result<ChargeState> {
    let books = Books::open().await?;
    match books.text(&charge_entry(key)).await? {
        Some(id) => find(&Client::new(&books).await?, &id).await,
        // Nothing was ever confirmed.
        None => Ok(ChargeState::Missing),
    }
}

pub(crate) async fn look_up_refund(key: &str) -> Result<RefundState> {
    let books = Books::open().await?;
    let Some(id) = books.text(&refund_entry(key)).await? else { return Ok(RefundState::Missing) };
    let client = Client::new(&books).await?;
    let mut last: Option<String> = None;
    loop {
        let mut form = vec![("payment_intent", id.as_str()), ("limit", PAGE)];
        form.extend(last.as_deref().map(|last| ("starting_after", last)));
        let page: Refunds = client.get("/v1/refunds", &form).await?;
        if let Some(refund) = page.data.iter().find(|refund| refund.is(key)) {
            return Ok(RefundState::Settled(refund.outcome()));
        }
        match page.data.into_iter().next_back() {
            Some(refund) if page.has_more => last = Some(refund.id),
            _ => return Ok(RefundState::Missing),
        }
    }
}
