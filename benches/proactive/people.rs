//! Import: a file of people, from the upload's place on disk to the end of its job.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairway::people::{People, import::Format, jobs::Jobs};
use fairway::store::{self, db::Database};

use crate::process;
use crate::table::{Row, Table};

/// Rows of one transaction of the floor: as many as the import takes.
const TOGETHER: usize = 1000;

/// Imports so many people into SQLite, or into a database of its own on a server.
pub async fn import(table: &mut Table, home: &Path, server: Option<&str>, size: u64) {
    let folder = tempfile::tempdir_in(home).expect("a folder");
    let url = match server {
        None => format!("sqlite:{}", folder.path().join("store.db").display()),
        Some(server) => database(server, "").await,
    };
    let db = store::open(&url).await.expect("a store");
    let people = People::open(Arc::clone(&db)).await.expect("tables");
    let jobs = Jobs::open(db, people, folder.path()).await.expect("a folder");
    let (id, path) = jobs.new_import();
    write(&path, size);
    let parsed = parse(&path);
    process::forget_peak();
    let (before, began) = (process::cpu(), Instant::now());
    jobs.import(&id, Format::Csv).await.expect("begun");
    let running = tokio::spawn(jobs.clone().run());
    let job = loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let job = jobs.get(&id).await.expect("read").expect("there");
        if matches!(&*job.state, "done" | "failed") {
            break job;
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    running.abort();
    let (cpu, peak) = ((process::cpu() - before).as_secs_f64(), process::peak_mib());
    assert_eq!((job.good, job.bad), (size, 0), "{job:?}");
    let (what, floor) = match server {
        None => ("import contacts, SQLite", ("the same rows inserted bare", bare(folder.path()))),
        Some(server) => ("import contacts, PostgreSQL", ("the same rows by COPY", copied(&url, &database(server, "_floor").await).await)),
    };
    let note = format!("parsing the CSV alone {:.2} us; CPU {cpu:.1} s, peak {peak} MiB", parsed / size as f64 * 1e6);
    table.add(Row { what, size, seconds, units: size, wanted: "1 M < 30 s", floor: Some(floor), note });
}

fn write(path: &Path, size: u64) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
    writeln!(file, "id,name,phone,email,locale,plan,city").expect("written");
    for n in 0..size {
        // Callers' ids come in no order.
        let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(file, "c-{id:016x},Person {n},+49170{n:08},p{n}@example.org,de-DE,gold,Berlin").expect("written");
    }
    file.into_inner().expect("flushed").sync_all().expect("on disk");
}

/// Seconds that reading all fields takes.
fn parse(path: &Path) -> f64 {
    let began = Instant::now();
    let mut reader = csv::Reader::from_path(path).expect("a file");
    let (mut record, mut bytes) = (csv::ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record).expect("a row") {
        bytes += record.as_slice().len();
    }
    assert!(bytes > 0);
    began.elapsed().as_secs_f64()
}

/// Seconds that inserting the rows of these tables takes, in the order of their coming, into a file of the same tables.
fn bare(folder: &Path) -> f64 {
    copy(&folder.join("store.db"), &folder.join("floor.db"), &["contacts", "contact_addresses"], TOGETHER)
}

/// Copies tables into a new file with nothing but prepared statements and commits, and answers in seconds how long the writing
/// took. Where a table has no order of its own, its rows come shuffled, as they came.
pub fn copy(from: &Path, to: &Path, tables: &[&str], together: usize) -> f64 {
    let source = rusqlite::Connection::open(from).expect("a file");
    let target = rusqlite::Connection::open(to).expect("a file");
    for (key, value) in [("journal_mode", "WAL"), ("synchronous", "FULL")] {
        target.pragma_update(None, key, value).expect("a pragma");
    }
    let mut seconds = 0.0;
    for table in tables {
        let sql = "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type = 'index'";
        let mut made = source.prepare(sql).expect("a statement");
        let made: Vec<String> = made.query_map([table], |r| r.get(0)).expect("rows").map(|r| r.expect("text")).collect();
        made.iter().for_each(|sql| target.execute_batch(sql).expect("a table"));
        let order = if made[0].contains("WITHOUT ROWID") { "random()" } else { "rowid" };
        let mut rows = source.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).expect("a statement");
        let columns = rows.column_count();
        let places: Vec<String> = (1..=columns).map(|n| format!("?{n}")).collect();
        let insert = format!("INSERT INTO {table} VALUES ({})", places.join(", "));
        let mut rows = rows.query([]).expect("rows");
        let mut chunk: Vec<Vec<rusqlite::types::Value>> = Vec::with_capacity(together);
        loop {
            let row = rows.next().expect("a row");
            let over = row.is_none();
            if let Some(row) = row {
                chunk.push((0..columns).map(|c| row.get(c).expect("a value")).collect());
            }
            if chunk.len() == together || over {
                let began = Instant::now();
                target.execute_batch("BEGIN IMMEDIATE").expect("begun");
                let mut prepared = target.prepare_cached(&insert).expect("a statement");
                for row in chunk.drain(..) {
                    prepared.execute(rusqlite::params_from_iter(row)).expect("inserted");
                }
                drop(prepared);
                target.execute_batch("COMMIT").expect("committed");
                seconds += began.elapsed().as_secs_f64();
            }
            if over {
                break;
            }
        }
    }
    seconds
}

/// The address of a new, empty database.
async fn database(server: &str, end: &str) -> String {
    let name = format!("bench_{:016x}{end}", rand::random::<u64>());
    let client = connect(&format!("{server}/postgres")).await;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
    format!("{server}/{name}")
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a server");
    tokio::spawn(connection);
    client
}

/// Seconds that the same rows take by COPY, which is the fastest that the server has: in transactions as large as the import's.
async fn copied(from: &str, to: &str) -> f64 {
    use futures_util::{SinkExt, StreamExt, pin_mut};
    let target: Arc<dyn Database> = store::open(to).await.expect("a store");
    People::open(target).await.expect("tables");
    let (source, target) = (connect(from).await, connect(to).await);
    let mut seconds = 0.0;
    for table in ["contacts", "contact_addresses"] {
        let rows = source.copy_out(&format!("COPY (SELECT * FROM {table} ORDER BY random()) TO STDOUT")).await.expect("rows");
        pin_mut!(rows);
        let (mut chunk, mut count) = (bytes::BytesMut::new(), 0);
        loop {
            let row = rows.next().await;
            let over = row.is_none();
            if let Some(row) = row {
                chunk.extend_from_slice(&row.expect("a row"));
                count += 1;
            }
            if count == TOGETHER || over {
                let began = Instant::now();
                let sink = target.copy_in::<_, bytes::Bytes>(&format!("COPY {table} FROM STDIN")).await.expect("begun");
                pin_mut!(sink);
                sink.send(chunk.split().freeze()).await.expect("sent");
                sink.finish().await.expect("committed");
                seconds += began.elapsed().as_secs_f64();
                count = 0;
            }
            if over {
                break;
            }
        }
    }
    seconds
}
