//! Redis: every event is added to the stream that is its durable copy, and published on its channels.

use std::{cell::RefCell, rc::Rc};

use model::topic::STREAM;
use spin_sdk::redis::{Connection, RedisParameter};

use crate::message::Message;

/// Does for each event, in order, all that is to be done: one round trip a batch. What comes further streams have of it is
/// for those who want to see the last ones, so they keep so many.
const SCRIPT: &str = "for i = 1, #ARGV, 6 do \
     local event, kind, subject, topics = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3] \
     redis.call('XADD', KEYS[1], '*', 'event', event, 'type', kind, 'subject', subject, 'topics', topics) \
     for stream in string.gmatch(ARGV[i + 4], '%S+') do \
     redis.call('XADD', stream, 'MAXLEN', '~', 10000, '*', 'event', event, 'type', kind, 'subject', subject, 'topics', topics) end \
     for channel in string.gmatch(ARGV[i + 5], '%S+') do redis.call('PUBLISH', channel, event) end \
     end return #ARGV / 6";

thread_local! {
    /// One for all requests of the instance: commands of several may be on their way in it at once.
    static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

async fn connected(url: &str) -> Result<Rc<Connection>, String> {
    if let Some(connection) = CONNECTION.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let connection = Rc::new(Connection::open(url).await.map_err(|error| format!("Redis: {error}"))?);
    CONNECTION.set(Some(connection.clone()));
    Ok(connection)
}

/// The connection that others of the instance take up, unless one of them has put another one in its place.
fn forget(connection: &Rc<Connection>) {
    CONNECTION.with_borrow_mut(|kept| {
        if kept.as_ref().is_some_and(|kept| Rc::ptr_eq(kept, connection)) {
            *kept = None;
        }
    });
}

/// Forgets the connection when a command breaks off in it, also because nobody waits any more.
struct Use(Option<Rc<Connection>>);

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            forget(connection);
        }
    }
}

/// Publishes all, or fails: then some may be there, and come again.
pub(crate) async fn publish(url: &str, messages: &[Message<'_>]) -> Result<(), String> {
    let connection = connected(url).await?;
    let mut using = Use(Some(connection.clone()));
    connection.execute("EVAL", arguments(messages)).await.map_err(|error| format!("Redis: {error}"))?;
    using.0 = None;
    Ok(())
}

fn arguments(messages: &[Message<'_>]) -> Vec<RedisParameter> {
    let mut arguments = vec![SCRIPT.to_owned(), "1".to_owned(), STREAM.to_owned()];
    for Message { event, topics, json } in messages {
        let channels: Vec<_> = topics.channels().collect();
        arguments.extend([
            json.clone(),
            event.event_type.clone(),
            event.subject.clone(),
            topics.kafka.join(" "),
            topics.streams.join(" "),
            channels.join(" "),
        ]);
    }
    arguments.into_iter().map(|argument| RedisParameter::Binary(argument.into_bytes())).collect()
}
