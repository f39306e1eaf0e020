//! Bodies of lines, one JSON value each (NDJSON), that are read while they arrive and written while they leave: their
//! length costs no memory.

use std::{
    collections::VecDeque,
    pin::pin,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    future::{Either, select},
};
use http::{HeaderValue, header};
use http_body_util::BodyExt;
use send_wrapper::SendWrapper;

use crate::{Error, Result, body, edge};

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// Names by which clients call it.
const NAMES: [&str; 5] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json-lines",
];
/// As long as any other body.
const LONGEST_LINE: usize = 64 * 1024;
/// A body of lines is waited for as long as so many others, all in all.
const BODIES: u32 = 20;

/// Marks a response whose body is sent as it is made.
#[derive(Clone)]
pub(crate) struct Streamed;

/// A body that is sent as it is made: each text is one or more whole lines. An error ends it, and the client notices.
pub struct Ndjson<S>(pub S);

impl<S: Stream<Item = Result<String>> + 'static> IntoResponse for Ndjson<S> {
    fn into_response(self) -> Response {
        let pieces = self
            .0
            .map(|piece| piece.map(Bytes::from).inspect_err(|error| eprintln!("error: a stream ended early: {error}")));
        let mut response = Response::new(Body::from_stream(SendWrapper::new(pieces)));
        response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
        response.extensions_mut().insert(Streamed);
        response
    }
}

/// A line of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What stands in it, without the line's end. It may be empty.
    Text(Vec<u8>),
    /// More than 64 KiB, which are passed over.
    TooLong,
}

/// The lines of a request's body, as they arrive.
pub struct Lines {
    body: Body,
    splitter: Splitter,
    ready: VecDeque<Line>,
    ended: bool,
    /// So long it was waited for.
    waited: Duration,
}

impl Lines {
    /// The lines of a request that says it has some; 415 otherwise.
    pub fn of(request: Request) -> Result<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
        if !NAMES.contains(&essence.as_str()) {
            return Err(Error::UnsupportedMediaType);
        }
        body::must_be_plain(request.headers())?;
        let body = request.into_body();
        Ok(Self { body, splitter: Splitter::default(), ready: VecDeque::new(), ended: false, waited: Duration::ZERO })
    }

    /// The next line; `None` after the last one. 400 when the body breaks off, 408 when the line takes too long to arrive, or
    /// all of them do.
    pub async fn next(&mut self) -> Result<Option<Line>> {
        if self.ready.is_empty() {
            let (patience, begun) = (self.patience(), Instant::now());
            match select(pin!(self.read()), pin!(spin_sdk::time::sleep(patience))).await {
                Either::Left((outcome, _)) => outcome?,
                Either::Right(_) => return Err(Error::TooSlow),
            }
            self.waited += begun.elapsed();
        }
        Ok(self.ready.pop_front())
    }

    /// How long the next line may take: each has the time of a body. What is done with the lines does not count.
    fn patience(&self) -> Duration {
        let one = edge::body_patience();
        one.min((one * BODIES).saturating_sub(self.waited))
    }

    /// Reads until there is a line, or the end.
    async fn read(&mut self) -> Result<()> {
        while self.ready.is_empty() && !self.ended {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.splitter.feed(&bytes, &mut self.ready);
                    }
                }
                Some(Err(_)) => return Err(Error::Malformed("the body breaks off".into())),
                None => {
                    self.ended = true;
                    self.ready.extend(self.splitter.finish());
                }
            }
        }
        Ok(())
    }
}

/// Cuts what arrives in pieces into lines.
#[derive(Default)]
struct Splitter {
    /// What has arrived of the line that has not ended.
    begun: Vec<u8>,
    too_long: bool,
}

impl Splitter {
    fn feed(&mut self, piece: &[u8], lines: &mut VecDeque<Line>) {
        let mut parts = piece.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.extend(part);
            lines.push_back(self.end());
        }
        self.extend(last);
    }

    /// The last line, when it has no end of its own.
    fn finish(&mut self) -> Option<Line> {
        (self.too_long || !self.begun.is_empty()).then(|| self.end())
    }

    fn extend(&mut self, part: &[u8]) {
        if self.too_long || self.begun.len() + part.len() > LONGEST_LINE {
            self.too_long = true;
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn end(&mut self) -> Line {
        let mut text = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.too_long) {
            return Line::TooLong;
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        Line::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Line> {
        let (mut splitter, mut lines) = (Splitter::default(), VecDeque::new());
        for piece in pieces {
            splitter.feed(piece, &mut lines);
            assert!(splitter.begun.len() <= LONGEST_LINE);
        }
        lines.extend(splitter.finish());
        lines.into()
    }

    fn text(text: &str) -> Line {
        Line::Text(text.into())
    }

    #[test]
    fn lines_end_as_they_do_anywhere() {
        assert_eq!(split(&[b"a\r\nb\n\nc"]), [text("a"), text("b"), text(""), text("c")]);
        assert_eq!(split(&[b"a", b"", b"b\n"]), [text("ab")]);
        assert_eq!(split(&[]), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_not_kept() {
        let long = vec![b'x'; 40_000];
        assert_eq!(split(&[&long, &long, &long, b"\nb\n"]), [Line::TooLong, text("b")]);
        assert_eq!(split(&[&long, &long]), [Line::TooLong]);
        let fits = vec![b'x'; LONGEST_LINE];
        assert_eq!(split(&[&fits, b"\n"]), [Line::Text(fits.clone())]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_pieces_end(body in "[ab\\n]{0,60}", cuts in proptest::collection::vec(0..60usize, 0..6)) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&body.as_bytes()[from..cut]);
                from = cut;
            }
            pieces.push(&body.as_bytes()[from..]);
            let expected: Vec<_> = body.lines().map(text).collect();
            prop_assert_eq!(split(&pieces), expected);
        }
    }
}
