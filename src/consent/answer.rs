//! What a person who said a word is answered: the one confirmation of a STOP, the welcome after a START, help.

use fairway_adapters::contract::Time;
use tokio::sync::oneshot;

use super::Consent;
use super::words::Said;
use crate::clock;
use crate::store::Error;
use crate::values;

/// An answer that is owed. It is named, so that sending it again sends nothing.
#[derive(Debug)]
pub struct Owed {
    /// Through which channel.
    pub channel: String,
    /// To whom.
    pub to: String,
    /// The words.
    pub text: String,
    /// What names the act.
    pub act: String,
    /// Whether it passes the suppression it confirms.
    pub passes: bool,
    /// Told when it is durable, or was refused for good.
    pub done: oneshot::Sender<()>,
}

/// One confirmation is allowed within five minutes of the STOP (47 CFR 64.1200(a)(12)).
const WITHIN: i64 = 5 * 60_000;

/// A word that was heard.
pub(super) struct Heard {
    pub(super) said: Said,
    pub(super) channel: String,
    pub(super) address: String,
    pub(super) event: String,
    pub(super) at: Time,
}

impl Consent {
    /// Answers a word whose consequences are written. Resolves when the answer is durable.
    pub(super) async fn answer(&self, heard: &Heard) -> Result<(), Error> {
        if clock::now().since(heard.at) > WITHIN {
            return Ok(()); // It comes too late to be one.
        }
        let channels = self.channels.get();
        let Some(texts) = channels.by_id.get(&heard.channel).map(|c| c.opt_out.clone()) else { return Ok(()) };
        let (text, act, passes) = match heard.said {
            // Named by the word that made the change: who says STOP again is not told again.
            Said::Stop => match self.change(heard).await? {
                Some((event, since)) if clock::now().since(since) <= WITHIN => (texts.confirmation, event, true),
                _ => return Ok(()),
            },
            Said::Start { .. } => match self.change(heard).await? {
                Some((event, since)) if clock::now().since(since) <= WITHIN => (texts.welcome, event, false),
                _ => return Ok(()),
            },
            Said::Help => (texts.help, heard.event.clone(), false),
            Said::Probably => return Ok(()),
        };
        let Some(text) = text else { return Ok(()) };
        let (done, dealt) = oneshot::channel();
        let owed = Owed { channel: heard.channel.clone(), to: heard.address.clone(), text, act, passes, done };
        if self.owed.send(owed).is_ok() {
            let _ = dealt.await;
        }
        Ok(())
    }

    /// The word that made what holds now, and when; `None` when something else holds by now.
    async fn change(&self, heard: &Heard) -> Result<Option<(String, Time)>, Error> {
        let sql = "SELECT c.event, c.since FROM consents c WHERE c.address = ?1 AND c.channel = ?2 AND c.scope = 'all' AND c.allowed = ?3";
        let rows = self.db.read(sql.into(), values![&*heard.address, &*heard.channel, heard.said != Said::Stop]).await?;
        rows.first().map(|r| Ok((r.text(0)?, Time(r.int(1)?)))).transpose()
    }
}
