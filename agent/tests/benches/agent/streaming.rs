//! Streams of 256 MiB in messages of 1 MiB, beside a plain echo of the same messages under the same settings.

use bytes::Bytes;
use life_e2e::agent::Clients;
use life_e2e::{Agent, User};
use life_proto::v1;
use v1::Signing;

use crate::echo;
use crate::measure::{Table, median, timed};

const MIB: u64 = 256;
const ROUNDS: usize = 5;

/// Measures and adds to the table.
pub async fn run(table: &mut Table, agent: &Agent, user: &User) {
    let bare = echo::Server::start();
    for (signing, name, against) in
        [(Signing::None, "unsigned", "plain tonic echo"), (Signing::Sign, "signed", "echo that hashes")]
    {
        let (mut theirs, mut encrypt, mut decrypt) = (Vec::new(), Vec::new(), Vec::new());
        let header = header(user, signing);
        let mut sealed = Vec::new();
        encrypted(agent.clients().await, header.clone(), |chunk| sealed.push(chunk)).await;
        // Interleaved, so that a machine that slows down slows both.
        for _ in 0..ROUNDS {
            let (echo, ours) = (bare.client().await, agent.clients().await);
            theirs.push(rate(timed(encrypted(echo, header.clone(), drop)).await.1));
            encrypt.push(rate(timed(encrypted(ours.clone(), header.clone(), drop)).await.1));
            decrypt.push(rate(timed(decrypted(ours, user, sealed.clone())).await.1));
        }
        let theirs = median(theirs);
        table.compare(&format!("stream.encrypt.{name}"), median(encrypt), "MB/s", against, theirs);
        table.compare(&format!("stream.decrypt.{name}"), median(decrypt), "MB/s", against, theirs);
    }
}

fn rate(took: std::time::Duration) -> f64 {
    (MIB << 20) as f64 / 1e6 / took.as_secs_f64()
}

fn header(user: &User, signing: Signing) -> v1::EncryptStreamHeader {
    v1::EncryptStreamHeader { user: user.name.clone(), signing: signing.into(), ..Default::default() }
}

async fn encrypted(mut clients: Clients, header: v1::EncryptStreamHeader, mut take: impl FnMut(Bytes)) {
    use v1::encrypt_stream_request::Message as Ask;
    use v1::encrypt_stream_response::Message as Answer;
    let chunk = Bytes::from(vec![0x5a; 1 << 20]);
    let messages = std::iter::once(Ask::Header(header))
        .chain((0..MIB).map(move |_| Ask::Chunk(chunk.clone())))
        .map(|message| v1::EncryptStreamRequest { message: Some(message) });
    let mut answers = clients.crypto.encrypt_stream(tokio_stream::iter(messages)).await.unwrap().into_inner();
    while let Some(answer) = answers.message().await.unwrap() {
        if let Some(Answer::Chunk(chunk)) = answer.message {
            take(chunk);
        }
    }
}

async fn decrypted(mut clients: Clients, user: &User, sealed: Vec<Bytes>) {
    use v1::decrypt_stream_request::Message as Ask;
    use v1::decrypt_stream_response::Message as Answer;
    let header = v1::DecryptStreamHeader {
        user: user.name.clone(),
        accept_unsigned: true,
        allow_unverified_sender: true,
        ..Default::default()
    };
    let messages = std::iter::once(Ask::Header(header))
        .chain(sealed.into_iter().map(Ask::Chunk))
        .map(|message| v1::DecryptStreamRequest { message: Some(message) });
    let mut answers = clients.crypto.decrypt_stream(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut verdict = None;
    while let Some(answer) = answers.message().await.unwrap() {
        if let Some(Answer::Result(result)) = answer.message {
            verdict = Some(result);
        }
    }
    assert_eq!(verdict.unwrap().plaintext_size, MIB << 20);
}
