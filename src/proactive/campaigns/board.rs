//! What the gate is told: which campaigns run, which are held or over, and the words of their newest edition.
//!
//! In memory, asked for every message of a campaign; filled before any unit runs, told at once by this node's own acts, and
//! refreshed from the store, so that what another node did is in force here within half a second.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::{ErrorClass, Mark, Reason, SendRequest, State as MessageState, Time};
use parking_lot::RwLock;

use super::{COLUMNS, Campaign, State};
use crate::channels::Live;
use crate::outbound::campaigns::{Campaigns, Word};
use crate::outbound::holds;
use crate::proactive::Failed;
use crate::proactive::links::{self, Linker};
use crate::proactive::templates::Writer;
use crate::proactive::when::{self, Window};
use crate::store::db::Database;
use crate::values;

/// How often the store is asked what changed.
const REFRESH: Duration = Duration::from_millis(500);
/// The first and the longest time a message of a held campaign lies in the schedule before it asks again by itself; a resume
/// or cancel on this node wakes it at once.
const HOLD: (i64, i64) = (5_000, 60_000);
/// How long an ended campaign is remembered: longer than a message may lie in a lane or the schedule.
const REMEMBERED: i64 = 400 * 86_400_000;

/// How a campaign stands, for the gate.
struct Standing {
    state: State,
    edition: u32,
    since: Time,
    window: Option<Window>,
    writers: BTreeMap<String, Writer>,
}

/// The board.
pub struct Board {
    channels: Live,
    links: Arc<Linker>,
    standing: RwLock<HashMap<String, Arc<Standing>>>,
}

impl Board {
    /// A board with what the store knows.
    pub async fn open(db: &dyn Database, channels: Live, links: Arc<Linker>) -> Result<Arc<Self>, Failed> {
        crate::proactive::open_tables(db).await?;
        let board = Arc::new(Self { channels, links, standing: RwLock::default() });
        board.refresh(db, Time(0)).await?;
        Ok(board)
    }

    /// Refreshes until the process ends.
    pub async fn run(self: Arc<Self>, db: Arc<dyn Database>) {
        let mut seen = crate::clock::now();
        loop {
            tokio::time::sleep(REFRESH).await;
            // Clocks of nodes differ a little; what is read twice does no harm.
            let from = seen.plus(-10_000);
            let made = self.links.write_down();
            if !made.runs.is_empty()
                && let Err(e) = db.write(vec![made]).await
            {
                tracing::warn!(error = %e, "links of edited messages could not be written down");
            }
            let now = crate::clock::now();
            match self.refresh(&*db, from).await {
                Ok(()) => seen = now,
                Err(e) => tracing::warn!(error = ?e, "the state of campaigns cannot be read now; the last one known is in force"),
            }
        }
    }

    async fn refresh(&self, db: &dyn Database, from: Time) -> Result<(), Failed> {
        let sql = format!("SELECT {COLUMNS} FROM campaigns WHERE changed_at >= ?1 AND state <> 'draft'");
        for row in db.read(sql.into(), values![from.0]).await? {
            self.tell(&Campaign::read(&row)?);
        }
        let old = crate::clock::now().plus(-REMEMBERED);
        self.standing.write().retain(|_, s| !matches!(s.state, State::Completed | State::Cancelled) || s.since > old);
        Ok(())
    }

    /// Puts a campaign's state and words in force.
    pub fn tell(&self, campaign: &Campaign) {
        if let Some(known) = self.standing.read().get(&campaign.id)
            && known.since >= campaign.changed_at
        {
            return;
        }
        let writers = campaign.sources.iter().filter_map(|(variant, source)| {
            let writer = Writer::new(source.clone(), false).ok()?; // It was checked when it was written down.
            Some((variant.clone(), writer.with_links(&self.links)))
        });
        let standing = Standing {
            state: campaign.state,
            edition: campaign.edition,
            since: campaign.changed_at,
            window: campaign.plan.check().ok().and_then(|c| c.window),
            writers: writers.collect(),
        };
        self.standing.write().insert(campaign.id.clone(), Arc::new(standing));
    }

    fn of(&self, mark: &Mark) -> Option<Arc<Standing>> {
        self.standing.read().get(mark.campaign.as_deref()?).cloned()
    }

    /// The request with the words of the newest edition; as it was where they cannot be written for this person.
    fn written(&self, standing: &Standing, mark: &Mark, request: &SendRequest) -> Option<SendRequest> {
        if mark.about.is_empty() {
            return None; // The views have forgotten who it is: a late step of theirs goes in the words they know.
        }
        let writer = standing.writers.get(mark.variant.as_deref().unwrap_or_default())?;
        let channels = self.channels.get();
        let locale = mark.about.get("contact").and_then(|c| c.get("locale")).and_then(serde_json::Value::as_str);
        let mut about = mark.about.clone();
        about.insert(links::WHOSE.into(), links::whose(mark.campaign.as_deref()?, mark.person?).into());
        let write = |channel: Option<&str>, to: &str| writer.write(locale, channels.by_id.get(channel?)?, to, &about).ok();
        let written = write(request.channel.as_deref(), request.to.as_deref()?)?;
        let mut request = written.into_request(request.clone());
        for step in &mut request.fallback {
            let written = write(step.channel.as_deref(), &step.to)?;
            (step.parts, step.template) = (written.parts, written.template);
        }
        request.mark = Some(Mark { edition: standing.edition, ..mark.clone() });
        Some(request)
    }
}

impl Campaigns for Board {
    fn ask(&self, mark: &Mark, request: &SendRequest, now: Time) -> Word {
        let Some(standing) = self.of(mark) else { return Word::Go };
        let hold = |why| Word::Hold(now.plus(now.since(standing.since).clamp(HOLD.0, HOLD.1)), why);
        match standing.state {
            State::Cancelled => {
                let reason = Reason::new(ErrorClass::Config, "campaign_cancelled", "its campaign was cancelled");
                return Word::End(MessageState::Cancelled, reason);
            }
            State::Paused => return hold(holds::PAUSED),
            State::Stopped => return hold(holds::STOPPED),
            State::Draft | State::Scheduled | State::Running | State::Completed => {}
        }
        if let Some(window) = standing.window
            && let Ok(zone) = when::zone(mark.zone.as_deref().unwrap_or("UTC"), "#")
        {
            let opens = window.opens(now, &zone);
            if opens > now {
                return Word::Hold(opens, holds::OUTSIDE_WINDOW);
            }
        }
        if mark.edition < standing.edition
            && let Some(request) = self.written(&standing, mark, request)
        {
            return Word::Changed(Box::new(request));
        }
        Word::Go
    }

    fn stands(&self, mark: &Mark) -> bool {
        self.of(mark).is_none_or(|s| !matches!(s.state, State::Paused | State::Stopped | State::Cancelled))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::Channels;
    use crate::config::Config;
    use crate::proactive::campaigns::Phase;
    use crate::proactive::templates::Source;

    fn campaign(state: State, edition: u32, text: &str, changed: i64) -> Campaign {
        let plan = json!({ "name": "n", "audience": "aud_x", "channels": ["tg"], "parts": [{ "type": "text", "text": "x" }],
            "schedule": { "window": ["09:00", "20:00"] } });
        let source = Source { parts: vec![json!({ "type": "text", "text": text })], ..Source::default() };
        Campaign {
            id: "cmp_1".into(),
            state,
            phase: Phase::Full,
            edition,
            reason: None,
            launched_at: None,
            created_at: Time(0),
            plan: serde_json::from_value(plan).expect("a plan"),
            until: None,
            frozen: 0,
            place: None,
            reach: None,
            spent: 0,
            changed_at: Time(changed),
            sources: BTreeMap::from([(String::new(), source)]),
        }
    }

    #[test]
    fn the_gate_hears_of_pause_window_edit_and_end() {
        let text = "[channels.tg]\nprovider = \"telegram\"\nbot_token = \"1:x\"\nwebhook_secret_token = \"abcdefghijklmnop\"\n";
        let config = Config::parse(text, std::path::Path::new("t.toml"), &|_| None).expect("a configuration");
        let board = Board {
            channels: Live::new(Channels::bind(&config).expect("a channel")),
            links: Linker::new("http://127.0.0.1", b"secret"),
            standing: RwLock::default(),
        };
        let about = json!({ "contact": { "name": "Ana" } }).as_object().cloned().expect("an object");
        let mark = Mark {
            campaign: Some("cmp_1".into()),
            person: Some(1),
            zone: Some("Europe/Rome".into()),
            edition: 1,
            about,
            ..Mark::default()
        };
        let request =
            SendRequest { to: Some("telegram:1".into()), channel: Some("tg".into()), mark: Some(mark.clone()), ..SendRequest::default() };
        let noon = Time::parse("2027-01-10T11:00:00Z").expect("a time");
        assert!(matches!(board.ask(&mark, &request, noon), Word::Go), "nothing is known of it");
        board.tell(&campaign(State::Running, 1, "x", 1));
        assert!(matches!(board.ask(&mark, &request, noon), Word::Go) && board.stands(&mark));
        let night = Time::parse("2027-01-10T21:00:00Z").expect("a time");
        let opens = Time::parse("2027-01-11T08:00:00Z").expect("a time");
        assert!(matches!(board.ask(&mark, &request, night), Word::Hold(until, _) if until == opens));
        board.tell(&campaign(State::Paused, 1, "x", 2));
        assert!(matches!(board.ask(&mark, &request, noon), Word::Hold(until, _) if until > noon) && !board.stands(&mark));
        board.tell(&campaign(State::Running, 2, "Hi {{ contact.name }}", 3));
        let Word::Changed(changed) = board.ask(&mark, &request, noon) else { panic!("it was edited") };
        assert_eq!(serde_json::to_value(&changed.parts).expect("plain data")[0]["text"], "Hi Ana");
        let mark = changed.mark.as_ref().expect("a mark");
        assert!(matches!(board.ask(mark, &changed, noon), Word::Go), "it is of the newest edition now");
        board.tell(&campaign(State::Cancelled, 2, "x", 4));
        board.tell(&campaign(State::Running, 1, "x", 1));
        assert!(matches!(board.ask(mark, &changed, noon), Word::End(MessageState::Cancelled, _)), "older news change nothing");
    }
}
