//! Connections: an agent that has no descriptors left for more goes on with those it has, and waits.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use life_e2e::process::eventually;
use life_e2e::{Agent, Platform, User};
use life_proto::v1::{self, ParticipantKind};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_descriptors_left_is_no_reason_to_spin_or_to_stop() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let pid = clients.status().await.broker.unwrap().pid;
    let broker = Pid::from_raw(i32::try_from(pid).unwrap());
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    let limit = |current| Rlimit { current: Some(current), maximum: getrlimit(Resource::Nofile).maximum };
    let before = prlimit(broker, Resource::Nofile, limit(open + 8)).unwrap();

    let many: Vec<_> = (0..32).map(|_| UnixStream::connect(agent.socket()).unwrap()).collect();
    let refusals = || agent.log().matches("a connection was not accepted").count();
    eventually("the descriptors are used up", Duration::from_secs(20), || refusals() > 0);
    // Each attempt that fails is followed by a pause, of a tenth of a second.
    let (first, started) = (refusals(), Instant::now());
    eventually("it tries again", Duration::from_secs(20), || refusals() >= first + 5);
    assert!(started.elapsed() > Duration::from_millis(350), "it tried again without a pause");
    // Who is connected is served.
    let sign = v1::SignRequest { user: user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    clients.crypto.sign(sign.clone()).await.unwrap();

    // When the others have gone, and not before, there is room for new ones.
    drop(many);
    let again = async { agent.clients().await.crypto.sign(sign).await };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("nobody is accepted any more").unwrap();
    prlimit(broker, Resource::Nofile, before).unwrap();
}
