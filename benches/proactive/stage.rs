//! The rooms that proactive work goes through, put together as `fairway::app` does it, without listener and API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fairway::channels::{Channels, Live, Worded};
use fairway::clock;
use fairway::config::Config;
use fairway::consent::{self, Consent};
use fairway::envelope::Writer;
use fairway::ids::MessageId;
use fairway::log::{self, EventLog};
use fairway::outbound::{accept::Acceptor, accepted::Accepted, owner, quota::Quotas, unit};
use fairway::people::People;
use fairway::proactive::{self, Room, campaigns::board::Board, links::Linker, prices::Prices};
use fairway::seal::Seal;
use fairway::store::{self, Store, db::Database, tables::Tables};
use fairway::transport::Transport;
use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{Part, Priority, SendRequest, Time};
use tokio::sync::{mpsc, watch};

const URL: &str = "http://127.0.0.1:8080";
const DAY: i64 = 86_400_000;

/// The rooms.
pub struct Stage {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    /// Where audiences and campaigns lie.
    pub proactive: Arc<dyn Database>,
    pub consent: Arc<Consent>,
    pub channels: Live,
    pub writer: Writer,
    pub room: Arc<Room>,
    pub units: owner::Units,
    parts: Arc<unit::Parts>,
    stop: watch::Sender<bool>,
    owner: Option<tokio::task::JoinHandle<()>>,
}

/// A message as its lane holds it: good for a day behind its time.
pub fn message(id: MessageId, channel: &str, to: String, text: &str, send_at: Option<Time>) -> Accepted {
    let request = SendRequest {
        to: Some(to.clone()),
        channel: Some(channel.to_owned()),
        parts: vec![Part::text(text.to_owned())],
        priority: Priority::Normal,
        send_at,
        ..SendRequest::default()
    };
    let now = clock::now();
    Accepted {
        id,
        channel: channel.to_owned(),
        to,
        thread: None,
        accepted_at: now,
        deadline: send_at.unwrap_or(now).plus(DAY),
        request,
        origin: Origin::default(),
        reply_to: None,
        suppressed: None,
        passes: false,
        cost: 1,
        attempts: 0,
        traceparent: None,
        correlation: None,
    }
}

/// The files of a stage's store: people and views, and what is proactive.
pub fn files(folder: &Path) -> [PathBuf; 2] {
    ["store.db", "store.proactive.db"].map(|name| folder.join(name))
}

impl Stage {
    /// Opens everything below this folder; `channels` are the tables of the configuration that say with whom it talks.
    pub async fn open(folder: &Path, channels: &str) -> Self {
        let text = format!("[log]\npath = \"{}\"\n{channels}", folder.join("log").display());
        let config = Config::parse(&text, &folder.join("fairway.toml"), &|_| None).expect("a configuration");
        let [shared, proactive] = files(folder).map(|file| format!("sqlite:{}", file.display()));
        let db = store::open(&shared).await.expect("a store");
        let proactive = store::open(&proactive).await.expect("a store");
        let store: Arc<dyn Store> = Arc::new(Tables::open(Arc::clone(&db)).await.expect("tables"));
        let log = log::open(&config.log, &config.retention).await.expect("a log");
        let channels = Live::new(Channels::bind(&config).expect("channels"));
        let people = People::open(Arc::clone(&db)).await.expect("tables");
        let writer = Writer::new(&*log, config.log.encoding, URL);
        let owed = mpsc::unbounded_channel().0;
        let consent_parts = consent::Parts {
            db,
            people: people.clone(),
            channels: channels.clone(),
            log: Arc::clone(&log),
            writer: writer.clone(),
            owed,
            secret: b"benchmark".to_vec(),
        };
        let consent = Consent::open(consent_parts, &config).await.expect("tables");
        let linker = || Linker::new(URL, b"benchmark");
        let board = Board::open(&*proactive, channels.clone(), linker()).await.expect("tables");
        let parts = Arc::new(unit::Parts {
            worded: Worded::default(),
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            consent: Arc::clone(&consent),
            seal: Arc::new(Seal::new(b"benchmark")),
            fallbacks: mpsc::unbounded_channel().0,
            channels: channels.clone(),
            transport: Transport::new(true, Arc::new(|_| None)),
            writer: writer.clone(),
            public_url: URL.to_owned(),
            links: Arc::new(|_| None),
            campaigns: Arc::<Board>::clone(&board),
        });
        let units = owner::Units::default();
        let room = Room::open(proactive::Parts {
            db: Arc::clone(&proactive),
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            channels: channels.clone(),
            people,
            consent: Arc::clone(&consent),
            board,
            links: linker(),
            prices: Prices::path(&config.path),
            acceptor: Acceptor::new(Arc::clone(&parts), units.clone(), Quotas::new(Arc::clone(&proactive))),
            units: units.clone(),
        });
        let stop = watch::Sender::new(false);
        Self { log, store, proactive, consent, channels, writer, room, units, parts, stop, owner: None }
    }

    /// Runs the units: from now on what lies in lanes and in the schedule is worked on.
    pub fn own(&mut self) {
        self.owner = Some(tokio::spawn(owner::run(Arc::clone(&self.parts), self.units.clone(), self.stop.subscribe())));
    }

    /// Stops the units and closes the log.
    pub async fn close(self) {
        let _ = self.stop.send(true);
        if let Some(owner) = self.owner {
            let _ = owner.await;
        }
        self.log.close(Duration::from_secs(10)).await;
    }
}
