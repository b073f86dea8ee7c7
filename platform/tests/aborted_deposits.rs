//! Clients that go away while their deposit is stored: a complete file gets its row, and no other file stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::time::{Duration, Instant};

use support::client::octets;
use support::content::stream;
use support::{Agent, Platform};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_leaves_no_file_without_its_row() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let content = stream(200_000, agent.draft.root.public_key());
    for number in 0..60u64 {
        let mut connection = agent.client.open().await.unwrap();
        let put = octets("PUT", &agent.inbox(&format!("m{number}")), content.clone());
        // From before the last byte to after the answer: the connection ends wherever the deposit is.
        let answer = tokio::time::timeout(Duration::from_micros(number * 400), connection.send_request(put));
        drop(answer.await);
        drop(connection);
    }
    let data = platform.root().join("serve/data");
    let database = rusqlite::Connection::open(data.join("platform.db")).unwrap();
    let rows =
        || -> usize { database.query_row("SELECT COUNT(*) FROM pending", [], |row| row.get(0)).unwrap() };
    let files = |name: &str| std::fs::read_dir(data.join(name)).unwrap().count();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        // Twice the same: nothing is under way any more.
        let found = (rows(), files("blobs"), files("incoming"));
        tokio::time::sleep(Duration::from_millis(200)).await;
        if found == (rows(), files("blobs"), files("incoming")) && found.2 == 0 && found.0 == found.1 {
            assert!(found.0 > 0, "no deposit came to its end");
            break;
        }
        assert!(Instant::now() < end, "{} rows, {} files, {} on their way", found.0, found.1, found.2);
    }
}
