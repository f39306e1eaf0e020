//! The broker triggers beside a shop.

use std::{collections::BTreeMap, sync::Arc};

use bodega_host::{Clock, Control};
use tempfile::TempDir;

use crate::server::{Server, Settings};

/// A running application of `spin.brokers.toml`. It ends when it is dropped, in the middle of what it does.
pub struct Inbound {
    /// Before the directory: it must stop before its files go.
    _server: Server,
    _directory: TempDir,
}

impl Inbound {
    /// Starts the trigger of this component, `inbound-redis` or `inbound-mqtt`. It hears the broker from now on; on Spin a
    /// moment later.
    ///
    /// # Panics
    ///
    /// When it does not start; the message says why.
    pub async fn start(
        component: &str,
        variables: BTreeMap<String, String>,
        clock: &Clock,
        control: Option<Arc<dyn Control>>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            data: directory.path(),
            variables,
            clock: clock.clone(),
            output: Arc::new(|_, _| ()),
            control,
            tick_interval: None,
            max_instance_reuse: None,
            max_guest_memory: None,
        };
        let server = Server::start_inbound(settings, component).await;
        Self { _server: server, _directory: directory }
    }
}
