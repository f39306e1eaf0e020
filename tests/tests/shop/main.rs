//! What the shop promises, a suite for each subject. One program, because each links the host.

#![allow(clippy::unwrap_used)]

mod accounts;
mod anything;
mod audit;
mod authorizations;
mod batches;
mod crash;
mod deadlines;
mod events;
mod fake_stripe;
mod http;
mod inventory;
mod jitter;
mod ledger;
mod orders;
mod payments;
mod products;
mod purchase;
mod races;
mod readme;
mod refund_requests;
mod roles;
mod slow_charges;
mod stripe;
mod support;
mod time;
mod webhooks;
