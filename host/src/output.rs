//! What guests write: lines of stderr go to the host's, each with the component's name before it; lines of stdout go to the
//! host's as they are, for programs that read them.

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

/// Takes each line, without its end, that a component writes to its stdout; the first argument is the component's id.
pub type Output = dyn Fn(&str, &[u8]) + Send + Sync;

/// Where lines go.
#[derive(Clone)]
pub(crate) enum Target {
    Nowhere,
    Stdout,
    Stderr,
    Given(Arc<Output>),
}

/// Collects the output of one instance until a line is complete.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Mutex<Buffer>>);

struct Buffer {
    component: Arc<str>,
    target: Target,
    line: Vec<u8>,
}

impl Lines {
    /// Lines of this component.
    pub(crate) fn new(component: &Arc<str>, target: Target) -> Self {
        Self(Arc::new(Mutex::new(Buffer { component: component.clone(), target, line: Vec::new() })))
    }

    fn push(&self, bytes: &[u8]) {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(buffer.target, Target::Nowhere) {
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

    /// A line is one write, so that those of several instances do not mix.
    fn flush(&mut self) {
        if !self.line.ends_with(b"\n") {
            self.line.push(b'\n');
        }
        // Nobody can be told that stdout or stderr is gone.
        match &self.target {
            Target::Nowhere => {}
            Target::Stdout => _ = io::stdout().write_all(&self.line),
            Target::Stderr => {
                let mut whole = format!("[{}] ", self.component).into_bytes();
                whole.extend_from_slice(&self.line);
                _ = io::stderr().write_all(&whole);
            }
            Target::Given(output) => output(&self.component, &self.line[..self.line.len() - 1]),
        }
        self.line.clear();
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
