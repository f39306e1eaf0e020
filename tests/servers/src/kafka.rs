use std::{fs, net::TcpStream, path::Path, process::Command};

use tempfile::TempDir;

use crate::{Certificates, Process, find, free_port, script::fetched_by};

/// A Kafka of one broker, which is its own controller. Whoever writes to a topic makes it, with four partitions. Needs
/// `java`, and `mvn` the first time.
pub struct Kafka {
    directory: TempDir,
    jars: String,
    port: u16,
    secured: Option<u16>,
    process: Process,
}

/// Its second address.
struct Secured {
    port: u16,
    /// Lines of `server.properties`.
    settings: String,
    /// The user, as `kafka-storage format` takes it.
    scram: String,
}

impl Kafka {
    /// Starts one; the first time, this fetches it.
    ///
    /// # Panics
    ///
    /// If it cannot be had or started.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// Starts one that has a second address, [`Kafka::secured_brokers`], with TLS and users.
    ///
    /// # Panics
    ///
    /// If it cannot be had or started.
    pub fn start_secured(certificates: &Certificates, user: &str, password: &str) -> Self {
        let pem = certificates.directory().join("kafka.pem");
        // The key first, then its certificate.
        let texts = [certificates.key(), certificates.certificate()].map(|file| fs::read_to_string(file).unwrap());
        fs::write(&pem, texts.concat()).unwrap();
        let port = free_port();
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        let settings = format!(
            "ssl.keystore.type=PEM\nssl.keystore.location={}\nsasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.secured.scram-sha-512.sasl.jaas.config={module} required;\n",
            pem.display()
        );
        let scram = format!("SCRAM-SHA-512=[name={user},password={password}]");
        Self::start_as(Some(Secured { port, settings, scram }))
    }

    fn start_as(secured: Option<Secured>) -> Self {
        let jars = fetched_by("kafka");
        let directory = tempfile::tempdir().unwrap();
        let (port, controller) = (free_port(), free_port());
        let path = directory.path().display();
        let of_secured =
            |text: fn(u16) -> String| secured.as_ref().map_or_else(String::new, |secured| text(secured.port));
        let listener = of_secured(|port| format!(",SECURED://127.0.0.1:{port}"));
        let protocol = of_secured(|_| ",SECURED:SASL_SSL".into());
        // Debian's machines are slow when all tests run: nothing is given up on soon, but a broker that was killed, or it
        // could not come back before its old session ends.
        let settings = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listener}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}{listener}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{protocol}\nlog.dirs={path}/data\n\
             num.partitions=4\noffsets.topic.num.partitions=2\noffsets.topic.replication.factor=1\n\
             transaction.state.log.num.partitions=2\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
             broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\nnum.network.threads=2\n\
             num.io.threads=2\nbackground.threads=2\nlog.cleaner.dedupe.buffer.size=4194304\n"
        );
        let further = secured.as_ref().map_or("", |secured| &secured.settings);
        fs::write(directory.path().join("server.properties"), settings + further).unwrap();
        let format = ["format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg", "--config", "server.properties"];
        let mut tool = java(directory.path(), &jars, "kafka.tools.StorageTool");
        tool.args(format);
        if let Some(secured) = &secured {
            tool.args(["--add-scram", &secured.scram]);
        }
        let output = tool.output().unwrap();
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "Kafka cannot format its storage\n{said}\n{complained}");
        let process = run(directory.path(), &jars, port);
        Self { directory, jars, port, secured: secured.map(|secured| secured.port), process }
    }

    /// The same for clients who speak TLS and have a name.
    ///
    /// # Panics
    ///
    /// If it was not started with that.
    pub fn secured_brokers(&self) -> String {
        format!("127.0.0.1:{}", self.secured.unwrap())
    }

    /// For `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it at the same port with the same data.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_again(&mut self) {
        self.process.kill();
        self.process = run(self.directory.path(), &self.jars, self.port);
    }
}

/// A small virtual machine that starts fast.
fn java(directory: &Path, jars: &str, class: &str) -> Command {
    let mut command = Command::new(find("java").expect("java is not installed"));
    command.current_dir(directory).args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    command.arg("-cp").arg(format!("{jars}/*")).arg(class);
    command
}

fn run(directory: &Path, jars: &str, port: u16) -> Process {
    let mut command = java(directory, jars, "kafka.Kafka");
    command.arg("server.properties");
    // It listens when it has read its data again.
    let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    Process::start("Kafka", command, directory.join("log"), ready)
}
