//! A map of limited size, so that an emulator can run for weeks.

use std::collections::{HashMap, VecDeque};

/// The most values that one map holds. Beyond that, the oldest value is removed.
const MAX_VALUES: usize = 10_000;

/// Values by name. The emulator generates every name at random, so a name is never inserted twice.
pub(crate) struct Kept<T> {
    values: HashMap<String, T>,
    oldest_first: VecDeque<String>,
}

impl<T> Kept<T> {
    pub(crate) fn new() -> Self {
        Self {
            values: HashMap::new(),
            oldest_first: VecDeque::new(),
        }
    }

    /// Adds a value, and removes the oldest one when the map is full.
    pub(crate) fn insert(&mut self, name: String, value: T) {
        if self.oldest_first.len() >= MAX_VALUES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.values.remove(&oldest);
        }
        self.oldest_first.push_back(name.clone());
        self.values.insert(name, value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.values.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.values.get_mut(name)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_for_the_newest() {
        let mut kept = Kept::new();
        for n in 0..=MAX_VALUES {
            kept.insert(n.to_string(), n);
        }
        assert_eq!(kept.len(), MAX_VALUES);
        assert_eq!(kept.get("0"), None);
        assert_eq!(kept.get("1"), Some(&1));
        assert_eq!(kept.get(&MAX_VALUES.to_string()), Some(&MAX_VALUES));
    }
}
