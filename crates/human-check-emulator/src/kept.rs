//! A map of limited size, so that an emulator can run for weeks.

use std::collections::{HashMap, VecDeque};

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

    /// Adds a value, and removes the oldest ones when there are more than `max`, which counts as one
    /// at least.
    pub(crate) fn insert(&mut self, name: String, value: T, max: usize) {
        while self.oldest_first.len() >= max.max(1)
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
        for n in 0..=10 {
            kept.insert(n.to_string(), n, 10);
        }
        assert_eq!(kept.len(), 10);
        assert_eq!(kept.get("0"), None);
        assert_eq!((kept.get("1"), kept.get("10")), (Some(&1), Some(&10)));
        kept.insert("11".to_owned(), 11, 3);
        assert_eq!(
            (kept.len(), kept.get("8"), kept.get("9")),
            (3, None, Some(&9))
        );
        kept.insert("12".to_owned(), 12, 0);
        assert_eq!((kept.len(), kept.get("12")), (1, Some(&12)));
    }
}
