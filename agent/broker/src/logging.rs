//! Logs: to standard error, which a service manager keeps. Never a secret, a user id, a name of a document or
//! content: users appear as the number of their unlocking.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// The libraries below never say more than warnings: at lower levels some print requests, frames and headers, and
/// with them what callers sent.
const QUIET: &[&str] = &[
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "mio",
    "prost",
    "rustls",
    "tokio",
    "tokio_util",
    "tonic",
    "tower",
    "want",
];

/// Starts logging.
///
/// A bad level was refused with the configuration; here it falls back to `info`.
pub fn start(log: &Log) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // The journal has its own times. A second start changes nothing.
    let _ = match log.format {
        LogFormat::Json => tracing::subscriber::set_global_default(lines.json().finish()),
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            tracing::subscriber::set_global_default(lines.without_time().finish())
        }
        LogFormat::Text => tracing::subscriber::set_global_default(lines.finish()),
    };
}

fn filter(log: &Log) -> EnvFilter {
    let level = log.level.as_deref().unwrap_or("info");
    let mut filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    for library in QUIET {
        if let Ok(directive) = format!("{library}=warn").parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}

/// A subscriber for one test that collects what is logged.
#[cfg(test)]
pub fn collector<W>(log: &Log, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt().with_env_filter(filter(log)).with_writer(writer).finish()
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
    fn libraries_stay_quiet_at_every_level() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = Log { level: Some("trace".to_owned()), format: LogFormat::Text };
        tracing::subscriber::with_default(collector(&log, move || writer.clone()), || {
            tracing::trace!(target: "h2::codec", "SECRET in a frame");
            tracing::debug!(target: "hyper_util::client", "SECRET in a header");
            tracing::info!(target: "tonic", "SECRET in metadata");
            tracing::warn!(target: "rustls", "a warning");
            tracing::trace!("ours");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("SECRET"), "{text}");
        assert!(text.contains("a warning") && text.contains("ours"), "{text}");
    }
}
