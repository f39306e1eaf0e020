//! Asks its dependency what it can touch.

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use spin_sdk::key_value::Store;

mod contract {
    #![allow(missing_docs, reason = "generated code")]

    spin_sdk::wit_bindgen::generate!({
        path: "../wit",
        world: "consumer",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}

use contract::bodega::fixture::touch;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let url = request.uri().query().unwrap_or_default().to_owned();
    match request.uri().path().rsplit('/').next() {
        Some("own-key-value") => match Store::open("default").await {
            Ok(_) => "opened".to_owned(),
            Err(error) => format!("{error:?}"),
        },
        Some("key-value") => format!("{:?}", touch::key_value().await),
        Some("sqlite") => format!("{:?}", touch::sqlite().await),
        Some("variable") => format!("{:?}", touch::variable().await),
        Some("fetch") => format!("{:?}", touch::fetch(url).await),
        Some("files") => format!("{:?}", touch::files()),
        Some("environment") => format!("{:?}", touch::environment()),
        _ => "no such thing to touch".to_owned(),
    }
}
