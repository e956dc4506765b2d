use std::pin::pin;
use std::task::Poll;

/// Which of two futures ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Ended {
    First,
    Second,
}

/// Waits until one of two futures ends. If both have, it is the first one. Drops what it was passed.
pub(super) async fn race(
    first: impl Future<Output = ()>,
    second: impl Future<Output = ()>,
) -> Ended {
    let (mut first, mut second) = (pin!(first), pin!(second));
    std::future::poll_fn(|context| {
        if first.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ended::First);
        }
        second.as_mut().poll(context).map(|()| Ended::Second)
    })
    .await
}
