//! What the shop promises, a suite for each subject. One program, because each links the host.

#![allow(clippy::unwrap_used)]

mod accounts;
mod addresses;
mod anything;
mod audit;
mod authorizations;
mod batches;
mod bulk;
mod carts;
mod categories;
mod checkout;
mod crash;
mod deadlines;
mod discounts;
mod events;
mod failed_orders;
mod fake_stripe;
mod fulfilment;
mod http;
mod inventory;
mod jitter;
mod ledger;
mod order_lists;
mod order_refunds;
mod orders;
mod payments;
mod people;
mod placements;
mod pricing;
mod products;
mod profile;
mod purchase;
mod races;
mod readme;
mod refund_requests;
mod reset;
mod roles;
mod search;
mod sessions;
mod slow_charges;
mod stripe;
mod support;
mod thresholds;
mod time;
mod webhooks;
