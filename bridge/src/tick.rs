//! Wakes a shop whose host has no timer.

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    config,
    status::{Route, Side},
};

/// Calls the shop's `/tick` until it is told to stop.
///
/// # Errors
///
/// If there can be no client, or the address has no room for a path.
pub async fn run(config: config::Tick, mut side: Side, route: Route, stop: CancellationToken) -> Result<()> {
    let client = reqwest::Client::builder().timeout(config.timeout).user_agent("bodega-bridge").build()?;
    let url = format!("{}/tick", config.url.trim_end_matches('/'));
    let mut timer = interval(config.every);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    route.active.set(1);
    loop {
        tokio::select! { _ = timer.tick() => {}, () = stop.cancelled() => return Ok(()) }
        route.read.inc();
        let answer = tokio::select! {
            answer = client.post(&url).bearer_auth(config.token.reveal()).send() => answer,
            () = stop.cancelled() => return Ok(()),
        };
        match answer {
            Ok(answer) if answer.status().is_success() => {
                side.up();
                route.delivered(1);
            }
            Ok(answer) => {
                route.failures.inc();
                side.down(format!("the shop answers {} to a tick", answer.status()));
            }
            Err(error) => {
                route.failures.inc();
                side.down(error.without_url());
            }
        }
    }
}
