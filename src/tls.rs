//! TLS for the listener: rustls, HTTP/1.1 and HTTP/2, reloaded when the files change.

use std::{sync::Arc, time::Duration};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::sync::watch;

use crate::config::Tls;

/// Makes the process use one crypto provider.
pub fn install_provider() {
    // Installed twice in one process only by tests; the first stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The TLS configuration, kept up to date with its files; `None` without TLS.
pub fn watch(tls: Option<&Tls>) -> Result<Option<watch::Receiver<Arc<ServerConfig>>>, String> {
    let Some(tls) = tls.cloned() else { return Ok(None) };
    install_provider();
    let first = load(&tls)?;
    let (sender, receiver) = watch::channel(first);
    let mut seen = stamp(&tls);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let now = stamp(&tls);
            if now == seen {
                continue;
            }
            match load(&tls) {
                Ok(config) => {
                    seen = now;
                    tracing::info!("the certificate was reloaded");
                    if sender.send(config).is_err() {
                        return;
                    }
                }
                // Perhaps half of the pair is written: the old one stays in force, and the next look tries again.
                Err(e) => tracing::warn!(error = e, "the changed certificate cannot be used; the old one stays"),
            }
        }
    });
    Ok(Some(receiver))
}

fn stamp(tls: &Tls) -> [Option<std::time::SystemTime>; 2] {
    [&tls.cert, &tls.key].map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}

fn load(tls: &Tls) -> Result<Arc<ServerConfig>, String> {
    let cert = tls.cert.display();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.cert)
        .map_err(|e| format!("the certificate {cert} cannot be read: {e}; name a PEM file"))?
        .collect::<Result<_, _>>()
        .map_err(|e| format!("the certificate {cert} is not PEM: {e}"))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|e| format!("the key {} cannot be read: {e}; name a PEM file", tls.key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| format!("the certificate {cert} and its key do not fit: {e}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
