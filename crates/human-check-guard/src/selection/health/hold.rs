use std::time::Duration;

/// A state recurs if it begins again within this time of its end.
const RECURS_WITHIN: Duration = Duration::from_secs(600);

/// The longest time that a state holds.
const MAX: Duration = Duration::from_secs(300);

/// How long a state holds: a first time, and twice as long each time that it recurs, up to five
/// minutes. So an account that goes up and down does not change the widget each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    first: Duration,
    last: Duration,
    ended: Option<Duration>,
}

impl Hold {
    /// Creates a hold that lasts `first` the first time.
    pub(super) const fn new(first: Duration) -> Self {
        Self {
            first,
            last: first,
            ended: None,
        }
    }

    /// Begins the state at `now` and returns when it may end.
    pub(super) fn begin(&mut self, now: Duration) -> Duration {
        let recurs = self
            .ended
            .is_some_and(|ended| now.saturating_sub(ended) < RECURS_WITHIN);
        self.last = match recurs {
            true => (self.last * 2).min(MAX),
            false => self.first,
        };
        now + self.last
    }

    /// Records that the state ended at `now`.
    pub(super) fn end(&mut self, now: Duration) {
        self.ended = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_when_it_recurs_up_to_five_minutes_and_begins_anew_later() {
        let seconds = Duration::from_secs;
        let mut hold = Hold::new(seconds(30));
        let mut now = seconds(1_000);
        let mut lasted = Vec::new();
        for _ in 0..6 {
            let until = hold.begin(now);
            lasted.push((until - now).as_secs());
            hold.end(until);
            now = until + seconds(60);
        }
        assert_eq!(lasted, [30, 60, 120, 240, 300, 300]);
        now += seconds(600);
        assert_eq!(hold.begin(now) - now, seconds(30));
    }
}
