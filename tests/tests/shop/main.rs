//! What the shop promises, a suite for each subject. One program, because each links the host.

#![allow(clippy::unwrap_used)]

mod accounts;
mod anything;
mod audit;
mod batches;
mod bulk;
mod categories;
mod crash;
mod deadlines;
mod events;
mod http;
mod inventory;
mod jitter;
mod orders;
mod payments;
mod people;
mod products;
mod profile;
mod purchase;
mod races;
mod readme;
mod reset;
mod roles;
mod search;
mod sessions;
mod slow_charges;
mod support;
mod thresholds;
mod time;
