//! The room's tables. `since` and `event` of a consent name the word that made the change; `at` the newest word that agrees.

/// Run once each, in order; more may be appended, none changed.
pub const STEPS: &[&str] = &[
    "
CREATE TABLE consents (
  address TEXT NOT NULL, channel TEXT NOT NULL, scope TEXT NOT NULL, allowed BIGINT NOT NULL, at BIGINT NOT NULL, since BIGINT NOT NULL,
  event TEXT NOT NULL, changed BIGINT NOT NULL, PRIMARY KEY (address, channel, scope)) WITHOUT ROWID;
CREATE INDEX consents_by_change ON consents (changed);
CREATE TABLE consent_log (
  address TEXT NOT NULL, at BIGINT NOT NULL, event TEXT NOT NULL, channel TEXT NOT NULL, scope TEXT NOT NULL, word TEXT NOT NULL,
  how TEXT NOT NULL, evidence TEXT NOT NULL, recorded_at BIGINT NOT NULL, PRIMARY KEY (address, event, channel, scope)) WITHOUT ROWID;
CREATE INDEX consent_log_by_time ON consent_log (recorded_at);
CREATE INDEX consent_log_by_word ON consent_log (word, at);
CREATE TABLE suppressions (
  id TEXT PRIMARY KEY, pattern TEXT NOT NULL, channel TEXT NOT NULL, reason TEXT NOT NULL, note TEXT, at BIGINT NOT NULL,
  changed BIGINT NOT NULL, gone BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX suppressions_by_pattern ON suppressions (pattern);
CREATE INDEX suppressions_by_change ON suppressions (changed);
CREATE TABLE cap_people (person TEXT PRIMARY KEY, touched BIGINT NOT NULL) WITHOUT ROWID;
CREATE TABLE cap_uses (message TEXT PRIMARY KEY, person TEXT NOT NULL, at BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX cap_uses_by_person ON cap_uses (person, at);
CREATE INDEX cap_uses_by_time ON cap_uses (at);
",
    "
CREATE TABLE cap_claims (
  campaign TEXT NOT NULL, number BIGINT NOT NULL, person TEXT NOT NULL, priority BIGINT NOT NULL, at BIGINT NOT NULL,
  PRIMARY KEY (campaign, number)) WITHOUT ROWID;
CREATE INDEX cap_claims_by_person ON cap_claims (person, at);
CREATE INDEX cap_claims_by_time ON cap_claims (at);
",
    "
CREATE TABLE consent_ears (id BIGINT PRIMARY KEY, beat BIGINT NOT NULL) WITHOUT ROWID;
",
];
