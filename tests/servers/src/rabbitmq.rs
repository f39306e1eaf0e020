use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{Process, find, free_port};

/// A RabbitMQ that speaks MQTT, with a node and a port mapper of its own. Its user is `guest` with the password `guest`;
/// who gives no name is that user too.
pub struct RabbitMq {
    directory: TempDir,
    ports: Ports,
    // Before the port mapper, which it talks to as long as it lives.
    node: Process,
    mapper: Process,
}

struct Ports {
    mqtt: u16,
    amqp: u16,
    /// Of its management.
    http: u16,
    /// Where nodes would talk to each other.
    distribution: u16,
    /// Where nodes ask the port mapper for each other.
    mapper: u16,
}

impl RabbitMq {
    /// Starts one; this takes some seconds.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ports = Ports {
            mqtt: free_port(),
            amqp: free_port(),
            http: free_port(),
            distribution: free_port(),
            mapper: free_port(),
        };
        configure(directory.path(), &ports);
        let mapper = start_mapper(directory.path(), &ports);
        let node = start_node(directory.path(), &ports);
        Self { directory, ports, node, mapper }
    }

    /// Where it speaks MQTT.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.ports.mqtt)
    }

    /// Where its management answers, with the user's name and password before the host: what clients of AMQP do with queues can
    /// be done there over HTTP.
    pub fn management(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}/api", self.ports.http)
    }

    /// Its port for MQTT, of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.ports.mqtt
    }

    #[cfg(test)]
    pub(crate) fn mapper_port(&self) -> u16 {
        self.ports.mapper
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        self.node.kill();
        self.mapper.kill();
    }

    /// Starts it at the same port with the same data.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_again(&mut self) {
        self.kill();
        self.mapper = start_mapper(self.directory.path(), &self.ports);
        self.node = start_node(self.directory.path(), &self.ports);
    }
}

fn configure(directory: &Path, ports: &Ports) {
    let config = format!(
        "listeners.tcp.1 = 127.0.0.1:{}\nmqtt.listeners.tcp.1 = 127.0.0.1:{}\nmqtt.allow_anonymous = true\nlog.console = true\n\
         management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n",
        ports.amqp, ports.mqtt, ports.http
    );
    fs::write(directory.join("rabbitmq.conf"), config).unwrap();
    fs::write(directory.join("enabled_plugins"), "[rabbitmq_management, rabbitmq_mqtt].\n").unwrap();
}

/// The port mapper. The node would start one that outlives it, were there none.
fn start_mapper(directory: &Path, ports: &Ports) -> Process {
    let mut command = Command::new(find("epmd").expect("epmd, which belongs to Erlang, is not installed"));
    command.args(["-address", "127.0.0.1", "-port"]).arg(ports.mapper.to_string());
    let ready = || TcpStream::connect(("127.0.0.1", ports.mapper)).is_ok();
    Process::start("epmd", command, directory.join("epmd.log"), ready)
}

fn start_node(directory: &Path, ports: &Ports) -> Process {
    let mut command = Command::new(program());
    command
        .env("HOME", directory)
        .env("ERL_EPMD_PORT", ports.mapper.to_string())
        .env("RABBITMQ_NODENAME", format!("bodega-{}@localhost", ports.mqtt))
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("RABBITMQ_CONFIG_FILE", directory.join("rabbitmq.conf"))
        .env("RABBITMQ_CONF_ENV_FILE", directory.join("none"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", directory.join("none"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", directory.join("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", directory.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", directory.join("logs"))
        .env("RABBITMQ_PID_FILE", directory.join("pid"))
        // So that the script becomes the node: a child of the script would outlive it when these tests are killed.
        .env("RABBITMQ_ALLOW_INPUT", "yes")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-noinput -start_epmd false");
    // It listens for MQTT when all else is ready.
    let ready = || TcpStream::connect(("127.0.0.1", ports.mqtt)).is_ok();
    Process::start("rabbitmq-server", command, directory.join("log"), ready)
}

/// RabbitMQ's own script. The one that Debian has on the PATH becomes a user who may not enter our directory.
fn program() -> PathBuf {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if debian.is_file() { debian } else { find("rabbitmq-server").expect("rabbitmq-server is not installed") }
}
