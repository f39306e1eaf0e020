//! The rules of discount codes: what they are, and when they may be used. Pure.

use garde::Validate;
use model::{Currency, Money, Timestamp, UserId};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

/// A code as it is kept and compared: customers type it as they like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Code(String);

impl Code {
    /// 1 to 64 letters, digits, `-` and `_`, made upper case; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let code = text.trim().to_ascii_uppercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        ((1..=64).contains(&code.len()) && code.bytes().all(plain)).then_some(Self(code))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("must be 1 to 64 letters, digits, `-` or `_`"))
    }
}

/// What is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DiscountKind)]
pub(crate) enum Kind {
    /// A part of the subtotal.
    Percentage,
    /// An amount.
    Fixed,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Kind::Percentage => "percentage",
            Kind::Fixed => "fixed",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "percentage" => Ok(Kind::Percentage),
            "fixed" => Ok(Kind::Fixed),
            _ => Err("not a kind of discount".into()),
        }
    }
}

/// What an order needs to know of the code it is placed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DiscountConditions)]
pub(crate) struct Terms {
    /// What customers type.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$", example = "SPRING-10")]
    pub(crate) code: Code,
    /// What is taken off.
    pub(crate) kind: Kind,
    /// Percent, or an amount: either is a number with at most two decimals, which is what [`Money`] reads exactly.
    pub(crate) value: Money,
    /// The least subtotal for which the code is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum: Option<Money>,
}

/// A discount code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Discount {
    #[serde(skip)]
    pub(crate) id: i64,
    #[serde(flatten)]
    pub(crate) terms: Terms,
    /// The currency of amounts, and of the orders it is good for.
    pub(crate) currency: Currency,
    /// From when on it can be used.
    pub(crate) starts_at: Option<Timestamp>,
    /// Until when.
    pub(crate) ends_at: Option<Timestamp>,
    /// So often in all.
    #[schema(minimum = 1, example = 100)]
    pub(crate) max_uses: Option<u32>,
    /// So often by each customer.
    #[schema(minimum = 1, example = 1)]
    pub(crate) max_uses_per_customer: Option<u32>,
    /// Whether it can be used at all.
    pub(crate) active: bool,
    /// How often it has been used, or is being used right now.
    #[schema(minimum = 0, example = 3)]
    pub(crate) uses: u32,
    /// When it was added.
    pub(crate) created_at: Timestamp,
    /// Its last change.
    pub(crate) updated_at: Timestamp,
}

/// Why a code cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Unknown,
    Inactive,
    NotYet(Timestamp),
    Over,
    Exhausted,
    UsedByCustomer,
    Below(Money),
    OtherCurrency(Currency),
}

impl Obstacle {
    /// A word for programs, and a sentence for people.
    pub(crate) fn words(self) -> (&'static str, String) {
        match self {
            Obstacle::Unknown => ("discount-unknown", "there is no such discount code".into()),
            Obstacle::Inactive => ("discount-inactive", "this discount code is not active".into()),
            Obstacle::NotYet(from) => ("discount-not-started", format!("this discount code is good from {from}")),
            Obstacle::Over => ("discount-expired", "this discount code has expired".into()),
            Obstacle::Exhausted => ("discount-exhausted", "this discount code has been used up".into()),
            Obstacle::UsedByCustomer => ("discount-used", "you have used this discount code before".into()),
            Obstacle::Below(minimum) => {
                ("discount-minimum", format!("this discount code is good for orders of at least {minimum}"))
            }
            Obstacle::OtherCurrency(currency) => {
                ("discount-currency", format!("this discount code is good for orders in {currency}"))
            }
        }
    }
}

impl Discount {
    /// Whether anybody may use it at this moment.
    pub(crate) fn usable(&self, now: Timestamp) -> Result<(), Obstacle> {
        if !self.active {
            return Err(Obstacle::Inactive);
        }
        if let Some(from) = self.starts_at.filter(|from| now < *from) {
            return Err(Obstacle::NotYet(from));
        }
        if self.ends_at.is_some_and(|end| now >= end) {
            return Err(Obstacle::Over);
        }
        if self.max_uses.is_some_and(|max| self.uses >= max) {
            return Err(Obstacle::Exhausted);
        }
        Ok(())
    }

    /// Whether an order of that much may use it.
    pub(crate) fn fits(&self, subtotal: Money, currency: Currency) -> Result<(), Obstacle> {
        if currency != self.currency {
            return Err(Obstacle::OtherCurrency(self.currency));
        }
        match self.terms.minimum {
            Some(minimum) if subtotal < minimum => Err(Obstacle::Below(minimum)),
            _ => Ok(()),
        }
    }
}

/// A code that somebody wants to give out.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"code": "SPRING-10", "kind": "percentage", "value": 12.5, "minimum": 20.0, "endsAt": "2027-12-01T00:00:00.000Z", "maxUses": 100, "maxUsesPerCustomer": 1}))]
pub(crate) struct NewDiscount {
    /// What customers type.
    #[garde(skip)]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$", example = "SPRING-10")]
    pub(crate) code: Code,
    /// What is taken off. `type` is another name.
    #[garde(skip)]
    #[serde(alias = "type")]
    kind: Kind,
    /// Percent, at most 100, or an amount; more than 0.
    #[garde(custom(of_kind(self.kind)))]
    #[schema(value_type = f64, exclusive_minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 12.5)]
    value: Money,
    /// The least subtotal for which the code is good.
    #[garde(inner(custom(not_negative)))]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 20.0)]
    minimum: Option<Money>,
    /// From when on it can be used.
    #[garde(skip)]
    starts_at: Option<Timestamp>,
    /// Until when; after `startsAt`.
    #[garde(inner(custom(after(self.starts_at))))]
    ends_at: Option<Timestamp>,
    /// So often in all.
    #[garde(range(min = 1, max = MOST_USES))]
    #[schema(minimum = 1, maximum = 1_000_000_000, example = 100)]
    max_uses: Option<u32>,
    /// So often by each customer.
    #[garde(range(min = 1, max = MOST_USES))]
    #[schema(minimum = 1, maximum = 1_000_000_000, example = 1)]
    max_uses_per_customer: Option<u32>,
    /// Whether it can be used at all.
    #[garde(skip)]
    active: Option<bool>,
}

/// A code with more uses than this has no limit.
const MOST_USES: u32 = 1_000_000_000;

impl NewDiscount {
    /// The discount, without the id that storing it will give.
    pub(crate) fn into_discount(self, currency: Currency, now: Timestamp) -> Discount {
        Discount {
            id: 0,
            terms: Terms { code: self.code, kind: self.kind, value: self.value, minimum: self.minimum },
            currency,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            max_uses: self.max_uses,
            max_uses_per_customer: self.max_uses_per_customer,
            active: self.active.unwrap_or(true),
            uses: 0,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What is to change. What is absent stays; `null` removes what may be missing.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"value": 10.0, "maxUses": null}))]
pub(crate) struct DiscountChange {
    /// What is taken off. `type` is another name.
    #[garde(skip)]
    #[serde(alias = "type")]
    kind: Option<Kind>,
    /// Percent, at most 100, or an amount; more than 0.
    #[garde(skip)]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 12.5)]
    value: Option<Money>,
    /// The least subtotal for which the code is good.
    #[garde(inner(inner(custom(not_negative))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 20.0)]
    minimum: Option<Option<Money>>,
    /// From when on it can be used.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Timestamp>)]
    starts_at: Option<Option<Timestamp>>,
    /// Until when; after `startsAt`.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Timestamp>)]
    ends_at: Option<Option<Timestamp>>,
    /// So often in all.
    #[garde(inner(inner(range(min = 1, max = MOST_USES))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000_000, example = 100)]
    max_uses: Option<Option<u32>>,
    /// So often by each customer.
    #[garde(inner(inner(range(min = 1, max = MOST_USES))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000_000, example = 1)]
    max_uses_per_customer: Option<Option<u32>>,
    /// Whether it can be used at all.
    #[garde(skip)]
    active: Option<bool>,
}

/// A change that would leave the discount in a state that it must not be in: the field, and what is wrong with it.
pub(crate) type Impossible = (&'static str, String);

impl Discount {
    /// Makes the change, or none of it.
    pub(crate) fn apply(&mut self, change: DiscountChange, now: Timestamp) -> Result<(), Impossible> {
        let mut changed = self.clone();
        changed.terms.kind = change.kind.unwrap_or(changed.terms.kind);
        changed.terms.value = change.value.unwrap_or(changed.terms.value);
        changed.terms.minimum = change.minimum.unwrap_or(changed.terms.minimum);
        changed.starts_at = change.starts_at.unwrap_or(changed.starts_at);
        changed.ends_at = change.ends_at.unwrap_or(changed.ends_at);
        changed.max_uses = change.max_uses.unwrap_or(changed.max_uses);
        changed.max_uses_per_customer = change.max_uses_per_customer.unwrap_or(changed.max_uses_per_customer);
        changed.active = change.active.unwrap_or(changed.active);
        changed.updated_at = now;
        let wrong = |field| move |error: garde::Error| (field, error.to_string());
        of_kind(changed.terms.kind)(&changed.terms.value, &()).map_err(wrong("value"))?;
        if let Some(end) = &changed.ends_at {
            after(changed.starts_at)(end, &()).map_err(wrong("endsAt"))?;
        }
        if changed.max_uses.is_some_and(|max| max < self.uses) {
            return Err(("maxUses", format!("must not be less than the {} uses there were", self.uses)));
        }
        *self = changed;
        Ok(())
    }
}

/// What an order asks for: the use of a code by the order that is placed under `key`.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Redeem {
    /// As the customer has typed it.
    #[garde(skip)]
    pub(crate) code: String,
    #[garde(skip)]
    pub(crate) key: uuid::Uuid,
    #[garde(skip)]
    pub(crate) user_id: UserId,
    #[garde(skip)]
    pub(crate) subtotal: Money,
    #[garde(skip)]
    pub(crate) currency: Currency,
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn of_kind(kind: Kind) -> impl FnOnce(&Money, &()) -> garde::Result {
    const ALL: Money = Money::from_minor(10_000);
    move |value, ()| match kind {
        _ if *value <= Money::ZERO => Err(garde::Error::new("must be more than 0")),
        Kind::Percentage if *value > ALL => Err(garde::Error::new("must be at most 100")),
        _ => Ok(()),
    }
}

fn after(start: Option<Timestamp>) -> impl FnOnce(&Timestamp, &()) -> garde::Result {
    move |end, ()| match start {
        Some(start) if *end <= start => Err(garde::Error::new("must be after startsAt")),
        _ => Ok(()),
    }
}

fn not_negative(amount: &Money, (): &()) -> garde::Result {
    if *amount < Money::ZERO { Err(garde::Error::new("must not be negative")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_392_000_000);

    fn made(body: &Value) -> Result<Discount, String> {
        let new: NewDiscount = serde_json::from_str(&body.to_string()).map_err(|error| error.to_string())?;
        new.validate().map_err(|report| report.iter().map(|(path, _)| path.to_string()).next().unwrap_or_default())?;
        Ok(new.into_discount("EUR".parse().unwrap(), NOW))
    }

    fn with(fields: Value) -> Value {
        let mut body = json!({ "code": "spring-10", "kind": "percentage", "value": 10 });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    }

    fn change(fields: &Value) -> DiscountChange {
        serde_json::from_str(&fields.to_string()).unwrap()
    }

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        assert_eq!(Code::parse(" Spring-10 "), Code::parse("SPRING-10"));
        for bad in ["", " ", "two words", "ten%", "grün", &"x".repeat(65)] {
            assert_eq!(Code::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_discount_is_rendered_as_documented() {
        let expected = json!({
            "code": "SPRING-10", "kind": "percentage", "value": 12.5, "minimum": 20.0, "currency": "EUR",
            "startsAt": null, "endsAt": "2026-12-01T00:00:00.000Z", "maxUses": 5, "maxUsesPerCustomer": 1,
            "active": true, "uses": 0, "createdAt": "2026-11-23T00:00:00.000Z", "updatedAt": "2026-11-23T00:00:00.000Z",
        });
        let body = with(json!({
            "value": 12.5, "minimum": 20, "endsAt": "2026-12-01T00:00:00Z", "maxUses": 5, "maxUsesPerCustomer": 1,
        }));
        assert_eq!(serde_json::to_value(made(&body).unwrap()).unwrap(), expected);
    }

    #[test]
    fn every_field_has_its_limits() {
        for good in [json!({ "value": 0.01 }), json!({ "value": 100 }), json!({ "kind": "fixed", "value": 100.01 })] {
            assert!(made(&with(good.clone())).is_ok(), "{good}");
        }
        let backwards = json!({ "startsAt": "2026-12-01T00:00:00Z", "endsAt": "2026-12-01T00:00:00Z" });
        for (bad, field) in [
            (json!({ "value": 0 }), "value"),
            (json!({ "value": 100.01 }), "value"),
            (json!({ "kind": "fixed", "value": -1 }), "value"),
            (json!({ "minimum": -0.01 }), "minimum"),
            (json!({ "maxUses": 0 }), "max_uses"),
            (json!({ "maxUsesPerCustomer": 0 }), "max_uses_per_customer"),
            (backwards, "ends_at"),
        ] {
            assert_eq!(made(&with(bad.clone())), Err(field.to_owned()), "{bad}");
        }
        for bad in [json!({ "value": 0.001 }), json!({ "kind": "gift" }), json!({ "code": "a b" })] {
            assert!(made(&with(bad.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_change_is_made_whole_or_not_at_all() {
        let mut discount = made(&with(json!({ "minimum": 5, "maxUses": 5 }))).unwrap();
        discount.uses = 3;
        let before = discount.clone();
        for (bad, field) in [
            (json!({ "active": false, "value": 101 }), "value"),
            (json!({ "active": false, "maxUses": 2 }), "maxUses"),
            (json!({ "startsAt": "2026-12-02T00:00:00Z", "endsAt": "2026-12-01T00:00:00Z" }), "endsAt"),
        ] {
            assert_eq!(discount.apply(change(&bad), NOW).unwrap_err().0, field, "{bad}");
            assert_eq!(discount, before);
        }
        discount.apply(change(&json!({ "kind": "fixed", "value": 101, "minimum": null })), NOW).unwrap();
        assert_eq!((discount.terms.kind, discount.terms.minimum, discount.max_uses), (Kind::Fixed, None, Some(5)));
    }

    #[test]
    fn a_code_is_good_in_its_period_until_it_is_used_up() {
        let period = json!({ "startsAt": "2026-11-23T00:00:00Z", "endsAt": "2026-11-24T00:00:00Z", "maxUses": 2 });
        let mut discount = made(&with(period)).unwrap();
        let day = 24 * 60 * 60 * 1000;
        assert_eq!(discount.usable(Timestamp(NOW.0 - 1)), Err(Obstacle::NotYet(NOW)));
        assert_eq!(discount.usable(NOW), Ok(()));
        assert_eq!(discount.usable(Timestamp(NOW.0 + day - 1)), Ok(()));
        assert_eq!(discount.usable(Timestamp(NOW.0 + day)), Err(Obstacle::Over));
        discount.uses = 2;
        assert_eq!(discount.usable(NOW), Err(Obstacle::Exhausted));
        discount.active = false;
        assert_eq!(discount.usable(NOW), Err(Obstacle::Inactive));
    }

    #[test]
    fn a_minimum_is_in_one_currency() {
        let (euro, dollar) = ("EUR".parse().unwrap(), "USD".parse().unwrap());
        let discount = made(&with(json!({ "minimum": 20 }))).unwrap();
        let minimum = Money::from_minor(2000);
        assert_eq!(discount.fits(minimum, euro), Ok(()));
        assert_eq!(discount.fits(Money::from_minor(1999), euro), Err(Obstacle::Below(minimum)));
        assert_eq!(discount.fits(minimum, dollar), Err(Obstacle::OtherCurrency(euro)));
    }
}
