//! What the bridge promises, on real servers: it is a process of its own here, which can be killed, as can they.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command;
mod inbound;
mod mail;
mod mqtt;
mod outbound;
mod secured;
mod sides;
mod support;
