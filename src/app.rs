//! Puts the rooms together: opens log and store, binds the channels, runs every task, serves, and stops in order.

mod answers;
mod board;
mod chat;
mod control;
mod duties;
mod erase;
mod errands;
mod recall;
mod replay;
mod retention;
mod send_topic;
mod sessions;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use duties::duty;

use crate::api::{self, auth::Keys};
use crate::channels::{Channels, Live};
use crate::config::Config;
use crate::consent::{self, Consent};
use crate::delivery::{feed::Feed, webhooks::Webhooks};
use crate::envelope::Writer;
use crate::ingress::{self, Ingress, claims::Claims, listener, remember::Remembered, smtp};
use crate::lockfile::Lockfile;
use crate::log::{self, EventLog, Topic};
use crate::media::{blobs::Blobs, fetch, links::Links};
use crate::outbound::{accept::Acceptor, fallback, owner, projector, quota::Quotas, unit};
use crate::people::{People, jobs::Jobs};
use crate::proactive::{self, campaigns};
use crate::seal::Seal;
use crate::store::{self, Store, db::Database, tables::Tables};
use crate::transport::Transport;
use crate::{console, sandbox, telemetry, webchat};

/// Connections at a time.
const CONNECTIONS: usize = 20_000;

/// A gateway that runs.
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the API listens, when it has a port of its own.
    pub api_address: Option<SocketAddr>,
    /// Where it takes mail, when it does.
    pub mail_address: Option<SocketAddr>,
    channels: Live,
    transport: Transport,
    log: Arc<dyn EventLog>,
    stop: watch::Sender<bool>,
    stop_units: watch::Sender<bool>,
    stop_sessions: watch::Sender<bool>,
    sessions: tokio::task::JoinHandle<()>,
    owner: tokio::task::JoinHandle<()>,
    servers: Vec<std::thread::JoinHandle<()>>,
    mail: Option<tokio::task::JoinHandle<()>>,
    claims: (Arc<Claims>, Arc<Remembered>),
    consent: Arc<Consent>,
    config: Config,
}

/// Why it does not start: a sentence that names the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

fn wrong(e: impl std::fmt::Display) -> StartError {
    StartError(e.to_string())
}

impl App {
    /// Starts a gateway. `seed_key` is `FAIRWAY_API_KEY`.
    pub async fn start(mut config: Config, seed_key: Option<String>) -> Result<Self, StartError> {
        telemetry::install();
        let stage = if config.sandbox.enabled { Some(sandbox::Sandbox::open(&mut config).await.map_err(wrong)?) } else { None };
        let channels = Live::new(Channels::bind(&config).map_err(wrong)?);
        lock_store(&config).map_err(wrong)?;
        let database = store::open(&config.store.url).await.map_err(wrong)?;
        let proactive_db = proactive_db(&config, &database).map_err(wrong)?;
        let store: Arc<dyn Store> = Arc::new(Tables::open(Arc::clone(&database)).await.map_err(wrong)?);
        let log = log::open(&config.log, &config.retention).await.map_err(wrong)?;
        let keys = Keys::open(Arc::clone(&store), config.is_loopback(), &config.server.public_url, config.api.rate, seed_key)
            .await
            .map_err(wrong)?;
        let keys = Arc::new(keys);
        tokio::spawn(Arc::clone(&keys).follow());
        if !config.is_loopback() {
            if config.sandbox.enabled {
                return Err(wrong(
                    "server.public_url is not loopback and the sandbox is on: anybody could play your providers; set sandbox.enabled = false",
                ));
            }
            if !keys.any() {
                return Err(wrong(
                    "server.public_url is not loopback and there is no API key: anybody could send; set FAIRWAY_API_KEY for the first start",
                ));
            }
        }
        let blobs = Blobs::open(&config.media.path)
            .map_err(|e| wrong(format!("media.path {} cannot be used: {e}", config.media.path.display())))?;
        let transport = transport(&config, &blobs);
        transport.lead(ways(&config));
        let links = Links::open(&*store, &config.server.public_url).await.map_err(wrong)?;
        let writer = Writer::new(&*log, config.log.encoding, &config.server.public_url);
        let (claims, remembered) = recall::recall(&*log, &recall::seen_path(&config)).await.map_err(wrong)?;
        let (stop, stopping) = watch::channel(false);
        let (stop_units, units_stopping) = watch::channel(false);
        let (stop_sessions, sessions_stopping) = watch::channel(false);

        let seal = Arc::new(Seal::new(&secret_setting(&*store, "seal_key").await.map_err(wrong)?));
        let people = People::open(Arc::clone(&database)).await.map_err(wrong)?;
        let (owed_answers, answers_owed) = mpsc::unbounded_channel();
        let consent_parts = consent::Parts {
            db: Arc::clone(&database),
            people: people.clone(),
            channels: channels.clone(),
            log: Arc::clone(&log),
            writer: writer.clone(),
            owed: owed_answers,
            secret: secret_setting(&*store, "person_key").await.map_err(wrong)?,
        };
        let consent = Consent::open(consent_parts, &config).await.map_err(wrong)?;
        // Known before any unit runs: what was paused stays paused over a restart.
        let link_key = secret_setting(&*store, "link_key").await.map_err(wrong)?;
        let linker = || proactive::links::Linker::new(&config.server.public_url, &link_key);
        let board = campaigns::board::Board::open(&*proactive_db, channels.clone(), linker()).await;
        let board = board.map_err(|e| wrong(format!("the campaigns cannot be read: {e:?}")))?;
        let (fallbacks, due_fallbacks) = mpsc::unbounded_channel();
        let worded = crate::channels::Worded::default();
        tokio::spawn(errands::learn_worded(worded.clone(), Arc::clone(&store)));
        let parts = Arc::new(unit::Parts {
            worded: worded.clone(),
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            consent: Arc::clone(&consent),
            seal: Arc::clone(&seal),
            fallbacks,
            channels: channels.clone(),
            transport: transport.clone(),
            writer: writer.clone(),
            public_url: config.server.public_url.clone(),
            links: links.of(&blobs),
            campaigns: Arc::<campaigns::board::Board>::clone(&board),
        });
        let units = owner::Units::default();
        let owner = tokio::spawn(owner::run(Arc::clone(&parts), units.clone(), units_stopping));
        tokio::spawn(control::follow(Arc::clone(&log), units.clone()));
        // Views are wanted before the first unit is owned; whoever then owns unit 0 takes them over by a tenure of his own.
        tokio::spawn(projector::run(Arc::clone(&log), Arc::clone(&store)));
        let feed = Feed::open(Arc::clone(&log), secret_setting(&*store, "cursor_key").await.map_err(wrong)?).await.map_err(wrong)?;
        tokio::spawn(Arc::clone(&feed).run());
        let acceptor = Acceptor::new(Arc::clone(&parts), units.clone(), Quotas::new(Arc::clone(&proactive_db)));
        let proactive = proactive::Parts {
            db: Arc::clone(&proactive_db),
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            channels: channels.clone(),
            people: people.clone(),
            consent: Arc::clone(&consent),
            board,
            links: linker(),
            prices: proactive::prices::Prices::path(&config.path),
            acceptor: acceptor.clone(),
            units: units.clone(),
        };
        let proactive = proactive::Room::open(proactive);
        proactive.run();
        tokio::spawn(fallback::run(parts, acceptor.clone(), due_fallbacks));
        tokio::spawn(answers::run(acceptor.clone(), answers_owed));
        tokio::spawn(Arc::clone(&consent).watch());
        let jobs = Jobs::open(Arc::clone(&database), people.clone(), &config.media.path).await.map_err(wrong)?;
        // Each node imports the files that were brought to it.
        tokio::spawn(jobs.clone().run());
        let eraser = Arc::new(erase::Eraser {
            db: Arc::clone(&database),
            proactive_db,
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            blobs: blobs.clone(),
            writer: writer.clone(),
            people: people.clone(),
            consent: Arc::clone(&consent),
            jobs: jobs.clone(),
        });

        let (owed, owed_calls) = mpsc::unbounded_channel();
        let (wanted_keys, key_calls) = mpsc::unbounded_channel();
        tokio::spawn(errands::make_owed_calls(transport.clone(), owed_calls));
        tokio::spawn(errands::fetch_keys(transport.clone(), key_calls));
        let ingress_parts = ingress::Parts {
            answers: ingress::answers::Answers::new(worded.clone(), Arc::clone(&store)),
            log: Arc::clone(&log),
            channels: channels.clone(),
            claims: Arc::clone(&claims),
            seal: Arc::clone(&seal),
            held: transport.held.clone(),
            blobs: blobs.clone(),
            owed,
            keys: wanted_keys,
        };
        let ingress = Arc::new(Ingress::new(ingress_parts, &config));
        tokio::spawn(errands::count_received(Arc::clone(&ingress), channels.clone(), units.clone(), Arc::clone(&log)));
        if config.log.kind == log::config::Kind::Kafka {
            tokio::spawn(board::tell(channels.clone(), units.clone(), transport.sessions.clone(), Arc::clone(&store)));
        }
        let session_parts = sessions::Parts {
            channels: channels.clone(),
            units: units.clone(),
            ingress: Arc::clone(&ingress),
            store: Arc::clone(&store),
            sessions: transport.sessions.clone(),
            units_stopping: stop_units.subscribe(),
        };
        let sessions = tokio::spawn(sessions::run(session_parts, sessions_stopping));
        tokio::spawn(telemetry::upkeep());
        tokio::spawn(recall::flush_claims(Arc::clone(&log), Arc::clone(&remembered)));

        let media = Arc::new(fetch::Parts {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            channels: channels.clone(),
            transport: transport.clone(),
            blobs: blobs.clone(),
            public_url: config.server.public_url.clone(),
            max_size: config.media.max_size.0 as usize,
        });
        let replayer = Arc::new(replay::Replay {
            log: Arc::clone(&log),
            channels: channels.clone(),
            writer: writer.clone(),
            claims: Arc::clone(&claims),
            blobs: blobs.clone(),
            public_url: config.server.public_url.clone(),
        });
        let webhooks = Webhooks::new(Arc::clone(&feed), Arc::clone(&store), transport.clone(), config.is_loopback());
        tokio::spawn(duties::run(
            units.clone(),
            vec![
                (
                    "views",
                    duty({
                        let (log, store) = (Arc::clone(&log), Arc::clone(&store));
                        move || projector::run(Arc::clone(&log), Arc::clone(&store))
                    }),
                ),
                (
                    "send",
                    duty({
                        let (log, acceptor, writer) = (Arc::clone(&log), acceptor.clone(), writer.clone());
                        move || send_topic::run(Arc::clone(&log), acceptor.clone(), writer.clone())
                    }),
                ),
                ("media", duty(move || fetch::run(Arc::clone(&media)))),
                (
                    "webhooks",
                    duty({
                        let webhooks = Arc::clone(&webhooks);
                        move || Arc::clone(&webhooks).run()
                    }),
                ),
                (
                    "retention",
                    duty({
                        let (store, db, blobs) = (Arc::clone(&store), Arc::clone(&eraser.proactive_db), blobs.clone());
                        let keep = config.retention.clone();
                        move || retention::run(Arc::clone(&store), Arc::clone(&db), blobs.clone(), keep.clone())
                    }),
                ),
                (
                    "consent",
                    duty({
                        let consent = Arc::clone(&consent);
                        move || Arc::clone(&consent).listen()
                    }),
                ),
                ("erasures", duty(move || Arc::clone(&eraser).run())),
            ],
        ));
        let shared = Arc::new(api::Shared {
            busy: api::idempotency::Busy::default(),
            config: config.clone(),
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            writer: writer.clone(),
            people,
            jobs,
            consent: Arc::clone(&consent),
            seal,
            channels: channels.clone(),
            acceptor,
            units,
            feed,
            keys,
            stopping: stopping.clone(),
            replayer,
            webhooks,
            proactive,
            media: api::media::Room { blobs: blobs.clone(), links },
            transport: transport.clone(),
        });
        let links = api::links(Arc::clone(&shared));
        let mut router = api::router(shared);
        if let Some(stage) = &stage {
            router = router.merge(stage.router());
        }

        let chat = webchat::Parts {
            log: Arc::clone(&log),
            channels: channels.clone(),
            door: Arc::new(chat::Hook(Arc::clone(&ingress))),
            blobs: blobs.clone(),
            stopping: stopping.clone(),
        };
        let chat = webchat::Room::open(chat, &config).await.map_err(wrong)?;
        tokio::spawn(Arc::clone(&chat).run());
        let chat = webchat::router(chat);
        router = router.merge(chat.clone()).merge(console::router());

        let tls = crate::tls::watch(config.server.tls.as_ref()).map_err(wrong)?;
        let options = listener::Options {
            max_body: config.server.max_body.0 as usize,
            head_timeout: config.server.head_timeout.0,
            body_timeout: config.server.body_timeout.0,
            tls,
            max_connections: CONNECTIONS,
        };
        let (main, separate) = (config.server.listen, config.api.listen);
        let router = api::end(router);
        // Visitors, and people who follow links in messages, come to the public address, wherever the API is.
        let main_router = if separate.is_some() { api::end(chat.merge(links)) } else { router.clone() };
        let (mail_address, mail) = serve_mail(&config, &ingress, &options, &stopping).await?.unzip();
        let (address, mut servers) = serve("server.listen", main, Some(ingress), main_router, &options, &stopping)?;
        let mut api_address = None;
        if let Some(listen) = separate {
            let (address, more) = serve("api.listen", listen, None, router, &options, &stopping)?;
            api_address = Some(address);
            servers.extend(more);
        }
        if let Some(stage) = stage {
            stage.begin(address, transport.clone()).await;
        }
        let claims = (claims, remembered);
        Ok(Self {
            address,
            api_address,
            mail_address,
            channels,
            transport,
            log,
            stop,
            stop_units,
            stop_sessions,
            sessions,
            owner,
            servers,
            mail,
            claims,
            consent,
            config,
        })
    }

    /// What it runs on, for the banner.
    pub fn banner(&self) -> String {
        let health = self.log.health();
        let scheme = if self.config.server.tls.is_some() { "https" } else { "http" };
        let mut text = format!("Fairway {} listens on {scheme}://{}\n", env!("CARGO_PKG_VERSION"), self.address);
        if let Some(api) = self.api_address {
            text.push_str(&format!("  API and console on {scheme}://{api}\n"));
        }
        if let Some(mail) = self.mail_address {
            text.push_str(&format!("  mail on smtp://{mail}\n"));
        }
        text.push_str(&format!(
            "  log: {} ({})\n",
            health.kind,
            if health.kind == "embedded" {
                self.config.log.path.display().to_string()
            } else {
                self.config.log.brokers.clone().unwrap_or_default()
            }
        ));
        text.push_str(&format!("  store: {}\n", self.config.store.shown()));
        for channel in self.channels.get().by_id.values() {
            let simulated =
                if self.config.sandbox.enabled && sandbox::is_simulated(&self.config, &channel.id) { "  (simulated)" } else { "" };
            text.push_str(&format!("  channel {} ({}){simulated}\n", channel.id, channel.facts().name));
        }
        if self.config.sandbox.enabled {
            text.push_str("  Simulated providers answer; nothing leaves this machine. Open the first URL in a browser.\n");
        }
        text
    }

    /// Puts a changed file in force: channels, limits and their settings, hours, caps and words. A broken one changes nothing.
    pub async fn reload(&mut self, path: &Path) -> Result<(), StartError> {
        let mut config = Config::load(path).map_err(wrong)?;
        if self.config.sandbox.enabled {
            sandbox::keep(&self.config, &mut config);
        }
        let channels = Channels::bind(&config).map_err(wrong)?;
        self.transport.lead(ways(&config));
        self.channels.replace(channels);
        self.consent.reload(&config);
        self.config.channels = config.channels;
        self.config.apps = config.apps;
        self.config.limits = config.limits;
        Ok(())
    }

    /// Stops in order: no new work, what is under way finished or in doubt, the log flushed.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let servers = self.servers;
        let joined = tokio::task::spawn_blocking(move || servers.into_iter().for_each(|s| drop(s.join())));
        let _ = tokio::time::timeout(Duration::from_secs(15), joined).await;
        if let Some(mail) = self.mail {
            let _ = tokio::time::timeout(Duration::from_secs(10), mail).await;
        }
        let _ = self.stop_units.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(15), self.owner).await;
        // Only now does nobody need the connections any more.
        let _ = self.stop_sessions.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(10), self.sessions).await;
        if let Ok(ends) = self.log.ends(Topic::Inbound).await {
            let _ = self.claims.1.flush(&ends);
        }
        self.log.close(Duration::from_secs(10)).await;
    }
}

/// The channels that have their own way out.
fn ways(config: &Config) -> impl Iterator<Item = (&str, &crate::config::egress::Egress)> {
    config.channels.iter().filter_map(|(name, channel)| Some((name.as_str(), channel.egress.as_ref()?)))
}

/// The client; files of multipart bodies come from the blobs.
fn transport(config: &Config, blobs: &Blobs) -> Transport {
    let blobs = blobs.clone();
    Transport::new(config.is_loopback(), Arc::new(move |name| blobs.get(&blobs.find(name).unwrap_or(name.to_owned())).ok().map(Into::into)))
}

/// Takes mail where the configuration says so.
async fn serve_mail(
    config: &Config,
    ingress: &Arc<Ingress>,
    options: &listener::Options,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<(SocketAddr, tokio::task::JoinHandle<()>)>, StartError> {
    let Some(wanted) = &config.server.smtp else { return Ok(None) };
    let named = |e: std::io::Error| unusable("server.smtp.listen", wanted.listen, &e);
    let listener = tokio::net::TcpListener::bind(wanted.listen).await.map_err(named)?;
    let address = listener.local_addr().map_err(named)?;
    let host = url::Url::parse(&config.server.public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let options = smtp::Options {
        hostname: wanted.hostname.clone().or(host).unwrap_or_else(|| "localhost".into()),
        max_message: wanted.max_message.0 as usize,
        max_connections: wanted.max_connections,
        require_tls: wanted.require_tls,
        tls: match &wanted.tls {
            Some(own) => crate::tls::watch(Some(own)).map_err(wrong)?,
            None => options.tls.clone(),
        },
        patience: Duration::from_secs(300),
        mail_timeout: Duration::from_secs(600),
    };
    let door: Arc<dyn smtp::Door> = Arc::clone(ingress) as _;
    Ok(Some((address, tokio::spawn(smtp::serve(listener, door, options, stopping.clone())))))
}

/// An address that cannot be listened on, and what helps.
fn unusable(key: &str, address: SocketAddr, e: &std::io::Error) -> StartError {
    let remedy = match e.kind() {
        std::io::ErrorKind::AddrInUse => "another process, or another `listen` of this file, is there",
        std::io::ErrorKind::AddrNotAvailable => "it is no address of this machine; 0.0.0.0 means all it has",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE)",
        _ => "choose another",
    };
    wrong(format!("{key} {address} cannot be used: {e}; {remedy}"))
}

/// Serves an address with one single-threaded runtime per core.
fn serve(
    key: &str,
    address: SocketAddr,
    ingress: Option<Arc<Ingress>>,
    router: axum::Router,
    options: &listener::Options,
    stopping: &watch::Receiver<bool>,
) -> Result<(SocketAddr, Vec<std::thread::JoinHandle<()>>), StartError> {
    let named = |e: std::io::Error| unusable(key, address, &e);
    // The reuse of the port is for our own threads: another process there is a mistake to be told.
    let probe = std::net::TcpListener::bind(address).map_err(named)?;
    let address = probe.local_addr().map_err(named)?;
    drop(probe);
    let open = Arc::new(AtomicUsize::new(0));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut threads = Vec::with_capacity(cores);
    for core in 0..cores {
        let listener = listener::bind(address).map_err(named)?;
        let (ingress, router, options, stopping, open) =
            (ingress.clone(), router.clone(), options.clone(), stopping.clone(), Arc::clone(&open));
        let thread = std::thread::Builder::new().name(format!("listen-{core}")).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(e) => return tracing::error!(error = %e, "a listener thread cannot start"),
            };
            runtime.block_on(async move {
                let counted = Arc::clone(&open);
                if let Err(e) = listener::serve(listener, ingress, router, options, stopping, open).await {
                    tracing::error!(error = %e, "a listener stopped");
                }
                // Connections are told to finish; those that stream are given a moment.
                for _ in 0..100 {
                    // Upgraded connections are not among those counted: the first wait is theirs, to say goodbye.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if counted.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                        break;
                    }
                }
            });
        });
        threads.push(thread.map_err(named)?);
    }
    Ok((address, threads))
}

/// Keeps a second gateway from the store's files until this process ends: it would not know what the first has in memory. Nodes meet
/// in a server.
fn lock_store(config: &Config) -> Result<(), String> {
    let Some(path) = config.store.url.strip_prefix("sqlite:") else { return Ok(()) };
    let lock = Lockfile::take(&PathBuf::from(path).with_extension("lock")).map_err(|why| format!("`store.url`: {why}"))?;
    // Who writes for the store is not waited for at the end.
    std::mem::forget(lock);
    Ok(())
}

/// Where audiences and campaigns lie: in a file of their own beside the store's, so that a million rows of an upload hold up
/// nobody's idempotency key; with a server they are in its database.
fn proactive_db(config: &Config, shared: &Arc<dyn Database>) -> Result<Arc<dyn Database>, store::Error> {
    match config.store.url.strip_prefix("sqlite:") {
        Some(path) => Ok(Arc::new(store::sqlite::Sqlite::open(&PathBuf::from(path).with_extension("proactive.db"))?)),
        None => Ok(Arc::clone(shared)),
    }
}

/// A secret of the gateway's own (what authenticates cursors, what seals); made at the first start.
async fn secret_setting(store: &dyn Store, name: &str) -> Result<Vec<u8>, crate::store::Error> {
    if let Some(key) = store.setting(name).await? {
        return Ok(key.into_bytes());
    }
    let key = crate::ids::secret();
    store.put_setting(name, key.clone()).await?;
    Ok(key.into_bytes())
}
