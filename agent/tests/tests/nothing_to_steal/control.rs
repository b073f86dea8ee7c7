//! The control: in a vault that neither locks nor wipes its memory the same looking finds much, so that it finds nothing
//! in the real one for a reason.

use life_e2e::{Agent, Platform, User, binaries, scan, skip};
use life_proto::v1::ParticipantKind;
use life_proto::v1::new_software_certificate::KeyAlgorithm;

use crate::scene::{Pids, lock, look, needles, use_keys};

#[tokio::test(flavor = "multi_thread")]
async fn an_unprotected_vault_is_full_of_secrets() {
    if !skip::needs("what is left in an unprotected vault", "only root may look", scan::may_look()) {
        return;
    }
    let platform = Platform::start();
    let program = binaries::path("life-vault-unprotected");
    let agent = Agent::start_with(&platform, &format!("[vault]\nprogram = \"{}\"\n", program.display()));
    let mut clients = agent.clients().await;
    let pids = Pids::of(&mut clients).await;
    let user = User::register_with(&mut clients, ParticipantKind::Patient, KeyAlgorithm::Rsa3072).await;
    let needles = needles(&platform, &user);
    user.unlock(&mut clients).await;
    use_keys(&agent, &user, 5).await;
    let unlocked = look(pids, &needles);
    assert!(unlocked.exposed() > 10, "unlocked: {unlocked}");
    lock(&mut clients).await;
    let locked = look(pids, &needles);
    assert!(locked.exposed() > 0, "locked: {locked}");
    for secret in ["passphrase", "prime1"] {
        assert!(locked.all.iter().any(|found| found.secret.contains(secret)), "{secret}: {locked}");
    }
}
