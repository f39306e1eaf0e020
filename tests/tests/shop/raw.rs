//! A client that sends bytes as they are: what no decent client would, and when it would not.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;
use shop_tests::Shop;

/// What came back, and when.
#[derive(Debug)]
pub struct RawAnswer {
    /// Everything that came until the connection was closed, or until the end of the first answer.
    pub text: String,
    /// Since the request was begun.
    pub after: Duration,
    /// When the shop had ended it, since then.
    pub ended: Duration,
}

impl RawAnswer {
    /// The status, 0 when there was no answer.
    pub fn status(&self) -> u16 {
        self.text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The word for programs in the problem, if the shop itself has answered.
    pub fn code(&self) -> Option<String> {
        let body = self.text.split_once("\r\n\r\n")?.1;
        let problem: Value = serde_json::from_str(body.get(body.find('{')?..=body.rfind('}')?)?).ok()?;
        Some(problem["code"].as_str()?.to_owned())
    }
}

/// Sends the pieces, with a pause before each but the first, and reads until the shop closes the connection, or for
/// `patience` after the last piece.
pub async fn send(shop: &Shop, pieces: Vec<Vec<u8>>, pause: Duration, patience: Duration) -> RawAnswer {
    let address = shop.url().trim_start_matches("http://").to_owned();
    let exchange = move || {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                std::thread::sleep(pause);
            }
            // The shop may have answered and closed already.
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        stream.set_read_timeout(Some(patience)).unwrap();
        let (mut answer, mut buffer, mut after) = (Vec::new(), [0; 64 * 1024], Duration::ZERO);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    if answer.is_empty() {
                        after = begun.elapsed();
                    }
                    answer.extend_from_slice(&buffer[..length]);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => panic!("{error}"),
            }
        }
        RawAnswer { text: String::from_utf8_lossy(&answer).into_owned(), after, ended: begun.elapsed() }
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

/// Sends one request and reads until the shop closes the connection.
pub async fn request(shop: &Shop, request: impl Into<Vec<u8>>) -> RawAnswer {
    send(shop, vec![request.into()], Duration::ZERO, Duration::from_secs(20)).await
}
