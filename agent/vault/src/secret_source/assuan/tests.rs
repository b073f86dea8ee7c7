use super::*;

fn prompt() -> Prompt {
    Prompt {
        description: "Unlock 100%\nnow".to_owned(),
        label: "Passphrase:".to_owned(),
        timeout_seconds: 30,
    }
}

type Outcome = Result<Option<SecretBytes>, VaultError>;

/// Answers each command and collects what was asked.
fn converse(talk: &mut Conversation, answers: &[&str]) -> (Vec<String>, Outcome) {
    let mut asked = Vec::new();
    for answer in answers {
        let outcome = talk.feed(answer.as_bytes());
        if !matches!(outcome, Ok(None)) {
            return (asked, outcome);
        }
        let out = String::from_utf8(talk.outgoing().to_vec()).unwrap();
        talk.sent(out.len());
        asked.push(out);
    }
    (asked, Ok(None))
}

fn known(answers: &[&str]) -> (Vec<String>, Outcome) {
    converse(&mut Conversation::new(prompt(), Wanted::Known), answers)
}

#[test]
fn a_secret_is_asked_for_and_decoded() {
    let (asked, secret) = known(&[
        "# comment\nOK Pleased to meet you\n",
        "OK\n",
        "OK\n",
        "OK\n",
        "S PASSWORD_FROM_CACHE\nD 100%25\nD  %C3%A4 b\nOK\n",
    ]);
    assert_eq!(
        asked,
        ["SETTIMEOUT 30\n", "SETDESC Unlock 100%25%0Anow\n", "SETPROMPT Passphrase:\n", "GETPIN\n"]
    );
    assert!(secret.unwrap().unwrap().ct_eq("100% ä b".as_bytes()));
}

#[test]
fn refusals_have_their_reasons() {
    let last = |answer| {
        let outcome = known(&["OK\n", "ERR 536871187 Unknown IPC command\n", "OK\n", "OK\n", answer]).1;
        outcome.map(|secret| secret.map(|secret| secret.len()))
    };
    assert_eq!(last("ERR 83886179 Operation cancelled <Pinentry>\n"), Err(VaultError::PromptCancelled));
    assert_eq!(last("ERR 83886142 Timeout <Pinentry>\n"), Err(VaultError::SecretTimeout));
    assert_eq!(last("ERR 83886194 Not confirmed\n"), Err(VaultError::PromptCancelled));
    assert_eq!(last("ERR 1 whatever\n"), Err(VaultError::PromptFailed));
    assert_eq!(last("OK\nOK\n"), Err(VaultError::PromptFailed), "it answers what was not asked");
    assert_eq!(last("D abc%\nOK\n"), Err(VaultError::PromptFailed));
    assert_eq!(last("D abc%zz\nOK\n"), Err(VaultError::PromptFailed));
    assert_eq!(last("INQUIRE QUALITY abc\n"), Err(VaultError::PromptFailed));
    assert_eq!(last("D abc\nOK\n"), Ok(Some(3)));
}

#[test]
fn hostile_output_is_bounded() {
    assert_eq!(known(&["D early\n"]).1.err(), Some(VaultError::PromptFailed));
    assert_eq!(known(&["ERR\n"]).1.err(), Some(VaultError::PromptFailed));
    assert_eq!(known(&[&"x".repeat(1001)]).1.err(), Some(VaultError::PromptFailed));
    let flood = "S x\n".repeat(10_000);
    assert_eq!(known(&[&flood]).1.err(), Some(VaultError::PromptFailed));
    let long = format!("D {}\n", "x".repeat(900)).repeat(2);
    let outcome = known(&["OK\n", "OK\n", "OK\n", "OK\n", &long]).1;
    assert_eq!(outcome.err(), Some(VaultError::SecretUnusable));
    converse_with_anything(b"OK\nOK\nOK\nOK\nD abc\nOK\n");
}

#[test]
fn a_wrong_secret_is_asked_for_three_times() {
    let mut talk = Conversation::new(prompt(), Wanted::Known);
    let secret = converse(&mut talk, &["OK\n", "OK\n", "OK\n", "OK\n", "D one\nOK\n"]).1;
    assert!(secret.unwrap().unwrap().ct_eq(b"one"));
    assert_eq!(talk.refuse(VaultError::WrongPassphrase), Ok(()));
    assert_eq!(talk.outgoing(), b"SETERROR Wrong passphrase. Try 2 of 3\n");
    talk.sent(usize::MAX);
    // Nothing typed is a try as well.
    let (asked, outcome) = converse(&mut talk, &["OK\n", "OK\n", "OK\n"]);
    assert!(matches!(outcome, Ok(None)));
    assert_eq!(
        asked,
        ["SETPROMPT Passphrase:\n", "GETPIN\n", "SETERROR Nothing that can be used was typed. Try 3 of 3\n"]
    );
    let secret = converse(&mut talk, &["OK\n", "OK\n", "D three\nOK\n"]).1;
    assert!(secret.unwrap().unwrap().ct_eq(b"three"));
    assert_eq!(talk.refuse(VaultError::WrongPassphrase), Err(VaultError::WrongPassphrase));
}

#[test]
fn a_new_secret_is_typed_twice_and_judged() {
    let mut talk = Conversation::new(prompt(), Wanted::New);
    let (asked, secret) = converse(
        &mut talk,
        &[
            "OK\n",
            "OK\n",
            "OK\n",
            "OK\n",
            "D short\nOK\n",
            "OK\n",
            "OK\n",
            "D correct horse\nOK\n",
            "OK\n",
            "D correct house\nOK\n",
            "OK\n",
            "OK\n",
            "D correct horse\nOK\n",
            "OK\n",
            "D correct horse\nOK\n",
        ],
    );
    assert!(secret.unwrap().unwrap().ct_eq(b"correct horse"));
    let errors: Vec<_> = asked.iter().filter(|line| line.starts_with("SETERROR")).collect();
    assert_eq!(
        errors,
        [
            "SETERROR Too short: it takes 12 bytes or more. Try 2 of 3\n",
            "SETERROR The two were not the same. Try 3 of 3\n"
        ]
    );
    assert_eq!(asked.iter().filter(|line| *line == "SETPROMPT The same again:\n").count(), 2);

    let mut talk = Conversation::new(prompt(), Wanted::New);
    let short = "D short\nOK\n";
    let tries = ["OK\n", "OK\n", "OK\n", "OK\n", short, "OK\n", "OK\n", short, "OK\n", "OK\n", short];
    assert_eq!(converse(&mut talk, &tries).1.err(), Some(VaultError::SecretTooShort));
}
