//! Commands and answers (ISO/IEC 7816-4, 5.1): short lengths only, long commands in parts, long answers fetched in parts.
//!
//! Short APDUs are what every reader and every card takes. Both directions can hold a secret, a PIN or what a key opened:
//! they are wiped.

use life_sys::secret::SecretBytes;

use super::error::{CardError, Secret, refusal};
use super::{Transport, TransportError};

/// The bit of the class byte that says more parts follow.
const CHAINED: u8 = 0x10;
/// What one part holds.
const PART: usize = 255;
/// The longest answer that is put together: a certificate's object has at most 3 KiB or so on cards of today.
const MAX_ANSWER: usize = 16 * 1024;

/// A command: its header after the class byte, which is zero, and its data.
pub(crate) struct Command<'a> {
    pub instruction: u8,
    pub parameters: [u8; 2],
    pub data: &'a [u8],
}

/// What a card answered: data and a status word.
pub(crate) struct Answer {
    data: SecretBytes,
    status: u16,
}

life_sys::secret_types!(Answer);

impl Answer {
    /// The status word.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The data where the status is success; else what the status means.
    pub fn data(self) -> Result<SecretBytes, CardError> {
        if self.status == 0x9000 { Ok(self.data) } else { Err(refusal(self.status, Secret::Pin)) }
    }
}

/// Sends a command, in parts where it is long, and puts the answer together.
pub(crate) fn exchange(transport: &mut dyn Transport, command: &Command<'_>) -> Result<Answer, CardError> {
    let Command { instruction, parameters: [p1, p2], data } = *command;
    let mut parts = data.chunks(PART).peekable();
    if parts.peek().is_none() {
        return collect(transport, &SecretBytes::new(vec![0, instruction, p1, p2, 0]));
    }
    loop {
        let Some(part) = parts.next() else { return Err(CardError::Senseless) };
        let last = parts.peek().is_none();
        // A part's room is taken at once: a vector that grows leaves its beginning behind.
        let mut apdu = Vec::with_capacity(PART + 6);
        let length = u8::try_from(part.len()).map_err(|_| CardError::Senseless)?;
        apdu.extend([if last { 0 } else { CHAINED }, instruction, p1, p2, length]);
        apdu.extend_from_slice(part);
        if last {
            apdu.push(0);
            return collect(transport, &SecretBytes::new(apdu));
        }
        let answer = transmit(transport, &SecretBytes::new(apdu))?;
        if answer.status != 0x9000 {
            return Ok(answer);
        }
    }
}

/// Sends an APDU and fetches the rest of its answer (status 61xx) with GET RESPONSE.
fn collect(transport: &mut dyn Transport, apdu: &SecretBytes) -> Result<Answer, CardError> {
    let mut answer = transmit(transport, apdu)?;
    if let [0x6c, length] = answer.status.to_be_bytes()
        && answer.data.is_empty()
    {
        // The card says how long the answer is, and did nothing: the same once more with that length.
        // EXPOSE: what goes to the card anyhow.
        let mut exact = apdu.expose().to_vec();
        if let Some(last) = exact.last_mut() {
            *last = length;
        }
        answer = transmit(transport, &SecretBytes::new(exact))?;
    }
    let mut parts = Vec::new();
    let mut total = 0;
    while let [0x61, length] = answer.status.to_be_bytes() {
        total += answer.data.len();
        // Some cards go on for ever with nothing.
        if total > MAX_ANSWER || (answer.data.is_empty() && !parts.is_empty()) {
            return Err(CardError::Senseless);
        }
        parts.push(answer.data);
        answer = transmit(transport, &SecretBytes::new(vec![0, 0xc0, 0, 0, length]))?;
    }
    if !parts.is_empty() {
        let Answer { data, status } = answer;
        parts.push(data);
        answer = Answer { data: join(&parts)?, status };
    }
    Ok(answer)
}

fn join(parts: &[SecretBytes]) -> Result<SecretBytes, CardError> {
    let total = parts.iter().map(SecretBytes::len).sum();
    if total > MAX_ANSWER + PART + 1 {
        return Err(CardError::Senseless);
    }
    let mut whole = Vec::with_capacity(total);
    // EXPOSE: from the parts into the whole, all of them wiped.
    parts.iter().for_each(|part| whole.extend_from_slice(part.expose()));
    Ok(SecretBytes::new(whole))
}

fn transmit(transport: &mut dyn Transport, apdu: &SecretBytes) -> Result<Answer, CardError> {
    let answer = transport.transmit(apdu)?;
    // EXPOSE: apart into data and status word.
    let Some((data, status)) = answer.expose().split_last_chunk::<2>() else {
        return Err(TransportError::Failed.into());
    };
    Ok(Answer { data: SecretBytes::new(data.to_vec()), status: u16::from_be_bytes(*status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what was written down, and keeps what was sent.
    struct Script {
        answers: std::vec::IntoIter<Vec<u8>>,
        sent: Vec<Vec<u8>>,
    }

    impl Script {
        fn new(answers: &[&[u8]]) -> Self {
            let answers: Vec<_> = answers.iter().map(|answer| answer.to_vec()).collect();
            Self { answers: answers.into_iter(), sent: Vec::new() }
        }
    }

    impl Transport for Script {
        fn transmit(&mut self, apdu: &SecretBytes) -> Result<SecretBytes, TransportError> {
            self.sent.push(apdu.expose().to_vec());
            self.answers.next().map(SecretBytes::new).ok_or(TransportError::CardGone)
        }
    }

    fn run(script: &mut Script, data: &[u8]) -> Result<Vec<u8>, CardError> {
        let command = Command { instruction: 0xcb, parameters: [0x3f, 0xff], data };
        exchange(script, &command)?.data().map(|data| data.expose().to_vec())
    }

    #[test]
    fn short_commands_are_one_apdu_and_long_ones_a_chain() {
        let mut script = Script::new(&[&[0x90, 0]]);
        assert_eq!(run(&mut script, &[]), Ok(vec![]));
        assert_eq!(script.sent, [[0, 0xcb, 0x3f, 0xff, 0]]);

        let mut script = Script::new(&[&[0x90, 0], &[0x90, 0], &[5, 0x90, 0]]);
        assert_eq!(run(&mut script, &[7; 511]), Ok(vec![5]));
        let heads: Vec<_> = script.sent.iter().map(|apdu| (apdu[0], apdu[4], apdu.len())).collect();
        assert_eq!(heads, [(0x10, 255, 260), (0x10, 255, 260), (0, 1, 7)]);

        let mut script = Script::new(&[&[0x6d, 0]]);
        assert_eq!(run(&mut script, &[7; 511]), Err(CardError::NotSupported), "refused at the first part");
        assert_eq!(script.sent.len(), 1);
    }

    #[test]
    fn answers_come_in_parts_and_the_right_length_is_asked_for_again() {
        let mut script = Script::new(&[&[1, 2, 0x61, 3], &[3, 4, 0x61, 0], &[5, 0x90, 0]]);
        assert_eq!(run(&mut script, &[9]), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(script.sent[1..], [[0, 0xc0, 0, 0, 3], [0, 0xc0, 0, 0, 0]]);

        let mut script = Script::new(&[&[0x6c, 2], &[1, 2, 0x90, 0]]);
        assert_eq!(run(&mut script, &[9]), Ok(vec![1, 2]));
        assert_eq!(script.sent, [[0, 0xcb, 0x3f, 0xff, 1, 9, 0], [0, 0xcb, 0x3f, 0xff, 1, 9, 2]]);
    }

    #[test]
    fn a_card_that_makes_no_sense_ends_the_command() {
        let for_ever = vec![&[0x61, 0xff][..]; 3];
        assert_eq!(run(&mut Script::new(&for_ever), &[]), Err(CardError::Senseless));
        let more = [&[7; 256][..], &[0x61, 0xff]].concat();
        assert_eq!(run(&mut Script::new(&vec![&more[..]; 100]), &[]), Err(CardError::Senseless));
        for short in [&[][..], &[0x90]] {
            assert_eq!(run(&mut Script::new(&[short]), &[]), Err(TransportError::Failed.into()));
        }
        assert_eq!(run(&mut Script::new(&[]), &[]), Err(TransportError::CardGone.into()));
    }
}
