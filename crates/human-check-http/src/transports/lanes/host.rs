use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::Line;
use super::race::{Ended, race};
use super::table::Table;
use crate::{SendError, SendErrorKind};

/// How long opening a connection may take: the lookup of the name, TCP and TLS.
const MAX_DIAL: Duration = Duration::from_secs(3);

/// How often the table is looked at while requests wait, for what depends on the time alone.
const PACE: Duration = Duration::from_millis(50);

/// How often a request that waits looks after the attempts itself. The tasks that do it otherwise may
/// be on a runtime that has stopped.
const RECHECK: Duration = Duration::from_millis(500);

/// How long a connection that takes no further request has for those still on it.
const FAREWELL: Duration = Duration::from_secs(60);

/// Opens connections to one host.
#[async_trait]
pub(in crate::transports) trait Dial: Send + Sync + 'static {
    type Line: Line;

    /// Opens a connection. `streams` is what the connections to the host have allowed before.
    async fn dial(&self, streams: usize) -> Result<Dialled<Self::Line>, DialError>;
}

/// A connection that was opened.
pub(in crate::transports) struct Dialled<L> {
    pub(in crate::transports) line: L,
    /// Carries the connection, and ends with it. Dropping it closes the connection.
    pub(in crate::transports) driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why a connection could not be opened. All requests that waited for it get it.
#[derive(Clone, Debug)]
pub(in crate::transports) struct DialError {
    kind: SendErrorKind,
    text: Arc<str>,
}

impl DialError {
    /// Creates an error. Its text must not contain a URL.
    pub(in crate::transports) fn new(kind: SendErrorKind, text: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

impl From<DialError> for SendError {
    fn from(error: DialError) -> Self {
        SendError::new(error.kind).with_source(error.text.to_string())
    }
}

type Granted<D> = Result<Lease<D>, DialError>;
type Locked<'a, D> = MutexGuard<'a, Table<<D as Dial>::Line, oneshot::Sender<Granted<D>>>>;

/// A host that requests are sent to, with its connections.
pub(in crate::transports) struct Host<D: Dial> {
    dial: D,
    table: Mutex<Table<D::Line, oneshot::Sender<Granted<D>>>>,
    is_paced: AtomicBool,
}

impl<D: Dial> Host<D> {
    /// Creates a host without a connection.
    pub(in crate::transports) fn new(dial: D) -> Arc<Self> {
        Arc::new(Self {
            dial,
            table: Mutex::new(Table::new()),
            is_paced: AtomicBool::new(false),
        })
    }

    /// Waits for a place on a connection.
    ///
    /// Dropping the future gives the place up. It does not end an attempt to connect.
    ///
    /// # Errors
    ///
    /// The error of the last attempt to connect, if all have failed and no connection is open.
    pub(in crate::transports) async fn lease(self: &Arc<Self>) -> Granted<D> {
        let (id, mut granted) = {
            let mut table = self.table();
            // No request waits while a lane has room, so this one overtakes none.
            if let Some(place) = table.take() {
                return Ok(Lease::new(self, place.lane, place.line));
            }
            let (grant, granted) = oneshot::channel();
            (table.wait(grant, Instant::now()), granted)
        };
        let _waiting = Waiting { host: self, id };
        loop {
            self.open_as_needed();
            self.pace();
            if let Ok(granted) = timeout(RECHECK, &mut granted).await {
                let gone = |_| Err(DialError::new(SendErrorKind::NotSent, "no connection"));
                return granted.unwrap_or_else(gone);
            }
        }
    }

    /// Opens connections until there are `lanes`, or the attempts have failed.
    ///
    /// Dropping the future does not end the attempts.
    pub(in crate::transports) async fn open(self: &Arc<Self>, lanes: usize) {
        let attempts = self.begin(|table, _| lanes.saturating_sub(table.connections()));
        let attempts = attempts.into_iter().map(|attempt| {
            let (opened, has_opened) = oneshot::channel();
            drop(tokio::spawn(attempt.run(Some(opened))));
            has_opened
        });
        for attempt in attempts.collect::<Vec<_>>() {
            // An attempt that has failed drops its sender.
            let _ = attempt.await;
        }
    }

    fn table(&self) -> Locked<'_, D> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the table, and then serves the requests that wait and opens connections for the
    /// others.
    fn update<T>(self: &Arc<Self>, change: impl FnOnce(&mut Locked<'_, D>, Instant) -> T) -> T {
        let mut table = self.table();
        let changed = change(&mut table, Instant::now());
        let mut refused = Vec::new();
        while let Some((grant, place)) = table.serve_next() {
            let lease = Lease::new(self, place.lane, place.line);
            // A request that is gone at this moment gives its place back below, without the lock.
            refused.extend(grant.send(Ok(lease)).err());
        }
        let waits = table.has_waiting();
        drop(table);
        drop(refused);
        if waits {
            self.open_as_needed();
        }
        changed
    }

    /// Begins the attempts to connect that are due.
    fn open_as_needed(self: &Arc<Self>) {
        // A future may be dropped outside of a runtime. The requests that wait look after it then.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for attempt in self.begin(|table, now| table.attempts_due(now)) {
            drop(runtime.spawn(attempt.run(None)));
        }
    }

    /// Adds as many attempts to the table as `due` says, and returns them.
    fn begin(
        self: &Arc<Self>,
        due: impl FnOnce(&mut Locked<'_, D>, Instant) -> usize,
    ) -> Vec<Connection<D>> {
        let (mut table, now) = (self.table(), Instant::now());
        let due = due(&mut table, now);
        (0..due)
            .map(|_| Connection::new(self, table.begin_attempt(now)))
            .collect()
    }

    /// Looks at the table at intervals, until no request waits.
    fn pace(self: &Arc<Self>) {
        /// Also when the runtime stops, so that the next request starts another one.
        struct Paced<D: Dial>(Arc<Host<D>>);

        impl<D: Dial> Drop for Paced<D> {
            fn drop(&mut self) {
                self.0.is_paced.store(false, Ordering::SeqCst);
            }
        }

        if self.is_paced.swap(true, Ordering::SeqCst) {
            return;
        }
        let paced = Paced(Arc::clone(self));
        drop(tokio::spawn(async move {
            loop {
                sleep(PACE).await;
                let waits = paced.0.update(|table, _| {
                    table.update_lanes();
                    table.has_waiting()
                });
                if !waits {
                    break;
                }
            }
            let host = Arc::clone(&paced.0);
            drop(paced);
            // One may have begun to wait since.
            if host.table().has_waiting() {
                host.pace();
            }
        }));
    }

    /// Returns the number of open connections and attempts, and that of the requests.
    #[cfg(test)]
    pub(super) fn state(&self) -> (usize, usize, bool) {
        let table = self.table();
        (table.connections(), table.requests(), table.wastes_room())
    }
}

/// A place on a connection. Dropping it gives the place back.
pub(in crate::transports) struct Lease<D: Dial> {
    host: Arc<Host<D>>,
    lane: u64,
    line: D::Line,
    /// When it was granted, until the server has replied.
    unreplied_since: Option<Instant>,
}

impl<D: Dial> Lease<D> {
    fn new(host: &Arc<Host<D>>, lane: u64, line: D::Line) -> Self {
        Self {
            host: Arc::clone(host),
            lane,
            line,
            unreplied_since: Some(Instant::now()),
        }
    }

    /// Records that the server has replied, in whatever way.
    pub(in crate::transports) fn set_replied(&mut self) {
        self.unreplied_since = None;
    }

    /// Returns the connection.
    pub(in crate::transports) fn line(&self) -> &D::Line {
        &self.line
    }

    /// Closes the connection for further requests.
    pub(in crate::transports) fn close(&self) {
        self.host.table().close(self.lane);
    }
}

impl<D: Dial> Drop for Lease<D> {
    fn drop(&mut self) {
        let since = self.unreplied_since;
        self.host
            .update(|table, now| table.put_back(self.lane, since, now));
    }
}

/// A request that waits for a place. Dropping it takes it out of the queue.
struct Waiting<'a, D: Dial> {
    host: &'a Arc<Host<D>>,
    id: u64,
}

impl<D: Dial> Drop for Waiting<'_, D> {
    fn drop(&mut self) {
        self.host.table().leave(self.id);
    }
}

/// A connection, from the attempt to open it to its end. When it is dropped early, because its
/// runtime stops, it leaves the table all the same.
struct Connection<D: Dial> {
    host: Arc<Host<D>>,
    id: u64,
    is_attempt: bool,
}

impl<D: Dial> Connection<D> {
    fn new(host: &Arc<Host<D>>, id: u64) -> Self {
        Self {
            host: Arc::clone(host),
            id,
            is_attempt: true,
        }
    }

    /// Opens the connection and carries it. Sends on `opened` when it is open.
    async fn run(mut self, opened: Option<oneshot::Sender<()>>) {
        let streams = self.host.table().streams();
        let dialled = timeout(MAX_DIAL, self.host.dial.dial(streams)).await;
        let dialled = dialled.unwrap_or_else(|_| {
            let text = "the connection was not open in time";
            Err(DialError::new(SendErrorKind::NotSent, text))
        });
        let Dialled { line, mut driver } = match dialled {
            Ok(dialled) => dialled,
            Err(error) => return self.fail(&error),
        };
        self.is_attempt = false;
        self.host
            .update(|table, now| table.opened(self.id, line, now));
        if let Some(opened) = opened {
            // Nothing waits for it any more.
            let _ = opened.send(());
        }
        if race(driver.as_mut(), self.idle()).await == Ended::Second {
            // Requests that are still on it have time to end.
            let _ = timeout(FAREWELL, driver).await;
        }
    }

    /// Waits until the connection was idle for too long, and takes it out of the table.
    async fn idle(&self) {
        loop {
            let left = self.host.table().time_to_idle(self.id, Instant::now());
            match left {
                Some(left) => sleep(left).await,
                None => return,
            }
        }
    }

    /// Ends the attempt without a connection.
    fn fail(&mut self, error: &DialError) {
        self.is_attempt = false;
        let failed = self.host.update(|table, now| table.failed(self.id, now));
        for (_, grant) in failed {
            // A request may be gone.
            let _ = grant.send(Err(error.clone()));
        }
    }
}

impl<D: Dial> Drop for Connection<D> {
    fn drop(&mut self) {
        // The runtime may be about to stop, so no attempt begins here, and no request fails.
        let mut table = self.host.table();
        if self.is_attempt {
            table.forget(self.id);
        } else {
            table.close(self.id);
        }
    }
}
