//! Figures, their table and their file.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// The figures of one run.
#[derive(Default)]
pub struct Table(Vec<serde_json::Value>);

impl Table {
    /// Adds a figure and what it is compared with.
    pub fn compare(&mut self, name: &str, value: f64, unit: &str, against: &str, theirs: f64) {
        self.0.push(serde_json::json!({
            "name": name, "value": value, "unit": unit, "ratio": value / theirs, "against": against,
        }));
    }

    /// Adds a figure that stands alone.
    pub fn report(&mut self, name: &str, value: f64, unit: &str) {
        self.0.push(serde_json::json!({
            "name": name, "value": value, "unit": unit, "ratio": null, "against": null,
        }));
    }

    /// Prints the table and writes the summary.
    pub fn finish(self) {
        let mut out = std::io::stdout().lock();
        for row in &self.0 {
            let ratio = row["ratio"].as_f64().map_or(String::new(), |ratio| format!("{ratio:.2} x"));
            writeln!(
                out,
                "{:<28} {:>12.3} {:<6} {:>8}  {}",
                row["name"].as_str().unwrap(),
                row["value"].as_f64().unwrap(),
                row["unit"].as_str().unwrap(),
                ratio,
                row["against"].as_str().unwrap_or_default(),
            )
            .unwrap();
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
        std::fs::create_dir_all(&folder).unwrap();
        let text = serde_json::to_string_pretty(&self.0).unwrap();
        std::fs::write(folder.join("summary.json"), text).unwrap();
        writeln!(out, "written: target/bench/summary.json").unwrap();
    }
}

/// The median of some durations, in milliseconds.
pub fn p50(mut samples: Vec<Duration>) -> f64 {
    samples.sort();
    samples[samples.len() / 2].as_secs_f64() * 1e3
}

/// The median of some numbers.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// How long an operation takes.
pub async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let value = work.await;
    (value, start.elapsed())
}
