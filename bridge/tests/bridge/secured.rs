//! Servers that speak TLS, with a certificate of nobody's that the system knows, and want a name and a password.

use redis::Commands;
use rumqttc::{Client, Event, Incoming, MqttOptions, QoS};
use servers::{Certificates, Kafka, Mosquitto, Redis, free_port, needs};

use crate::support::{Bridge, event, eventually, get, read, unique};

const USER: &str = "bodega";
const PASSWORD: &str = "correct-horse";

/// A Redis, a Mosquitto and a Kafka, and the ports of the first two for TLS.
struct Secured {
    certificates: Certificates,
    redis: (Redis, u16),
    mosquitto: (Mosquitto, u16),
    kafka: Kafka,
}

impl Secured {
    fn start() -> Self {
        let certificates = Certificates::new();
        let path = |path: std::path::PathBuf| path.display().to_string();
        let (ca, certificate, key) =
            (path(certificates.authority()), path(certificates.certificate()), path(certificates.key()));
        let (redis_port, mqtt_port) = (free_port(), free_port());
        let redis = Redis::start_with(&[
            ("tls-port", &redis_port.to_string()),
            ("tls-ca-cert-file", &ca),
            ("tls-cert-file", &certificate),
            ("tls-key-file", &key),
            ("tls-auth-clients", "no"),
            ("requirepass", PASSWORD),
        ]);
        let passwords = certificates.authority().with_file_name("passwords");
        let made = std::process::Command::new(servers::find("mosquitto_passwd").unwrap())
            .args(["-b", "-c", &path(passwords.clone()), USER, PASSWORD])
            .status();
        assert!(made.unwrap().success());
        let mosquitto = Mosquitto::start_with(&format!(
            "listener {mqtt_port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\npassword_file {}\nallow_anonymous false",
            passwords.display()
        ));
        let kafka = Kafka::start_secured(&certificates, USER, PASSWORD);
        Self { certificates, redis: (redis, redis_port), mosquitto: (mosquitto, mqtt_port), kafka }
    }

    /// What a bridge has to know; `believed` stands for the authority's file.
    fn config(&self, password: &str, believed: &str) -> String {
        format!(
            "[redis]\nurl = 'rediss://:{password}@127.0.0.1:{}'\n{believed}\n[mqtt]\nurl = 'mqtts://{USER}:{password}@127.0.0.1:{}'\n{believed}\n\
             [kafka]\nbrokers = '{}'\ntls = true\nusername = '{USER}'\npassword = '{password}'\n{believed}\n",
            self.redis.1,
            self.mosquitto.1,
            self.kafka.secured_brokers()
        )
    }
}

#[test]
fn servers_with_tls_and_passwords_are_carried_between_and_others_are_not_believed() {
    needs!("redis-server", "mosquitto", "java", "mvn", "openssl");
    let servers = Secured::start();
    let topic = unique("orders");
    let routes = format!("[redis_to_kafka]\n[mqtt_to_kafka]\ntopics = ['{topic}']\n");
    let believed = format!("ca_file = '{}'", servers.certificates.authority().display());
    let bridge = Bridge::start(&format!("{}{routes}", servers.config(PASSWORD, &believed)));
    eventually("all sides are connected", || (get(&bridge.url("/health")).0 == 200).then_some(()));
    let mut redis = redis::Client::open(format!("redis://:{PASSWORD}@127.0.0.1:{}", servers.redis.0.port())).unwrap();
    let by_redis = event("by-redis", "order/1", 1);
    let fields = [("event", &by_redis[..]), ("type", "ORDER_PAID"), ("subject", "order/1"), ("topics", &topic)];
    redis.xadd::<_, _, _, _, ()>("bodega:events", "*", &fields).unwrap();
    let (client, mut connection) = Client::new(MqttOptions::new("shop", "127.0.0.1", servers.mosquitto.0.port()), 10);
    client.publish(&topic, QoS::AtLeastOnce, false, event("by-mqtt", "order/2", 1)).unwrap();
    assert!(connection.iter().any(|event| matches!(event, Ok(Event::Incoming(Incoming::PubAck(_))))));
    let mut ids: Vec<_> =
        read(&servers.kafka.brokers(), &topic, 2).iter().map(|read| read.headers["ce_id"].clone()).collect();
    ids.sort();
    assert_eq!(ids, ["by-mqtt", "by-redis"]);
    // A wrong password, and a certificate that nobody vouches for.
    for config in [servers.config("wrong", &believed), servers.config(PASSWORD, "")] {
        let bridge = Bridge::start(&format!("{config}{routes}"));
        eventually("it has tried", || {
            (bridge.metric("bodega_bridge_failures_total{route=\"mqtt_to_kafka\"}") > 0).then_some(())
        });
        let (status, answer) = get(&bridge.url("/health"));
        assert_eq!(status, 503);
        for side in ["kafka", "mqtt", "redis"] {
            assert!(answer.contains(&format!("\"{side}\":\"down\"")), "{answer}");
        }
        assert!(!bridge.process.tail().contains("wrong@") && !bridge.process.tail().contains(PASSWORD));
    }
}
