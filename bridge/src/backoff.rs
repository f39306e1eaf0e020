//! Waits between attempts.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const LONGEST: Duration = Duration::from_secs(10);

/// Waits that grow from a tenth of a second to ten, and never end.
pub struct Backoff(ExponentialBackoff);

impl Default for Backoff {
    fn default() -> Self {
        let builder = ExponentialBuilder::new().with_min_delay(Duration::from_millis(100)).with_max_delay(LONGEST);
        Self(builder.with_jitter().without_max_times().build())
    }
}

impl Backoff {
    /// Waits, each time longer.
    pub async fn wait(&mut self) {
        // With jitter a wait may be twice the longest.
        tokio::time::sleep(self.0.next().unwrap_or(LONGEST).min(LONGEST)).await;
    }
}
