//! Who may call what: one layer before every service, which reads the table that the contract's options make.
//!
//! A caller of the agent's own user has the grant of a developer: every permission. Another user has none. A token
//! (`life-app-token`) is noted and, until apps are enforced, changes nothing. The layer also keeps the number of
//! calls and their deadlines, and gives errors of the transport the form that the contract promises.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use life_proto::v1::Permission;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::agent::Agent;
use crate::connections::Caller;
use crate::error::{Error, Fault, Result};
use crate::given_up::GivenUp;
use crate::length_first::LengthFirst;
use crate::short_frames::ShortFrames;
use crate::weight::{Held, Weighed};

/// Methods beside the contract that are served: reflection and health tell nothing about users.
const FREE_SERVICES: &[&str] = &[
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];
/// Methods that must work when the agent is at its limit, and those that last.
const UNCOUNTED: &[&str] = &[
    "/life.agent.v1.Agent/GetStatus",
    "/life.agent.v1.Agent/Lock",
    "/life.agent.v1.Agent/WatchEvents",
    "/life.agent.v1.Credentials/Lock",
];
/// Our deadline comes this much before the transport's own, which would say less.
const HEAD_START: Duration = Duration::from_millis(3);

/// What the layer knows of a call; in the request's extensions. The call has its place among those at work as long as
/// this is kept.
#[derive(Clone, Debug)]
pub struct Call {
    /// When the caller gives up.
    pub deadline: Option<Instant>,
    /// How long the caller may leave its stream without a message.
    pub input_stall: Duration,
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

impl Default for Call {
    fn default() -> Self {
        Self { deadline: None, input_stall: Duration::from_secs(60), _place: None }
    }
}

/// Makes [`Policy`] services.
#[derive(Clone)]
pub struct PolicyLayer(pub Arc<Agent>);

impl<S> Layer<S> for PolicyLayer {
    type Service = Policy<S>;

    fn layer(&self, inner: S) -> Policy<S> {
        Policy { agent: self.0.clone(), inner }
    }
}

/// The layer before every service.
#[derive(Clone)]
pub struct Policy<S> {
    agent: Arc<Agent>,
    inner: S,
}

impl<S> Service<Request<Body>> for Policy<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let admitted = self.admit(&request);
        let weight = self.agent.scales.empty();
        let input_stall = self.agent.config().limits.input_stall_seconds.duration();
        Box::pin(async move {
            let place = match admitted {
                Ok(place) => place.map(Arc::new),
                Err(error) => return Ok(Status::from(error).into_http()),
            };
            let deadline = deadline(request.headers());
            let path = request.uri().path().to_owned();
            // Kept here until there is an answer, and by work that goes on after that.
            let call = Call { deadline, input_stall, _place: place };
            request.extensions_mut().insert(call.clone());
            let weighed = (!streams_in(&path)).then(|| weight.clone());
            request = request.map(|body| match weighed {
                Some(weight) => Body::new(Weighed(body, weight)),
                None => Body::new(GivenUp(LengthFirst::new(body))),
            });
            let answer = match deadline {
                None => inner.call(request).await,
                Some(deadline) => match tokio::time::timeout_at(deadline, inner.call(request)).await {
                    Ok(answer) => answer,
                    Err(_) => return Ok(Status::from(Error::from(Fault::DeadlineExceeded)).into_http()),
                },
            };
            let answer = answer.map(|answer| explained(answer, &path))?;
            drop(call);
            Ok(answer.map(|body| Body::new(Held::new(ShortFrames::new(body), weight))))
        })
    }
}

impl<S> Policy<S> {
    /// Decides whether a call may go on, and gives it its place among those at work.
    fn admit(&self, request: &Request<Body>) -> Result<Option<OwnedSemaphorePermit>> {
        let path = request.uri().path();
        let caller = request.extensions().get::<Caller>();
        let has_token = request.headers().contains_key(life_proto::APP_TOKEN_KEY);
        let permission = decide(path, caller.map(|caller| caller.uid), life_sys::peer::own_uid())?;
        tracing::debug!(
            path,
            permission = permission.as_str_name(),
            pid = caller.map(|caller| caller.pid),
            has_token,
            "call"
        );
        if self.agent.stopping.is_cancelled() {
            return Err(Fault::ShuttingDown.into());
        }
        if UNCOUNTED.contains(&path) || permission == Permission::None {
            return Ok(None);
        }
        self.agent.calls.clone().try_acquire_owned().map(Some).map_err(|_| Fault::ResourceExhausted.into())
    }
}

/// Whether the caller sends many messages, each of which is gone when the next comes.
fn streams_in(path: &str) -> bool {
    path.ends_with("Stream")
        || matches!(
            path,
            "/life.agent.v1.Api/Call" | "/life.agent.v1.Documents/Upload" | "/life.agent.v1.Messages/Send"
        )
}

/// The decision: by method and the caller's user, nothing else.
fn decide(path: &str, peer: Option<u32>, own: u32) -> Result<Permission> {
    if peer != Some(own) {
        return Err(Fault::PermissionDenied.into());
    }
    if let Some(permission) = life_proto::permission(path) {
        return Ok(permission);
    }
    if FREE_SERVICES.iter().any(|service| path.starts_with(service)) {
        return Ok(Permission::None);
    }
    Err(Fault::Unimplemented.into())
}

/// Reads `grpc-timeout`: at most eight digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let limit = match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Instant::now().checked_add(limit.saturating_sub(HEAD_START))
}

/// Gives an error that the transport made the details that ours have.
fn explained(answer: Response<Body>, path: &str) -> Response<Body> {
    let headers = answer.headers();
    let Some(code) = headers.get("grpc-status").filter(|_| !headers.contains_key("grpc-status-details-bin"))
    else {
        return answer;
    };
    let message = headers.get("grpc-message").and_then(|text| text.to_str().ok()).unwrap_or_default();
    let error = match Code::from_bytes(code.as_bytes()) {
        Code::Ok => return answer,
        Code::OutOfRange => match path.strip_prefix("/life.agent.v1.Crypto/") {
            Some(method) if life_proto::permission(&format!("{path}Stream")).is_some() => {
                Fault::MessageTooLarge
                    .because(format!("this call takes 16777216 bytes, and {method}Stream takes any number"))
                    .with("streaming_method", format!("life.agent.v1.Crypto/{method}Stream"))
            }
            _ => Fault::MessageTooLarge.because("one message is longer than the call takes"),
        },
        Code::Unimplemented if message.contains("ompress") => {
            Fault::InvalidArgument.because("it is compressed, which this agent does not take")
        }
        Code::Unimplemented => Fault::Unimplemented.into(),
        Code::Internal if message.contains("decode") || message.contains("rotobuf") => {
            Fault::InvalidArgument.because("it is not a message of the contract")
        }
        Code::DeadlineExceeded => Fault::DeadlineExceeded.into(),
        _ => return answer,
    };
    Status::from(error).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_is_refused_and_unknown_methods_do_not_exist() {
        let sign = "/life.agent.v1.Crypto/Sign";
        assert_eq!(decide(sign, Some(1000), 1000).unwrap(), Permission::Sign);
        assert_eq!(decide(sign, Some(0), 1000).unwrap_err().fault(), Fault::PermissionDenied);
        assert_eq!(decide(sign, None, 1000).unwrap_err().fault(), Fault::PermissionDenied);
        for path in ["/life.agent.v1.Crypto/SignHash", "/", "", "/life.agent.v1.Crypto/Sign/"] {
            assert_eq!(decide(path, Some(1000), 1000).unwrap_err().fault(), Fault::Unimplemented, "{path}");
        }
        assert!(decide("/grpc.health.v1.Health/Check", Some(1000), 1000).is_ok());
    }

    #[test]
    fn a_message_too_large_names_the_streaming_call_where_there_is_one() {
        let too_large = |path| {
            let answer = Status::new(Code::OutOfRange, "too large").into_http::<Body>();
            let answer = explained(answer, path);
            answer.headers().get("grpc-message").unwrap().to_str().unwrap().to_owned()
        };
        assert!(too_large("/life.agent.v1.Crypto/Encrypt").contains("EncryptStream"));
        assert!(!too_large("/life.agent.v1.Crypto/Share").contains("ShareStream"));
    }

    #[test]
    fn every_method_of_the_contract_is_decided() {
        for (path, permission) in life_proto::PERMISSIONS {
            assert_eq!(decide(path, Some(7), 7).unwrap(), *permission);
        }
    }

    #[test]
    fn deadlines_are_read_and_absurd_ones_are_not() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            deadline(&headers).map(|at| at.saturating_duration_since(Instant::now()))
        };
        assert!(
            read("10S").is_some_and(|left| left > Duration::from_secs(9) && left <= Duration::from_secs(10))
        );
        assert!(read("1n").is_some_and(|left| left.is_zero()));
        for text in ["", "S", "123456789S", "10", "10x", "-1S", "+1S"] {
            assert!(read(text).is_none() || text == "+1S", "{text}");
        }
    }
}
