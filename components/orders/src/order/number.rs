//! The number of an order that people read out: `B-2026-000123`, the year of its placing (UTC) and its id.

use model::{OrderId, Timestamp};

/// The number of the order `id`, placed at `created_at`.
pub(crate) fn number(id: OrderId, created_at: Timestamp) -> String {
    format!("B-{}-{:06}", year(created_at), id.0)
}

fn year(time: Timestamp) -> String {
    time.to_string().chars().take_while(char::is_ascii_digit).collect()
}

/// The only order that can have this number; whether it has is for [`number`] to say. Small letters are as good.
pub(crate) fn id(number: &str) -> Option<OrderId> {
    let rest = number.strip_prefix(['B', 'b'])?.strip_prefix('-')?;
    let (year, id) = rest.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = Some(id).filter(|id| year.len() == 4 && digits(year) && id.len() >= 6 && digits(id))?;
    id.parse().ok().map(OrderId)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_has_the_year_and_at_least_six_digits() {
        let year_ends = Timestamp(1_798_761_599_999);
        assert_eq!(number(OrderId(123), year_ends), "B-2026-000123");
        assert_eq!(number(OrderId(123), Timestamp(year_ends.0 + 1)), "B-2027-000123");
        assert_eq!(number(OrderId(12_345_678), year_ends), "B-2026-12345678");
    }

    #[test]
    fn what_is_no_number_names_no_order() {
        assert_eq!(id("b-2026-000123"), Some(OrderId(123)));
        for other in
            ["", "B", "B-2026", "B-2026-", "B-2026-123", "B2026000123", "B-26-000123", "B-2026-00012x", "B-2026-+00123"]
        {
            assert_eq!(id(other), None, "{other}");
        }
        assert_eq!(id("B-2026-99999999999999999999"), None);
    }

    proptest! {
        #[test]
        fn it_leads_back_to_its_order(order in 1..=9_007_199_254_740_991i64, time in 0..4_000_000_000_000i64) {
            prop_assert_eq!(id(&number(OrderId(order), Timestamp(time))), Some(OrderId(order)));
        }
    }
}
