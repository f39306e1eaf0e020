//! Who of several bridges carries a route: the one that holds its lease, a key in Redis that runs out.

use std::time::Duration;

use redis::{RedisResult, aio::ConnectionManager};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Takes the key, or keeps it.
const TAKE: &str = "
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if holder then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

const KEEP: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

const GIVE_BACK: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// The lease of a route.
#[derive(Clone)]
pub struct Lease {
    redis: ConnectionManager,
    key: String,
    token: String,
    time: Duration,
}

impl Lease {
    /// The lease of this name, which is not taken yet.
    pub fn new(redis: ConnectionManager, key: String, holder: &str, time: Duration) -> Self {
        Self { redis, key, token: format!("{holder}/{}", Uuid::new_v4()), time }
    }

    /// The key in Redis.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value of the key while this bridge has the lease.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Takes the lease if it is free.
    ///
    /// # Errors
    ///
    /// If Redis does not answer.
    pub async fn take(&mut self) -> RedisResult<bool> {
        self.ask(TAKE).await
    }

    /// Keeps the lease, and returns when it is lost: somebody else may have it now.
    pub async fn keep(&mut self) {
        let mut end = Instant::now() + self.time;
        loop {
            sleep(self.time / 4).await;
            let asked = Instant::now();
            match tokio::time::timeout_at(end, self.ask(KEEP)).await {
                Ok(Ok(true)) => end = asked + self.time,
                Ok(Ok(false)) => return,
                Ok(Err(_)) if Instant::now() < end => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Lets the next one begin at once.
    ///
    /// # Errors
    ///
    /// If Redis does not answer: then it runs out.
    pub async fn give_back(&mut self) -> RedisResult<bool> {
        self.ask(GIVE_BACK).await
    }

    /// How long to wait before asking again for one that somebody else has.
    pub async fn stand_by(&self) {
        sleep((self.time / 4).min(Duration::from_secs(1))).await;
    }

    async fn ask(&mut self, script: &str) -> RedisResult<bool> {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(&self.key).arg(&self.token).arg(millis);
        command.query_async::<i64>(&mut self.redis).await.map(|answer| answer == 1)
    }
}
