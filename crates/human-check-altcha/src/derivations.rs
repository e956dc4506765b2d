use std::sync::Arc;

use tokio::sync::{AcquireError, Semaphore, TryAcquireError, oneshot};

/// Runs key derivations on threads of their own, with a limit on those that run and on those that
/// wait. A derivation takes milliseconds of a core and, for some algorithms, megabytes of memory.
///
/// They are not on the runtime's threads for blocking work: other work of the process, such as a
/// lookup of a name, could occupy all of those.
#[derive(Clone, Debug)]
pub(crate) struct Derivations {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// Why a derivation has no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotRun {
    /// Too many derivations are waiting, or no thread can be started.
    Busy,
    /// The derivation panicked.
    Lost,
}

impl Derivations {
    /// Creates limits for derivations that run and for those that wait.
    pub(crate) fn new(running: usize, waiting: usize) -> Self {
        let max = Semaphore::MAX_PERMITS;
        Self {
            running: Arc::new(Semaphore::new(running.min(max))),
            admitted: Arc::new(Semaphore::new(running.saturating_add(waiting).min(max))),
        }
    }

    /// Runs a derivation when its turn comes.
    ///
    /// When the caller drops the future, a derivation that has begun runs to its end and keeps its
    /// place until then. Otherwise clients that disconnect could start any number of derivations.
    ///
    /// # Errors
    ///
    /// [`NotRun`] when too many are waiting, or when the derivation was lost.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        derivation: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|error| match error {
            TryAcquireError::NoPermits => NotRun::Busy,
            TryAcquireError::Closed => NotRun::Lost,
        })?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_: AcquireError| NotRun::Lost)?;
        let (send, done) = oneshot::channel();
        let work = move || {
            // Dropped before the caller learns that the derivation has ended, also by a panic. So the
            // caller finds its place free.
            let permits = (admitted, running);
            let derived = derivation();
            drop(permits);
            // The caller may be gone.
            let _ = send.send(derived);
        };
        let thread = std::thread::Builder::new().name("human-check derive".to_owned());
        thread.spawn(work).map_err(|_| NotRun::Busy)?;
        done.await.map_err(|_| NotRun::Lost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_derivation_beyond_the_limits_is_refused_and_an_abandoned_one_keeps_its_place() {
        let pool = Derivations::new(1, 1);
        let (go, wait) = mpsc::channel::<()>();
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move {
                let work = move || {
                    let _ = began.send(());
                    let _ = wait.recv();
                };
                pool.run(work).await
            }
        });
        has_begun.await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let mut second = Box::pin(pool.run(|| 2));
        assert!(
            poll_once(second.as_mut()).await.is_none(),
            "the first still runs, so the second waits"
        );
        assert_eq!(pool.run(|| 3).await, Err(NotRun::Busy));
        go.send(()).unwrap();
        assert_eq!(second.await, Ok(2));
        assert_eq!(pool.run(|| 4).await, Ok(4));
    }

    #[test]
    fn a_derivation_needs_no_thread_of_the_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (go, wait) = mpsc::channel::<()>();
        runtime.block_on(async {
            let _occupied = tokio::task::spawn_blocking(move || wait.recv());
            assert_eq!(Derivations::new(1, 0).run(|| 5).await, Ok(5));
            go.send(()).unwrap();
        });
    }

    #[tokio::test]
    async fn one_that_panics_frees_its_place() {
        let pool = Derivations::new(1, 0);
        let lost = pool.run(|| panic!("for the test")).await;
        assert_eq!(lost, Err::<(), _>(NotRun::Lost));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }

    /// Polls a future once. Returns its output when it is ready.
    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
