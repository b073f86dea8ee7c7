//! The depositor's side of an inbox: one envelope or sealed stream, straight to disk.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use life_pki::Uid;
use rusqlite::Connection;
use tokio::time::Instant;

use super::body::{expect_type, json};
use super::directory::{parse_uid, user_unknown};
use super::dto::Deposited;
use super::inbox::parse_message_id;
use super::level::slow_down;
use super::peer::Caller;
use super::pieces::Pieces;
use super::problem::{Problem, Reason};
use super::state::{App, blocking};
use crate::store::blobs::{Complete, DepositError, Incoming, full_in};
use crate::store::pending::{self, PENDING_SECONDS, Pending};
use crate::store::usage::{self, Scope};
use crate::store::{accounts, messages};

struct Address {
    owner: Uid,
    message_id: String,
    depositor: Uid,
}

impl Address {
    fn share(&self) -> Scope {
        Scope::Share { owner: self.owner, depositor: self.depositor }
    }
}

/// Stores a message, invisible until its depositor asks for its receipt; until then it can be replaced.
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
    for (rate, scope) in app.deposits.iter().zip([to.share(), Scope::Depositor(to.depositor)]) {
        rate.spend(scope, Instant::now().into_std()).map_err(slow_down)?;
    }
    let body = Pieces::new(request.into_body(), &app.config);

    let address = Arc::clone(&to);
    let incoming = blocking(&app, move |app| begin(app, &address, limit)).await?;
    let incoming = store(&app, incoming, body).await?;
    // One piece of work, which a client that goes away does not interrupt: a complete file always gets its row.
    let (status, deposited) = blocking(&app, move |app| {
        let complete = app.blobs.finish(incoming)?;
        record(app, &to, complete)
    })
    .await?;
    json(status, &deposited)
}

/// Checks recipient and quotas before a byte is read.
fn begin(app: &App, to: &Address, limit: u64) -> Result<Incoming, Problem> {
    let rooms = app.database.read(|connection| {
        if !accounts::exists(connection, to.owner)? {
            return Err(user_unknown());
        }
        let earlier = replaceable(connection, to)?;
        rooms(app, connection, to, earlier.as_ref())
    })?;
    Ok(app.blobs.begin(limit, rooms)?)
}

/// The invisible message that this one is to take the place of, if there is one.
fn replaceable(connection: &Connection, to: &Address) -> Result<Option<Pending>, Problem> {
    if let Some(message) = messages::find(connection, to.owner, &to.message_id)? {
        return Err(if message.depositor == to.depositor { exists() } else { conflict() });
    }
    match pending::find(connection, to.owner, &to.message_id)? {
        Some(pending) if pending.depositor != to.depositor => Err(conflict()),
        earlier => Ok(earlier),
    }
}

/// How many bytes there is room for in each scope, without what is to be replaced.
fn rooms(
    app: &App,
    connection: &Connection,
    to: &Address,
    earlier: Option<&Pending>,
) -> Result<Vec<(Scope, u64)>, Problem> {
    let limits = &app.config.limits;
    [
        (Scope::Inbox(to.owner), limits.inbox_messages, limits.inbox_bytes),
        (to.share(), limits.share_messages, limits.share_bytes),
        (Scope::Depositor(to.depositor), limits.depositor_messages, limits.depositor_bytes),
    ]
    .into_iter()
    .map(|(scope, messages, bytes)| {
        let mut used = usage::of(connection, scope)?;
        if let Some(earlier) = earlier {
            used.messages = used.messages.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(earlier.size);
        }
        if used.messages >= messages {
            return Err(full_in(scope).into());
        }
        Ok((scope, bytes.saturating_sub(used.bytes)))
    })
    .collect()
}

async fn store(app: &Arc<App>, mut incoming: Incoming, mut body: Pieces) -> Result<Incoming, Problem> {
    while let Some(batch) = body.next().await? {
        incoming = blocking(app, move |app| {
            for piece in &batch {
                app.blobs.push(&mut incoming, piece)?;
            }
            Ok(incoming)
        })
        .await?;
    }
    Ok(incoming)
}

/// Names the stored content in the database.
fn record(app: &App, to: &Address, complete: Complete) -> Result<(StatusCode, Deposited), Problem> {
    let now = app.clock.now();
    let mut committing = false;
    let outcome = app.database.write(|tx| {
        let earlier = replaceable(tx, to)?;
        for (scope, room) in rooms(app, tx, to, earlier.as_ref())? {
            if complete.size > room {
                return Err(full_in(scope).into());
            }
        }
        let pending = Pending {
            owner: to.owner,
            id: to.message_id.clone(),
            depositor: to.depositor,
            blob: complete.blob.clone(),
            size: complete.size,
            sha256: complete.sha256,
            since: now,
        };
        pending::put(tx, &pending)?;
        committing = true;
        Ok::<_, Problem>(earlier)
    });
    match outcome {
        Ok(earlier) => {
            if let Some(earlier) = &earlier {
                app.blobs.remove(&earlier.blob);
            }
            let status = if earlier.is_some() { StatusCode::OK } else { StatusCode::CREATED };
            let expire_time = now.plus(PENDING_SECONDS).to_string();
            Ok((status, Deposited { message_id: to.message_id.clone(), expire_time }))
        }
        Err(problem) => {
            // A commit that failed may have happened all the same: then the file is named, and the next start knows.
            if !committing {
                app.blobs.remove(&complete.blob);
            }
            Err(problem)
        }
    }
}

fn exists() -> Problem {
    Problem::new(Reason::MessageExists, "it stays as it is; choose a new random id for another message")
}

fn conflict() -> Problem {
    Problem::new(Reason::MessageConflict, "choose a new random id for another message")
}
