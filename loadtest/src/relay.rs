//! A way to a server that can be cut: to a node of ours its store has gone then, and to nobody else.

use std::io;

use http::Uri;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A port of loopback that leads to a server.
pub struct Relay {
    /// The port.
    pub port: u16,
    cut: watch::Sender<bool>,
}

impl Relay {
    /// Leads to this `host:port`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(server: String) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (cut, told) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut told, server) = (told.clone(), server.clone());
                tokio::spawn(async move {
                    let carried = async {
                        let mut server = TcpStream::connect(server).await?;
                        let _ = (client.set_nodelay(true), server.set_nodelay(true));
                        tokio::io::copy_bidirectional(&mut client, &mut server).await
                    };
                    // Both ends are closed when it is cut, and at once when they come while it is; so they are when the relay is gone.
                    tokio::select! {
                        biased;
                        _ = told.wait_for(|cut| *cut) => {}
                        _ = carried => {}
                    }
                });
            }
        });
        Ok(Self { port, cut })
    }

    /// Cuts it, or lets connections through again.
    pub fn cut(&self, cut: bool) {
        let _ = self.cut.send(cut);
    }
}

/// The host and port of a server's URL, `postgres://` as a rule.
///
/// # Errors
/// What is wrong with the URL; never the URL itself, which may hold a password.
pub fn server_of(url: &str) -> Result<(String, u16), String> {
    let wrong = || "the store's URL cannot be read; write postgres://USER@127.0.0.1:5432/DATABASE".to_owned();
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    Ok((uri.host().ok_or_else(wrong)?.to_owned(), uri.port_u16().unwrap_or(5432)))
}

/// The same URL by way of this port.
pub fn through(url: &str, port: u16) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let login = authority.rsplit_once('@').map_or(String::new(), |(login, _)| format!("{login}@"));
    format!("{scheme}://{login}127.0.0.1:{port}{path}")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_url_is_led_through_a_port() {
        assert_eq!(server_of("postgres://u:p@localhost:6543/db?sslmode=disable"), Ok(("localhost".into(), 6543)));
        assert_eq!(server_of("postgres://127.0.0.1/db"), Ok(("127.0.0.1".into(), 5432)));
        assert!(!server_of("postgres://u:secret word@/db").expect_err("no host").contains("secret"));
        assert_eq!(through("postgres://u:p@localhost:6543/db?a=b", 99), "postgres://u:p@127.0.0.1:99/db?a=b");
        assert_eq!(through("postgres://db.example", 99), "postgres://127.0.0.1:99");
    }

    #[tokio::test]
    async fn what_is_cut_carries_nothing_until_it_is_mended() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = Relay::to(server.local_addr().expect("bound").to_string()).await.expect("a port");
        let mut client = TcpStream::connect(("127.0.0.1", relay.port)).await.expect("it listens");
        let (mut behind, _) = server.accept().await.expect("it came through");
        client.write_all(b"a").await.expect("open");
        assert_eq!(behind.read_u8().await.expect("carried"), b'a');
        relay.cut(true);
        assert!(client.read_u8().await.is_err() && behind.read_u8().await.is_err(), "both ends are closed");
        let mut refused = TcpStream::connect(("127.0.0.1", relay.port)).await.expect("it listens");
        assert!(refused.read_u8().await.is_err());
        relay.cut(false);
        let mut again = TcpStream::connect(("127.0.0.1", relay.port)).await.expect("it listens");
        again.write_all(b"b").await.expect("open");
        let (mut behind, _) = server.accept().await.expect("it came through");
        assert_eq!(behind.read_u8().await.expect("carried"), b'b');
    }
}
