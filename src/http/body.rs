//! What requests carry: bounded in bytes, for each of them and for all together, and in time.

use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;

/// How long a body may take to arrive, and to wait for room before.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of all bodies at a time, or of one if that may have more. What thousands of connections may
/// carry together is more than a machine has.
const BYTES_MAX: usize = 64 << 20;

/// Room for the bodies of all requests.
pub(super) struct Bodies {
    /// Bytes that are free.
    room: Semaphore,
    /// Bytes of one body at most.
    one_bytes_max: usize,
    time_max: Duration,
}

/// A body that has arrived, and its room.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub(super) bytes: Bytes,
    _room: SemaphorePermit<'a>,
}

impl Bodies {
    /// Room for bodies of at most as many bytes each.
    pub(super) fn new(one_bytes_max: usize) -> Bodies {
        Bodies {
            room: Semaphore::new(BYTES_MAX.max(one_bytes_max)),
            one_bytes_max,
            time_max: BODY_TIME_MAX,
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// When it is too large, takes too long, or there is no room for it in time.
    pub(super) async fn read(&self, body: Body) -> Result<Arrived<'_>, Failure> {
        let end = Instant::now() + self.time_max;
        let max = self.one_bytes_max;
        let too_large = || {
            let message = format!("the value has more than {max} bytes, or did not arrive in full");
            Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "OTHER", message)
        };
        let size = body.size_hint();
        let fits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= max);
        if !fits(size.lower()) {
            return Err(too_large());
        }
        // Whoever does not say how many there will be gets room for the most.
        let bytes = size.upper().filter(|bytes| fits(*bytes));
        let claim = bytes.map_or(max, |bytes| bytes as usize);
        let claim = u32::try_from(claim).unwrap_or(u32::MAX);
        let room = timeout_at(end, self.room.acquire_many(claim)).await;
        let Ok(Ok(room)) = room else {
            let message = "too many values are being written at once; try again later";
            return Err(Failure::unavailable(message));
        };
        match timeout_at(end, to_bytes(body, max)).await {
            Ok(Ok(bytes)) => Ok(Arrived { bytes, _room: room }),
            Ok(Err(_)) => Err(too_large()),
            Err(_) => {
                let message = format!("the value did not arrive within {:?}", self.time_max);
                let status = StatusCode::REQUEST_TIMEOUT;
                Err(Failure::new(status, "TIMEOUT", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// A body that begins and never ends.
    struct Stuck(Option<Bytes>);

    impl futures_core::Stream for Stuck {
        type Item = Result<Bytes, Infallible>;

        fn poll_next(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Bytes, Infallible>>> {
            match self.0.take() {
                Some(bytes) => Poll::Ready(Some(Ok(bytes))),
                None => Poll::Pending,
            }
        }
    }

    fn stuck() -> Body {
        Body::from_stream(Stuck(Some("begun".into())))
    }

    fn bodies(room: usize, time_max: Duration) -> Bodies {
        Bodies {
            room: Semaphore::new(room),
            one_bytes_max: 10,
            time_max,
        }
    }

    fn code(read: Result<Arrived<'_>, Failure>) -> (u64, String) {
        let error = &read.unwrap_err().json()["error"];
        let code = error["code"].as_str().unwrap_or_default();
        (error["status"].as_u64().unwrap_or(0), code.to_owned())
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up_and_its_room_is_free_again() {
        let bodies = bodies(10, Duration::from_millis(50));
        assert_eq!(code(bodies.read(stuck()).await), (408, "TIMEOUT".into()));
        let arrived = bodies.read(Body::from("0123456789")).await.unwrap();
        assert_eq!(arrived.bytes, "0123456789");
        let large = bodies.read(Body::from("0123456789a")).await;
        assert_eq!(code(large), (413, "OTHER".into()));
    }

    #[tokio::test]
    async fn all_bodies_together_get_the_room_that_there_is() {
        let small = bodies(15, Duration::from_millis(50));
        let first = small.read(Body::from("0123456789")).await.unwrap();
        let _second = small.read(Body::from("01234")).await.unwrap();
        let third = small.read(Body::from("0")).await;
        assert_eq!(code(third), (503, "UNAVAILABLE".into()));
        drop(first);
        // As long as nobody knows how large it is, it has the room of the largest.
        let (waits, small_one) = tokio::join!(small.read(stuck()), small.read(Body::from("0")));
        assert_eq!(code(waits), (408, "TIMEOUT".into()));
        assert_eq!(code(small_one), (503, "UNAVAILABLE".into()));
    }
}
