//! Drives a gateway at an open arrival rate and accounts for every message.
//!
//! `loadtest inbound` sends signed webhooks, `loadtest outbound` sends messages through a provider's twin. Each starts the
//! gateway as a process of its own in a fresh folder, measures a bare hyper server or client the same way in the same run,
//! and prints both. Nothing but loopback is ever reached, and it stops by itself.
#![allow(clippy::print_stdout, reason = "what it prints is its result")]

mod driver;
mod inbound;
mod outbound;
mod process;

use clap::{Args, Parser, Subcommand};

/// Drives a gateway and accounts for every message.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Signed webhooks in.
    Inbound(Load),
    /// Messages out, to a twin that answers after 20 ms.
    Outbound(Load),
    /// A bare hyper server: the floor. Started by the others.
    #[command(hide = true)]
    Floor {
        /// Its port.
        port: u16,
    },
}

/// How much.
#[derive(Args, Clone)]
pub struct Load {
    /// Arrivals per second; 0 sends as fast as answers come.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// For how many seconds, 300 at most.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Outbound: how many messages.
    #[arg(long, default_value_t = 20_000)]
    messages: u64,
    /// Outbound with a rate: as many more to one person, who may be written to once in six seconds and must hold nobody else.
    #[arg(long, default_value_t = 0)]
    eager: u64,
    /// The provider whose twin is played.
    #[arg(long, default_value = "whatsapp")]
    provider: String,
    /// A Kafka to use instead of the embedded log: `host:port`, on loopback.
    #[arg(long)]
    kafka: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), String> {
    match Cli::parse().command {
        Command::Floor { port } => process::floor(port).await,
        Command::Inbound(load) => inbound::run(bounded(load)?).await,
        Command::Outbound(load) => outbound::run(bounded(load)?).await,
    }
}

/// Load goes to loopback only, bounded in count and time.
fn bounded(load: Load) -> Result<Load, String> {
    if load.kafka.as_deref().is_some_and(|k| !k.starts_with("127.0.0.1:") && !k.starts_with("localhost:")) {
        return Err("--kafka names a broker on loopback; load goes nowhere else".into());
    }
    Ok(Load {
        seconds: load.seconds.clamp(1, 300),
        messages: load.messages.clamp(1, 10_000_000),
        eager: load.eager.min(100_000),
        connections: load.connections.clamp(1, 4096),
        ..load
    })
}
