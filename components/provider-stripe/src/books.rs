//! What must not be forgotten: which intent is which charge.

use spin_sdk::key_value::Store;

use crate::{Failure, Result};

/// The key-value store `provider-stripe`. A write is on disk when it returns.
pub(crate) struct Books(Store);

impl Books {
    pub(crate) async fn open() -> Result<Self> {
        Store::open("provider-stripe").await.map(Self).map_err(|error| unreadable("provider-stripe", &error))
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.0.get(key).await.map_err(|error| unreadable(key, &error))
    }

    /// A text that was set before.
    pub(crate) async fn text(&self, key: &str) -> Result<Option<String>> {
        let text = self.get(key).await?.map(String::from_utf8).transpose();
        text.map_err(|error| unreadable(key, &error))
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.set(key, value).await.map_err(|error| unreadable(key, &error))
    }

    pub(crate) async fn forget(&self, key: &str) -> Result<()> {
        self.0.delete(key).await.map_err(|error| unreadable(key, &error))
    }
}

fn unreadable(key: &str, error: &dyn std::fmt::Display) -> Failure {
    eprintln!("stripe: the books: {key}: {error}");
    Failure::Unknown
}
