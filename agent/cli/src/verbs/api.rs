//! `life api`: calling the HTTP interface of the platform, or of the server that the configuration names.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use life_proto::v1;
use life_proto::v1::call_request::Message as Sent;
use life_proto::v1::call_response::Message as Received;
use serde::Serialize;
use tokio::sync::mpsc;

use super::content::{OutputArguments, stdout_of};
use crate::context::Context;
use crate::error::{Error, status_line};
use crate::files::{Content, Input, Place, Target, Writer};
use crate::output::{Report, escape_line};
use crate::pump;

/// What is kept of the answer of a server that refuses, where nobody else gets it.
const TOLD: usize = 16 * 1024;

/// Calls the platform's HTTP interface, or that of the server the agent's configuration names, in a user's name.
///
/// The agent knows the server and proves who calls; what may be called is in its configuration, section [api]. The
/// answer's body goes to standard output, or with -o to a file, which appears only when all of it is there and the
/// status is below 400. Redirects are not followed.
#[derive(Args, Debug)]
#[command(after_long_help = "\
A status of 400 and more is a failure. Without -o the body goes to standard output all the same; with -o no file appears,
and its first 16 KiB are told as metadata of the error. Exit codes then:
  401, 403, 407            77   not allowed
  404, 410                 66   not there
  408, 425, 429, 502-504   75   try again later
  other 4xx                65   the request is not accepted
  other 5xx                69   the server failed

JSON: {\"status\",\"headers\":[[\"name\",\"value\"]],\"size\",\"sent_size\",\"attempts\",\"output\"}, on standard error where \
the body goes to
  standard output; of a failure {\"error\":{\"reason\":\"HTTP_STATUS\",…,\"metadata\":{\"status\",\"body\"}}}.")]
pub struct Arguments {
    /// The method
    #[arg(value_name = "METHOD", ignore_case = true,
        value_parser = PossibleValuesParser::new(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]))]
    method: String,
    /// An absolute path, perhaps with ? and a query: no address, the server is the configuration's
    #[arg(value_name = "PATH")]
    path: String,
    /// The body to send; `-` is standard input. Say what it is with --header 'Content-Type: …'
    #[arg(short, long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// A header to send; repeat it for more
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Write status and headers before the body
    #[arg(short, long)]
    include: bool,
    /// How long everything may take, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    time_limit: Option<u32>,
    /// Where the answer's body goes.
    #[command(flatten)]
    output: OutputArguments,
}

/// What the server answered.
#[derive(Debug, Serialize)]
struct Answered {
    status: u32,
    headers: Vec<(String, String)>,
    size: u64,
    sent_size: u64,
    attempts: u32,
    output: Option<String>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("not of the form 'Name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let place = arguments.output.output.clone().map_or(Place::Stdout, Place::named);
    // Before anything is sent: an output that cannot be made must not be found out afterwards.
    let target = Target::open(&place, arguments.output.overwrite(), Content::Private).await?;
    let input = match &arguments.data {
        Some(path) => Some(Input::open(path).await?),
        None => None,
    };
    let size = input.as_ref().map_or(Some(0), Input::size);
    let header = v1::CallRequest { message: Some(Sent::Header(arguments.header(context, size))) };
    let chunk = |chunk| v1::CallRequest { message: Some(Sent::Chunk(chunk)) };
    let chunks = input.map_or_else(|| mpsc::channel(1).1, Input::chunks);
    let connection = context.connect().await?;
    let progress = context.output.progress("calling", size.filter(|size| *size > 0));
    let (requests, failure, sent) = pump::outgoing(header, chunks, chunk);
    let call = async {
        let replies = connection.api().call(requests).await?.into_inner();
        receive(replies, target, arguments.include).await
    };
    let (mut answered, refusal) = pump::drive(call, failure, sent, progress).await?;
    let stdout = stdout_of(&place);
    match refusal {
        None => {
            answered.output = Some(place.display());
            context.output.done(&answered, stdout)
        }
        Some(body) => {
            answered.output = matches!(place, Place::Stdout).then(|| place.display());
            context.output.done(&answered, stdout)?;
            let body = String::from_utf8(body).ok().filter(|body| !body.is_empty());
            if let Some(body) = &body {
                context.output.note(&format!("the server says:\n{}", body.trim_end()));
            }
            Err(Error::http(answered.status, body))
        }
    }
}

impl Arguments {
    fn header(&self, context: &Context, size: Option<u64>) -> v1::CallHeader {
        let named =
            |(name, value): &(String, String)| v1::HttpHeader { name: name.clone(), value: value.clone() };
        v1::CallHeader {
            user: context.user(),
            // The parser takes small letters too.
            method: self.method.to_ascii_uppercase(),
            path: self.path.clone(),
            headers: self.headers.iter().map(named).collect(),
            content_length: size,
            time_limit: self
                .time_limit
                .and_then(|seconds| Duration::from_secs(seconds.into()).try_into().ok()),
        }
    }
}

/// Takes the answer to where it goes. Gives the body of one that refuses, as far as nobody else gets it.
async fn receive(
    mut replies: tonic::Streaming<v1::CallResponse>,
    target: Target,
    include: bool,
) -> Result<(Answered, Option<Vec<u8>>), Error> {
    let Some(v1::CallResponse { message: Some(Received::Answer(head)) }) = replies.message().await? else {
        return Err(disorder());
    };
    let headers: Vec<_> = head.headers.into_iter().map(|header| (header.name, header.value)).collect();
    let refused = head.status >= 400;
    // A staged file that is not committed never was.
    let mut writer = (!(refused && target.is_staged())).then(|| Writer::new(target));
    let mut told = Vec::new();
    if let Some(writer) = writer.as_mut().filter(|_| include) {
        writer.write(lines(head.status, &headers).into()).await?;
    }
    let mut answered =
        Answered { status: head.status, headers, size: 0, sent_size: 0, attempts: 0, output: None };
    let mut complete = false;
    while let Some(reply) = replies.message().await? {
        match (reply.message, &mut writer) {
            (Some(Received::Chunk(chunk)), Some(writer)) => writer.write(chunk).await?,
            (Some(Received::Chunk(chunk)), None) => {
                told.extend(chunk.iter().take(TOLD.saturating_sub(told.len())));
            }
            (Some(Received::Result(result)), _) => {
                complete = true;
                (answered.size, answered.sent_size) = (result.size, result.sent_size);
                answered.attempts = result.attempts;
            }
            _ => return Err(disorder()),
        }
    }
    if !complete {
        return Err(disorder());
    }
    if let Some(writer) = writer {
        writer.commit().await?;
    }
    Ok((answered, refused.then_some(told)))
}

fn disorder() -> Error {
    Error::Software("the agent's answer came out of order".into())
}

/// The head of an answer as HTTP writes it, with line ends for people.
fn lines(status: u32, headers: &[(String, String)]) -> String {
    let mut text = format!("HTTP/1.1 {}\n", status_line(status));
    for (name, value) in headers {
        let _infallible = writeln!(text, "{name}: {}", escape_line(value));
    }
    text.push('\n');
    text
}

impl Report for Answered {
    fn text(&self) -> String {
        let tries = if self.attempts > 1 { format!(", at attempt {}", self.attempts) } else { String::new() };
        format!("{}, {} bytes{tries}\n", status_line(self.status), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_cut_at_the_first_colon() {
        assert_eq!(header("Accept:a/b").unwrap(), ("Accept".into(), "a/b".into()));
        assert_eq!(header("x-time: 10:30 ").unwrap(), ("x-time".into(), "10:30".into()));
        assert!(header("Accept").is_err());
    }

    #[test]
    fn the_head_is_written_in_lines_that_a_value_cannot_forge() {
        let headers = [("etag".to_owned(), "\"1\"\nset: x".to_owned())];
        assert_eq!(lines(404, &headers), "HTTP/1.1 404 Not Found\netag: \"1\"\\u{a}set: x\n\n");
    }
}
