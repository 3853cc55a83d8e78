//! The ways out: straight from here, or as a channel's `egress` says: through a proxy, from an address of its own, to pinned keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fairway_adapters::kit::crypto;
use http::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::RwLock;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::CONNECT;
use super::outgoing::Outgoing;
use crate::config::egress::{Egress, Pin};

/// Makes a request by one way.
pub(super) type Way = Arc<dyn Fn(Request<Outgoing>) -> ResponseFuture + Send + Sync>;

/// The way a channel's configuration describes.
pub(super) fn way(egress: &Egress) -> Way {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    http.enforce_http(false);
    http.set_local_address(egress.source_address);
    let tls = tls(&egress.pins);
    match &egress.proxy {
        None => over(http, tls),
        Some(proxy) => {
            let tunnel = Tunnel::new(proxy.uri.clone(), http);
            over(proxy.header().into_iter().fold(tunnel, Tunnel::with_auth), tls)
        }
    }
}

fn over<C>(connector: C, tls: ClientConfig) -> Way
where
    HttpsConnector<C>: Connect + Clone + Send + Sync + 'static,
{
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().enable_http2().wrap_connector(connector);
    let pool = Pool::new(https);
    Arc::new(move |request| pool.request(request))
}

/// Connections are begun anew this often: a name that leads elsewhere is followed even while one connection carries calls without a pause.
const RENEW: Duration = Duration::from_secs(300);

/// Connections over a connector, and which of them new calls take.
pub(super) struct Pool<C> {
    connector: C,
    renew: Duration,
    current: RwLock<(Instant, Client<C, Outgoing>)>,
}

impl<C> Pool<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    pub(super) fn new(connector: C) -> Self {
        Self::renewed(connector, RENEW)
    }

    fn renewed(connector: C, renew: Duration) -> Self {
        let current = RwLock::new((Instant::now(), client(connector.clone())));
        Self { connector, renew, current }
    }

    pub(super) fn request(&self, request: Request<Outgoing>) -> ResponseFuture {
        let current = self.current.read();
        if current.0.elapsed() < self.renew {
            return current.1.request(request);
        }
        drop(current);
        self.begin_anew().request(request)
    }

    /// What is under way on the connections of before ends there.
    fn begin_anew(&self) -> Client<C, Outgoing> {
        let mut current = self.current.write();
        if current.0.elapsed() >= self.renew {
            *current = (Instant::now(), client(self.connector.clone()));
        }
        current.1.clone()
    }
}

/// A client over a connector; idle connections are closed soon.
fn client<C: Connect + Clone>(connector: C) -> Client<C, Outgoing> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .build(connector)
}

/// The authorities that browsers know.
pub(super) fn tls(pins: &[Pin]) -> ClientConfig {
    crate::tls::install_provider();
    let roots = Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    if pins.is_empty() {
        return ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    }
    pinned(&roots, pins)
}

fn pinned(roots: &Arc<RootCertStore>, pins: &[Pin]) -> ClientConfig {
    let usual = WebPkiServerVerifier::builder(Arc::clone(roots)).build().expect("there are authorities");
    let verifier = Arc::new(Pinned { usual, pins: pins.to_vec() });
    ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
}

/// Besides all that is usually checked, the server's own key must be one of those named. (Not one of its authorities': what else it
/// shows is no part of what was verified.)
#[derive(Debug)]
struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let hash = crypto::sha256(&key);
        match self.pins.iter().any(|pin| pin.0 == hash) {
            true => Ok(verified),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Answers every request on every connection, and counts connections.
    async fn serve(listener: tokio::net::TcpListener, connections: Arc<std::sync::atomic::AtomicUsize>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            });
        }
    }

    #[tokio::test]
    async fn connections_are_kept_and_begun_anew_in_time() {
        for (renew, expected) in [(Duration::from_secs(300), 1), (Duration::ZERO, 5)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}/", listener.local_addr().expect("an address"));
            let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            tokio::spawn(serve(listener, Arc::clone(&connections)));
            let pool = Pool::renewed(HttpConnector::new(), renew);
            for _ in 0..5 {
                let request = Request::get(&url).body(Outgoing::new(bytes::Bytes::new(), None)).expect("a request");
                let answer = pool.request(request).await.expect("an answer");
                // A connection is free again when its answer has been read.
                http_body_util::BodyExt::collect(answer.into_body()).await.expect("a body");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), expected);
        }
    }

    fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl runs");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn a_server_needs_both_a_known_authority_and_a_pinned_key() {
        crate::tls::install_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        openssl(at, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        openssl(
            at,
            "req -newkey rsa:2048 -nodes -keyout a.key -out a.csr -subj /CN=api.example.org -addext subjectAltName=DNS:api.example.org",
        );
        openssl(at, "x509 -req -in a.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out a.pem");
        let key = openssl(at, "pkey -in a.key -pubout -outform der");
        let read = |name: &str| CertificateDer::from_pem_file(at.join(name)).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(read("ca.pem")).expect("an authority");
        let usual = WebPkiServerVerifier::builder(Arc::new(roots)).build().expect("it verifies");
        let name = ServerName::try_from("api.example.org").expect("a name");
        let verify = |pin: [u8; 32], name: &ServerName<'_>| {
            let verifier = Pinned { usual: Arc::clone(&usual), pins: vec![Pin([7; 32]), Pin(pin)] };
            verifier.verify_server_cert(&read("a.pem"), &[], name, &[], UnixTime::now())
        };
        let good = crypto::sha256(&key);
        assert!(verify(good, &name).is_ok());
        let refused = rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        assert_eq!(verify([8; 32], &name).err(), Some(refused));
        let other = ServerName::try_from("other.example.org").expect("a name");
        assert!(verify(good, &other).is_err(), "a pin is no excuse for another name");
    }
}
