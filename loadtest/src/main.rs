//! Drives a gateway at open arrival rates and accounts for every message.
//!
//! `inbound` and `outbound` measure one path beside its floor. `run` plays a scenario: webhooks of many providers in, messages
//! out by every way there is, the providers' twins with limits and moods; every message is accounted for at the end.
//! Nothing but loopback is reached unless the operator names it, and everything stops by itself.
#![allow(clippy::print_stdout, reason = "what it prints is its result")]

mod args;
mod arrival;
mod capacity;
mod chaos;
mod cli;
mod compare;
mod driver;
mod events;
mod gateway;
mod guard;
mod hooks;
mod hosts;
mod inbound;
mod kafka;
mod naive;
mod outbound;
mod page;
mod plot;
mod pool;
mod process;
mod received;
mod relay;
mod result;
mod run;
mod scenario;
mod sent;
mod setup;
mod soak;
mod source;
mod stream;
mod summary;
mod tape;
mod watch;
mod wire;

pub use args::Load;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    cli::main().await
}
