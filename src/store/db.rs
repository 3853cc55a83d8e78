//! The seam between the store's SQL, written once, and the two servers that run it.
//!
//! The SQL is the part that SQLite (3.35 and newer) and PostgreSQL (13 and newer) read alike: numbered parameters `?1`, integers as
//! `BIGINT`, flags as 0 and 1, times in milliseconds, `ON CONFLICT ... DO UPDATE` with every column qualified, `RETURNING`,
//! `CASE` where one has `max(a, b)` and the other `greatest`. Three words differ and are written as the first has them:
//! [`SEQUENCE`], `BLOB`, and `WITHOUT ROWID`, which the second leaves out.

use std::borrow::Cow;

use super::{Answer, Error};

/// A column that numbers its rows upwards: put in place of a column's type in a `CREATE TABLE`.
pub const SEQUENCE: &str = "INTEGER PRIMARY KEY AUTOINCREMENT";

/// A value of a column or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's null.
    Null,
    /// A whole number, a time in milliseconds, or a flag.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}
impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Self::Real(v)
    }
}
impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self::Int(v.into())
    }
}
impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}
impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}
impl From<Vec<u8>> for Value {
    fn from(v: Vec<u8>) -> Self {
        Self::Blob(v)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}

/// Parameters of one statement: `values![id, name, at.0]`.
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::db::Value::from($value)),*] };
}

/// A row of an answer. A column of another type than asked for is an error that names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    fn at(&self, column: usize) -> &Value {
        self.0.get(column).unwrap_or(&Value::Null)
    }

    fn wrong<T>(&self, column: usize, wanted: &str) -> Result<T, Error> {
        Err(Error(format!("column {column} is {:?} where {wanted} was expected", self.at(column))))
    }

    /// A whole number.
    pub fn int(&self, column: usize) -> Result<i64, Error> {
        self.maybe_int(column)?.map_or_else(|| self.wrong(column, "a number"), Ok)
    }

    /// A whole number, or nothing.
    pub fn maybe_int(&self, column: usize) -> Result<Option<i64>, Error> {
        match self.at(column) {
            Value::Int(v) => Ok(Some(*v)),
            Value::Null => Ok(None),
            _ => self.wrong(column, "a number"),
        }
    }

    /// A number with a fraction.
    pub fn real(&self, column: usize) -> Result<f64, Error> {
        match self.at(column) {
            Value::Real(v) => Ok(*v),
            Value::Int(v) => Ok(*v as f64),
            _ => self.wrong(column, "a number"),
        }
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<String, Error> {
        self.maybe_text(column)?.map_or_else(|| self.wrong(column, "text"), Ok)
    }

    /// Text, or nothing.
    pub fn maybe_text(&self, column: usize) -> Result<Option<String>, Error> {
        match self.at(column) {
            Value::Text(v) => Ok(Some(v.clone())),
            Value::Null => Ok(None),
            _ => self.wrong(column, "text"),
        }
    }

    /// Bytes.
    pub fn blob(&self, column: usize) -> Result<Vec<u8>, Error> {
        match self.at(column) {
            Value::Blob(v) => Ok(v.clone()),
            _ => self.wrong(column, "bytes"),
        }
    }

    /// What a JSON column holds; nothing where it is null or cannot be read.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Option<T> {
        match self.at(column) {
            Value::Text(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }
}

/// A statement, to be run once for each set of parameters.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The SQL. Constant text is prepared once per connection.
    pub sql: Cow<'static, str>,
    /// Parameters of each run.
    pub runs: Vec<Vec<Value>>,
    /// Whether it must change something; when it does not, the whole write is undone and answered [`Error::guarded`].
    pub must: bool,
}

impl Statement {
    /// A statement that runs once.
    pub fn once(sql: impl Into<Cow<'static, str>>, parameters: Vec<Value>) -> Self {
        Self { sql: sql.into(), runs: vec![parameters], must: false }
    }

    /// A statement that runs for each of these.
    pub fn each(sql: impl Into<Cow<'static, str>>, runs: Vec<Vec<Value>>) -> Self {
        Self { sql: sql.into(), runs, must: false }
    }

    /// A condition of the whole write: this must change a row, or nothing is written.
    pub fn guard(sql: impl Into<Cow<'static, str>>, parameters: Vec<Value>) -> Self {
        Self { sql: sql.into(), runs: vec![parameters], must: true }
    }
}

/// What became of one statement: the rows it returned, of all its runs, and how many rows it changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// What a `SELECT` or `RETURNING` gave.
    pub rows: Vec<Row>,
    /// Rows inserted, changed or deleted.
    pub changed: u64,
}

/// A server of SQL.
///
/// Writes take effect in the order in which `write` was called, and resolve when they are durable. Each write is one transaction:
/// all of its statements or none. Keep one below 5,000 rows, so that nobody behind it waits long.
pub trait Database: Send + Sync + 'static {
    /// Asks, on a connection of its own: sees every write that has resolved.
    fn read(&self, sql: Cow<'static, str>, parameters: Vec<Value>) -> Answer<'static, Vec<Row>>;
    /// Writes all of it, or nothing.
    fn write(&self, statements: Vec<Statement>) -> Answer<'static, Vec<Done>>;
    /// Whether other nodes may use it too.
    fn is_shared(&self) -> bool {
        false
    }
    /// Brings the tables named `name` up to date: `steps` are run once each, in order, under a lock; more may be appended later,
    /// none changed. A database that has more steps than we know was written by a newer version and is refused.
    fn migrate(&self, name: &'static str, steps: &'static [&'static str]) -> Answer<'static, ()>;
}
