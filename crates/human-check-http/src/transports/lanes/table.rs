use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Line;

/// How many requests an HTTP/2 connection carries at most, whatever the server allows. A connection
/// that breaks takes its requests with it.
pub(in crate::transports) const MAX_STREAMS: usize = 100;

/// How many HTTP/2 connections a burst may open.
pub(in crate::transports) const BURST_LANES: usize = 8;

/// How many HTTP/2 connections there are at most. Used while connecting is slow, and after requests
/// have been waiting for [`SUSTAINED`].
pub(super) const MAX_LANES: usize = 32;

/// How many HTTP/1.1 connections there are at most.
pub(super) const MAX_HTTP1_LANES: usize = 1_024;

/// How long requests wait without a break until they count as steady load.
pub(super) const SUSTAINED: Duration = Duration::from_secs(1);

/// How many connections are opened at the same time, if connecting is fast.
const AT_ONCE: usize = 8;

/// After this time an attempt to connect counts as slow, and further ones may begin beside it.
const SLOW: Duration = Duration::from_millis(100);

/// After this time without a first connection, one more attempt begins, and then another one each
/// [`SPARE_INTERVAL`]. A packet of the first may be lost.
const LATE: Duration = Duration::from_millis(500);
const SPARE_INTERVAL: Duration = Duration::from_millis(250);
const MAX_SPARES: usize = 3;

/// After this time an attempt is not counted any more. Its runtime does not run, so not even its time
/// limit ends it.
const LOST: Duration = Duration::from_secs(6);

/// How long no connection is opened after an attempt has failed while other connections are open.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(250);

/// How long a lane has no reply until a request that ends without one closes it.
const SILENT: Duration = Duration::from_secs(1);

/// How long an idle connection is kept. Shorter than the time after which most servers close it.
pub(super) const IDLE: Duration = Duration::from_secs(45);

/// The lanes of a host, the attempts to open further ones, and the requests that wait.
///
/// `W` is what is kept of a request that waits.
pub(super) struct Table<L, W> {
    lanes: Vec<Lane<L>>,
    attempts: Vec<Attempt>,
    waiting: BTreeMap<u64, W>,
    /// Since when there was always a request that waits.
    waiting_since: Option<Instant>,
    /// The number of requests that hold a place.
    in_flight: usize,
    /// Whether the connection that was opened last multiplexes. `None` before the first one.
    multiplexes: Option<bool>,
    /// The capacity that a multiplexing lane had last.
    streams: usize,
    paused_until: Option<Instant>,
    last_id: u64,
}

/// An open connection.
struct Lane<L> {
    id: u64,
    line: L,
    capacity: usize,
    in_flight: usize,
    idle_since: Instant,
    /// When the last reply arrived, or the connection was opened.
    replied: Instant,
}

impl<L> Lane<L> {
    fn has_room(&self) -> bool {
        self.in_flight < self.capacity
    }
}

/// An attempt to open a connection.
struct Attempt {
    id: u64,
    since: Instant,
}

/// A place for one request on a lane.
pub(super) struct Place<L> {
    pub(super) lane: u64,
    pub(super) line: L,
}

impl<L: Line, W> Table<L, W> {
    pub(super) fn new() -> Self {
        Self {
            lanes: Vec::new(),
            attempts: Vec::new(),
            waiting: BTreeMap::new(),
            waiting_since: None,
            in_flight: 0,
            multiplexes: None,
            streams: MAX_STREAMS,
            paused_until: None,
            last_id: 0,
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Takes a place on the lane with the fewest requests. `None` if no lane has room.
    ///
    /// It fills the lanes that were opened first up to half of their capacity on average, so that a
    /// lane which is no longer needed becomes idle.
    pub(super) fn take(&mut self) -> Option<Place<L>> {
        loop {
            let first = self.lanes.first()?;
            let needed = self.in_flight / (first.capacity / 2).max(1) + 1;
            let needed = needed.min(self.lanes.len());
            let (used, others) = self.lanes.split_at_mut(needed);
            let fewest = used
                .iter_mut()
                .filter(|lane| lane.has_room())
                .min_by_key(|lane| lane.in_flight);
            let lane = fewest.or_else(|| others.iter_mut().find(|lane| lane.has_room()))?;
            let id = lane.id;
            if lane.line.is_closed() {
                self.close(id);
                continue;
            }
            lane.in_flight += 1;
            self.in_flight += 1;
            let line = lane.line.clone();
            return Some(Place { lane: id, line });
        }
    }

    /// Gives a place back. Closes a lane whose connection has ended.
    ///
    /// `unreplied_since` is set for a request that ended without a reply. If the lane has had no reply
    /// for [`SILENT`] by then, it is closed: its connection may be dead, or its runtime does not run.
    pub(super) fn put_back(&mut self, id: u64, unreplied_since: Option<Instant>, now: Instant) {
        self.in_flight -= 1;
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.id == id) else {
            return;
        };
        lane.in_flight -= 1;
        lane.idle_since = now;
        let is_silent = match unreplied_since {
            None => {
                lane.replied = now;
                false
            }
            Some(since) => now - since.max(lane.replied) >= SILENT,
        };
        lane.capacity = lane.line.capacity().min(MAX_STREAMS);
        if lane.line.multiplexes() && lane.capacity > 0 {
            self.streams = lane.capacity;
        }
        if is_silent || lane.line.is_closed() {
            self.close(id);
        }
    }

    /// Reads the capacity of all lanes again, which a server may change at any time, and removes those
    /// that take no further request.
    pub(super) fn update_lanes(&mut self) {
        // A lane that carries one request shows whether it is closed when it gives the place back.
        self.lanes
            .retain(|lane| !(lane.line.multiplexes() && lane.line.is_closed()));
        for lane in &mut self.lanes {
            lane.capacity = lane.line.capacity().min(MAX_STREAMS);
            if lane.line.multiplexes() && lane.capacity > 0 {
                self.streams = lane.capacity;
            }
        }
    }

    /// Adds a request that waits for a place. Returns its number.
    pub(super) fn wait(&mut self, request: W, now: Instant) -> u64 {
        self.waiting_since.get_or_insert(now);
        let id = self.next_id();
        self.waiting.insert(id, request);
        id
    }

    /// Removes a request that no longer waits.
    pub(super) fn leave(&mut self, id: u64) {
        self.waiting.remove(&id);
        if self.waiting.is_empty() {
            self.waiting_since = None;
        }
    }

    /// Returns how many streams a further connection is expected to have.
    pub(super) fn streams(&self) -> usize {
        self.streams
    }

    /// Returns whether a request waits.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Gives a place to the request that has waited longest. `None` if none waits or no lane has
    /// room.
    pub(super) fn serve_next(&mut self) -> Option<(W, Place<L>)> {
        if self.waiting.is_empty() {
            return None;
        }
        let place = self.take()?;
        let (_, request) = self.waiting.pop_first()?;
        if self.waiting.is_empty() {
            self.waiting_since = None;
        }
        Some((request, place))
    }

    /// Returns how many attempts to open a connection should begin now.
    pub(super) fn attempts_due(&mut self, now: Instant) -> usize {
        self.attempts.retain(|attempt| now - attempt.since < LOST);
        if self.waiting.is_empty() || self.paused_until.is_some_and(|until| now < until) {
            return 0;
        }
        let streams = match self.multiplexes {
            Some(false) => 1,
            _ => self.streams,
        };
        let waits_long = self
            .waiting_since
            .is_some_and(|since| now - since >= SUSTAINED);
        let max = match self.multiplexes {
            Some(false) => MAX_HTTP1_LANES,
            Some(true) if !waits_long => BURST_LANES,
            _ => MAX_LANES,
        };
        let opening = self.attempts.len();
        let age = |attempt: &Attempt| now - attempt.since;
        let slow = self.attempts.iter().filter(|one| age(one) >= SLOW).count();
        let at_once = (AT_ONCE + slow).saturating_sub(opening - slow);
        let mut needed = self.waiting.len().div_ceil(streams);
        if self.lanes.is_empty()
            && let Some(oldest) = self.attempts.iter().map(age).max()
            && let Some(late) = oldest.checked_sub(LATE)
        {
            let spares = 1 + (late.as_millis() / SPARE_INTERVAL.as_millis()) as usize;
            needed += spares.min(MAX_SPARES);
        }
        // A server may state a limit of no stream at all.
        let requests = self.in_flight + self.waiting.len();
        let max = max.min(requests.div_ceil(streams) + BURST_LANES);
        needed
            .saturating_sub(opening)
            .min(max.saturating_sub(self.lanes.len() + opening))
            .min(at_once)
    }

    /// Adds an attempt to open a connection. Returns its number, which becomes that of the lane.
    pub(super) fn begin_attempt(&mut self, now: Instant) -> u64 {
        let id = self.next_id();
        self.attempts.push(Attempt { id, since: now });
        id
    }

    /// Adds the connection that an attempt has opened.
    pub(super) fn opened(&mut self, id: u64, line: L, now: Instant) {
        self.attempts.retain(|attempt| attempt.id != id);
        self.multiplexes = Some(line.multiplexes());
        self.lanes.push(Lane {
            id,
            capacity: line.capacity().min(MAX_STREAMS),
            line,
            in_flight: 0,
            idle_since: now,
            replied: now,
        });
    }

    /// Ends an attempt that has failed.
    ///
    /// Returns the requests that fail with its error, if no lane is open: all that wait, if there is no
    /// other attempt, and otherwise those that have waited for the whole of a long attempt.
    pub(super) fn failed(&mut self, id: u64, now: Instant) -> BTreeMap<u64, W> {
        let since = self.forget(id);
        if !self.lanes.is_empty() || !self.attempts.is_empty() {
            self.paused_until = Some(now + PAUSE_AFTER_FAILURE);
        }
        if !self.lanes.is_empty() {
            return BTreeMap::new();
        }
        let left = if self.attempts.is_empty() {
            BTreeMap::new()
        } else if since.is_some_and(|since| now - since >= LATE) {
            self.waiting.split_off(&id)
        } else {
            return BTreeMap::new();
        };
        if left.is_empty() {
            self.waiting_since = None;
        }
        std::mem::replace(&mut self.waiting, left)
    }

    /// Removes an attempt. Returns when it began.
    pub(super) fn forget(&mut self, id: u64) -> Option<Instant> {
        let attempt = self.attempts.iter().position(|attempt| attempt.id == id)?;
        Some(self.attempts.remove(attempt).since)
    }

    /// Removes a lane. It takes no further request, and the requests on it go on.
    pub(super) fn close(&mut self, id: u64) {
        self.lanes.retain(|lane| lane.id != id);
    }

    /// Removes a lane that has been idle for [`IDLE`], and returns `None` for it and for a lane that
    /// is gone. Otherwise returns the time until it can be that long at the earliest.
    pub(super) fn time_to_idle(&mut self, id: u64, now: Instant) -> Option<Duration> {
        let lane = self.lanes.iter().find(|lane| lane.id == id)?;
        if lane.in_flight > 0 {
            return Some(IDLE);
        }
        let left = IDLE.saturating_sub(now - lane.idle_since);
        if left.is_zero() {
            self.close(id);
            return None;
        }
        Some(left)
    }

    /// Returns the number of lanes and attempts.
    pub(super) fn connections(&self) -> usize {
        self.lanes.len() + self.attempts.len()
    }

    /// Returns the number of requests that hold a place or wait.
    #[cfg(test)]
    pub(super) fn requests(&self) -> usize {
        self.in_flight + self.waiting.len()
    }

    /// Returns whether a request waits although a lane has room.
    #[cfg(test)]
    pub(super) fn wastes_room(&self) -> bool {
        !self.waiting.is_empty() && self.lanes.iter().any(Lane::has_room)
    }
}
