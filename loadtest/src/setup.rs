//! Sets a scenario up: the twins, the gateway or a target somebody named, and the channels between them.

use std::sync::Arc;

use fairway_adapters::Provider;
use tokio::sync::Mutex;

use crate::gateway::{Gateway, Ground};
use crate::guard::Named;
use crate::hosts::Hosts;
use crate::process::{Pids, free_port};
use crate::relay::server_of;
use crate::scenario::{Provider as Plan, Scenario};
use crate::source::{Source, connects};
use crate::wire::Wire;

/// How and against what a scenario is run. It holds a key, so nothing prints it.
#[derive(Clone, Default)]
pub struct Options {
    /// A gateway that runs already; absent: one of ours.
    pub target: Option<String>,
    /// What its webhook URLs begin with where that is not the target.
    pub public_url: Option<String>,
    /// Its API key.
    pub key: Option<String>,
    /// Its process, for CPU and memory.
    pub pid: Option<u32>,
    /// Hosts the operator named.
    pub named: Named,
    /// Where the twins listen; any free port of loopback when absent.
    pub twins: Option<String>,
    /// A Kafka for the gateway and for the `send` topic.
    pub kafka: Option<String>,
    /// The Kafka's process on this machine, so that it can be made to hang.
    pub kafka_pid: Option<u32>,
    /// A PostgreSQL for the gateway.
    pub store: Option<String>,
    /// Nodes of our own gateway; 0 counts as one.
    pub nodes: usize,
    /// What the target's topics begin with.
    pub topics: Option<String>,
    /// What the names of the channels begin with.
    pub prefix: String,
    /// Every rate and count is multiplied by it.
    pub scale: f64,
}

/// A scenario that can begin.
pub struct Stage {
    /// The gateway's nodes, when they are ours.
    pub nodes: Vec<Arc<Mutex<Gateway>>>,
    /// Where the gateway is reached, whichever node takes it.
    pub wire: Wire,
    /// Where each of its nodes is.
    pub wires: Vec<Wire>,
    /// Their processes, as far as they are known.
    pub pids: Arc<Pids>,
    /// The twins.
    pub hosts: Arc<Hosts>,
    /// The channels with their providers.
    pub sources: Vec<Arc<Source>>,
    /// A Kafka, and what the gateway's topics begin with.
    pub kafka: Option<(String, String)>,
}

/// The channels of a scenario, with the plan each comes from.
pub fn channels(scenario: &Scenario, gateway: &str, prefix: &str) -> Vec<(Arc<Source>, Plan)> {
    let reach = scenario.inbound.as_ref().filter(|i| i.mix.duplicates > 0.0).map_or(0, |i| i.reach);
    let mut all = Vec::new();
    for plan in &scenario.provider {
        let meant = |p: &Provider| p.facts.id == plan.name || plan.name == "all" && p.facts.delivers() && !connects(p);
        let providers: Vec<_> = fairway_adapters::PROVIDERS.iter().filter(|p| meant(p)).collect();
        for provider in providers {
            for number in 0..plan.channels {
                let id = provider.facts.id.replace('_', "-");
                let name = if plan.channels == 1 { format!("{prefix}-{id}") } else { format!("{prefix}-{id}-{number}") };
                all.push((
                    Arc::new(Source::new(provider, &name, gateway, reach / plan.channels.max(1) + usize::from(reach > 0))),
                    plan.clone(),
                ));
            }
        }
    }
    all
}

/// The gateway's configuration for these channels, with the twins on this port.
pub fn sections(channels: &[(Arc<Source>, Plan)], twins: u16) -> String {
    let one = |(source, plan): &(Arc<Source>, Plan)| {
        let rate = plan.limit.map_or_else(|| "1000000/s".to_owned(), |limit| format!("{limit}/s"));
        let person = plan.per_recipient.map_or_else(|| "1000/s".to_owned(), |(count, seconds)| format!("{count}/{seconds}s"));
        let throttle = format!(
            "[channels.{}.throttle]\nrate = \"{rate}\"\nper_account = \"1000000/s\"\nper_recipient = \"{person}\"\nconcurrency = {}\n",
            source.channel, plan.concurrency
        );
        source.section(&format!("http://127.0.0.1:{twins}/{}", source.channel), &throttle)
    };
    channels.iter().map(one).collect()
}

/// Opens the twins and starts the gateway, or finds the target.
///
/// # Errors
/// What keeps it from beginning, and what to do.
pub async fn stage(scenario: &Scenario, options: &Options, clock: bool) -> Result<Stage, String> {
    if let Some(brokers) = &options.kafka {
        options.named.brokers(brokers)?;
    }
    let listen = options.twins.as_deref().unwrap_or("127.0.0.1:0");
    if let Some(target) = &options.target {
        let wire = options.named.target(target)?.with_key(options.key.clone());
        let base = options.public_url.clone().unwrap_or_else(|| wire.url(""));
        let channels = channels(scenario, base.trim_end_matches('/'), &options.prefix);
        let sources = channels.iter().map(|(source, _)| Arc::clone(source)).collect();
        let hosts = Hosts::open(listen, channels).await?;
        hosts.deliver_to(&wire);
        let topics = options.topics.clone().unwrap_or_else(|| "fairway".into());
        let kafka = options.kafka.clone().map(|brokers| (brokers, topics));
        let pids = Arc::new(Pids::of(options.pid.into_iter().collect()));
        let wires = vec![wire.clone()];
        return Ok(Stage { nodes: Vec::new(), wire, wires, pids, hosts, sources, kafka });
    }
    let ports: Vec<u16> = (0..options.nodes.max(1)).map(|_| free_port()).collect::<Result<_, _>>()?;
    let ground = ground(options, &ports, clock)?;
    let channels = channels(scenario, &ground.public_url, &options.prefix);
    let sources = channels.iter().map(|(source, _)| Arc::clone(source)).collect();
    let hosts = Hosts::open(listen, channels.clone()).await?;
    let more = format!("{}\n{}", scenario.gateway, sections(&channels, hosts.port));
    let mut nodes = Vec::new();
    for port in ports {
        nodes.push(Gateway::start(port, &ground, &more).await?);
    }
    let wires: Vec<Wire> = nodes.iter().map(Gateway::wire).collect();
    let wire = Wire::to_all(&wires);
    hosts.deliver_to(&wire);
    let pids = Arc::new(Pids::of(nodes.iter().map(|node| node.process().id()).collect()));
    let kafka = options.kafka.clone().map(|brokers| (brokers, ground.topics));
    let nodes = nodes.into_iter().map(|node| Arc::new(Mutex::new(node))).collect();
    Ok(Stage { nodes, wire, wires, pids, hosts, sources, kafka })
}

/// What our own nodes on these ports stand on.
fn ground(options: &Options, ports: &[u16], clock: bool) -> Result<Ground, String> {
    if let Some(url) = &options.store {
        options.named.allows(&server_of(url)?.0)?;
    }
    if ports.len() > 1 && (options.kafka.is_none() || options.store.is_none()) {
        return Err("several nodes share a log and a store: name them with `--kafka 127.0.0.1:9092` and \
             `--store postgres://USER@127.0.0.1:5432/DATABASE` (an empty database)"
            .into());
    }
    let mut ground = Ground::of_one(ports[0], options.kafka.as_deref());
    ground.store = options.store.clone();
    ground.clock = clock;
    // Ends with the first node's own folder.
    ground.media = (ports.len() > 1).then(|| Gateway::folder(ports[0]).join("media"));
    Ok(ground)
}
