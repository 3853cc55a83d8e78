//! The numbers of proactive work, each at a tenth of its size and at its size, beside a floor measured in the same run: import,
//! forecast, freeze and expansion, triggers, the schedule and the ledger behind it, a pause as the provider sees it, and dispatch alone.
//!
//! ```sh
//! cargo bench --bench proactive                                # a minute
//! cargo bench --bench proactive -- --full                      # the sizes that are promised: an hour and 30 GB of disk
//! cargo bench --bench proactive -- --only schedule --pending 1000000
//! ```
//!
//! The code measured is the library's own, wired as `fairway::app` wires it, on a temporary directory that is removed.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

mod campaigns;
mod dispatch;
mod pause;
mod people;
mod process;
mod schedule;
mod stage;
mod table;
mod triggers;
mod twin;

use std::path::PathBuf;

use clap::Parser;

use table::Table;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures what proactive work costs, and whether the cost grows with its size.
#[derive(Parser)]
struct Arguments {
    /// Only these: import, campaign, triggers, schedule, pause, dispatch.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// People to import, to forecast and to write to.
    #[arg(long, default_value_t = 20_000)]
    people: u64,
    /// Tracked events.
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// Messages that lie in the schedule.
    #[arg(long, default_value_t = 100_000)]
    pending: u64,
    /// Messages that become due in a second.
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// People of the campaign that is paused.
    #[arg(long, default_value_t = 20_000)]
    paused: u64,
    /// Messages that are dispatched.
    #[arg(long, default_value_t = 20_000)]
    sends: u64,
    /// The sizes that are promised: a million people, events and people to pause, ten million messages.
    #[arg(long)]
    full: bool,
    /// A server of PostgreSQL, without a database: import is measured there too (`tests/postgres.sh start DIR`).
    #[arg(long, env = "FAIRWAY_TEST_POSTGRES")]
    postgres: Option<String>,
    /// Where the temporary directory is made.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Serves the twin of another run of this program.
    #[arg(long, hide = true)]
    twin: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let mut arguments = Arguments::parse();
    if arguments.full {
        (arguments.people, arguments.events, arguments.pending, arguments.paused) = (1_000_000, 1_000_000, 10_000_000, 1_000_000);
    }
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if arguments.twin {
        return runtime.block_on(dispatch::serve());
    }
    let mut table = Table::default();
    let wants = |what: &str| arguments.only.is_empty() || arguments.only.iter().any(|o| o == what);
    let tenth = |size: u64| [size.div_ceil(10), size];
    let home = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    runtime.block_on(async {
        if wants("import") {
            for size in tenth(arguments.people) {
                people::import(&mut table, &home, None, size).await;
                if let Some(server) = &arguments.postgres {
                    people::import(&mut table, &home, Some(server), size).await;
                }
            }
        }
        if wants("campaign") {
            for size in tenth(arguments.people) {
                campaigns::run(&mut table, &home, size).await;
            }
        }
        if wants("triggers") {
            for size in tenth(arguments.events) {
                triggers::run(&mut table, &home, size).await;
            }
        }
        if wants("schedule") {
            for size in [arguments.pending.div_ceil(1000), arguments.pending.div_ceil(10), arguments.pending] {
                schedule::run(&mut table, &home, size, arguments.rate).await;
            }
        }
        if wants("pause") {
            for size in tenth(arguments.paused) {
                pause::run(&mut table, &home, size).await;
            }
        }
        if wants("dispatch") {
            for size in tenth(arguments.sends) {
                dispatch::run(&mut table, &home, size).await;
            }
        }
    });
    table.print();
}
