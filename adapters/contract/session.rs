//! Providers that are spoken to over connections of their own: the adapter's part is a state machine that is told what
//! happened and answers with what it wants done. It has no clock, no socket and no randomness; `transport` has those.
//!
//! ```text
//!   socket ──opened, bytes, closed──▶ session ──write, close, lead──▶ socket
//!   lanes  ──call──────────────────▶         ──settle, lose───▶ classify, or in doubt
//!   log    ◀──────────────────deliver──      ◀──taken──────── only then does the peer get its answer
//! ```

use super::{Call, Reason, Reply, Time};

/// Calls to this scheme go through the channel's session: `session:submit`.
pub const SCHEME: &str = "session:";

/// Where a line of a session leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is encrypted; `None` leaves it plain.
    pub tls: Option<Tls>,
}

/// How a line is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The name that the peer's certificate must carry.
    pub name: String,
    /// The authority that signed it, in PEM, when it is not a public one.
    pub authority: Option<String>,
}

/// What a session is told.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// This line's connection stands, encryption included, and leads to this place.
    Opened(usize, &'a Endpoint),
    /// These bytes came on it.
    Bytes(usize, &'a [u8]),
    /// It is gone: nothing can be written to it, and what was, may or may not have arrived.
    Closed(usize),
    /// The time it asked for by [`Session::wake`] has come.
    Tick,
    /// A message is to go out now, named by this number. Told only while [`Session::room`] is above 0.
    Call(u64, &'a Call),
    /// The delivery of this number is durable; or it is not, and the peer must come back with it.
    Taken(u64, bool),
    /// What it wished to remember under this number, and all it wished before, will be there after a crash.
    Remembered(u64),
    /// Say goodbye on every line. Nothing more is asked of it.
    Stop,
}

/// What a session wants done, in order.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Write these bytes to this line.
    Write(usize, Vec<u8>),
    /// The peer has answered this call; `classify` says what that means.
    Settle(u64, Reply),
    /// Nobody knows what became of this call, in words. It is in doubt.
    Lose(u64, &'static str),
    /// Make this durable and tell `Taken`.
    Deliver(Delivery),
    /// Keep this in place of what it wished to remember before, and tell `Remembered` with this number.
    Remember(u64, Vec<u8>),
    /// This line can carry messages now.
    Up(usize),
    /// This line cannot: the peer said why.
    Refused(usize, Reason),
    /// Close this line, and open it again no sooner than in so many milliseconds.
    Close(usize, u64),
    /// From its next opening on this line leads to these places and no others, the first one first.
    Lead(usize, Vec<Endpoint>),
}

/// Something that came on a line: parsed, made durable, and only then answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub number: u64,
    /// What the session knows and the bytes do not say. Names in lower case, values in visible ASCII, no credentials.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes as they came.
    pub body: Vec<u8>,
}

/// A channel's side of its connections, for as long as this process owns the channel.
///
/// Laws: every call told is settled or lost exactly once, and nothing of it is written before it is told; what came is
/// answered to the peer only after `Taken`; no bytes make it panic; `wake` lies in the future once its time was told.
pub trait Session: Send {
    /// Its lines, each with the places it may lead to until [`Wish::Lead`] says otherwise, the first one first. As many for as
    /// long as it lives.
    fn lines(&self) -> Vec<Vec<Endpoint>>;

    /// Takes what happened at this time; answers with what is to be done.
    fn tell(&mut self, told: Told<'_>, now: Time) -> Vec<Wish>;

    /// How many calls it can write now.
    fn room(&self) -> usize;

    /// When it wants to be told `Tick`.
    fn wake(&self) -> Option<Time>;
}
