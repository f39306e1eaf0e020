//! A dependency that tries to touch what its parent may.

use http_body_util::BodyExt;
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::Connection;

mod contract {
    #![allow(missing_docs, clippy::crate_in_macro_def, reason = "generated code")]

    spin_sdk::wit_bindgen::generate!({
        path: "../wit",
        world: "provider",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        pub_export_macro: true,
        default_bindings_module: "crate::contract",
    });
}

use contract::exports::bodega::fixture::touch::Guest;

struct Provider;

contract::export!(Provider);

fn told(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Guest for Provider {
    async fn key_value() -> Result<String, String> {
        let store = Store::open("default").await.map_err(told)?;
        store.set("touched", b"yes").await.map_err(told)?;
        Ok("set".to_owned())
    }

    async fn sqlite() -> Result<String, String> {
        let connection = Connection::open("default").await.map_err(told)?;
        let result = connection.execute("SELECT 1", []).await.map_err(told)?;
        let rows = result.collect().await.map_err(told)?;
        Ok(format!("{} row", rows.len()))
    }

    async fn variable() -> Result<String, String> {
        spin_sdk::variables::get("greeting").await.map_err(told)
    }

    async fn fetch(url: String) -> Result<String, String> {
        let response = spin_sdk::http::get(url).await.map_err(told)?;
        let body = response.into_body().collect().await.map_err(told)?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    fn environment() -> Vec<String> {
        std::env::vars().map(|(name, _)| name).collect()
    }

    fn files() -> Vec<String> {
        let entries = std::fs::read_dir("/").into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}
