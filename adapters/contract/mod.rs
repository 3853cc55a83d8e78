//! The words that engine and adapters share.

pub mod adapter;
pub mod call;
pub mod entry;
pub mod event;
pub mod facts;
pub mod message;
pub mod part;
pub mod secret;
pub mod session;
pub mod settings;
pub mod time;
pub mod twin;
pub mod waiting;
pub mod webhook;

pub use adapter::{
    Ack, Adapter, Device, Downgrade, Fetched, Handle, Parsed, Registered, RenderError, Rendered, Revision, SentMessage, Setup, Signalled,
};
pub use call::{BodyError, Call, CallBody, Field, Finish, Piece, Reply, Scope, Step, Verdict};
pub use entry::{Entry, EntryLink};
pub use event::{Body, Data, ErrorClass, Event, Extra, Message, Person, Reason, Receipt, Received, State, Status};
pub use facts::{Abilities, Facts, Pace, Redelivery, Support, TextLimit, Unit};
pub use message::{Category, LongText, Mark, Outbound, Priority, SendRequest, Template};
pub use part::{Media, MediaPart, MediaRef, Money, Part, Raw, Text, TextPart};
pub use secret::{Secret, Secrets};
pub use session::{Delivery, Session};
pub use settings::{Settings, SettingsError};
pub use time::Time;
pub use waiting::Waiting;
pub use webhook::{Context, Verified, VerifyError, Webhook};
