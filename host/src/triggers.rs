//! Triggers other than HTTP: messages of brokers, each handled by an instance of its own, at most once.

mod handler;
pub(crate) mod mqtt;
pub(crate) mod redis;

use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use handler::{Entry, Handler};

/// Which messages are to be taken from where, and who handles them.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) redis: Vec<redis::Subscriber>,
    pub(crate) mqtt: Vec<mqtt::Subscriber>,
}

/// The triggers of a running host.
pub(crate) struct Triggers {
    listening: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
    listed: Vec<(String, String)>,
}

impl Triggers {
    /// Subscribes to everything that is planned: what is published from then on is handled.
    ///
    /// # Errors
    ///
    /// If a broker cannot be reached, or refuses.
    pub(crate) async fn start(plan: Plan) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut triggers = Self { listening: JoinSet::new(), stop, listed: Vec::new() };
        for subscriber in plan.redis {
            triggers.listed.extend(subscriber.listed());
            let subscription = subscriber.subscribe().await?;
            triggers.listening.spawn(subscription.listen(Stopped(stopped.clone())));
        }
        for subscriber in plan.mqtt {
            triggers.listed.push(subscriber.listed());
            let subscription = subscriber.subscribe().await?;
            triggers.listening.spawn(subscription.listen(Stopped(stopped.clone())));
        }
        Ok(triggers)
    }

    /// The subscriptions and their components.
    pub(crate) fn listed(&self) -> &[(String, String)] {
        &self.listed
    }

    /// Waits for a trigger that cannot go on.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.listening.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(panicked)) => panicked.into(),
            // Those without an error were told to stop.
            Some(Ok(Ok(()))) | None => std::future::pending().await,
        }
    }

    /// Takes no more messages, and lets what handles one finish, at most for `bound`.
    pub(crate) async fn stop(&mut self, bound: Duration) {
        // Nobody listens if there is no trigger.
        _ = self.stop.send(true);
        let ended = async { while self.listening.join_next().await.is_some() {} };
        if tokio::time::timeout(bound, ended).await.is_err() {
            self.listening.shutdown().await;
        }
    }
}

/// Tells a listener that it is to stop.
pub(crate) struct Stopped(watch::Receiver<bool>);

impl Stopped {
    /// Waits for that.
    pub(crate) async fn told(&mut self) {
        // An error means that the host is gone.
        _ = self.0.wait_for(|stopped| *stopped).await;
    }
}
