//! The list of who is online, as the text protocol writes it.
//!
//! It is kept on pages: whoever comes or goes costs the writing of one page, however long the list is,
//! and whoever asks for it the copy of its bytes.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use wire::text::reply::write_list_line;
use wire::{P2pPort, Username};

use crate::messages::OnlineList;

/// The most lines of a page. Some 2 KiB are written anew in less time than a log-in takes otherwise,
/// and 10,000 lines are few enough pages to be gone through for each list.
const PAGE_LINES_MAX: usize = 64;

/// Pages in order of name, none of them empty.
#[derive(Debug, Default)]
pub(super) struct TextList {
    pages: Vec<Page>,
    /// What was last handed out, until a line changes.
    list: Option<OnlineList>,
}

#[derive(Debug)]
struct Page {
    count: usize,
    lines: Arc<str>,
}

impl TextList {
    /// Puts a name on the list, in place of the line that it may have.
    pub(super) fn put(&mut self, name: &Username, ip: IpAddr, port: P2pPort) {
        self.list = None;
        let mut line = String::new();
        write_list_line(name, ip, port, &mut line);
        let Some(index) = self.find_page(name) else {
            return self.pages.push(Page { count: 1, lines: line.into() });
        };
        let page = &mut self.pages[index];
        page.replace(name, &line);
        if page.count > PAGE_LINES_MAX {
            let rest = page.split();
            self.pages.insert(index + 1, rest);
        }
    }

    /// Takes a name off the list, if it is there.
    pub(super) fn remove(&mut self, name: &Username) {
        self.list = None;
        let Some(index) = self.find_page(name) else { return };
        self.pages[index].replace(name, "");
        if self.pages[index].count == 0 {
            self.pages.remove(index);
        } else if let [page, next, ..] = &mut self.pages[index..]
            && page.count + next.count <= PAGE_LINES_MAX / 2
        {
            page.append(next);
            self.pages.remove(index + 1);
        }
    }

    /// The list. An unchanged one costs nothing.
    pub(super) fn read(&mut self) -> OnlineList {
        let pages = &self.pages;
        let list = self.list.get_or_insert_with(|| OnlineList {
            count: pages.iter().map(|page| page.count).sum(),
            pages: pages.iter().map(|page| Arc::clone(&page.lines)).collect(),
        });
        list.clone()
    }

    /// The page that this name belongs on, if there is any.
    fn find_page(&self, name: &Username) -> Option<usize> {
        let behind = self.pages.partition_point(|page| page.first_name() <= name.as_str());
        (!self.pages.is_empty()).then(|| behind.saturating_sub(1))
    }
}

impl Page {
    fn first_name(&self) -> &str {
        name_of(&self.lines)
    }

    /// Puts this line, or nothing, in place of the name's.
    fn replace(&mut self, name: &Username, line: &str) {
        let place = self.find(name);
        self.count -= usize::from(!place.is_empty());
        self.count += usize::from(!line.is_empty());
        let (before, behind) = (&self.lines[..place.start], &self.lines[place.end..]);
        self.lines = [before, line, behind].concat().into();
    }

    /// Where the name's line is; if there is none, the place for it, which is empty.
    fn find(&self, name: &Username) -> Range<usize> {
        let mut start = 0;
        for line in self.lines.split_inclusive('\n') {
            match name_of(line).cmp(name.as_str()) {
                Ordering::Less => start += line.len(),
                Ordering::Equal => return start..start + line.len(),
                Ordering::Greater => break,
            }
        }
        start..start
    }

    /// Keeps half of the lines and returns the others.
    fn split(&mut self) -> Self {
        let kept = self.count / 2;
        let middle = self.lines.split_inclusive('\n').take(kept).map(str::len).sum();
        let (lines, rest) = self.lines.split_at(middle);
        let rest = Self { count: self.count - kept, lines: rest.into() };
        *self = Self { count: kept, lines: lines.into() };
        rest
    }

    fn append(&mut self, next: &Self) {
        self.count += next.count;
        self.lines = [&*self.lines, &*next.lines].concat().into();
    }
}

/// The name at the beginning of a line.
fn name_of(line: &str) -> &str {
    line.split_once('#').map_or(line, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn name(number: u32) -> Username {
        format!("name-{number}").parse().expect("a valid name")
    }

    fn text(list: &OnlineList) -> String {
        list.pages.concat()
    }

    /// Whoever comes, goes or moves, in any order: it reads like a map of all lines.
    #[test]
    fn it_reads_like_one_that_is_written_whole() {
        let mut random = SmallRng::seed_from_u64(7);
        let (mut list, mut expected) = (TextList::default(), BTreeMap::new());
        for step in 0..20_000_u32 {
            let name = name(random.random_range(0..1000));
            // First more come than go, then the other way round.
            let comes = random.random_ratio(if step < 10_000 { 3 } else { 1 }, 4);
            if comes {
                let port = P2pPort::try_from(random.random_range(1024..=u16::MAX)).expect("a port");
                let ip = IpAddr::from([127, 0, 0, 1]);
                list.put(&name, ip, port);
                let mut line = String::new();
                write_list_line(&name, ip, port, &mut line);
                expected.insert(name, line);
            } else {
                list.remove(&name);
                expected.remove(&name);
            }
            if step % 100 == 0 {
                let read = list.read();
                assert_eq!(text(&read), expected.values().cloned().collect::<String>());
                assert_eq!(read.count, expected.len());
            }
            let most = 1 + 4 * expected.len() / PAGE_LINES_MAX;
            assert!(list.pages.iter().all(|page| (1..=PAGE_LINES_MAX).contains(&page.count)));
            assert!(step < 10_000 || list.pages.len() <= 2 * most, "{} pages", list.pages.len());
        }
    }

    #[test]
    fn one_who_comes_costs_one_page() {
        let mut list = TextList::default();
        let port = P2pPort::try_from(7001).expect("a port");
        for number in 0..1000 {
            list.put(&name(number), IpAddr::from([127, 0, 0, 1]), port);
        }
        let before = list.read();
        list.put(&name(1000), IpAddr::from([127, 0, 0, 1]), port);
        let after = list.read();
        let kept = |page: &&Arc<str>| before.pages.iter().any(|old| Arc::ptr_eq(old, page));
        assert!(after.pages.len() - after.pages.iter().filter(kept).count() <= 2);
        list.remove(&name(1000));
        assert_eq!(text(&list.read()), text(&before));
    }
}
