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

/// A text of others as a prompt may show it: in quotation marks that it cannot close, so that no line of it, however a window
/// breaks it, looks like one of ours; without what would break lines, turn their direction or hide. Each run of white space
/// is one space, and what hides leaves a mark: else one path could pass for another. Of a longer one, beginning and end.
pub fn quoted(text: &str, room: usize) -> String {
    let shown = visible(text);
    let inside = if shown.iter().copied().map(size).sum::<usize>() <= room {
        shown.into_iter().collect()
    } else {
        let half = room.saturating_sub('…'.len_utf8()) / 2;
        let beginning = fitting(shown.iter(), half);
        let end = fitting(shown.iter().rev(), half);
        beginning.into_iter().chain(['…']).chain(end.into_iter().rev()).collect::<String>()
    };
    format!("“{inside}”")
}

/// Bytes of a character in the prompt's protocol, which writes a percent sign as three.
fn size(c: char) -> usize {
    if c == '%' { 3 } else { c.len_utf8() }
}

/// The first characters that have room.
fn fitting<'a>(characters: impl Iterator<Item = &'a char>, mut room: usize) -> Vec<char> {
    let fits = |c: &&char| {
        let rest = room.checked_sub(size(**c));
        room = rest.unwrap_or_default();
        rest.is_some()
    };
    characters.take_while(fits).copied().collect()
}

/// What can be seen of a text, each character by itself.
fn visible(text: &str) -> Vec<char> {
    let mut shown: Vec<char> = Vec::new();
    let mut marks = 0;
    for c in text.chars() {
        let c = match c {
            _ if c.is_whitespace() || is_blank(c) => ' ',
            _ if hides(c) => '\u{fffd}',
            _ => straight(c),
        };
        marks = if is_mark(c) { marks + 1 } else { 0 };
        let last = shown.last().copied();
        // A mark sits on the character before it, which is ours at the beginning, and many of them on lines above.
        let left_out = marks > MARKS || marks > 0 && last.is_none_or(|last| last == ' ');
        let again = matches!(c, ' ' | '\u{fffd}') && last == Some(c);
        if !left_out && !again {
            shown.push(c);
        }
    }
    shown
}

/// Straight quotation marks for what could be read as the end of ours, also where two of them stand together.
fn straight(c: char) -> char {
    match c {
        '\u{2018}'..='\u{201b}'
        | '\u{2032}'
        | '\u{2035}'
        | '‹'
        | '›'
        | '\u{275b}'
        | '\u{275c}'
        | '\u{275f}' => '\'',
        '«'
        | '»'
        | '\u{201c}'..='\u{201f}'
        | '\u{2033}'
        | '\u{2034}'
        | '\u{2036}'
        | '\u{2037}'
        | '\u{2057}' => '"',
        '\u{275d}'
        | '\u{275e}'
        | '\u{2760}'
        | '\u{276e}'
        | '\u{276f}'
        | '\u{2e42}'
        | '\u{300c}'..='\u{300f}' => '"',
        '\u{301d}'..='\u{301f}' | '\u{fe41}'..='\u{fe44}' | '\u{ff02}' | '\u{ff62}' | '\u{ff63}' => '"',
        '\u{1f676}'..='\u{1f678}' => '"',
        _ => c,
    }
}

/// The most marks on one character: Vietnamese has two.
const MARKS: usize = 2;

/// Combining marks of the blocks that letters of any script can be covered with.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}')
        || matches!(c, '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Characters that are empty, though no white space by their class.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
}

/// Controls, and what has no width or turns the direction.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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
    let path = executable.map(|path| quoted(&path.to_string_lossy(), room));
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
        text.push_str(&format!("\nThe file, says the program: {}", quoted(file, FILE)));
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
    fn what_others_say_is_one_quotation_that_neither_turns_nor_hides() {
        for (text, shown) in [
            ("/opt/Praxis Müller/ärzte", "“/opt/Praxis Müller/ärzte”"),
            ("/opt/\u{202e}nimda\u{2066}\u{200b}x", "“/opt/\u{fffd}nimda\u{fffd}x”"),
            // Lines, and what could push the rest to the next one.
            ("x\nAsked for by /usr/bin/life", "“x Asked for by /usr/bin/life”"),
            ("a\t\r\n \u{a0}\u{2003}\u{3000}\u{2028}\u{2800}\u{3164}b", "“a b”"),
            // The quotation's end.
            ("x” (process 1), started by “/usr/bin/life", "“x\" (process 1), started by \"/usr/bin/life”"),
            ("x’’ (process 1), started by ‘‘y❞„″＂〞»b", "“x'' (process 1), started by ''y\"\"\"\"\"\"b”"),
            // What the protocol escapes is none of this file's business, and none of the person's.
            ("50%25%0Aoff\x1b[2J\0", "“50%25%0Aoff\u{fffd}[2J\u{fffd}”"),
            // Marks cover neither our words nor the lines around.
            ("\u{301}a\u{301}\u{300}\u{302}\u{303} \u{20dd}b", "“a\u{301}\u{300} b”"),
            ("o\u{e0041}k\u{fe0f}\u{ad}", "“o\u{fffd}k\u{fffd}”"),
            ("", "“”"),
        ] {
            assert_eq!(quoted(text, 100), shown, "{text:?}");
        }
        assert_eq!(
            quoted(&format!("/begin{}end", "é".repeat(500)), 23),
            "“/begin\u{e9}\u{e9}…\u{e9}\u{e9}\u{e9}end”"
        );
        assert_eq!(quoted(&"%".repeat(9), 12), "“%…%”");
        assert!(quoted(&"e\u{301}".repeat(10_000), FILE).len() <= FILE + 6);
    }

    #[test]
    fn whatever_a_program_calls_its_file_the_lines_are_ours() {
        let time = Duration::from_secs(60);
        let calm = open_software_certificate("“/life” (process 1)", None, "a", time);
        let hostile = [
            "\n\n\n3 tries within 9 seconds; Cancel refuses.".to_owned(),
            "\u{2029}\u{85}\u{b}\u{c}\r".repeat(3000),
            format!("{}Of the user x, says the program.", " ".repeat(10_000)),
            "\u{202e}\u{301}%0A%25".repeat(2000),
        ];
        for file in hostile {
            let text = open_software_certificate("“/life” (process 1)", None, &file, time);
            assert_eq!(text.lines().count(), calm.lines().count());
            let last = text.lines().last().unwrap();
            assert!(last.starts_with("The file, says the program: “") && last.ends_with('”'), "{last}");
            assert_eq!(last.matches(['“', '”']).count(), 2, "{last}");
            assert!(last.len() <= 300, "{} bytes", last.len());
        }
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
        let own = Peer::capture(&ours, &life_sys::peer::Programs::own()).unwrap();
        let text = asker(Some(&own));
        let program = std::env::current_exe().unwrap().canonicalize().unwrap();
        assert!(
            text.starts_with(&format!("“{}” (process {})", program.display(), std::process::id())),
            "{text}"
        );
        assert!(text.contains("started by “/"), "{text}");
        assert_eq!(asker(None), "an unknown program");
    }
}
