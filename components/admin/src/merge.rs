//! One list out of those of several services: by time, then service, then id. That order does not change, so a page
//! follows the one before, whatever is written in between.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Cursor, Result};

/// The place of an item in the merged list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Unix milliseconds.
    pub(crate) at: i64,
    pub(crate) service: String,
    pub(crate) id: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Time and id that a service's own items go on from, behind `place` in the merged list: ids of other services are not
/// compared.
pub(crate) fn behind(place: &Place, service: &str) -> (i64, i64) {
    let id = match service.cmp(&place.service) {
        std::cmp::Ordering::Less => i64::MAX,
        std::cmp::Ordering::Equal => place.id,
        std::cmp::Ordering::Greater => -1,
    };
    (place.at, id)
}

/// An item and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sourced<T> {
    #[schema(example = "orders")]
    service: &'static str,
    #[serde(flatten)]
    item: T,
}

/// A page of a merged list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Merged<T> {
    items: Vec<Sourced<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The services that have not answered: what they have is missing here.
    #[schema(example = json!([]))]
    unavailable: Vec<&'static str>,
}

/// A page of at most `limit` out of what the services have answered, each with one more than that.
pub(crate) fn page<T>(
    answers: Vec<(&'static str, Option<Vec<T>>)>,
    order: Order,
    limit: u32,
    place: impl Fn(&T) -> (i64, i64),
) -> Result<Merged<T>> {
    let unavailable = answers.iter().filter(|(_, items)| items.is_none()).map(|(service, _)| *service).collect();
    let mut items: Vec<Sourced<T>> = answers
        .into_iter()
        .flat_map(|(service, items)| items.into_iter().flatten().map(move |item| Sourced { service, item }))
        .collect();
    let key = |from: &Sourced<T>| {
        let (at, id) = place(&from.item);
        (at, from.service, id)
    };
    items.sort_by(|one, other| match order {
        Order::OldestFirst => key(one).cmp(&key(other)),
        Order::NewestFirst => key(other).cmp(&key(one)),
    });
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more).map(|from| {
        let (at, service, id) = key(from);
        Place { at, service: service.to_owned(), id }
    });
    let next_cursor = last.map(|place| Cursor::encode(&place)).transpose()?;
    Ok(Merged { items, next_cursor, unavailable })
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    const SERVICES: [&str; 3] = ["a", "b", "c"];

    /// What a service answers: its own items behind a place, in order, one more than a page has.
    fn answer(items: &[(i64, i64)], service: &str, after: Option<&Place>, order: Order, limit: u32) -> Vec<(i64, i64)> {
        let after = after.map(|place| behind(place, service));
        let mut items: Vec<_> = items.to_vec();
        items.sort_unstable();
        if order == Order::NewestFirst {
            items.reverse();
        }
        items.retain(|item| match (order, after) {
            (_, None) => true,
            (Order::OldestFirst, Some(after)) => *item > after,
            (Order::NewestFirst, Some(after)) => *item < after,
        });
        items.truncate(usize::try_from(limit).unwrap() + 1);
        items
    }

    proptest! {
        #[test]
        fn pages_together_are_the_whole_list(
            times in collection::vec(collection::vec(0..4_i64, 0..12), 3),
            limit in 1..6_u32,
            newest in any::<bool>(),
        ) {
            let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
            let lists: Vec<Vec<(i64, i64)>> = times
                .into_iter()
                .map(|times| times.into_iter().zip(0..).collect())
                .collect();
            let mut all: Vec<_> = SERVICES
                .iter()
                .zip(&lists)
                .flat_map(|(service, items)| items.iter().map(move |(at, id)| (*at, *service, *id)))
                .collect();
            all.sort_unstable();
            if newest {
                all.reverse();
            }
            let mut seen = Vec::new();
            let mut after: Option<Place> = None;
            loop {
                let answers = SERVICES
                    .iter()
                    .zip(&lists)
                    .map(|(service, items)| (*service, Some(answer(items, service, after.as_ref(), order, limit))))
                    .collect();
                let page = page(answers, order, limit, |item| *item).unwrap();
                seen.extend(page.items.iter().map(|from| (from.item.0, from.service, from.item.1)));
                prop_assert!(page.unavailable.is_empty());
                match page.next_cursor {
                    Some(cursor) => after = Some(Cursor::decode(&cursor).unwrap()),
                    None => break,
                }
            }
            prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let answers = vec![("a", None), ("b", Some(vec![(1, 1)])), ("c", None)];
        let page = page(answers, Order::OldestFirst, 1, |item| *item).unwrap();
        assert_eq!((page.items.len(), page.unavailable), (1, vec!["a", "c"]));
        assert_eq!(page.next_cursor, None);
    }
}
