//! The order in which events arrived.

use std::collections::BTreeMap;

use crate::{Shop, as_written};

impl Shop {
    /// Checks that each service took the events of another one in order within each subject. Returns how many pairs of
    /// successive events that compared.
    ///
    /// # Panics
    ///
    /// Naming two events that came the wrong way round.
    pub fn assert_in_order(&self) -> usize {
        const SENT: &str = "SELECT event_id, json_extract(envelope, '$.subject'), \
             json_extract(envelope, '$.eventType') FROM outbox ORDER BY id";
        let mut compared = 0;
        for producer in &self.manifest.databases {
            let sent = self.query(producer, SENT);
            for subscriber in &self.manifest.databases {
                let taken = self.query(subscriber, &format!("SELECT event_id FROM inbox ORDER BY {}", as_written()));
                let places: BTreeMap<_, _> =
                    taken.iter().enumerate().map(|(place, row)| (row[0].as_str(), place)).collect();
                let mut last = BTreeMap::new();
                for row in &sent {
                    let Some(place) = places.get(&row[0].as_str()) else { continue };
                    let (subject, kind) = (row[1].as_str(), &row[2]);
                    if let Some((before, earlier)) = last.insert(subject, (*place, kind)) {
                        assert!(before < *place, "{producer} to {subscriber}: {kind} before {earlier} of {subject:?}");
                        compared += 1;
                    }
                }
            }
        }
        compared
    }
}
