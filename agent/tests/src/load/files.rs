//! Files under load, through `life`: what it writes is whole or not there, even where it is killed itself.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::{Caller, DEADLINE, Refused};
use crate::binaries;

impl Caller {
    /// A file through `life`, which is killed at times: the output is whole or not there.
    pub(super) async fn files(&mut self) -> Result<(), Refused> {
        let (user, (_, plaintext)) = (self.user(), self.content(2 << 20));
        let uid = self.shared.users[user].uid().to_owned();
        let folder = self.shared.folder.join(self.random.uuid());
        std::fs::create_dir(&folder).unwrap();
        let paths = ["plain", "sealed", "opened"].map(|name| folder.join(name));
        let [plain, sealed, opened] = &paths;
        std::fs::write(plain, &plaintext).unwrap();
        let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let encrypt =
            ["encrypt", "--stream", "--to", &uid, "-o", &text(sealed), &text(plain)].map(str::to_owned);
        let decrypt = ["decrypt", "-o", &text(opened), &text(sealed)].map(str::to_owned);
        for (verb, arguments, out) in
            [("life encrypt", &encrypt[..], sealed), ("life decrypt", &decrypt, opened)]
        {
            let done = self.life(verb, arguments, &uid).await;
            let there: Vec<_> =
                std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(there.iter().all(|path| paths.contains(path)), "{verb} left something: {there:?}");
            if done {
                assert!(out.exists(), "{verb} succeeded without a result");
            }
            if !out.exists() {
                break;
            }
        }
        if opened.exists() {
            assert!(std::fs::read(opened).unwrap() == plaintext, "life decrypt wrote something else");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        Ok(())
    }

    /// Runs a verb; whether it succeeded. A failure has a reason and a code of its own.
    async fn life(&mut self, verb: &'static str, arguments: &[String], uid: &str) -> bool {
        let mut command = Command::new(binaries::path("life"));
        command.args(arguments).args(["--json", "--as", uid]).env("LIFE_AGENT_SOCKET", &self.shared.socket);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        if self.random.below(3) == 0 {
            tokio::time::sleep(Duration::from_millis(self.random.number() % 60)).await;
            child.start_kill().unwrap();
        }
        let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{verb} hangs")).unwrap();
        let outcome = match ended.status.code() {
            Some(0) => "answer".to_owned(),
            None => "(killed)".to_owned(),
            Some(code) => {
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                let error: serde_json::Value =
                    serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}"));
                let reason = error["error"]["reason"].as_str().unwrap_or_else(|| panic!("{said}"));
                assert!((64..=78).contains(&code) && code != 70, "{verb} ended with {code}: {said}");
                reason.to_owned()
            }
        };
        self.shared.ledger().count(verb, &outcome);
        outcome == "answer"
    }
}
