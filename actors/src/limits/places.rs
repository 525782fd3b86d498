//! Places of which each of many has some.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts who has how many places.
#[derive(Debug)]
pub struct Places<K> {
    /// No entry is 0, so there are as many as places at most.
    counts: Mutex<HashMap<K, usize>>,
}

/// Is counted until it is dropped.
#[derive(Debug)]
pub struct Place<K: Copy + Eq + Hash> {
    places: Arc<Places<K>>,
    holder: K,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self { counts: Mutex::default() }
    }
}

impl<K: Copy + Eq + Hash> Places<K> {
    /// Takes a place, if the holder has fewer than `max`.
    pub fn enter(self: &Arc<Self>, holder: K, max: usize) -> Option<Place<K>> {
        let mut counts = self.counts();
        match counts.entry(holder) {
            Entry::Occupied(count) if *count.get() >= max => return None,
            Entry::Vacant(_) if max == 0 => return None,
            entry => *entry.or_insert(0) += 1,
        }
        drop(counts);
        Some(Place { places: Arc::clone(self), holder })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // Nothing that holds it can panic between two changes that belong together.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.places.counts().entry(self.holder) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_places_and_nothing_is_remembered_of_who_has_left() {
        let places = Arc::new(Places::default());
        let first = places.enter('a', 2).expect("a place is free");
        let second = places.enter('a', 2).expect("another is");
        assert!(places.enter('a', 2).is_none());
        let other = places.enter('b', 1).expect("others have their own");
        assert!(places.enter('c', 0).is_none());
        drop(first);
        let again = places.enter('a', 2).expect("it is free again");
        drop((second, other, again));
        assert!(places.counts().is_empty());
    }
}
