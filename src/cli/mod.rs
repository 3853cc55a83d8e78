//! The command line. `serve`, `check` and `schema` work on files; everything else goes through the HTTP API.
#![allow(clippy::print_stderr, reason = "what a command prints is its result")]

/// Prints a line.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::put(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a piece of a line.
macro_rules! put {
    ($($text:tt)*) => { $crate::cli::put(format_args!($($text)*)) };
}

mod campaign;
mod client;
mod remote;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fairway_adapters::contract::Time;

/// A channel gateway and proactive-outbound engine.
#[derive(Parser)]
#[command(name = "fairway", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file.
    #[arg(long, global = true, default_value = crate::config::USUAL)]
    config: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

/// Where a running gateway is.
#[derive(Args, Clone)]
pub struct Remote {
    /// The gateway's address.
    #[arg(long, global = true, env = "FAIRWAY_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key.
    #[arg(long, global = true, env = "FAIRWAY_API_KEY", hide_env_values = true)]
    key: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Serve,
    /// Load and validate the configuration; print every error with file, key and remedy.
    Check {
        /// Also ask each provider whether the credentials work.
        #[arg(long)]
        live: bool,
    },
    /// One screen: what is stuck, why, until when, and the command that helps.
    Status,
    /// Channels.
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Send a message, wait, print its timeline.
    Send {
        /// The person's address.
        #[arg(long)]
        to: String,
        /// The channel; needed when the address fits more than one.
        #[arg(long)]
        channel: Option<String>,
        /// The words.
        text: String,
    },
    /// Answer the last person who wrote.
    Reply {
        /// The words.
        text: String,
    },
    /// Print events as they arrive.
    Tail {
        /// Only this type; `fairway.message.*` takes all that begin so.
        #[arg(long = "type")]
        kind: Option<String>,
        /// Only this channel.
        #[arg(long)]
        channel: Option<String>,
        /// One JSON event a line.
        #[arg(long)]
        json: bool,
        /// Begin with the oldest event that is kept.
        #[arg(long)]
        all: bool,
    },
    /// Parse stored raw webhooks again and print what would change.
    Replay {
        /// Received from then on (RFC 3339).
        #[arg(long, value_parser = time)]
        from: Time,
        /// And before then (RFC 3339).
        #[arg(long, value_parser = time)]
        to: Time,
        /// Only of this channel.
        #[arg(long)]
        channel: Option<String>,
        /// Append what was not seen before.
        #[arg(long)]
        write: bool,
    },
    /// What failed, and what is in doubt.
    #[command(subcommand)]
    DeadLetters(LetterCommand),
    /// Campaigns kept as files.
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print the machine-readable contract.
    Schema {
        /// Which part.
        part: SchemaPart,
        /// Write the checked-in files under this folder instead (`events`: one file a type).
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum ChannelCommand {
    /// Register the webhook where the provider has an API for it, print what to do where it has not.
    Setup {
        /// The channel. One that is not configured yet is asked for and written to the configuration file.
        name: String,
    },
    /// List channels.
    List,
}

#[derive(Subcommand)]
enum LetterCommand {
    /// List them, newest first.
    List {
        /// Only sends whose outcome is unknown.
        #[arg(long)]
        in_doubt: bool,
    },
    /// Show one with its timeline.
    Show {
        /// Its message's id.
        id: String,
    },
    /// Send one again.
    Retry {
        /// Its message's id.
        id: String,
    },
    /// Let go of one.
    Drop {
        /// Its message's id.
        id: String,
    },
}

#[derive(Subcommand)]
enum CampaignCommand {
    /// Print the difference in people and messages.
    Plan {
        /// Where the files are: one campaign a file, as `POST /v1/campaigns` takes it, in TOML; `filter` may stand in place of `audience`.
        #[arg(long, default_value = "config/campaigns")]
        folder: PathBuf,
    },
    /// Launch what is new, edit what has changed.
    Apply {
        /// Where the files are.
        #[arg(long, default_value = "config/campaigns")]
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a key; its secret is printed this once.
    Create {
        /// What it is for.
        name: String,
        /// What it may do; may be given several times.
        #[arg(long)]
        scope: Vec<String>,
        /// Which channels it may use; may be given several times.
        #[arg(long)]
        channel: Vec<String>,
    },
    /// List keys.
    List,
    /// Revoke a key.
    Revoke {
        /// Its id.
        id: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemaPart {
    Config,
    Events,
    Openapi,
    Asyncapi,
    Metrics,
    Problems,
    /// The channel table of the README.
    Channels,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    crate::tls::install_provider();
    let result = match cli.command {
        None | Some(Command::Serve) => serve::serve(&cli.config),
        Some(Command::Check { live: false }) => serve::check(&cli.config),
        Some(Command::Check { live: true }) => {
            serve::check(&cli.config).and_then(|()| remote::run(&cli.remote, |c| Box::pin(c.check_live())))
        }
        Some(Command::Schema { part, out }) => schema(part, out),
        Some(Command::Campaign(CampaignCommand::Plan { folder })) => {
            campaign::read(&folder).and_then(|files| remote::run(&cli.remote, move |c| Box::pin(c.plan_campaigns(files.clone()))))
        }
        Some(Command::Campaign(CampaignCommand::Apply { folder })) => {
            campaign::read(&folder).and_then(|files| remote::run(&cli.remote, move |c| Box::pin(c.apply_campaigns(files.clone()))))
        }
        Some(Command::Status) => remote::run(&cli.remote, |c| Box::pin(c.status())),
        Some(Command::Channel(ChannelCommand::List)) => remote::run(&cli.remote, |c| Box::pin(c.channels())),
        Some(Command::Channel(ChannelCommand::Setup { name })) => {
            remote::prepare_channel(&name, &cli.config).and_then(|()| remote::run(&cli.remote, move |c| Box::pin(c.setup(name.clone()))))
        }
        Some(Command::Send { to, channel, text }) => {
            remote::run(&cli.remote, move |c| Box::pin(c.send(to.clone(), channel.clone(), text.clone())))
        }
        Some(Command::Reply { text }) => remote::run(&cli.remote, move |c| Box::pin(c.reply(text.clone()))),
        Some(Command::Tail { kind, channel, json, all }) => {
            remote::run(&cli.remote, move |c| Box::pin(c.tail(kind.clone(), channel.clone(), json, all)))
        }
        Some(Command::Replay { from, to, channel, write }) => {
            remote::run(&cli.remote, move |c| Box::pin(c.replay(from, to, channel.clone(), write)))
        }
        Some(Command::DeadLetters(command)) => match command {
            LetterCommand::List { in_doubt } => remote::run(&cli.remote, move |c| Box::pin(c.letters(in_doubt))),
            LetterCommand::Show { id } => remote::run(&cli.remote, move |c| Box::pin(c.letter(id.clone()))),
            LetterCommand::Retry { id } => remote::run(&cli.remote, move |c| Box::pin(c.letter_act("POST", id.clone(), "/retry"))),
            LetterCommand::Drop { id } => remote::run(&cli.remote, move |c| Box::pin(c.letter_act("DELETE", id.clone(), ""))),
        },
        Some(Command::Key(command)) => match command {
            KeyCommand::Create { name, scope, channel } => {
                remote::run(&cli.remote, move |c| Box::pin(c.create_key(name.clone(), scope.clone(), channel.clone())))
            }
            KeyCommand::List => remote::run(&cli.remote, |c| Box::pin(c.keys())),
            KeyCommand::Revoke { id } => remote::run(&cli.remote, move |c| Box::pin(c.revoke_key(id.clone()))),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("fairway: {e}");
            ExitCode::FAILURE
        }
    }
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "a time is written like 2026-11-20T10:15:30Z (RFC 3339)".into())
}

/// Prints, at once. A reader that has seen enough (`| head`) ends the command, and is no error of anybody's.
fn put(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if let Err(e) = out.write_fmt(text).and_then(|()| out.flush()) {
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("fairway: the output cannot be written: {e}");
        std::process::exit(1);
    }
}

fn schema(part: SchemaPart, out: Option<PathBuf>) -> Result<(), String> {
    if matches!(part, SchemaPart::Channels) {
        put!("{}", crate::schemas::channel_table());
        return Ok(());
    }
    let name = match part {
        SchemaPart::Config => "config",
        SchemaPart::Events => "events",
        SchemaPart::Openapi => "openapi",
        SchemaPart::Asyncapi => "asyncapi",
        SchemaPart::Metrics => "metrics",
        SchemaPart::Problems | SchemaPart::Channels => "problems",
    };
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    let Some(out) = out else {
        put!("{}", pretty(&crate::schemas::named(name).unwrap_or_default()));
        return Ok(());
    };
    let write =
        |path: PathBuf, value: &serde_json::Value| std::fs::write(&path, pretty(value)).map_err(|e| format!("{}: {e}", path.display()));
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    match part {
        SchemaPart::Events => crate::schemas::events().iter().try_for_each(|(file, value)| write(out.join(file), value)),
        _ => write(out.join(format!("{name}.json")), &crate::schemas::named(name).unwrap_or_default()),
    }
}
