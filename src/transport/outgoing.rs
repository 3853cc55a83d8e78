//! The body of a request, which tells when it leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::clock;

/// Is told when a request leaves, in microseconds of [`clock::steady`]: after it has a connection, just before its bytes are written.
pub type Left = Arc<dyn Fn(i64) + Send + Sync>;

/// A body in one piece.
pub(super) struct Outgoing {
    bytes: Full<Bytes>,
    left: Option<Left>,
}

impl Outgoing {
    pub(super) fn new(bytes: Bytes, left: Option<Left>) -> Self {
        Self { bytes: Full::new(bytes), left }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(left) = self.left.take() {
            left(clock::steady());
        }
        Pin::new(&mut self.bytes).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}
