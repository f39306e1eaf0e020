//! What a mail looks like: its content, put into the templates of a language. Pure.
//!
//! Templates are in `templates/<locale>/<kind>.txt` and `.html`. Values are escaped in HTML, and none is ever read as a
//! template.

mod reason;

use std::cell::OnceCell;

use include_dir::{Dir, include_dir};
use minijinja::{Environment, Error, UndefinedBehavior, Value, context, syntax::SyntaxConfig};
use model::{
    Currency, Money, NotificationKind as Kind, OrderId, PaymentId, ProductId, Timestamp, UserId,
    event::{OrderCancelled, OrderFailed, OrderPaid, OrderPlaced, OrderRefunded, OrderShipped, SoldItem, StockLow},
};
use uuid::Uuid;

use crate::{
    attempt::one_line,
    locale::Locale,
    mail::{Code, Content, Trial},
};

static TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// In characters.
const LONGEST_SUBJECT: usize = 200;

/// A mail that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// What a letter says beside its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The name of the shop.
    pub(crate) shop: &'a str,
    pub(crate) locale: Locale,
    /// The reader's name, when it is known.
    pub(crate) name: Option<&'a str>,
    /// What the catalog calls the product that the mail is about.
    pub(crate) product: Option<&'a str>,
}

thread_local! {
    static ENVIRONMENT: OnceCell<Environment<'static>> = const { OnceCell::new() };
}

/// Templates are read when they are first used.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .unwrap_or_default(),
    );
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .set_loader(|name| Ok(TEMPLATES.get_file(name).and_then(|file| file.contents_utf8()).map(ToOwned::to_owned)));
    environment
}

/// Writes a letter.
pub(crate) fn write(content: &Content, frame: Frame<'_>) -> Result<Letter, Error> {
    match content {
        Content::Test(Trial { sample, locale }) => {
            let frame = Frame { locale: locale.unwrap_or(frame.locale), ..frame };
            match sample.unwrap_or(Kind::Test) {
                Kind::Test => render(content, frame),
                kind => {
                    let letter = render(&sample_of(kind), frame)?;
                    Ok(Letter { subject: format!("[Test] {}", letter.subject), ..letter })
                }
            }
        }
        content => render(content, frame),
    }
}

fn render(content: &Content, frame: Frame<'_>) -> Result<Letter, Error> {
    let values = values(content, frame);
    let path = format!("{}/{}", frame.locale.code(), kind_of(content));
    ENVIRONMENT.with(|cell| {
        let environment = cell.get_or_init(environment);
        let mut text = environment.get_template(&format!("{path}.txt"))?.render_captured(values.clone())?;
        let subject = text.with_state_mut(|state| state.render_block("subject"))?;
        Ok(Letter {
            subject: one_line(&subject).chars().take(LONGEST_SUBJECT).collect(),
            text: without_gaps(text.output()),
            html: environment.get_template(&format!("{path}.html"))?.render(values)?,
        })
    })
}

/// At most one empty line between two others, and one line end at the end.
fn without_gaps(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.trim().lines() {
        if !line.is_empty() || !tidy.ends_with("\n\n") {
            tidy.push_str(line.trim_end());
            tidy.push('\n');
        }
    }
    tidy
}

const fn kind_of(content: &Content) -> Kind {
    match content {
        Content::Placed(_) => Kind::OrderPlaced,
        Content::Paid(_) => Kind::OrderPaid,
        Content::Shipped(_) => Kind::OrderShipped,
        Content::Cancelled(_) => Kind::OrderCancelled,
        Content::Failed(_) => Kind::OrderFailed,
        Content::Refunded(_) => Kind::OrderRefunded,
        Content::LowStock(_) => Kind::LowStock,
        Content::PasswordReset(_) => Kind::PasswordReset,
        Content::Test(_) => Kind::Test,
    }
}

/// What the templates may name. Whatever people have written is on one line.
fn values(content: &Content, frame: Frame<'_>) -> Value {
    let locale = frame.locale;
    let line = |text: &str| Value::from(one_line(text));
    let some =
        |text: Option<&str>| text.map(one_line).filter(|text| !text.is_empty()).map_or(Value::from(()), Value::from);
    let own = match content {
        Content::Placed(placed) => {
            let money = |amount| Value::from(locale.money(amount, placed.currency));
            let unless_zero = |amount| if amount == Money::ZERO { Value::from(()) } else { money(amount) };
            context! {
                number => line(&placed.number),
                items => items(&placed.items, Some((locale, placed.currency))),
                subtotal => money(placed.subtotal),
                discount => unless_zero(placed.discount),
                shipping => unless_zero(placed.shipping),
                tax => unless_zero(placed.tax),
                total => money(placed.total),
            }
        }
        Content::Paid(paid) => {
            context! { number => line(&paid.number), total => locale.money(paid.total, paid.currency) }
        }
        Content::Shipped(shipped) => {
            let tracking = shipped.tracking.as_deref();
            context! {
                number => line(&shipped.number),
                items => items(&shipped.items, None),
                tracking => some(tracking),
                tracking_page => some(tracking.filter(|tracking| is_page(tracking))),
            }
        }
        Content::Cancelled(cancelled) => {
            let reason = reason::of_cancellation(&cancelled.reason);
            // What somebody wrote is for people.
            let note = Some(cancelled.reason.as_str()).filter(|text| reason.is_none() && !is_link(text));
            context! { number => line(&cancelled.number), reason, note => some(note), paid => cancelled.paid }
        }
        Content::Failed(failed) => {
            context! { number => line(&failed.number), reason => reason::of_failure(&failed.reason) }
        }
        Content::Refunded(refunded) => {
            let money = |amount| locale.money(amount, refunded.currency);
            context! {
                number => line(&refunded.number),
                amount => money(refunded.amount),
                refunded => money(refunded.refunded),
                total => money(refunded.total),
                whole => refunded.refunded >= refunded.total,
            }
        }
        Content::LowStock(low) => context! {
            product_id => low.product_id.0,
            product => some(frame.product),
            available => low.available,
            threshold => low.threshold,
        },
        Content::PasswordReset(code) => {
            context! { code => line(&code.code), until => locale.moment(code.expires_at) }
        }
        Content::Test(_) => context! {},
    };
    // People choose their names, and addresses of others when they register: a link is no name.
    let name = frame.name.filter(|name| !is_link(name));
    context! { locale => locale.code(), shop => line(frame.shop), name => some(name), ..own }
}

/// Whether a program that shows mails may make a link of a part of it.
fn is_link(text: &str) -> bool {
    let text = text.to_lowercase();
    let is_place = |word: &str| word.split_once('/').is_some_and(|(host, _)| host.contains('.'));
    text.contains("://") || text.contains("www.") || text.split_whitespace().any(is_place)
}

/// Whether it can be a link: of no other scheme than the web's.
fn is_page(text: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) && !text.contains(char::is_whitespace)
}

fn items(items: &[SoldItem], priced: Option<(Locale, Currency)>) -> Value {
    let item = |item: &SoldItem| {
        let price = |amount| priced.map(|(locale, currency)| locale.money(amount, currency));
        context! {
            name => one_line(&item.name),
            quantity => item.quantity,
            unit_price => price(item.unit_price),
            total => price(item.total),
        }
    };
    items.iter().map(item).collect()
}

/// Made-up content of a kind, for somebody who wants to see how such a mail looks.
pub(crate) fn sample_of(kind: Kind) -> Content {
    let (order_id, number, user_id) = (OrderId(123), "B-2026-000123".to_owned(), UserId(0));
    let mug = SoldItem {
        product_id: ProductId(1),
        name: "Stoneware mug".to_owned(),
        unit_price: Money::from_minor(1450),
        quantity: 2,
        total: Money::from_minor(2900),
    };
    let total = Money::from_minor(3390);
    let currency = Currency::EUR;
    match kind {
        Kind::OrderPlaced => Content::Placed(OrderPlaced {
            order_id,
            number,
            user_id,
            subtotal: mug.total,
            items: vec![mug],
            discount: Money::ZERO,
            shipping: Money::from_minor(490),
            tax: Money::ZERO,
            total,
            currency,
        }),
        Kind::OrderPaid => {
            Content::Paid(OrderPaid { order_id, number, user_id, payment_id: PaymentId(1), total, currency })
        }
        Kind::OrderShipped => {
            let tracking = Some("https://carrier.example/track/00340434".to_owned());
            Content::Shipped(OrderShipped { order_id, number, user_id, items: vec![mug], tracking })
        }
        Kind::OrderCancelled => Content::Cancelled(OrderCancelled {
            order_id,
            number,
            user_id,
            reason: "by the customer".to_owned(),
            cancelled_at: Timestamp(0),
            paid: true,
        }),
        Kind::OrderFailed => {
            let reason = "card-declined".to_owned();
            Content::Failed(OrderFailed { order_id, number, user_id, reason, key: None::<Uuid> })
        }
        Kind::OrderRefunded => Content::Refunded(OrderRefunded {
            order_id,
            number,
            user_id,
            amount: mug.unit_price,
            refunded: mug.unit_price,
            total,
            currency,
        }),
        Kind::LowStock => {
            let product_id = mug.product_id;
            Content::LowStock(StockLow { product_id, supplier_id: None, available: 4, threshold: 5 })
        }
        Kind::PasswordReset => {
            // Long before any mail: nobody takes it for a code that is good.
            Content::PasswordReset(Code { code: "00000-00000".to_owned(), expires_at: Timestamp(0) })
        }
        Kind::Test => Content::Test(Trial::default()),
    }
}

#[cfg(test)]
mod tests;
