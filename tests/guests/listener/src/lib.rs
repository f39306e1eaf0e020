//! Handles messages of Redis and MQTT the way that they tell it to: `fail`, `trap`, `keep KEY` sets a key, `wait MILLIS`
//! waits. It prints what it has done with which message, the first of its instance or not.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use spin_sdk::key_value::Store;
use spin_sdk::redis_subscriber;
use spin_sdk::wasip3::clocks::monotonic_clock;

mod mqtt {
    #![allow(missing_docs, reason = "generated code")]

    spin_sdk::wit_bindgen::generate!({
        path: "../../../host/wit/deps/spin-mqtt-trigger@3.0.0",
        world: "spin-mqtt",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });

    struct Mqtt;
    export!(Mqtt);

    impl Guest for Mqtt {
        async fn handle_message(message: Payload, metadata: Metadata) -> Result<(), Error> {
            let handled = super::handle(&format!("mqtt {}", metadata.topic), &message).await;
            handled.map_err(|error| Error::Other(error.to_string()))
        }
    }
}

thread_local! {
    static HANDLED: Cell<u32> = const { Cell::new(0) };
}

#[redis_subscriber]
async fn on_message(message: Bytes) -> Result<()> {
    handle("redis", &message).await
}

async fn handle(source: &str, message: &[u8]) -> Result<()> {
    HANDLED.set(HANDLED.get() + 1);
    let message = String::from_utf8_lossy(message);
    match message.split_once(' ').unwrap_or((&message, "")) {
        ("fail", why) => bail!("told to fail {why}"),
        ("trap", _) => std::process::abort(),
        ("keep", key) => Store::open("default").await?.set(key, "kept").await?,
        ("wait", millis) => {
            let time = Duration::from_millis(millis.parse()?);
            monotonic_clock::wait_for(u64::try_from(time.as_nanos())?).await;
        }
        _ => {}
    }
    println!("{source}: {message} ({})", HANDLED.get());
    Ok(())
}
