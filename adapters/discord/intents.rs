//! What an application asks the gateway to be told of: docs.discord.com/developers/events/gateway#list-of-intents, read 2026-11-29.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One group of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Servers, their channels and threads; the bot added and removed.
    Guilds,
    /// Who joins and leaves servers; privileged.
    GuildMembers,
    /// Bans and the audit log.
    GuildModeration,
    /// Emojis, stickers and sounds.
    GuildExpressions,
    /// Integrations of servers.
    GuildIntegrations,
    /// Webhooks of channels.
    GuildWebhooks,
    /// Invitations.
    GuildInvites,
    /// Who is in voice channels.
    GuildVoiceStates,
    /// Who is online; privileged.
    GuildPresences,
    /// Messages in servers.
    GuildMessages,
    /// Reactions in servers.
    GuildMessageReactions,
    /// Typing in servers.
    GuildMessageTyping,
    /// Messages to the bot.
    DirectMessages,
    /// Reactions in messages to the bot.
    DirectMessageReactions,
    /// Typing to the bot.
    DirectMessageTyping,
    /// The words and files of messages in servers; privileged.
    MessageContent,
    /// Events that servers plan.
    GuildScheduledEvents,
    /// Rules of automatic moderation.
    AutoModerationConfiguration,
    /// What those rules did.
    AutoModerationExecution,
    /// Votes in servers.
    GuildMessagePolls,
    /// Votes in messages to the bot.
    DirectMessagePolls,
}

impl Intent {
    /// Its bit.
    fn bit(self) -> u32 {
        let place = match self {
            Self::Guilds => 0,
            Self::GuildMembers => 1,
            Self::GuildModeration => 2,
            Self::GuildExpressions => 3,
            Self::GuildIntegrations => 4,
            Self::GuildWebhooks => 5,
            Self::GuildInvites => 6,
            Self::GuildVoiceStates => 7,
            Self::GuildPresences => 8,
            Self::GuildMessages => 9,
            Self::GuildMessageReactions => 10,
            Self::GuildMessageTyping => 11,
            Self::DirectMessages => 12,
            Self::DirectMessageReactions => 13,
            Self::DirectMessageTyping => 14,
            Self::MessageContent => 15,
            Self::GuildScheduledEvents => 16,
            Self::AutoModerationConfiguration => 20,
            Self::AutoModerationExecution => 21,
            Self::GuildMessagePolls => 24,
            Self::DirectMessagePolls => 25,
        };
        1 << place
    }

    /// Whether it must be switched on at Discord first.
    pub(super) fn is_privileged(self) -> bool {
        matches!(self, Self::GuildMembers | Self::GuildPresences | Self::MessageContent)
    }
}

/// What conversations are made of.
pub(super) fn usual() -> Vec<Intent> {
    vec![
        Intent::GuildMessages,
        Intent::GuildMessageReactions,
        Intent::GuildMessagePolls,
        Intent::DirectMessages,
        Intent::DirectMessageReactions,
        Intent::DirectMessagePolls,
        Intent::MessageContent,
    ]
}

/// All of them in one number.
pub(super) fn bits(intents: &[Intent]) -> u32 {
    intents.iter().fold(0, |bits, intent| bits | intent.bit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ones_have_the_documented_number() {
        assert_eq!(bits(&usual()), 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 24 | 1 << 25);
    }
}
