//! Who wants to know when somebody comes online.

use std::collections::HashMap;
use std::sync::Arc;

use wire::Username;
use wire::secure::call::WATCHED_NAMES_MAX;

use crate::messages::{SessionId, WatchRefusal};

/// The most names that all sessions together watch: at some 200 bytes each, 50 MiB.
const WATCHES_MAX: usize = 1 << 18;

/// How much of what is free one session may watch: a 64th, which is less than it may at all once a
/// sixteenth is left. Those who watch many leave some for those who watch few.
const FREE_SHARE: usize = 64;

/// Which session watches which names.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_session: HashMap<SessionId, Arc<[Username]>>,
    watchers: HashMap<Username, Vec<SessionId>>,
    count: usize,
}

impl Watches {
    /// Has a session watch these names, each once, in place of what it watched before. If that were
    /// too many, everything stays as it was.
    pub(super) fn watch(
        &mut self,
        session: SessionId,
        mut names: Vec<Username>,
    ) -> Result<Arc<[Username]>, WatchRefusal> {
        names.sort_unstable();
        names.dedup();
        let before = self.by_session.get(&session).map_or(0, |names| names.len());
        let free = WATCHES_MAX - (self.count - before);
        if names.len() > free.div_ceil(FREE_SHARE).min(WATCHED_NAMES_MAX) {
            return Err(WatchRefusal::Full);
        }
        self.remove(session);
        self.count += names.len();
        for name in &names {
            self.watchers.entry(name.clone()).or_default().push(session);
        }
        let names: Arc<[Username]> = names.into();
        if !names.is_empty() {
            self.by_session.insert(session, Arc::clone(&names));
        }
        Ok(names)
    }

    /// The session watches nobody any more.
    pub(super) fn remove(&mut self, session: SessionId) {
        let Some(names) = self.by_session.remove(&session) else { return };
        self.count -= names.len();
        for name in names.iter() {
            let Some(watchers) = self.watchers.get_mut(name) else { continue };
            watchers.retain(|watcher| *watcher != session);
            if watchers.is_empty() {
                self.watchers.remove(name);
            }
        }
    }

    /// Who watches this name.
    pub(super) fn watchers(&self, name: &Username) -> impl Iterator<Item = SessionId> {
        self.watchers.get(name).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(from: usize, count: usize) -> Vec<Username> {
        (from..from + count)
            .map(|number| format!("name-{number}").parse().expect("a valid name"))
            .collect()
    }

    #[test]
    fn what_all_watch_is_bounded_and_what_ends_is_forgotten() {
        let mut watches = Watches::default();
        let greedy = (0..10_000).take_while(|session| {
            watches.watch(SessionId(*session), names(0, WATCHED_NAMES_MAX)).is_ok()
        });
        let greedy = greedy.count() as u64;
        assert!(watches.count > WATCHES_MAX * 15 / 16 - WATCHED_NAMES_MAX, "{}", watches.count);
        // Whoever watches already may watch others, and who watches few finds room.
        watches.watch(SessionId(0), names(1000, WATCHED_NAMES_MAX)).expect("in place of the old");
        for session in greedy..greedy + 100 {
            watches.watch(SessionId(session), names(0, 20)).expect("there is room for few");
        }
        let single = (greedy + 100..100_000)
            .take_while(|session| watches.watch(SessionId(*session), names(0, 1)).is_ok());
        let sessions = greedy + 100 + single.count() as u64;
        assert_eq!(watches.count, WATCHES_MAX);
        for session in 0..=sessions {
            watches.remove(SessionId(session));
        }
        assert_eq!(watches.count, 0);
        assert!(watches.by_session.is_empty() && watches.watchers.is_empty());
    }

    #[test]
    fn too_many_names_of_one_session_are_refused_and_the_same_name_counts_once() {
        let mut watches = Watches::default();
        let too_many = names(0, WATCHED_NAMES_MAX + 1);
        assert_eq!(watches.watch(SessionId(1), too_many), Err(WatchRefusal::Full));
        let twice = [names(0, 2), names(0, 2)].concat();
        assert_eq!(watches.watch(SessionId(1), twice).expect("two").len(), 2);
        assert_eq!(watches.watchers(&names(1, 1)[0]).collect::<Vec<_>>(), [SessionId(1)]);
    }
}
