//! Bindings generated from `wit/`: the interfaces of Spin that components reach through `spin-sdk`.

mod generated {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "wit",
        world: "platform",
        imports: { default: async | trappable },
        with: {
            "spin:sqlite/sqlite.connection": crate::capabilities::sqlite::Connection,
            "spin:postgres/postgres.connection": crate::capabilities::postgres::Connection,
            "spin:postgres/postgres.connection-builder": crate::capabilities::postgres::Builder,
            "spin:redis/redis.connection": crate::capabilities::redis::Connection,
            "spin:mqtt/mqtt.connection": crate::capabilities::mqtt::Connection,
            "spin:key-value/key-value.store": crate::capabilities::key_value::StoreHandle,
        },
    });
}

mod redis_handler {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "wit",
        world: "redis-handler",
        imports: { default: async | trappable },
        with: { "spin:redis/redis": super::generated::spin::redis::redis },
    });
}

mod mqtt_handler {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "wit",
        world: "spin:mqtt-trigger/spin-mqtt",
    });
}

pub(crate) use generated::spin::{
    key_value::key_value, mqtt::mqtt, postgres::postgres, redis::redis, sqlite::sqlite, variables::variables,
};
pub(crate) use mqtt_handler::SpinMqttPre as MqttHandlerPre;
pub(crate) use mqtt_handler::spin::mqtt_trigger::spin_mqtt_types::Metadata as MqttMetadata;
pub(crate) use redis_handler::RedisHandlerPre;
