//! The depositor's side of an inbox: one envelope or sealed stream, straight to disk.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use life_pki::Uid;
use tokio::time::{Instant, timeout_at};

use super::body::{expect_type, json};
use super::directory::{parse_uid, user_unknown};
use super::dto::Deposited;
use super::inbox::parse_message_id;
use super::peer::Caller;
use super::problem::{Problem, Reason};
use super::state::{App, blocking};
use crate::config::{Config, seconds};
use crate::store::accounts;
use crate::store::blobs::{Complete, DepositError, Incoming};
use crate::store::messages::{self, Deposit, Message};

/// Pieces are handed to the disk once so many bytes are there.
const BATCH: usize = 1 << 20;
/// Bytes a second a client has to send on average, so that a deposit does not hold its place for ever.
const SLOWEST: u64 = 16 << 10;

struct Address {
    owner: Uid,
    message_id: String,
    depositor: Uid,
}

/// Stores a message. The same content under the same id is answered as before; other content is a conflict.
pub(super) async fn deposit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((uid, message_id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let owner = parse_uid(&uid)?;
    let message_id = parse_message_id(&message_id)?.to_owned();
    expect_type(request.headers(), "application/octet-stream")?;
    let limit = app.config.limits.message_bytes;
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit) {
        return Err(DepositError::TooLarge.into());
    }
    let to = Arc::new(Address { owner, message_id, depositor: caller.uid });
    let body = Pieces::new(request.into_body(), &app.config);

    let address = Arc::clone(&to);
    let incoming = blocking(&app, move |app| begin(app, &address, limit)).await?;
    let complete = store(&app, incoming, body).await?;
    let (status, deposited) = blocking(&app, move |app| record(app, &to, complete)).await?;
    json(status, &deposited)
}

/// Checks recipient and quota before a byte is read.
fn begin(app: &App, to: &Address, limit: u64) -> Result<Incoming, Problem> {
    let (usage, taken) = app.database.read(|connection| {
        if !accounts::exists(connection, to.owner)? {
            return Err(user_unknown());
        }
        let taken = messages::find(connection, to.owner, &to.message_id)?;
        Ok((messages::usage(connection, to.owner)?, taken))
    })?;
    if let Some(message) = &taken
        && message.depositor != to.depositor
    {
        return Err(conflict());
    }
    let limits = &app.config.limits;
    // A repeated deposit needs no room for another message.
    if taken.is_none() && usage.messages >= limits.inbox_messages {
        return Err(DepositError::Full(INBOX_FULL).into());
    }
    let room = match taken {
        Some(message) => limits.inbox_bytes.max(message.size),
        None => limits.inbox_bytes.saturating_sub(usage.bytes),
    };
    Ok(app.blobs.begin(to.owner, limit, room)?)
}

const INBOX_FULL: &str = "the inbox is full";

async fn store(app: &Arc<App>, mut incoming: Incoming, mut body: Pieces) -> Result<Complete, Problem> {
    while let Some(batch) = body.next().await? {
        incoming = blocking(app, move |app| {
            for piece in &batch {
                app.blobs.push(&mut incoming, piece)?;
            }
            Ok(incoming)
        })
        .await?;
    }
    blocking(app, move |app| Ok(app.blobs.finish(incoming)?)).await
}

/// Names the stored content in the database, unless it is a repetition.
fn record(app: &App, to: &Address, complete: Complete) -> Result<(StatusCode, Deposited), Problem> {
    let now = app.clock.now();
    let limits = &app.config.limits;
    let outcome = app.database.write(|tx| {
        if let Some(message) = messages::find(tx, to.owner, &to.message_id)? {
            return Ok(Err(message));
        }
        let usage = messages::usage(tx, to.owner)?;
        if usage.messages >= limits.inbox_messages
            || usage.bytes.saturating_add(complete.size) > limits.inbox_bytes
        {
            return Err(DepositError::Full(INBOX_FULL).into());
        }
        let deposit = Deposit {
            owner: to.owner,
            id: &to.message_id,
            depositor: to.depositor,
            blob: &complete.blob,
            size: complete.size,
            sha256: complete.sha256,
            deposited: now,
        };
        messages::insert(tx, &deposit)?;
        Ok::<_, Problem>(Ok(now))
    });
    match outcome {
        Ok(Ok(now)) => {
            let message_id = to.message_id.clone();
            Ok((StatusCode::CREATED, Deposited { message_id, deposit_time: now.to_string() }))
        }
        Ok(Err(message)) => {
            app.blobs.remove(&complete.blob);
            repeated(to, &complete, message)
        }
        Err(problem) => {
            app.blobs.remove(&complete.blob);
            Err(problem)
        }
    }
}

fn repeated(to: &Address, complete: &Complete, message: Message) -> Result<(StatusCode, Deposited), Problem> {
    if message.depositor != to.depositor {
        return Err(conflict());
    }
    if message.sha256 != complete.sha256 {
        let detail = "the first content stays; choose a new random id for another message";
        return Err(Problem::new(Reason::MessageExists, detail));
    }
    let deposited = Deposited { message_id: message.id, deposit_time: message.deposited.to_string() };
    Ok((StatusCode::OK, deposited))
}

fn conflict() -> Problem {
    Problem::new(Reason::MessageConflict, "choose a new random id for another message")
}

/// A body in batches, with a limit on silence and on slowness.
struct Pieces {
    body: Body,
    idle: std::time::Duration,
    started: Instant,
    grace: std::time::Duration,
    received: u64,
}

impl Pieces {
    fn new(body: Body, config: &Config) -> Self {
        let idle = seconds(config.timeouts.idle);
        Self { body, idle, started: Instant::now(), grace: idle * 2, received: 0 }
    }

    /// About a megabyte, or what was left; nothing at the end.
    async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Problem> {
        let (mut batch, mut size) = (Vec::new(), 0);
        while size < BATCH {
            match self.piece().await? {
                Some(piece) => {
                    size += piece.len();
                    batch.push(piece);
                }
                None => break,
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let slowest = self.started + self.grace + std::time::Duration::from_secs(self.received / SLOWEST);
            let deadline = slowest.min(Instant::now() + self.idle);
            match timeout_at(deadline, self.body.frame()).await {
                Err(_) => {
                    return Err(Problem::new(Reason::Timeout, "send without pauses; nothing was stored"));
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => {
                    return Err(Problem::new(
                        Reason::InvalidArgument,
                        "the body broke off; nothing was stored",
                    ));
                }
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.received += data.len() as u64;
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}
