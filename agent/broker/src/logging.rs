//! Logs: to standard error, which a service manager keeps. Never a secret, a user id, a name of a document or
//! content: users appear as the number of their unlocking.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::{Log, LogFormat};

/// How the crates of the house begin. All others are libraries, which never say more than warnings: at lower levels some
/// print requests, frames and headers, and with them what callers sent.
const OURS: &str = "life_";

/// Starts logging.
///
/// A bad level was refused with the configuration; here it falls back to `info`.
pub fn start(log: &Log) {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // The journal has its own times. A second start changes nothing.
    let lines = match log.format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => lines.without_time().boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines.with_filter(filter(log))));
}

/// The configured levels; none makes a library say more, not even one that names it.
fn filter(log: &Log) -> impl Filter<Registry> + use<> {
    let level = log.level.as_deref().unwrap_or("info");
    let configured = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let quiet =
        filter_fn(|metadata| *metadata.level() <= LevelFilter::WARN || metadata.target().starts_with(OURS));
    // It lets every level through for some. Without a word on that the configured level would be asked about at each
    // place that traces, and there are hundreds on the way of a call.
    let quiet = quiet.with_max_level_hint(LevelFilter::TRACE);
    configured.and(quiet)
}

/// A subscriber for one test that collects what is logged.
#[cfg(test)]
pub fn collector<W>(log: &Log, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    Registry::default().with(fmt::layer().with_writer(writer).with_filter(filter(log)))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn levels_that_nobody_sees_are_passed_over_at_once() {
        assert_eq!(filter(&Log::default()).max_level_hint(), Some(LevelFilter::INFO));
        let log = Log { level: Some("warn,life_agentd=debug".to_owned()), ..Log::default() };
        assert_eq!(filter(&log).max_level_hint(), Some(LevelFilter::DEBUG));
    }

    #[test]
    fn libraries_stay_quiet_at_every_level() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = Log {
            level: Some("trace,h2=trace,h2::codec=trace,hyper_util=debug,tonic=info".to_owned()),
            format: LogFormat::Text,
        };
        tracing::subscriber::with_default(collector(&log, move || writer.clone()), || {
            tracing::trace!(target: "h2::codec", "SECRET in a frame");
            tracing::debug!(target: "hyper_util::client", "SECRET in a header");
            tracing::info!(target: "tonic", "SECRET in metadata");
            tracing::info!(target: "of_tomorrow", "SECRET in a library that nobody thought of");
            tracing::warn!(target: "rustls", "a warning");
            tracing::trace!("ours");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("SECRET"), "{text}");
        assert!(text.contains("a warning") && text.contains("ours"), "{text}");
    }
}
