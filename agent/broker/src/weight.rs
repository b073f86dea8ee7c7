//! What the requests at work weigh: a message that comes whole is held whole, so all of them together have a limit.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

use crate::error::{Error, Fault};

/// Bytes that all requests together may hold: sixteen of the largest.
const ROOM: usize = 256 * 1024 * 1024;

/// Room for requests.
#[derive(Clone)]
pub struct Scales(Arc<Semaphore>);

impl Default for Scales {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

impl Scales {
    /// The weight of a request that has not come yet.
    pub fn empty(&self) -> Arc<Weight> {
        Arc::new(Weight { scales: self.clone(), held: Mutex::default() })
    }
}

/// What one request weighs; its room is free again when this is dropped.
pub struct Weight {
    scales: Scales,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Weight {
    /// Takes room for more bytes. Waiting for it would be no use: others may wait likewise with what they have.
    fn add(&self, bytes: usize) -> Result<(), Error> {
        let full = || Fault::ResourceExhausted.because("the requests at work hold as many bytes as it takes");
        let count = u32::try_from(bytes).map_err(|_| full())?;
        let more = self.scales.0.clone().try_acquire_many_owned(count).map_err(|_| full())?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

/// A request's body that is weighed as it comes.
pub struct Weighed(pub Body, pub Arc<Weight>);

impl HttpBody for Weighed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.0).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(error) = self.1.add(data.len())
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An answer's body that keeps its request's room until it was read: it is about as large.
pub struct Held<B> {
    body: B,
    _weight: Arc<Weight>,
}

impl<B> Held<B> {
    /// Keeps the room for this body.
    pub fn new(body: B, weight: Arc<Weight>) -> Self {
        Self { body, _weight: weight }
    }
}

impl<B: HttpBody<Data = Bytes, Error = Status> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn requests_together_have_a_limit_and_give_their_room_back() {
        let scales = Scales::default();
        let weigh = |length: usize| {
            let body = Body::new(Full::new(Bytes::from(vec![0; length])).map_err(|never| match never {}));
            let weight = scales.empty();
            (Weighed(body, weight.clone()), weight)
        };
        let (first, weight) = weigh(1 << 20);
        assert_eq!(first.collect().await.unwrap().to_bytes().len(), 1 << 20);
        assert_eq!(scales.0.available_permits(), ROOM - (1 << 20));
        weight.add(ROOM - (1 << 20)).unwrap();
        let (second, _weight) = weigh(1);
        assert_eq!(second.collect().await.unwrap_err().code(), tonic::Code::ResourceExhausted);
        drop(weight);
        assert_eq!(scales.0.available_permits(), ROOM);
    }
}
