//! What a prompt says: which program asks, for what, and how long there is. What others say is made harmless and cut to a
//! length, so that it can neither pose as the agent's words nor push them out of the prompt.

use std::path::Path;
use std::time::Duration;

use life_pki::Uid;
use life_sys::peer::Peer;
use life_vault_protocol::request::{MAX_TRIES, MIN_NEW_SECRET};

/// Room for what is shown of a program's path, of its parent's, and of a file's name, in bytes of the prompt's protocol.
const PROGRAM: usize = 300;
const PARENT: usize = 150;
const FILE: usize = 200;

/// A text of others as a prompt may show it: without what would break its lines, turn its direction or hide. Of a longer
/// one, beginning and end.
pub fn harmless(text: &str, room: usize) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    // The protocol writes a percent sign as three characters.
    let size = |c: char| if c == '%' { 3 } else { c.len_utf8() };
    let shown: Vec<char> = text.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect();
    if shown.iter().copied().map(size).sum::<usize>() <= room {
        return shown.into_iter().collect();
    }
    let part = |chars: &mut dyn Iterator<Item = &char>| -> Vec<char> {
        let mut left = room.saturating_sub('…'.len_utf8()) / 2;
        let fits = |c: &&char| {
            let rest = left.checked_sub(size(**c));
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        chars.take_while(fits).copied().collect()
    };
    let (beginning, end) = (part(&mut shown.iter()), part(&mut shown.iter().rev()));
    beginning.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

/// Who asks: the program and who started it, as the kernel knew them when they connected.
pub fn asker(caller: Option<&Peer>) -> String {
    let Some(caller) = caller else { return UNKNOWN.to_owned() };
    let program = named(caller.executable.as_deref(), caller.pid, PROGRAM);
    match &caller.parent {
        Some(parent) => {
            format!("{program},\nstarted by {}", named(parent.executable.as_deref(), parent.pid, PARENT))
        }
        None => program,
    }
}

const UNKNOWN: &str = "an unknown program";

fn named(executable: Option<&Path>, pid: i32, room: usize) -> String {
    let path = executable.map(|path| harmless(&path.to_string_lossy(), room));
    format!("{} (process {pid})", path.unwrap_or_else(|| UNKNOWN.to_owned()))
}

/// Asks for the passphrase of a software certificate.
pub fn open_software_certificate(asker: &str, user: Option<Uid>, file: &str, time: Duration) -> String {
    let mut text =
        format!("The LIFE agent opens a software certificate.\nAsked for by {asker}.\n{}", limit(time));
    if let Some(uid) = user {
        text.push_str(&format!("\nOf the user {uid}, says the program."));
    }
    if !file.is_empty() {
        text.push_str(&format!("\nThe file, says the program: {}", harmless(file, FILE)));
    }
    text
}

/// Asks for the passphrase of a software certificate to be.
pub fn new_software_certificate(asker: &str, time: Duration) -> String {
    format!(
        "The LIFE agent registers a new user. Choose the passphrase that will protect the software certificate, \
         {MIN_NEW_SECRET} bytes or more: without it the account cannot be used.\nAsked for by {asker}.\n{}",
        limit(time)
    )
}

fn limit(time: Duration) -> String {
    format!("{MAX_TRIES} tries within {} seconds; Cancel refuses.", time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_neither_turns_nor_hides() {
        assert_eq!(
            harmless("/opt/\u{202e}nimda\u{2066}\n\u{200b}x", 100),
            "/opt/\u{fffd}nimda\u{fffd}\u{fffd}\u{fffd}x"
        );
        assert_eq!(harmless("/opt/Praxis Müller/ärzte", 100), "/opt/Praxis Müller/ärzte");
        assert_eq!(
            harmless(&format!("/begin{}end", "é".repeat(500)), 23),
            "/begin\u{e9}\u{e9}…\u{e9}\u{e9}\u{e9}end"
        );
        assert_eq!(harmless(&"%".repeat(9), 12), "%…%");
    }

    #[test]
    fn nobody_pushes_the_agents_words_out_of_the_prompt() {
        let long = format!("/{}", "%é\u{202e}".repeat(600));
        let long = Some(Path::new(&long));
        let asker =
            format!("{},\nstarted by {}", named(long, i32::MAX, PROGRAM), named(long, i32::MAX, PARENT));
        let uid = Uid::from_random([7; 16]);
        let time = Duration::from_secs(600);
        for text in [
            open_software_certificate(&asker, Some(uid), &"%".repeat(4096), time),
            new_software_certificate(&asker, time),
        ] {
            let size: usize =
                text.chars().map(|c| if c == '%' || c == '\n' { 3 } else { c.len_utf8() }).sum();
            assert!(size < 984, "{size} bytes are more than a line of the protocol takes");
            assert!(text.contains("3 tries within 600 seconds"));
        }
    }

    #[test]
    fn the_program_that_asks_is_named_with_its_parent() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let own = Peer::capture(&ours).unwrap();
        let text = asker(Some(&own));
        let program = std::env::current_exe().unwrap().canonicalize().unwrap();
        assert!(
            text.starts_with(&format!("{} (process {})", program.display(), std::process::id())),
            "{text}"
        );
        assert!(text.contains("started by /"), "{text}");
        assert_eq!(asker(None), "an unknown program");
    }
}
