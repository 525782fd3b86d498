use std::sync::Mutex;

use wire::{OrderId, PublicKey, Receipt, Username};

use super::*;
use crate::secure_wallet::store::{ClosedRecord, KnownPeer, OutboxRecord};

/// A disk that remembers how many changes each transaction has brought it.
#[derive(Debug, Default)]
struct Disk {
    transactions: Mutex<Vec<usize>>,
    full: bool,
}

impl WalletStore for Disk {
    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        if self.full {
            return Err(StoreError::NotWritten("no space left on device".to_owned()));
        }
        self.transactions.lock().expect("no test panics with the lock").push(changes.len());
        Ok(())
    }

    fn outbox(&self, _: &PublicKey) -> Result<Vec<OutboxRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn closed(&self, _: &PublicKey, _: usize) -> Result<Vec<ClosedRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn find_closed(&self, _: &PublicKey, _: OrderId) -> Result<Option<ClosedRecord>, StoreError> {
        Ok(None)
    }

    fn received(&self, _: &PublicKey, _: OrderId) -> Result<Vec<Receipt>, StoreError> {
        Ok(Vec::new())
    }

    fn peer(&self, _: &PublicKey, _: &Username) -> Result<Option<KnownPeer>, StoreError> {
        Ok(None)
    }

    fn last_server(&self) -> Result<Option<PublicKey>, StoreError> {
        Ok(None)
    }
}

fn change() -> Change {
    Change::Server(PublicKey::new([1; 32]))
}

#[actix::test]
async fn what_waits_together_is_written_together() {
    let disk = Arc::new(Disk::default());
    let commits = Commits::new(Arc::clone(&disk) as Arc<dyn WalletStore>);
    let first = [commits.write(vec![change()]), commits.write(vec![change(), change()])];
    assert_eq!(futures_util::future::join_all(first).await, [Ok(()), Ok(())]);
    assert_eq!(commits.write(vec![change()]).await, Ok(()));
    assert_eq!(*disk.transactions.lock().expect("nobody has panicked"), [3, 1]);
}

/// However much waits, whoever is first does not wait for all of it.
#[actix::test]
async fn a_transaction_is_bounded() {
    let disk = Arc::new(Disk::default());
    let commits = Commits::new(Arc::clone(&disk) as Arc<dyn WalletStore>);
    let steps = (0..=2 * STEPS_PER_TRANSACTION_MAX).map(|_| commits.write(vec![change()]));
    let written = futures_util::future::join_all(steps).await;
    assert!(written.iter().all(Result::is_ok));
    let most = STEPS_PER_TRANSACTION_MAX;
    assert_eq!(*disk.transactions.lock().expect("nobody has panicked"), [most, most, 1]);
}

/// A step whose transaction fails must not be taken for written, whoever else was in it.
#[actix::test]
async fn a_transaction_that_fails_fails_for_all_in_it() {
    let disk = Arc::new(Disk { full: true, ..Disk::default() });
    let commits = Commits::new(disk);
    let both = [commits.write(vec![change()]), commits.write(vec![change()])];
    let full = Err(StoreError::NotWritten("no space left on device".to_owned()));
    assert_eq!(futures_util::future::join_all(both).await, [full.clone(), full]);
}

/// Whoever does not wait for the answer has not changed their mind.
#[actix::test]
async fn what_nobody_waits_for_is_written() {
    let disk = Arc::new(Disk::default());
    let commits = Commits::new(Arc::clone(&disk) as Arc<dyn WalletStore>);
    drop(commits.write(vec![change()]));
    assert_eq!(commits.write(vec![change()]).await, Ok(()));
    assert_eq!(disk.transactions.lock().expect("nobody has panicked").iter().sum::<usize>(), 2);
}
