//! What the shop promises, a suite for each subject. One program, because each links the host.

#![allow(clippy::unwrap_used)]

mod accounts;
mod addresses;
mod anything;
mod audit;
mod batches;
mod crash;
mod deadlines;
mod events;
mod fulfilment;
mod http;
mod inventory;
mod jitter;
mod order_lists;
mod order_refunds;
mod orders;
mod payments;
mod placements;
mod pricing;
mod products;
mod purchase;
mod races;
mod readme;
mod roles;
mod slow_charges;
mod support;
mod time;
