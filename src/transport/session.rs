//! Connections that stay: the sockets of a channel's session. The session itself is the adapter's and knows no socket; here
//! are connecting again, encryption, clocks and deadlines, and the one question that matters: was it written?
//!
//! Invariant: a call that was never handed to the session is `NotSent`; whatever was handed and not settled is `Unknown`.

mod driver;
mod line;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fairway_adapters::contract::{Call, Delivery, Reply, Session, session};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::driver::Driver;
use super::Error;

/// How long a call waits for a line that has room. Longer, and it might leave after the ledger has given it up.
const HAND_OVER: Duration = Duration::from_millis(200);
/// A session settles or loses every call by its own clock; this is for one that does not.
const AT_MOST: Duration = Duration::from_secs(180);

/// Where a session's deliveries and memory go.
pub trait Door: Send + Sync {
    /// Makes a delivery durable; false when it is not.
    fn take(&self, delivery: Delivery) -> crate::log::Pending<'static, bool>;

    /// Keeps what the session wants to find again after a crash; false when it is not kept.
    fn remember(&self, memory: Vec<u8>) -> crate::log::Pending<'static, bool>;
}

/// How a channel's connections stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Standing {
    /// Connections that carry messages.
    pub up: usize,
    /// Connections there should be.
    pub of: usize,
    /// Why the last one that is missing is missing, in words.
    pub problem: Option<String>,
}

/// The sessions of this node, by channel. Cloning shares them.
#[derive(Clone, Default)]
pub struct Sessions(Arc<RwLock<HashMap<String, Handle>>>);

struct Handle {
    number: u64,
    calls: mpsc::UnboundedSender<Asked>,
    standing: watch::Receiver<Standing>,
}

/// A call on its way to a session.
struct Asked {
    call: Call,
    answer: oneshot::Sender<Result<Reply, Error>>,
    /// It was handed over: from here on nobody knows until the session says.
    handed: Arc<AtomicBool>,
    until: Instant,
}

/// Whether a call goes through a session.
pub fn is_for_session(call: &Call) -> bool {
    call.url.starts_with(session::SCHEME)
}

impl Sessions {
    /// Makes a call through a channel's session.
    pub async fn call(&self, channel: &str, call: &Call) -> Result<Reply, Error> {
        let (answer, mut heard) = oneshot::channel();
        let handed = Arc::new(AtomicBool::new(false));
        let asked = Asked { call: call.clone(), answer, handed: Arc::clone(&handed), until: Instant::now() + HAND_OVER };
        let sent = self.0.read().get(channel).is_some_and(|handle| handle.calls.send(asked).is_ok());
        if !sent {
            return Err(Error::NotSent("this node has no connection to the provider for this channel".into()));
        }
        let lost = |why: &str| {
            if handed.load(Ordering::SeqCst) { Error::Unknown(why.to_owned()) } else { Error::NotSent(why.to_owned()) }
        };
        match tokio::time::timeout(AT_MOST, &mut heard).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(lost("the connection was given up")),
            Err(_) => {
                heard.close(); // From now on it cannot be handed over.
                Err(lost("the session did not say what became of it"))
            }
        }
    }

    /// How a channel's connections stand; `None` where this node has none.
    pub fn standing(&self, channel: &str) -> Option<Standing> {
        self.0.read().get(channel).map(|handle| handle.standing.borrow().clone())
    }

    /// Runs a session until `stop` turns true or the future is dropped.
    pub async fn run(&self, channel: Arc<str>, session: Box<dyn Session>, door: Arc<dyn Door>, stop: watch::Receiver<bool>) {
        let (calls, asked) = mpsc::unbounded_channel();
        let of = session.lines().len();
        let (standing, shown) = watch::channel(Standing { up: 0, of, problem: None });
        let number = crate::ids::random() as u64;
        let registered = Registered { sessions: self.clone(), channel: Arc::clone(&channel), number };
        self.0.write().insert(channel.to_string(), Handle { number, calls, standing: shown });
        Driver::new(channel, session, door, standing).drive(asked, stop).await;
        drop(registered);
    }
}

/// Takes a session off the list when its future ends, however it ends.
struct Registered {
    sessions: Sessions,
    channel: Arc<str>,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut map = self.sessions.0.write();
        if map.get(&*self.channel).is_some_and(|handle| handle.number == self.number) {
            map.remove(&*self.channel);
        }
    }
}
