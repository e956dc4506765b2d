use std::collections::HashMap;
use std::collections::hash_map::Entry;

use human_check_core::Receipt;

/// What is known of one showing of a challenge. It is small, because there may be millions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Visitor {
    /// The day on which it was shown, from 1 January 1970 on.
    pub(super) day: u16,
    /// The places of arm, route and segment. A segment of 0 is none.
    pub(super) arm: u8,
    pub(super) route: u8,
    pub(super) segment: u8,
    /// The place of the weights with which it was assigned.
    pub(super) stratum: u8,
    pub(super) bucket: u8,
    /// What happened, as bits.
    seen: u16,
}

/// Something that happened to a visitor, as a bit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seen(u16);

impl Seen {
    pub(super) const SHOWN: Self = Self(1);
    pub(super) const LOADED: Self = Self(1 << 1);
    pub(super) const SOLVED: Self = Self(1 << 2);
    pub(super) const JUDGED: Self = Self(1 << 3);
    pub(super) const PASSED: Self = Self(1 << 4);
    pub(super) const COMPLETED: Self = Self(1 << 5);
    /// A cookie says whether it is the first visit.
    pub(super) const VISIT_KNOWN: Self = Self(1 << 6);
    pub(super) const FIRST: Self = Self(1 << 7);
    pub(super) const FALLBACK: Self = Self(1 << 8);
    pub(super) const CROSSED: Self = Self(1 << 9);
    pub(super) const HAS_BUCKET: Self = Self(1 << 10);
}

impl Visitor {
    pub(super) fn has(self, seen: Seen) -> bool {
        self.seen & seen.0 != 0
    }

    /// Notes that something happened. Returns whether it is the first time.
    pub(super) fn note(&mut self, seen: Seen) -> bool {
        let is_new = !self.has(seen);
        self.seen |= seen.0;
        is_new
    }
}

/// All visitors, by receipt.
#[derive(Debug, Default)]
pub(super) struct Visitors(HashMap<[u8; 16], Visitor>);

impl Visitors {
    /// Returns the visitor of a receipt. Events may be read in any order, so one that was not shown yet
    /// is created.
    pub(super) fn of(&mut self, receipt: Receipt) -> &mut Visitor {
        match self.0.entry(*receipt.as_bytes()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Visitor::default()),
        }
    }

    pub(super) fn get(&self, receipt: Receipt) -> Option<&Visitor> {
        self.0.get(receipt.as_bytes())
    }

    /// Returns all visitors, also those that were never shown a challenge.
    pub(super) fn all(&self) -> impl Iterator<Item = &Visitor> {
        self.0.values()
    }
}
