//! The database that those of shops on Postgres are copied from: with the tables of all services, as their migrations make
//! them, and no rows. To migrate takes several times as long as to copy, and a shop is started for nearly every test.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bodega_host::{Clock, Control, HostCall, Phase, Verdict};
use tokio::sync::OnceCell;

use crate::{
    eventually,
    postgres::Schemas,
    server::{Manifest, Server, Settings, on_spin},
};

static TEMPLATE: OnceCell<Schemas> = OnceCell::const_new();

/// The database of a new shop, with a schema for each of these services. On Spin they migrate it themselves.
pub(crate) async fn schemas(services: &[String]) -> Schemas {
    if on_spin() {
        return Schemas::empty(services);
    }
    TEMPLATE.get_or_init(migrated).await.copy()
}

/// What the services of the shop make of an empty database.
async fn migrated() -> Schemas {
    let manifest = Manifest::read(&[], &[]);
    let schemas = Schemas::empty(&manifest.databases);
    let directory = tempfile::tempdir().unwrap();
    let control = Arc::<OnlyMigrations>::default();
    let settings = Settings {
        data: directory.path(),
        variables: schemas.variables(&manifest.databases).collect(),
        clock: Clock::new(),
        output: Arc::new(|_, _| ()),
        control: Some(control.clone()),
        tick_interval: None,
        max_instance_reuse: None,
        max_guest_memory: None,
        program: false,
    };
    let server = Server::start(settings, &manifest).await;
    let client = crate::client().build().unwrap();
    eventually(Duration::from_secs(120), "every service has its tables", async || {
        // It asks all services. That they are well is not said before they may do more.
        _ = client.get(format!("{}/health", server.url())).send().await;
        control.migrated.lock().unwrap().len() == manifest.databases.len()
    })
    .await;
    drop(server);
    schemas.close();
    schemas
}

/// Lets a service do nothing with its database but what it does first.
#[derive(Default)]
struct OnlyMigrations {
    /// Services that have done it.
    migrated: Mutex<BTreeSet<String>>,
}

impl Control for OnlyMigrations {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        if call.interface != "postgres" {
            return Verdict::Proceed;
        }
        let mut migrated = self.migrated.lock().unwrap();
        match call.phase {
            Phase::Before if migrated.contains(call.component) => {
                return Verdict::Fail("there is no shop yet".into());
            }
            Phase::After if call.detail == "COMMIT" => _ = migrated.insert(call.component.to_owned()),
            _ => {}
        }
        Verdict::Proceed
    }
}
