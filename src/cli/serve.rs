//! `serve` and `check`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::channels::Channels;
use crate::config::Config;
use crate::notify;

/// Runs the gateway until it is told to stop.
pub fn serve(path: &Path) -> Result<(), String> {
    crate::telemetry::logs::install();
    let config = Config::load(path).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("engine").build().map_err(|e| e.to_string())?;
    let path = path.to_owned();
    let result = runtime.block_on(async move {
        let mut app = App::start(config, std::env::var("FAIRWAY_API_KEY").ok()).await.map_err(|e| e.to_string())?;
        // Nobody may be reading.
        let _ = std::io::stdout().write_all(app.banner().as_bytes());
        notify::send("READY=1");
        let watchdog = notify::watchdog();
        wait(&mut app, &path, watchdog).await?;
        notify::send("STOPPING=1");
        tracing::info!("stopping: finishing what is under way");
        app.stop().await;
        Ok(())
    });
    // Tasks that only read are not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// Serves until SIGTERM or SIGINT; SIGHUP or a change of the file reloads.
async fn wait(app: &mut App, path: &Path, watchdog: Option<Duration>) -> Result<(), String> {
    let on = |kind| signal(kind).map_err(|e| e.to_string());
    let (mut term, mut int, mut hup) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
    let mut look = tokio::time::interval(Duration::from_secs(2));
    let mut pet = tokio::time::interval(watchdog.unwrap_or(Duration::from_secs(3600)));
    let mut seen = stamp(path);
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hup.recv() => reload(app, path).await,
            _ = pet.tick() => if watchdog.is_some() { notify::send("WATCHDOG=1") },
            _ = look.tick() => {
                let now = stamp(path);
                if now != seen {
                    seen = now;
                    reload(app, path).await;
                }
            }
        }
    }
}

async fn reload(app: &mut App, path: &Path) {
    notify::reloading();
    match app.reload(path).await {
        Ok(()) => tracing::info!("the configuration was reloaded"),
        Err(e) => tracing::error!("the new configuration cannot be used, the old one stays in force: {e}"),
    }
    notify::send("READY=1");
}

fn stamp(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// Validates a configuration.
pub fn check(path: &Path) -> Result<(), String> {
    let config = Config::load(path).map_err(|e| e.to_string())?;
    let channels = Channels::bind(&config).map_err(|e| e.to_string())?;
    if path.exists() {
        say!("{} is valid: {} channels.", path.display(), channels.by_id.len());
    } else {
        say!("There is no {}: what is built in holds, with a simulated channel of every provider.", path.display());
    }
    let kafka = config.log.kind == crate::log::config::Kind::Kafka;
    if kafka && config.log.replication_factor < 3 {
        say!("warning: log.replication_factor is {}; below 3 a lost broker can lose what was acknowledged", config.log.replication_factor);
    }
    if config.server.public_url.starts_with("http:") && !config.is_loopback() {
        say!("warning: server.public_url is not https; most providers refuse to deliver there");
    }
    Ok(())
}
