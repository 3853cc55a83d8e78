//! The room's tables.

/// Run once each, in order; more may be appended, none changed.
pub const STEPS: &[&str] = &[
    "
CREATE TABLE contacts (
  id TEXT PRIMARY KEY, name TEXT, locale TEXT, zone TEXT, zone_guessed BIGINT NOT NULL, country TEXT, region TEXT, attributes TEXT NOT NULL,
  created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, merged_into TEXT) WITHOUT ROWID;
CREATE TABLE contact_addresses (
  address TEXT PRIMARY KEY, contact TEXT NOT NULL, added_at BIGINT NOT NULL, gone_at BIGINT) WITHOUT ROWID;
CREATE INDEX contact_addresses_by_contact ON contact_addresses (contact);
CREATE TABLE contact_history (
  contact TEXT NOT NULL, at BIGINT NOT NULL, seq TEXT NOT NULL, what TEXT NOT NULL, words TEXT NOT NULL,
  PRIMARY KEY (contact, at, seq)) WITHOUT ROWID;
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, input TEXT NOT NULL, place BIGINT NOT NULL, line BIGINT NOT NULL,
  good BIGINT NOT NULL, bad BIGINT NOT NULL, result TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (state, created_at);
CREATE TABLE job_rows (
  job TEXT NOT NULL, line BIGINT NOT NULL, col TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (job, line, col)) WITHOUT ROWID;
",
    "
CREATE TABLE address_traffic (address TEXT PRIMARY KEY, wrote_at BIGINT, read_at BIGINT) WITHOUT ROWID;
",
    "
CREATE TABLE reply_windows (
  conversation TEXT PRIMARY KEY, address TEXT NOT NULL, told_at BIGINT NOT NULL, closes_at BIGINT, free_until BIGINT, closed_reason TEXT)
  WITHOUT ROWID;
CREATE INDEX reply_windows_by_address ON reply_windows (address);
",
];
