//! What guests write to stdout and stderr: lines on the host's stderr, each with the component's
//! name before it.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A guest that never ends its line must not fill the host's memory.
const LONGEST_LINE: usize = 16 * 1024;

/// Collects the output of one instance until a line is complete.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Mutex<Buffer>>);

struct Buffer {
    prefix: String,
    quiet: bool,
    line: Vec<u8>,
}

impl Lines {
    /// Lines of this component; with `quiet` they go nowhere.
    pub(crate) fn new(component: &str, quiet: bool) -> Self {
        Self(Arc::new(Mutex::new(Buffer { prefix: format!("[{component}] "), quiet, line: Vec::new() })))
    }

    fn push(&self, bytes: &[u8]) {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !buffer.quiet {
            buffer.push(bytes);
        }
    }
}

impl Buffer {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let mut whole = self.prefix.clone().into_bytes();
        whole.append(&mut self.line);
        if !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
        // Nobody can be told that stderr is gone.
        _ = io::stderr().write_all(&whole);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.flush();
        }
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
