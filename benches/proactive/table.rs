//! What was measured, row by row, each beside its floor and beside the same at a smaller size.

use std::collections::HashMap;

/// One measurement.
pub struct Row {
    pub what: &'static str,
    /// Of how many.
    pub size: u64,
    /// In seconds.
    pub seconds: f64,
    /// How many the seconds are divided by; the size where nothing else is said.
    pub units: u64,
    /// What was promised.
    pub wanted: &'static str,
    /// The least that the same needs, and in how many seconds: nothing where there is none.
    pub floor: Option<(&'static str, f64)>,
    /// What else was seen.
    pub note: String,
}

/// All rows.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// Adds a row, and prints it at once: a run may be long.
    pub fn add(&mut self, row: Row) {
        println!("{}", line(&row, None));
        self.0.push(row);
    }

    /// Prints all rows, and by how much a unit costs more than at the size before.
    pub fn print(&self) {
        let head = ["what", "size", "seconds", "per unit", "wanted", "floor, per unit", "x floor", "x smaller"];
        println!(
            "\n{:<44} {:>10} {:>9} {:>11} {:>16} {:>12} {:>8} {:>10}  of the floor, and besides",
            head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]
        );
        let mut smaller: HashMap<&str, f64> = HashMap::new();
        for row in &self.0 {
            let each = row.seconds / row.units as f64;
            println!("{}", line(row, smaller.insert(row.what, each).map(|before| each / before)));
        }
    }
}

fn line(row: &Row, growth: Option<f64>) -> String {
    let each = row.seconds / row.units as f64;
    let floor = row.floor.map_or(String::new(), |(_, seconds)| span(seconds / row.units as f64));
    let ratio = row.floor.map_or(String::new(), |(_, seconds)| format!("{:.2}", row.seconds / seconds));
    let growth = growth.map_or(String::new(), |g| format!("{g:.2}"));
    let of = row.floor.map_or("", |(what, _)| what);
    let dot = if of.is_empty() || row.note.is_empty() { "" } else { "; " };
    format!(
        "{:<44} {:>10} {:>9.3} {:>11} {:>16} {:>12} {:>8} {:>10}  {of}{dot}{}",
        row.what,
        row.size,
        row.seconds,
        span(each),
        row.wanted,
        floor,
        ratio,
        growth,
        row.note
    )
}

/// Seconds with the unit that fits.
fn span(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} us", s * 1e6),
    }
}
