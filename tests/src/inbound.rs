//! The broker triggers beside a shop.

use std::{collections::BTreeMap, sync::Arc};

use bodega_host::{Clock, Control};
use tempfile::TempDir;

use crate::server::{Program, Server, Settings};

/// A running application of `spin.brokers.toml`. It ends when it is dropped, in the middle of what it does.
pub struct Inbound {
    /// Before the directory: it must stop before its files go.
    server: Server,
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
        Self::start_as(component, variables, clock, control, false).await
    }

    /// The same as a program of its own.
    pub async fn start_program(component: &str, variables: BTreeMap<String, String>) -> Self {
        Self::start_as(component, variables, &Clock::new(), None, true).await
    }

    /// The program that it is.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn program(&self) -> &Program {
        let Server::Program(program) = &self.server else { panic!("it is no program of its own") };
        program
    }

    async fn start_as(
        component: &str,
        variables: BTreeMap<String, String>,
        clock: &Clock,
        control: Option<Arc<dyn Control>>,
        program: bool,
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
            program,
        };
        let server = Server::start_inbound(settings, component).await;
        Self { server, _directory: directory }
    }
}
