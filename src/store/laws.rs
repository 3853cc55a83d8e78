//! What every store must do, run against each server. PostgreSQL is a real one: `tests/postgres.sh start DIR` prints the address
//! that `FAIRWAY_TEST_POSTGRES` must hold; without it these tests fail.

use std::sync::Arc;

use fairway_adapters::contract::{MediaRef, Priority, State, Time};

use super::db::{Database, Statement};
use super::tables::Tables;
use super::{ApiKey, Change, Endpoint, Filter, Handle, Held, Intake, Line, Media, Positions, Postponed, Row, Store, Used};
use crate::ids::MessageId;
use crate::values;

/// A database of its own, thrown away at the end.
pub enum Stage {
    /// A file in a folder.
    Sqlite(tempfile::TempDir),
    /// Its URL.
    Postgres(String),
}

impl Stage {
    /// In a file.
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a folder"))
    }

    /// On the server of the tests.
    pub async fn postgres() -> Self {
        let server = std::env::var("FAIRWAY_TEST_POSTGRES").expect("FAIRWAY_TEST_POSTGRES: start a server with tests/postgres.sh");
        let name = format!("laws_{:016x}", rand::random::<u64>());
        let (client, connection) = tokio_postgres::connect(&format!("{server}/postgres"), tokio_postgres::NoTls).await.expect("a server");
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
        Self::Postgres(format!("{server}/{name}"))
    }

    /// Opens it; once more is another node.
    pub async fn open(&self) -> Arc<dyn Database> {
        match self {
            Self::Sqlite(folder) => Arc::new(super::sqlite::Sqlite::open(&folder.path().join("store.db")).expect("a file")),
            Self::Postgres(url) => Arc::new(super::postgres::Postgres::open(url).await.expect("a server")),
        }
    }

    async fn store(&self) -> Tables {
        Tables::open(self.open().await).await.expect("tables")
    }
}

/// Each law, once for each server.
macro_rules! laws {
    ($($law:ident)*) => {
        mod sqlite { $(#[tokio::test] async fn $law() { super::$law(super::Stage::sqlite()).await })* }
        mod postgres { $(#[tokio::test(flavor = "multi_thread")] async fn $law() { super::$law(super::Stage::postgres().await).await })* }
    };
}

pub(crate) use laws;

laws! {
    a_message_is_parked_once_and_by_its_newest_round
    the_schedule_is_read_in_order_and_page_by_page
    the_schedule_is_written_by_one_tenure_alone
    what_is_behind_goes_later_in_its_order
    views_take_the_strongest_state_and_keep_every_line
    views_are_written_by_one_tenure_alone
    a_key_is_fresh_for_one_alone
    early_receipts_are_taken_once
    the_newest_handle_stays
    what_was_put_is_there_after_a_restart
    a_write_is_all_or_nothing_and_takes_nobody_with_it
    writes_take_effect_in_the_order_of_their_calls
    steps_run_once_and_a_newer_database_is_refused
    lists_are_filtered_and_paged
}

/// The unit of every message here.
const UNIT: u32 = 3;

fn id(n: u128) -> MessageId {
    MessageId::derived(3, &[&n.to_be_bytes()])
}

fn row(n: u128, due: i64, round: u16) -> Row {
    Row {
        id: id(n),
        channel: "shop".into(),
        lane: Priority::Bulk,
        due: Time(due),
        round,
        attempt: 1,
        conversation: format!("shop/tel:+{n}"),
        scheduled: n.is_multiple_of(2),
        position: n as u64,
        reason: "limit".into(),
        body: vec![0, 1, 255, n as u8],
    }
}

async fn a_message_is_parked_once_and_by_its_newest_round(stage: Stage) {
    let store = stage.store().await;
    store.begin_schedule(UNIT, 1).await.expect("begun");
    store.park(UNIT, 1, vec![row(1, 100, 2)], vec![]).await.expect("parked");
    store.park(UNIT, 1, vec![row(1, 50, 1)], vec![]).await.expect("an older round");
    assert_eq!(store.parked(id(1)).await.expect("read"), Some(row(1, 100, 2)));
    store.park(UNIT, 1, vec![row(1, 300, 3)], vec![]).await.expect("a newer round");
    store.unpark(vec![(id(1), 2)]).await.expect("an older end");
    assert_eq!(store.parked(id(1)).await.expect("read"), Some(row(1, 300, 3)), "an older end lets a newer round be");
    let held = Held { conversation: "shop/tel:+1".into(), lane: Priority::Bulk, count: 1, due: Time(300), positions: (1, 1) };
    assert_eq!(store.held(id(1).unit.into()).await.expect("read"), [held]);
    assert_eq!(store.parked_among(&[id(0), id(1), id(2)]).await.expect("read"), [id(1)]);
    store.unpark(vec![(id(1), 3)]).await.expect("its end");
    assert_eq!(store.parked(id(1)).await.expect("read"), None);
}

async fn the_schedule_is_read_in_order_and_page_by_page(stage: Stage) {
    let store = stage.store().await;
    store.begin_schedule(UNIT, 1).await.expect("begun");
    store.park(UNIT, 1, (0..100).map(|n| row(n, 1000 - n as i64 / 10, 1)).collect(), vec![]).await.expect("parked");
    let unit = u32::from(id(0).unit);
    let (mut after, mut seen) = ((0, 0), Vec::new());
    loop {
        let page = store.due(unit, "shop", Priority::Bulk, after, Time(995), 7).await.expect("read");
        let Some((cursor, _)) = page.last() else { break };
        after = *cursor;
        seen.extend(page.into_iter().map(|(_, row)| row.due.0));
    }
    assert_eq!(seen.len(), 50);
    assert!(seen.is_sorted() && seen.iter().all(|due| *due <= 995));
    assert!(store.due(unit, "shop", Priority::Urgent, (0, 0), Time(2000), 7).await.expect("read").is_empty());
    let waiting = store.waiting(unit).await.expect("read");
    assert_eq!((waiting[0].count, waiting[0].first, waiting[0].lane), (100, Time(991), Priority::Bulk));
    assert_eq!(store.held(unit).await.expect("read").len(), 50, "what waits for its own time holds nobody");
}

async fn the_schedule_is_written_by_one_tenure_alone(stage: Stage) {
    let (store, other) = (stage.store().await, stage.store().await);
    let unbegun = store.park(UNIT, 7, vec![row(1, 100, 1)], vec![]).await.expect_err("no tenure has begun");
    assert!(unbegun.is_guarded(), "{unbegun}");
    store.begin_schedule(UNIT, 7).await.expect("begun");
    store.park(UNIT, 7, vec![row(1, 100, 1), row(4, 100, 1)], vec![]).await.expect("parked");
    other.begin_schedule(UNIT, u64::MAX).await.expect("begun");
    let late = store.park(UNIT, 7, vec![row(2, 100, 1)], vec![]).await.expect_err("its tenure is over");
    assert!(late.is_guarded(), "{late}");
    store.begin_schedule(UNIT + 1, 7).await.expect("another unit has its own");
    other.park(UNIT, u64::MAX, vec![row(3, 100, 1)], vec![]).await.expect("parked");
    assert_eq!(store.parked_from(UNIT, Priority::Bulk, 2).await.expect("read"), [3, 4]);
}

async fn what_is_behind_goes_later_in_its_order(stage: Stage) {
    let store = stage.store().await;
    store.begin_schedule(UNIT, 1).await.expect("begun");
    let of = |position: u64, due: i64, conversation: &str, lane: Priority, scheduled: bool| Row {
        position,
        conversation: conversation.into(),
        lane,
        scheduled,
        ..row(u128::from(position), due, 1)
    };
    let (one, bulk) = ("shop/tel:+1", Priority::Bulk);
    let behind =
        vec![of(5, 100, one, bulk, false), of(6, 100, one, bulk, false), of(7, 900, one, bulk, false), of(8, 901, one, bulk, false)];
    let others = vec![
        of(3, 100, one, bulk, false),
        of(9, 100, one, bulk, true),
        of(10, 100, "shop/tel:+2", bulk, false),
        of(11, 100, one, Priority::Urgent, false),
    ];
    store.park(UNIT, 1, [behind, others].concat(), vec![]).await.expect("parked");
    let postponed = Postponed { conversation: one.into(), lane: bulk, position: 4, due: Time(500) };
    store.park(UNIT, 1, vec![of(4, 500, one, bulk, false)], vec![postponed]).await.expect("parked before them");
    let due = async |position: u64| store.parked(id(position.into())).await.expect("read").expect("there").due.0;
    let mut after = Vec::new();
    for position in [4, 5, 6, 7, 8] {
        after.push(due(position).await);
    }
    assert_eq!(after, [500, 501, 502, 900, 901], "what is later already stays");
    for position in [3, 9, 10, 11] {
        assert_eq!(due(position).await, 100, "{position} is not behind it");
    }
}

fn change(attempt: u16, state: State, at: i64) -> Change {
    Change {
        state: Some((attempt, state)),
        lines: vec![Line { at: Time(at), what: state.word().into(), text: "…".into() }],
        ..Change::default()
    }
}

async fn views_take_the_strongest_state_and_keep_every_line(stage: Stage) {
    let store = stage.store().await;
    store.begin_views(1).await.expect("begun");
    let put = async |change| store.project(vec![(id(9), change)], Positions::new(), 1).await.expect("written");
    put(Change { provider_id: Some("p1".into()), ..change(2, State::Sent, 30) }).await;
    put(change(1, State::InDoubt, 20)).await;
    let intake = Intake {
        channel: "shop".into(),
        conversation: "shop/tel:+1".into(),
        to: "tel:+1".into(),
        accepted_at: Time(10),
        request: r#"{"to":"tel:+1"}"#.into(),
    };
    put(Change { intake: Some(intake), ..Change::default() }).await;
    put(change(1, State::Delivered, 40)).await;
    // An edit changes the request and no time.
    put(Change { edited: Some(r#"{"to":"tel:+1","parts":[]}"#.into()), ..Change::default() }).await;
    put(Change { error: Some(r#"{"code":"late"}"#.into()), ..change(2, State::Failed, 50) }).await;
    let message = store.message(id(9)).await.expect("read").expect("there");
    assert_eq!((message.state, message.attempt, message.created_at.0, message.updated_at.0), (State::Delivered, 2, 10, 50));
    assert_eq!((message.channel.as_str(), message.to.as_str(), message.provider_message_id.as_deref()), ("shop", "tel:+1", Some("p1")));
    assert_eq!(message.timeline.iter().map(|l| l.at.0).collect::<Vec<_>>(), [20, 30, 40, 50]);
    assert_eq!(message.request.expect("kept"), serde_json::json!({ "to": "tel:+1", "parts": [] }));
    assert_eq!(store.by_provider_id("shop", "p1").await.expect("read").map(|m| m.id), Some(id(9).to_string()));
    assert_eq!(store.balance().await.expect("read"), [(State::Delivered, 1)]);
    assert_eq!(store.forget_messages(Time(51)).await.expect("done"), 1);
}

async fn views_are_written_by_one_tenure_alone(stage: Stage) {
    let (store, other) = (stage.store().await, stage.store().await);
    assert_eq!(store.begin_views(7).await.expect("begun"), Positions::new());
    store.project(vec![], [(1, 10), (2, 20)].into(), 7).await.expect("written");
    assert_eq!(other.begin_views(u64::MAX).await.expect("begun"), [(1, 10), (2, 20)].into());
    let late = store.project(vec![(id(1), change(1, State::Sent, 1))], [(2, 99)].into(), 7).await.expect_err("its tenure is over");
    assert!(late.is_guarded(), "{late}");
    assert!(store.message(id(1)).await.expect("read").is_none());
    other.project(vec![], [(2, 25)].into(), u64::MAX).await.expect("written");
    assert_eq!(store.begin_views(8).await.expect("begun"), [(1, 10), (2, 25)].into());
    assert_eq!((store.views_at(2).await.expect("read"), store.views_at(3).await.expect("read")), (Some(25), None));
}

async fn a_key_is_fresh_for_one_alone(stage: Stage) {
    let store = Arc::new(stage.store().await);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let store = Arc::clone(&store);
                async move { store.use_key("k", 7, Time(1000)).await }
            })
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        match task.await.expect("ran").expect("answered") {
            Used::Fresh => fresh += 1,
            other => assert_eq!(other, Used::Same(None)),
        }
    }
    assert_eq!(fresh, 1);
    store.answer_key("k", 202, "{}".into()).await.expect("kept");
    assert_eq!(store.use_key("k", 7, Time(1001)).await.expect("answered"), Used::Same(Some((202, "{}".into()))));
    assert_eq!(store.use_key("k", 8, Time(1001)).await.expect("answered"), Used::Other);
    store.free_key("k").await.expect("freed");
    assert_eq!(store.use_key("k", 8, Time(1002)).await.expect("answered"), Used::Fresh);
    let day = Time(1003 + 24 * 3_600_000);
    assert_eq!(store.use_key("k", 9, day).await.expect("answered"), Used::Fresh, "a key is honoured for a day");
}

async fn early_receipts_are_taken_once(stage: Stage) {
    let store = stage.store().await;
    store.keep_receipt("shop", "p1", vec![1], Time(1)).await.expect("kept");
    store.keep_receipt("shop", "p1", vec![2], Time(2)).await.expect("kept");
    store.keep_receipt("other", "p1", vec![3], Time(2)).await.expect("kept");
    let awaited = async |channels: &[&str]| {
        let channels: Vec<String> = channels.iter().map(|c| (*c).to_owned()).collect();
        let mut awaited = store.awaited_receipts(&channels).await.expect("read");
        awaited.sort();
        awaited
    };
    let of = |channel: &str| (channel.to_owned(), "p1".to_owned());
    assert_eq!(awaited(&["shop", "none"]).await, [of("shop")]);
    assert_eq!(awaited(&["shop", "other"]).await, [of("other"), of("shop")]);
    let mut taken = store.take_receipts("shop", "p1").await.expect("taken");
    taken.sort();
    assert_eq!(taken, [vec![1], vec![2]]);
    assert!(store.take_receipts("shop", "p1").await.expect("taken").is_empty());
}

async fn the_newest_handle_stays(stage: Stage) {
    let store = stage.store().await;
    let handle = |sealed: &str, at, until, uses| Handle { sealed: sealed.into(), until, uses, at: Time(at) };
    store.keep_handle("shop/a", handle("new", 10, None, Some(1))).await.expect("kept");
    store.keep_handle("shop/a", handle("old", 5, None, None)).await.expect("kept");
    assert_eq!(store.handle("shop/a").await.expect("read"), Some(handle("new", 10, None, Some(1))));
    store.keep_handle("shop/b", handle("brief", 10, Some(Time(20)), None)).await.expect("kept");
    store.keep_handle("shop/c", handle("late", 20 + 3_600_001, None, None)).await.expect("kept");
    assert_eq!(store.handle("shop/b").await.expect("read"), None, "an hour after its end it is gone");
}

async fn what_was_put_is_there_after_a_restart(stage: Stage) {
    let media = Media {
        id: "med_1".into(),
        channel: "shop".into(),
        state: "pending".into(),
        source: Some(MediaRef { id: "r".into(), ..MediaRef::default() }),
        blob: None,
        mime_type: Some("image/png".into()),
        filename: None,
        size: 12,
        tries: 2,
        due: Time(5),
        reason: None,
        created_at: Time(4),
        person: Some("whatsapp:+15550100200".into()),
    };
    let key = ApiKey {
        id: "key_1".into(),
        name: "n\u{e9}".into(),
        scopes: vec!["admin".into()],
        channels: vec![],
        hash: vec![9, 0, 9],
        created_at: Time(1),
        revoked_at: None,
    };
    let endpoint = Endpoint {
        id: "whk_1".into(),
        url: "https://example.org/".into(),
        types: vec![],
        channels: vec![],
        secrets: vec!["whsec_x".into()],
        disabled: None,
        generation: 0,
        created_at: Time(1),
    };
    {
        let store = stage.store().await;
        store.put_media(media.clone()).await.expect("put");
        store.put_api_key(key.clone()).await.expect("put");
        store.put_endpoint(endpoint.clone()).await.expect("put");
        store.put_setting("s", "1".into()).await.expect("put");
        store.put_setting("s", "2".into()).await.expect("put");
    }
    let store = stage.store().await;
    assert_eq!(store.media("med_1").await.expect("read"), Some(media.clone()));
    assert_eq!(store.pending_media(Time(5), 9).await.expect("read"), std::slice::from_ref(&media));
    assert!(store.pending_media(Time(4), 9).await.expect("read").is_empty());
    assert_eq!(store.media_of("whatsapp:+15550100200", 9).await.expect("read"), std::slice::from_ref(&media));
    assert!(store.media_of("whatsapp:+15550100201", 9).await.expect("read").is_empty());
    store.put_media(Media { state: "ready".into(), blob: Some("b".into()), ..media }).await.expect("put");
    assert!(store.uses_blob("b").await.expect("read") && !store.uses_blob("c").await.expect("read"));
    assert_eq!(store.old_media(Time(5), 9).await.expect("read").len(), 1);
    assert_eq!(store.api_keys().await.expect("read"), [key]);
    assert_eq!(store.endpoints().await.expect("read"), [endpoint]);
    assert!(store.remove_endpoint("whk_1").await.expect("removed") && !store.remove_endpoint("whk_1").await.expect("gone"));
    assert_eq!(store.setting("s").await.expect("read").as_deref(), Some("2"));
    store.put_setting("pause/b", "4".into()).await.expect("put");
    store.put_setting("pause/a", "3".into()).await.expect("put");
    let settings = store.settings("pause/").await.expect("read");
    assert_eq!(settings, [("pause/a".to_owned(), "3".to_owned()), ("pause/b".to_owned(), "4".to_owned())].into());
}

async fn a_write_is_all_or_nothing_and_takes_nobody_with_it(stage: Stage) {
    let db = stage.open().await;
    db.migrate("laws", &["CREATE TABLE t (n BIGINT PRIMARY KEY, x TEXT)"]).await.expect("made");
    let put = |n: i64| Statement::once("INSERT INTO t (n, x) VALUES (?1, ?2)", values![n, Option::<String>::None]);
    let (first, broken, last) = (db.write(vec![put(1)]), db.write(vec![put(2), put(1)]), db.write(vec![put(3)]));
    let (first, broken, last) = tokio::join!(first, broken, last);
    assert!(first.is_ok() && broken.is_err() && last.is_ok());
    let rows = db.read("SELECT n FROM t ORDER BY n".into(), vec![]).await.expect("read");
    assert_eq!(rows.iter().map(|r| r.int(0).expect("a number")).collect::<Vec<_>>(), [1, 3]);
}

async fn writes_take_effect_in_the_order_of_their_calls(stage: Stage) {
    let db = stage.open().await;
    db.migrate("laws", &["CREATE TABLE t (n BIGINT PRIMARY KEY, x BIGINT NOT NULL)"]).await.expect("made");
    let sql = "INSERT INTO t (n, x) VALUES (1, ?1) ON CONFLICT (n) DO UPDATE SET x = excluded.x RETURNING x";
    let writes: Vec<_> = (0..1000_i64).map(|x| db.write(vec![Statement::once(sql, values![x])])).collect();
    for (x, write) in writes.into_iter().enumerate() {
        assert_eq!(write.await.expect("written")[0].rows[0].int(0), Ok(x as i64));
    }
    assert_eq!(db.read("SELECT x FROM t".into(), vec![]).await.expect("read")[0].int(0), Ok(999));
}

async fn steps_run_once_and_a_newer_database_is_refused(stage: Stage) {
    const OLD: &[&str] = &["CREATE TABLE t (n BIGINT)"];
    const NEW: &[&str] = &["CREATE TABLE t (n BIGINT)", "ALTER TABLE t ADD COLUMN x TEXT", "INSERT INTO t (n, x) VALUES (1, 'a')"];
    let (one, other) = (stage.open().await, stage.open().await);
    one.migrate("laws", OLD).await.expect("made");
    let (a, b) = tokio::join!(one.migrate("laws", NEW), other.migrate("laws", NEW));
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    assert_eq!(one.read("SELECT x FROM t".into(), vec![]).await.expect("read").len(), 1);
    let refused = other.migrate("laws", OLD).await.expect_err("newer");
    assert!(refused.to_string().contains("newer version"));
}

async fn lists_are_filtered_and_paged(stage: Stage) {
    let store = stage.store().await;
    let changes = (0..25_u128).map(|n| {
        let intake = Intake {
            channel: if n < 20 { "shop" } else { "other" }.into(),
            conversation: format!("c{}", n % 2),
            to: "tel:+1".into(),
            accepted_at: Time(n as i64 / 3),
            request: "{}".into(),
        };
        (id(n), Change { intake: Some(intake), ..change(1, if n % 5 == 0 { State::Failed } else { State::Sent }, 100) })
    });
    store.begin_views(1).await.expect("begun");
    store.project(changes.collect(), Positions::new(), 1).await.expect("written");
    let all = Filter { channel: Some("shop".into()), limit: 6, ..Filter::default() };
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = store.messages(Filter { before: before.clone(), ..all.clone() }).await.expect("read");
        let Some(last) = page.last() else { break };
        before = Some((last.created_at.0, last.id.clone()));
        seen.extend(page.into_iter().map(|m| (m.created_at.0, m.id)));
    }
    assert_eq!(seen.len(), 20);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, and none twice");
    let filter = Filter { states: vec![State::Failed], conversation: Some("c0".into()), limit: 100, ..Filter::default() };
    assert_eq!(store.messages(filter).await.expect("read").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_made_again() {
    let stage = Stage::postgres().await;
    let db = stage.open().await;
    db.migrate("laws", &["CREATE TABLE t (n BIGINT)"]).await.expect("made");
    let cut =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    db.read("SELECT n FROM t".into(), vec![]).await.expect("read");
    stage.open().await.read(cut.into(), vec![]).await.expect("cut");
    let put = || db.write(vec![Statement::once("INSERT INTO t (n) VALUES (?1)", values![1])]);
    let mut tries = 0;
    while put().await.is_err() || db.read("SELECT n FROM t".into(), vec![]).await.is_err() {
        tries += 1;
        assert!(tries < 10, "it stays lost");
    }
}
