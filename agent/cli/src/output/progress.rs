//! A progress bar for long work.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that takes no longer than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);

/// How far the work is. Draws on standard error, and only on a terminal; wiped when dropped.
pub struct Progress {
    bar: ProgressBar,
    began: Instant,
    seen: bool,
    shown: bool,
}

impl Progress {
    pub(super) fn new(verb: &'static str, total: Option<u64>, seen: bool) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => "{prefix} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{prefix} {spinner} {bytes}, {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(verb);
        Self { bar, began: Instant::now(), seen, shown: false }
    }

    /// Counts bytes that are done.
    pub fn add(&mut self, bytes: usize) {
        if !self.seen {
            return;
        }
        self.bar.inc(bytes as u64);
        if !self.shown && self.began.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
