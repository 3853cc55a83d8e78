//! A connection whose first bytes must come in time.
//!
//! Which HTTP a connection speaks is read from its first bytes, before any clock of the server runs: whoever connects and says
//! nothing, or half a greeting, would hold it for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The bytes that tell HTTP/2 from HTTP/1: its preface.
const TELLING: usize = 24;

/// A stream that fails when its first bytes do not come in time.
pub struct Patience<S> {
    stream: S,
    /// Runs out while the first bytes are waited for; then it is gone.
    limit: Option<Pin<Box<Sleep>>>,
    read: usize,
}

impl<S> Patience<S> {
    /// Waits so long.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit: Some(Box::pin(tokio::time::sleep(limit))), read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.limit.is_some() {
            self.read += buf.filled().len() - before;
            if self.read >= TELLING {
                self.limit = None;
            } else if polled.is_pending()
                && let Some(limit) = &mut self.limit
                && limit.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn half_a_greeting_is_not_waited_for() {
        for said in ["", "PRI * HTTP/2.0"] {
            let (mut theirs, ours) = tokio::io::duplex(64);
            theirs.write_all(said.as_bytes()).await.expect("there is room");
            let mut ours = Patience::new(ours, Duration::from_millis(20));
            let error = ours.read_exact(&mut [0; TELLING]).await.expect_err("the rest never comes");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said}");
        }
    }

    #[tokio::test]
    async fn whoever_has_greeted_may_be_silent() {
        let (mut theirs, ours) = tokio::io::duplex(64);
        let mut ours = Patience::new(ours, Duration::from_millis(200));
        theirs.write_all(&[b'x'; TELLING]).await.expect("there is room");
        ours.read_exact(&mut [0; TELLING]).await.expect("it was in time");
        let later = tokio::spawn(async move { ours.read_u8().await });
        tokio::time::sleep(Duration::from_millis(400)).await;
        theirs.write_u8(7).await.expect("there is room");
        assert_eq!(later.await.expect("no panic").expect("it came"), 7);
    }
}
