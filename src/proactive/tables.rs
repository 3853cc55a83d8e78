//! The tables of this room: state of its own, to be backed up. Written in the SQL that both servers read (`store::db`).
//!
//! `people` rows of a campaign are its frozen audience and its books at once: every person has exactly one row, and exactly
//! one state, so that the report adds up by counting.

/// Name of the tables, and the steps that make them.
pub const NAME: &str = "proactive";

/// Run once each, in order; more may be appended, none changed.
pub const STEPS: &[&str] = &[
    "CREATE TABLE templates (name TEXT PRIMARY KEY, body TEXT NOT NULL, version BIGINT NOT NULL, updated_at BIGINT NOT NULL);
     CREATE TABLE audiences (id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, good BIGINT NOT NULL, bad BIGINT NOT NULL,
        attributes TEXT NOT NULL, created_at BIGINT NOT NULL);
     CREATE TABLE audience_people (audience TEXT NOT NULL, number BIGINT NOT NULL, address TEXT NOT NULL, addresses TEXT NOT NULL,
        name TEXT, locale TEXT, zone TEXT,
        attributes TEXT NOT NULL, PRIMARY KEY (audience, number));
     CREATE UNIQUE INDEX audience_addresses ON audience_people (audience, address);
     CREATE TABLE audience_bad (audience TEXT NOT NULL, line BIGINT NOT NULL, field TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (audience, line));",
    "CREATE TABLE campaigns (id TEXT PRIMARY KEY, body TEXT NOT NULL, state TEXT NOT NULL, phase TEXT NOT NULL, edition BIGINT NOT NULL,
        reason TEXT, launched_at BIGINT, created_at BIGINT NOT NULL, until_at BIGINT, frozen BIGINT NOT NULL, spent BIGINT NOT NULL,
        changed_at BIGINT NOT NULL, sources TEXT NOT NULL);
     CREATE TABLE campaign_people (campaign TEXT NOT NULL, number BIGINT NOT NULL, due BIGINT NOT NULL, variant TEXT NOT NULL,
        state TEXT NOT NULL, level BIGINT NOT NULL, address TEXT NOT NULL, channel TEXT, message TEXT, reason TEXT, class TEXT,
        sent_at BIGINT, opted_out BIGINT NOT NULL, goal TEXT, PRIMARY KEY (campaign, number));
     CREATE INDEX campaign_queue ON campaign_people (campaign, state, due, number);
     CREATE INDEX campaign_messages ON campaign_people (message);
     CREATE INDEX campaign_addresses ON campaign_people (address);
     CREATE TABLE proactive_positions (name TEXT NOT NULL, part BIGINT NOT NULL, next BIGINT NOT NULL, PRIMARY KEY (name, part));",
    "CREATE TABLE makers (kind TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, body TEXT NOT NULL, source TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT, extended_to BIGINT, created_at BIGINT NOT NULL, changed_at BIGINT NOT NULL,
        PRIMARY KEY (kind, id));
     CREATE INDEX makers_recurring ON makers (extended_to) WHERE extended_to IS NOT NULL;
     CREATE TABLE maker_addresses (address TEXT NOT NULL, kind TEXT NOT NULL, maker TEXT NOT NULL, PRIMARY KEY (address, kind, maker));
     CREATE TABLE dues (kind TEXT NOT NULL, maker TEXT NOT NULL, version BIGINT NOT NULL, step TEXT NOT NULL, due BIGINT NOT NULL,
        state TEXT NOT NULL, level BIGINT NOT NULL, address TEXT NOT NULL, channel TEXT, message TEXT, reason TEXT, data TEXT NOT NULL,
        recall BIGINT NOT NULL, sent_at BIGINT, PRIMARY KEY (kind, maker, version, step));
     CREATE INDEX dues_queue ON dues (state, due);
     CREATE INDEX dues_messages ON dues (message);
     CREATE INDEX dues_addresses ON dues (address, kind, maker);
     CREATE INDEX dues_recall ON dues (recall) WHERE recall = 1;",
    "CREATE TABLE links (code TEXT PRIMARY KEY, url TEXT NOT NULL, campaign TEXT NOT NULL, number BIGINT NOT NULL,
        created_at BIGINT NOT NULL);
     CREATE INDEX links_by_time ON links (created_at);",
    // `place`: of a campaign for a saved filter, the last contact that its launch has looked at; its list has the campaign's id.
    "ALTER TABLE campaigns ADD COLUMN place TEXT;
     ALTER TABLE campaigns ADD COLUMN reach TEXT;",
    // Whoever has no message yet is not looked for by one.
    "DROP INDEX campaign_messages;
     CREATE INDEX campaign_messages ON campaign_people (message) WHERE message IS NOT NULL;",
    // Where people are in journeys; what is due for them lies in `dues`, its step named `{entry} {step}`. `journey_intakes`: how
    // far an audience has been taken in.
    "CREATE TABLE journey_people (journey TEXT NOT NULL, address TEXT NOT NULL, entry TEXT NOT NULL, place TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT, data TEXT NOT NULL, entered_at BIGINT NOT NULL, changed_at BIGINT NOT NULL,
        PRIMARY KEY (journey, address));
     CREATE INDEX journey_addresses ON journey_people (address);
     CREATE TABLE journey_intakes (id TEXT PRIMARY KEY, journey TEXT NOT NULL, audience TEXT NOT NULL, number BIGINT NOT NULL,
        place TEXT NOT NULL, people BIGINT NOT NULL, state TEXT NOT NULL, created_at BIGINT NOT NULL);
     CREATE INDEX journey_intakes_open ON journey_intakes (created_at) WHERE state = 'taking';",
    // Of campaigns with a fallback, the messages of each person; a person's row in the books has what the weightiest came to
    // (`chain.rs`), and which message that is. `until_at`: the end of a hold.
    "CREATE TABLE campaign_steps (message TEXT PRIMARY KEY, campaign TEXT NOT NULL, number BIGINT NOT NULL, step BIGINT NOT NULL,
        channel TEXT NOT NULL, address TEXT NOT NULL, state TEXT NOT NULL, level BIGINT NOT NULL, weight BIGINT NOT NULL, reason TEXT,
        class TEXT, until_at BIGINT, cost BIGINT NOT NULL);
     CREATE INDEX campaign_steps_people ON campaign_steps (campaign, number);
     CREATE INDEX campaign_steps_weight ON campaign_steps (campaign, weight);
     CREATE INDEX campaign_steps_address ON campaign_steps (address);
     ALTER TABLE campaign_people ADD COLUMN until_at BIGINT;
     ALTER TABLE campaign_people ADD COLUMN counts TEXT;",
    // Whose links go when a person is erased.
    "CREATE INDEX links_whose ON links (campaign, number);",
    // What of a tenant's quota is used in the period that began at `since` (`outbound::quota`): here, so that one write plans a batch
    // and counts it.
    "CREATE TABLE tenant_quotas (tenant TEXT PRIMARY KEY, since BIGINT NOT NULL, used BIGINT NOT NULL);",
];
